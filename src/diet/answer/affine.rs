//! `x·W + b` with `W` packed.

use super::source::{Source, WeightsError};
use crate::kernels::matmul::Into;
use crate::kernels::product::{Packed, product};
use crate::kernels::{Matrix, MatrixMut};
use crate::nn::connections;

/// An affine map of rows.
#[derive(Clone, Debug)]
pub(super) struct Affine {
    weight: Packed,
    /// Empty where there is none.
    bias: Vec<f32>,
}

impl Affine {
    /// A map with bias, of which only a share `density` of the weights exists.
    pub(super) fn new(
        input: usize,
        output: usize,
        density: f64,
        source: &Source<'_>,
    ) -> Result<Self, WeightsError> {
        let bias = source.values("bias", &[output])?.into_owned();
        Ok(Self { bias, ..Self::without_bias(input, output, density, source)? })
    }

    pub(super) fn without_bias(
        input: usize,
        output: usize,
        density: f64,
        source: &Source<'_>,
    ) -> Result<Self, WeightsError> {
        let mut weight = source.values("weight", &[input, output])?;
        if density < 1.0 {
            let exists = connections(source.prefix(), density, input, output);
            let missing = weight.to_mut().iter_mut().enumerate().filter(|(at, _)| !exists(*at));
            missing.for_each(|(_, weight)| *weight = 0.0);
        }
        let weight = Packed::new(Matrix::new(&weight, input, output), source.precision);
        Ok(Self { weight, bias: Vec::new() })
    }

    pub(super) fn input(&self) -> usize {
        self.weight.dims().0
    }

    pub(super) fn output(&self) -> usize {
        self.weight.dims().1
    }

    /// `out = x·W + b`: `[row, in]` to `[row, out]`.
    pub(super) fn forward(&self, rows: usize, x: &[f32], out: &mut Vec<f32>) {
        let (input, output) = self.weight.dims();
        out.resize(rows * output, 0.0);
        let mode = if self.bias.is_empty() { Into::Fresh } else { Into::Sum };
        if mode == Into::Sum {
            out.chunks_exact_mut(output).for_each(|row| row.copy_from_slice(&self.bias));
        }
        product(MatrixMut::new(out, rows, output), mode, Matrix::new(x, rows, input), &self.weight);
    }

    /// `out += x·W + b`.
    pub(super) fn add(&self, rows: usize, x: &[f32], out: &mut [f32]) {
        let (input, output) = self.weight.dims();
        if !self.bias.is_empty() {
            for row in out.chunks_exact_mut(output) {
                row.iter_mut().zip(&self.bias).for_each(|(x, bias)| *x += bias);
            }
        }
        product(MatrixMut::new(out, rows, output), Into::Sum, Matrix::new(x, rows, input), &self.weight);
    }
}
