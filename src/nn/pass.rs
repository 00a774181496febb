//! One forward pass: is it training, which random draws does it make, which gradients does it take in hand.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::TensorId;

use super::op::Element;
use super::workspace::{Buffer, Workspace};
use crate::kernels::dropout::bits;

/// The circumstances of one forward pass.
///
/// Dropout draws from the seed of the pass, one draw after the other, so the same pass
/// with the same seed makes the same draws. A pass belongs to one thread.
///
/// Large tables hand the gradients of the rows they read to the pass, not to candle's graph, in any pass that
/// learns; after the backward pass [`into_gradients`](Self::into_gradients) has them. In a pass that is
/// [`fused`](Self::fused), a transformer hands over all of its gradients.
#[derive(Debug)]
pub struct Pass {
    seed: Option<u64>,
    done: f64,
    draws: Cell<u64>,
    is_fused: bool,
    handover: Handover,
}

/// The gradient of a parameter that did not go through candle's graph.
#[derive(Debug)]
pub struct HandedGradient {
    /// Whose gradient.
    pub parameter: TensorId,
    /// For a table: the rows that were read, in rising order. All others have none.
    pub rows: Option<Vec<u32>>,
    /// One number for each of the parameter, or of those rows.
    pub values: GradientValues,
}

/// Numbers of either type.
#[derive(Debug)]
pub struct GradientValues(Values);

#[derive(Debug)]
enum Values {
    F32(Buffer<f32>),
    F64(Buffer<f64>),
}

impl From<Buffer<f32>> for GradientValues {
    fn from(values: Buffer<f32>) -> Self {
        Self(Values::F32(values))
    }
}

impl From<Buffer<f64>> for GradientValues {
    fn from(values: Buffer<f64>) -> Self {
        Self(Values::F64(values))
    }
}

impl GradientValues {
    /// The numbers, as exactly as `f64` holds them.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.0 {
            Values::F32(values) => values.iter().map(|x| f64::from(*x)).collect(),
            Values::F64(values) => values.to_vec(),
        }
    }

    /// The numbers, where they are `f32`.
    pub(crate) fn into_f32(self) -> Option<Buffer<f32>> {
        match self.0 {
            Values::F32(values) => Some(values),
            Values::F64(_) => None,
        }
    }
}

/// Where blocks put gradients, and where they find memory for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handover {
    pub(crate) workspace: Workspace,
    handed: Arc<Mutex<Vec<HandedGradient>>>,
}

impl Handover {
    /// Takes the gradient of a parameter, or of some rows of it.
    pub(crate) fn hand<T: Element>(&self, parameter: TensorId, rows: Option<Vec<u32>>, values: Buffer<T>) {
        let gradient = HandedGradient { parameter, rows, values: T::gradient(values) };
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).push(gradient);
    }
}

impl Pass {
    /// A pass that answers a user: nothing is random, nothing is recorded.
    #[must_use]
    pub fn inference() -> Self {
        let (draws, handover) = (Cell::new(0), Handover::default());
        Self { seed: None, done: 0.0, draws, is_fused: false, handover }
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

    /// The same pass with transformers as one operation each: faster, and their gradients are found in
    /// [`into_gradients`](Self::into_gradients) only. Memory comes from `workspace` and goes back there.
    #[must_use]
    pub fn fused(self, workspace: Workspace) -> Self {
        Self { is_fused: true, handover: Handover { workspace, ..self.handover }, ..self }
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

    /// Whether blocks should run as one operation where they can.
    pub(crate) fn is_fused(&self) -> bool {
        self.is_fused && self.is_training()
    }

    /// A fresh seed while training, else `None`.
    pub fn next_seed(&self) -> Option<u64> {
        let draw = self.draws.replace(self.draws.get() + 1);
        self.seed.map(|seed| bits(seed, draw))
    }

    /// The gradients that blocks handed over in the backward pass, in the order in which they came.
    #[must_use]
    pub fn into_gradients(self) -> Vec<HandedGradient> {
        std::mem::take(&mut *self.handover.handed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where its blocks find memory.
    pub(crate) fn workspace(&self) -> Workspace {
        self.handover.workspace.clone()
    }

    pub(crate) fn handover(&self) -> Handover {
        self.handover.clone()
    }
}
