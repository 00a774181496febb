//! One forward pass: is it training, which random draws does it make, which table rows did it touch.

use std::cell::{Cell, RefCell};

use candle_core::{Tensor, Var};

use crate::kernels::dropout::bits;

/// The circumstances of one forward pass.
///
/// Dropout draws from the seed of the pass, one draw after the other, so the same pass
/// with the same seed makes the same draws. A pass belongs to one thread.
#[derive(Debug)]
pub struct Pass {
    seed: Option<u64>,
    done: f64,
    draws: Cell<u64>,
    touched: RefCell<Vec<TouchedRows>>,
}

/// Rows of a large table that one training pass read, and the copy that carries their gradient.
#[derive(Clone, Debug)]
pub struct TouchedRows {
    /// The whole table.
    pub table: Tensor,
    /// Which rows were read, in rising order.
    pub rows: Vec<u32>,
    /// Those rows, a leaf of the graph: `[rows, dim]`.
    pub leaf: Var,
}

impl Pass {
    /// A pass that answers a user: nothing is random, nothing is recorded.
    #[must_use]
    pub fn inference() -> Self {
        Self { seed: None, done: 0.0, draws: Cell::new(0), touched: RefCell::default() }
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

    /// Share of all training that is done, for what changes on the way.
    #[must_use]
    pub fn done(&self) -> f64 {
        self.done
    }

    /// Whether this pass learns.
    #[must_use]
    pub fn is_training(&self) -> bool {
        self.seed.is_some()
    }

    /// A fresh seed while training, else `None`.
    pub fn next_seed(&self) -> Option<u64> {
        let draw = self.draws.replace(self.draws.get() + 1);
        self.seed.map(|seed| bits(seed, draw))
    }

    /// The table rows that this pass read.
    #[must_use]
    pub fn into_touched(self) -> Vec<TouchedRows> {
        self.touched.into_inner()
    }

    pub(super) fn touch(&self, touched: TouchedRows) {
        self.touched.borrow_mut().push(touched);
    }
}
