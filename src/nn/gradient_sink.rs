//! Where blocks put gradients that do not go through candle's graph.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::TensorId;

use super::op::Element;
use super::workspace::{Buffer, Workspace};

/// Takes the gradients that a [`Pass`](super::Pass) computes outside of candle's graph, which is faster.
///
/// A pass [with a sink](super::Pass::with_sink) runs a transformer as one operation, and looks up sparse features
/// without a gradient for the rows of the table that it did not read. Once `backward` has run, the sink has the
/// gradients of their parameters. Clones share what they hold.
#[derive(Clone, Debug, Default)]
pub struct GradientSink {
    workspace: Workspace,
    handed: Arc<Mutex<Vec<HandedGradient>>>,
}

impl GradientSink {
    /// An empty sink. Memory comes from `workspace` and goes back there.
    #[must_use]
    pub fn new(workspace: Workspace) -> Self {
        Self { workspace, ..Self::default() }
    }

    /// The gradients of the backward passes so far, in the order in which they came; then the sink is empty.
    #[must_use]
    pub fn take(&self) -> Vec<HandedGradient> {
        std::mem::take(&mut *self.handed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Adds the gradient of a parameter, or of some rows of it.
    pub(crate) fn hand<T: Element>(&self, parameter: TensorId, rows: Option<Vec<u32>>, values: Buffer<T>) {
        let gradient = HandedGradient { parameter, rows, values: T::gradient(values) };
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).push(gradient);
    }
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

/// Numbers of `f32` or `f64`.
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
