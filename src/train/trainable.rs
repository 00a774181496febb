//! What a model must offer to be trained.

use candle_core::Result;

use super::loss::{BatchLoss, Score};
use crate::nn::{Parameters, Pass};

/// A model with its training examples.
pub trait Trainable: Sync {
    /// Number of training examples.
    fn examples(&self) -> usize;

    /// Rows that an example costs, so that workers get even shares.
    fn rows(&self, example: usize) -> usize;

    /// The class of an example, where it has one, for balanced batches.
    fn class(&self, example: usize) -> Option<u32>;

    /// What is learnt.
    fn parameters(&self) -> &Parameters;

    /// The loss of some examples.
    ///
    /// # Errors
    ///
    /// If candle cannot compute it.
    fn loss(&self, examples: &[usize], pass: &Pass) -> Result<BatchLoss>;

    /// The score on held-out examples; `None` where nothing was held out.
    ///
    /// # Errors
    ///
    /// If candle cannot compute it.
    fn evaluate(&self) -> Result<Option<Score>>;
}
