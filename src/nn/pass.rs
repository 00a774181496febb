//! The settings of one forward pass.

use std::cell::Cell;

use super::GradientSink;
use crate::kernels::dropout::bits;

/// One forward pass: whether it learns, what its dropouts draw from, and how far training has come.
///
/// Dropout draws from the seed of the pass, one draw after the other, so the same pass
/// with the same seed makes the same draws. A pass belongs to one thread.
///
/// All gradients go through candle's graph, unless the pass has a [`GradientSink`].
#[derive(Debug)]
pub struct Pass {
    /// None outside training.
    seed: Option<u64>,
    /// How many seeds have been drawn from it.
    draws: Cell<u64>,
    done: f64,
    sink: Option<GradientSink>,
}

impl Pass {
    /// A pass that answers a user: nothing is random, nothing is recorded.
    #[must_use]
    pub fn inference() -> Self {
        Self { seed: None, draws: Cell::new(0), done: 0.0, sink: None }
    }

    /// A pass that learns.
    #[must_use]
    pub fn training(seed: u64) -> Self {
        Self { seed: Some(seed), ..Self::inference() }
    }

    /// The same pass when a share `done` of all training is done, in `[0, 1]`.
    #[must_use]
    pub fn after(self, done: f64) -> Self {
        Self { done, ..self }
    }

    /// The same pass, faster, with some gradients in `sink` in place of candle's graph.
    #[must_use]
    pub fn with_sink(self, sink: &GradientSink) -> Self {
        Self { sink: Some(sink.clone()), ..self }
    }

    /// Share of all training that is done, for what changes during training.
    #[must_use]
    pub fn done(&self) -> f64 {
        self.done
    }

    /// Whether this pass learns.
    #[must_use]
    pub fn is_training(&self) -> bool {
        self.seed.is_some()
    }

    /// A new seed while training, else `None`.
    pub fn next_seed(&self) -> Option<u64> {
        self.seed.map(|seed| bits(seed, self.draws.replace(self.draws.get() + 1)))
    }

    /// Where gradients go while training, if not through candle's graph.
    pub(crate) fn sink(&self) -> Option<&GradientSink> {
        self.sink.as_ref().filter(|_| self.is_training())
    }
}
