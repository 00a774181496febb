//! `x·W + b` with `W` packed, for layers that no longer learn.

use super::matmul::Accumulate::{Add, Overwrite};
use super::product::{Packed, Precision, product};
use super::{Matrix, MatrixMut};

/// An affine map of rows.
#[derive(Clone, Debug)]
pub(crate) struct Affine {
    weight: Packed,
    /// Empty where there is none.
    bias: Vec<f32>,
}

impl Affine {
    /// `weight` is `[in, out]`; `bias` is `[out]`, or empty.
    ///
    /// # Panics
    ///
    /// If the bias is of another length.
    pub(crate) fn new(weight: Matrix<'_, f32>, bias: Vec<f32>, precision: Precision) -> Self {
        assert!(bias.is_empty() || bias.len() == weight.dims().1, "a bias for every column");
        Self { weight: Packed::new(weight, precision), bias }
    }

    pub(crate) fn input(&self) -> usize {
        self.weight.dims().0
    }

    pub(crate) fn output(&self) -> usize {
        self.weight.dims().1
    }

    /// `out = x·W + b`: `[row, in]` to `[row, out]`.
    pub(crate) fn forward(&self, rows: usize, x: &[f32], out: &mut Vec<f32>) {
        let (input, output) = self.weight.dims();
        out.resize(rows * output, 0.0);
        let mode = if self.bias.is_empty() { Overwrite } else { Add };
        if mode == Add {
            out.chunks_exact_mut(output).for_each(|row| row.copy_from_slice(&self.bias));
        }
        product(MatrixMut::new(out, rows, output), mode, Matrix::new(x, rows, input), &self.weight);
    }

    /// `out += x·W`, for a map without bias.
    pub(crate) fn add(&self, rows: usize, x: &[f32], out: &mut [f32]) {
        debug_assert!(self.bias.is_empty(), "a map that is added has no bias");
        let (input, output) = self.weight.dims();
        product(MatrixMut::new(out, rows, output), Add, Matrix::new(x, rows, input), &self.weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_mapped_and_added() {
        let weight = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let layer = |bias: &[f32]| Affine::new(Matrix::new(&weight, 2, 3), bias.to_vec(), Precision::F32);
        let (x, mut out) = ([1.0, 0.0, 1.0, 1.0], Vec::new());
        layer(&[10.0, 20.0, 30.0]).forward(2, &x, &mut out);
        assert_eq!(out, [11.0, 22.0, 33.0, 15.0, 27.0, 39.0]);
        layer(&[]).add(2, &x, &mut out);
        assert_eq!(out, [12.0, 24.0, 36.0, 20.0, 34.0, 48.0]);
        layer(&[]).forward(1, &x, &mut out);
        assert_eq!(out, [1.0, 2.0, 3.0]);
    }
}
