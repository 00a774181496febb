//! One transformer layer.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::fused::{Layer, Parameter};
use super::{
    Dropout, FeedForward, LayerNorm, NormPlacement, Pass, Segments, SelfAttention, TransformerConfig,
};

/// Attention, then the feed-forward network, each with a layer norm and a residual:
///
/// ```text
/// NormPlacement::Before                       NormPlacement::After
/// x ← x + dropout(attention(norm(x)))         x ← norm(x + dropout(attention(x)))
/// x ← x + dropout(feed_forward(norm(x)))      x ← norm(x + dropout(feed_forward(x)))
/// ```
///
/// # Shapes
///
/// - input and output: `[row, model_dim]`
#[derive(Clone, Debug)]
pub struct TransformerLayer {
    attention_norm: LayerNorm,
    attention: SelfAttention,
    feed_forward_norm: LayerNorm,
    feed_forward: FeedForward,
    dropout: Dropout,
    norm: NormPlacement,
}

impl TransformerLayer {
    /// Draws or loads the weights.
    ///
    /// # Errors
    ///
    /// As [`SelfAttention::new`].
    pub fn new(config: &TransformerConfig, vb: VarBuilder) -> Result<Self> {
        let norm = |name| LayerNorm::new(config.model_dim, config.norm_epsilon, vb.pp(name));
        Ok(Self {
            attention_norm: norm("attention_norm")?,
            attention: SelfAttention::new(config, vb.pp("attention"))?,
            feed_forward_norm: norm("feed_forward_norm")?,
            feed_forward: FeedForward::new(config, vb.pp("feed_forward"))?,
            dropout: Dropout::new(config.dropout),
            norm: config.norm,
        })
    }

    /// Transforms the rows of each sequence.
    ///
    /// # Errors
    ///
    /// As [`SelfAttention::forward`].
    pub fn forward(&self, x: &Tensor, segments: &Segments, pass: &Pass) -> Result<Tensor> {
        let attention = |x: &Tensor| self.attention.forward(x, segments, pass);
        let x = self.around(x, &self.attention_norm, pass, attention)?;
        self.around(&x, &self.feed_forward_norm, pass, |x| self.feed_forward.forward(x, pass))
    }

    /// A residual and a norm around a part.
    fn around(
        &self,
        x: &Tensor,
        norm: &LayerNorm,
        pass: &Pass,
        part: impl FnOnce(&Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        match self.norm {
            NormPlacement::Before => x + self.dropout.forward(&part(&norm.forward(x)?)?, pass)?,
            NormPlacement::After => norm.forward(&(x + self.dropout.forward(&part(x)?, pass)?)?),
        }
    }

    pub(super) fn fused(&self) -> Result<Layer<Parameter>> {
        Ok(Layer {
            attention: self.attention.fused(self.attention_norm.fused())?,
            feed_forward: self.feed_forward.fused(self.feed_forward_norm.fused())?,
        })
    }

    /// The attention weights of each sequence: `[heads, query, key]`.
    ///
    /// # Errors
    ///
    /// As [`SelfAttention::forward`].
    pub fn attention_weights(&self, x: &Tensor, segments: &Segments) -> Result<Vec<Tensor>> {
        match self.norm {
            NormPlacement::Before => self.attention.weights(&self.attention_norm.forward(x)?, segments),
            NormPlacement::After => self.attention.weights(x, segments),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_nn::Init;

    use super::super::testing::{assert_gradients, seeded};
    use super::*;

    #[test]
    fn every_parameter_has_the_right_gradient_wherever_the_norm_stands() -> Result<()> {
        for norm in [NormPlacement::Before, NormPlacement::After] {
            let (parameters, vb) = seeded();
            let config = TransformerConfig {
                model_dim: 6,
                heads: 3,
                ff_dim: 11,
                dropout: 0.3,
                connection_density: 0.6,
                projection_bias: norm == NormPlacement::After,
                norm,
                ..Default::default()
            };
            let layer = TransformerLayer::new(&config, vb.pp("layer"))?;
            let x = vb.get_with_hints((7, 6), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
            let segments = Segments::from_lengths([5, 2]);
            assert_gradients(&parameters, || layer.forward(&x, &segments, &Pass::training(2)))?;
        }
        Ok(())
    }
}
