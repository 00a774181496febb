//! The masked-token objective: predict tokens that were hidden.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Candidates, Similarity, SimilarityConfig};
use crate::nn::{glorot_uniform, select_rows};

/// The masked-token objective of DIET (section 3.1 of [Bunk et al., 2020](https://arxiv.org/abs/2004.09936)).
///
/// While training, 15 % of the tokens are chosen before the transformer: 70 % of those become a learnt
/// vector, 10 % another token of the batch, 20 % stay. The transformer's output there should be similar
/// to what stood there, and not to the other chosen tokens.
///
/// # Shapes
///
/// - rows before the transformer: `[row, input_dim]`, after it: `[row, model_dim]`
#[derive(Clone, Debug)]
pub struct MaskedToken {
    mask: Tensor,
    similarity: Similarity,
}

/// Which tokens of a batch were chosen.
#[derive(Clone, Debug)]
pub struct Masking {
    /// The rows with some hidden: `[row, input_dim]`.
    pub rows: Tensor,
    chosen: Vec<u32>,
    original: Tensor,
}

impl MaskedToken {
    /// Share of tokens that are chosen.
    const CHOSEN: f64 = 0.15;
    /// Shares of the chosen ones that are masked, and masked or exchanged.
    const MASKED: (f64, f64) = (0.7, 0.8);

    /// Draws or loads the weights.
    ///
    /// # Errors
    ///
    /// If weights are missing or of another shape.
    pub fn new(
        input_dim: usize,
        model_dim: usize,
        embedding_dim: usize,
        config: SimilarityConfig,
        vb: VarBuilder,
    ) -> Result<Self> {
        let mask = vb.get_with_hints((1, input_dim), "mask", glorot_uniform(1, input_dim))?;
        // A plain loss whatever the intents use: hidden tokens are never "learnt already", and equal ones no target.
        let config = SimilarityConfig { scale_loss: false, label_smoothing: 0.0, r_drop: 0.0, ..config };
        Ok(Self { mask, similarity: Similarity::new(model_dim, input_dim, embedding_dim, config, vb)? })
    }

    /// Hides some of the rows `tokens`; `None` where the draw chose none.
    ///
    /// # Errors
    ///
    /// If candle cannot combine the rows.
    pub fn hide(&self, rows: &Tensor, tokens: &[u32], seed: u64) -> Result<Option<Masking>> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut uniform = move || (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let count = rows.dim(0)?;
        let (mut keep, mut masked, mut exchanged) =
            (vec![1_f32; count], vec![0_f32; count], vec![0_f32; count]);
        let mut source: Vec<u32> = (0..count as u32).collect();
        let mut chosen = Vec::new();
        for row in tokens.iter().map(|row| *row as usize) {
            if uniform() >= Self::CHOSEN {
                continue;
            }
            chosen.push(row as u32);
            let fate = uniform();
            let other = tokens[(uniform() * tokens.len() as f64) as usize % tokens.len()];
            if fate < Self::MASKED.0 {
                (keep[row], masked[row]) = (0.0, 1.0);
            } else if fate < Self::MASKED.1 {
                (keep[row], exchanged[row], source[row]) = (0.0, 1.0, other);
            }
        }
        if chosen.is_empty() {
            return Ok(None);
        }
        let column = |x: Vec<f32>| Tensor::from_vec(x, (count, 1), rows.device())?.to_dtype(rows.dtype());
        let others = rows.detach().index_select(&Tensor::new(&source[..], rows.device())?, 0)?;
        let kept = rows.broadcast_mul(&column(keep)?)?;
        let replaced = column(masked)?.matmul(&self.mask)?;
        let hidden = (kept + replaced)?.add(&others.broadcast_mul(&column(exchanged)?)?)?;
        let original = select_rows(rows, &chosen)?;
        Ok(Some(Masking { rows: hidden, chosen, original }))
    }

    /// How badly the transformer's output predicts the tokens that were hidden. `identity` names the token of every row,
    /// so that a chosen token does not count as a wrong answer for another that is the same.
    ///
    /// # Errors
    ///
    /// If the rows are not those that were hidden.
    pub fn loss(&self, output: &Tensor, masking: &Masking, identity: &[u64], seed: u64) -> Result<Tensor> {
        let guesses = select_rows(output, &masking.chosen)?; // [chosen, model_dim]
        let gold: Vec<u32> = (0..masking.chosen.len() as u32).collect();
        let identity: Vec<u64> = masking.chosen.iter().map(|row| identity[*row as usize]).collect();
        let candidates = Candidates { gold: &gold, identity: &identity };
        Ok(self.similarity.loss(&guesses, &masking.original, candidates, seed)?.loss)
    }
}

#[cfg(test)]
mod tests {
    use candle_nn::Init;

    use super::*;
    use crate::nn::testing::{assert_gradients, input, seeded};

    #[test]
    fn every_parameter_has_the_right_gradient() -> Result<()> {
        let (parameters, vb) = seeded();
        let config = SimilarityConfig { negatives: 3, ..Default::default() };
        let head = MaskedToken::new(5, 5, 3, config, vb.pp("head"))?;
        // No token is exchanged here: that path carries no gradient on purpose.
        let rows = vb.get_with_hints((40, 5), "rows", Init::Uniform { lo: -1.0, up: 1.0 })?;
        let tokens: Vec<u32> = (0..20).collect();
        let identity: Vec<u64> = (0..40).collect();
        assert_gradients(&parameters, || {
            let masking = head.hide(&rows, &tokens, 5)?.unwrap();
            head.loss(&masking.rows, &masking, &identity, 2)
        })
    }

    #[test]
    fn only_tokens_are_chosen_and_about_the_asked_share() -> Result<()> {
        let (_, vb) = seeded();
        let head = MaskedToken::new(5, 7, 3, SimilarityConfig::default(), vb)?;
        let tokens: Vec<u32> = (0..2000).step_by(2).collect();
        let masking = head.hide(&input((2000, 5))?, &tokens, 1)?.unwrap();
        assert!(masking.chosen.iter().all(|row| row % 2 == 0));
        assert!((110..190).contains(&masking.chosen.len()), "{}", masking.chosen.len());
        assert!(head.hide(&input((3, 5))?, &[], 1)?.is_none());
        Ok(())
    }
}
