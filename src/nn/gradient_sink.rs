//! Where blocks put gradients that do not go through candle's graph.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Tensor, TensorId};

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

    /// The gradients of the backward passes so far, in order of arrival. The sink is empty afterwards.
    #[must_use]
    pub fn take(&self) -> Vec<HandedGradient> {
        std::mem::take(&mut *self.handed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        &self.workspace
    }

    /// Adds the gradient of a parameter, or of some rows of it.
    pub(crate) fn hand(&self, parameter: TensorId, rows: Option<Vec<u32>>, values: GradientValues) {
        let gradient = HandedGradient { parameter, rows, values };
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
    pub(crate) values: GradientValues,
}

impl HandedGradient {
    /// One number for each number of the parameter, or of those rows.
    #[must_use]
    pub fn to_f64(&self) -> Vec<f64> {
        match &self.values {
            GradientValues::F32(values) => values.iter().map(|x| f64::from(*x)).collect(),
            GradientValues::F64(values) => values.to_vec(),
            // Numbers that cannot be fetched are none.
            GradientValues::OnDevice(values) => {
                let numbers = values.flatten_all().and_then(|x| x.to_dtype(DType::F64)?.to_vec1());
                numbers.unwrap_or_default()
            }
        }
    }
}

/// The numbers of a gradient.
#[derive(Debug)]
pub(crate) enum GradientValues {
    F32(Buffer<f32>),
    F64(Buffer<f64>),
    #[cfg_attr(
        not(feature = "cuda"),
        allow(dead_code, reason = "only kernels on a GPU make tensors of gradients")
    )]
    OnDevice(Tensor),
}
