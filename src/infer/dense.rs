//! Plain layers with GELU between them.

use super::source::{Source, WeightsError};
use crate::kernels::Affine;
use crate::kernels::activation::gelu;

/// `x ← gelu(x·W + b)` for each layer; often there is none.
#[derive(Clone, Debug)]
pub(crate) struct DenseLayers {
    layers: Vec<Affine>,
}

impl DenseLayers {
    /// Layers of these `sizes` for rows of width `input`, of which only a share `density` of the weights exists.
    pub(crate) fn new(
        sizes: &[usize],
        input: usize,
        density: f64,
        source: &Source<'_>,
    ) -> Result<Self, WeightsError> {
        let inputs = [input].into_iter().chain(sizes.iter().copied());
        let layer =
            |(at, (input, output)): (usize, (usize, &usize))| source.at(at).affine(input, *output, density);
        Ok(Self { layers: inputs.zip(sizes).enumerate().map(layer).collect::<Result<_, _>>()? })
    }

    /// Width of the rows that come out.
    pub(crate) fn output(&self, input: usize) -> usize {
        self.layers.last().map_or(input, Affine::output)
    }

    /// Replaces the rows in `x`; `spare` and `wide` are memory to work in.
    pub(crate) fn forward(&self, rows: usize, x: &mut Vec<f32>, spare: &mut Vec<f32>, wide: &mut Vec<f32>) {
        for layer in &self.layers {
            layer.forward(rows, x, wide);
            spare.resize(wide.len(), 0.0);
            gelu(wide, spare);
            std::mem::swap(x, spare);
        }
    }
}
