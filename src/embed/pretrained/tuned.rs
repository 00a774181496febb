//! The fine-tuned weights of an encoder.

use std::collections::BTreeMap;

use crate::embed::EmbedError;

/// The weights of the layers of an encoder after [`FineTuning`](super::FineTuning), in place of those in its folder.
/// The vectors of tokens and positions stay those of the folder.
///
/// Names and shapes are those of [`pretrained_block`](super::pretrained_block).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tuned {
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl Tuned {
    /// Tensors by name, each with its shape.
    #[must_use]
    pub fn new(tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>) -> Self {
        Self { tensors }
    }

    /// Tensors by name, each with its shape.
    #[must_use]
    pub fn tensors(&self) -> &BTreeMap<String, (Vec<usize>, Vec<f32>)> {
        &self.tensors
    }

    /// A tensor of this shape.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<&[f32], EmbedError> {
        let wrong = |problem: String| EmbedError::Tuned { problem };
        match self.tensors.get(name) {
            Some((found, values)) if found == shape && values.len() == shape.iter().product::<usize>() => {
                Ok(values)
            }
            Some((found, _)) => Err(wrong(format!("`{name}` has the shape {found:?}, not {shape:?}"))),
            None => Err(wrong(format!("there is no `{name}`"))),
        }
    }
}
