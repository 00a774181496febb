//! Token numbers to contextual rows: the encoder of BERT and its relatives.

use candle_core::{Result, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use serde::{Deserialize, Serialize};

use super::{Dropout, LayerNorm, Pass, Segments, TransformerConfig, TransformerLayer, select_rows};

/// Settings of an [`Encoder`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderConfig {
    /// Number of tokens that have a vector.
    pub vocabulary: usize,
    /// Number of positions that have one: the longest sequence.
    pub positions: usize,
    /// The layers; norms usually come [after](super::NormPlacement::After) the residual.
    pub layers: TransformerConfig,
}

/// The encoder of BERT ([Devlin et al., 2019](https://arxiv.org/abs/1810.04805)) and its relatives:
///
/// ```text
/// x ← dropout(norm(word[token] + position[place]))
/// x ← layer(x)          for each layer
/// ```
///
/// Each sequence counts as the first of BERT's two sentences; the vector that BERT adds for it is part of the positions
/// here.
///
/// # Shapes
///
/// - input: one number a token, packed as its [`Segments`] say
/// - output: `[token, model_dim]`
///
/// # Example
///
/// ```
/// use candle_core::{DType, Device};
/// use talkformer::nn::{Encoder, EncoderConfig, Parameters, Pass, Segments, TransformerConfig};
///
/// let layers = TransformerConfig { model_dim: 16, heads: 2, ff_dim: 32, ..Default::default() };
/// let config = EncoderConfig { vocabulary: 50, positions: 8, layers };
/// let encoder = Encoder::new(&config, Parameters::new(1).builder(DType::F32, &Device::Cpu))?;
/// let y = encoder.forward(&[3, 14, 15, 9, 2], &Segments::from_lengths([3, 2]), &Pass::inference())?;
/// assert_eq!(y.dims(), [5, 16]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Encoder {
    words: Tensor,
    positions: Tensor,
    norm: LayerNorm,
    dropout: Dropout,
    layers: Vec<TransformerLayer>,
}

impl Encoder {
    /// Draws or loads the weights.
    ///
    /// # Errors
    ///
    /// As [`SelfAttention::new`](super::SelfAttention::new).
    pub fn new(config: &EncoderConfig, vb: VarBuilder) -> Result<Self> {
        let TransformerConfig { model_dim, layers, norm_epsilon, dropout, .. } = config.layers;
        let init = Init::Randn { mean: 0.0, stdev: 0.02 }; // BERT's
        let table = |rows, name| vb.get_with_hints((rows, model_dim), name, init);
        let layer = |i| TransformerLayer::new(&config.layers, vb.pp("layers").pp(i));
        Ok(Self {
            words: table(config.vocabulary, "words")?,
            positions: table(config.positions, "positions")?,
            norm: LayerNorm::new(model_dim, norm_epsilon, vb.pp("norm"))?,
            dropout: Dropout::new(dropout),
            layers: (0..layers).map(layer).collect::<Result<_>>()?,
        })
    }

    /// Encodes the tokens of each sequence.
    ///
    /// # Errors
    ///
    /// If there are other tokens than `segments` say, a sequence is longer than there are positions, or a token has
    /// no vector.
    pub fn forward(&self, tokens: &[u32], segments: &Segments, pass: &Pass) -> Result<Tensor> {
        let x = self.embed(tokens, segments)?;
        let x = self.dropout.forward(&x, pass)?; // [token, model_dim]
        self.layers.iter().try_fold(x, |x, layer| layer.forward(&x, segments, pass))
    }

    /// The attention weights of each layer and sequence: `[heads, query, key]` each.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn attention_weights(&self, tokens: &[u32], segments: &Segments) -> Result<Vec<Vec<Tensor>>> {
        let mut x = self.embed(tokens, segments)?;
        let mut all = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            all.push(layer.attention_weights(&x, segments)?);
            x = layer.forward(&x, segments, &Pass::inference())?;
        }
        Ok(all)
    }

    fn embed(&self, tokens: &[u32], segments: &Segments) -> Result<Tensor> {
        if tokens.len() != segments.rows() {
            bail!("{} tokens do not fit sequences of {} rows", tokens.len(), segments.rows());
        }
        let places: Vec<u32> = segments.iter().flat_map(|range| 0..range.len() as u32).collect();
        let (words, positions) = (select_rows(&self.words, tokens)?, select_rows(&self.positions, &places)?);
        self.norm.forward(&(words + positions)?) // [token, model_dim]
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, assert_gradients, seeded};
    use super::super::{NormPlacement, Parameters};
    use super::*;

    fn encoder() -> Result<(Parameters, Encoder)> {
        let (parameters, vb) = seeded();
        let layers = TransformerConfig {
            model_dim: 6,
            heads: 2,
            ff_dim: 7,
            projection_bias: true,
            relative_biases: true,
            relative_reach: 2,
            norm: NormPlacement::After,
            ..Default::default()
        };
        let config = EncoderConfig { vocabulary: 5, positions: 4, layers };
        Ok((parameters, Encoder::new(&config, vb)?))
    }

    #[test]
    fn every_parameter_has_the_right_gradient() -> Result<()> {
        let (parameters, encoder) = encoder()?;
        let tokens = [1, 0, 4, 2, 3, 1];
        let run = || encoder.forward(&tokens, &Segments::from_lengths([4, 2]), &Pass::inference());
        assert_gradients(&parameters, run)
    }

    #[test]
    fn a_text_alone_equals_the_same_text_in_a_batch() -> Result<()> {
        let (_, encoder) = encoder()?;
        let pass = Pass::inference();
        let both = encoder.forward(&[1, 2, 3, 4, 2], &Segments::from_lengths([3, 2]), &pass)?;
        let second = encoder.forward(&[4, 2], &Segments::from_lengths([2]), &pass)?;
        assert_close(&both.narrow(0, 3, 2)?, &second, 1e-12)
    }

    #[test]
    fn tokens_that_do_not_fit_are_refused() -> Result<()> {
        let (_, encoder) = encoder()?;
        for (tokens, lengths) in [(vec![1; 3], [2]), (vec![1; 5], [5]), (vec![5], [1])] {
            assert!(encoder.forward(&tokens, &Segments::from_lengths(lengths), &Pass::inference()).is_err());
        }
        Ok(())
    }
}
