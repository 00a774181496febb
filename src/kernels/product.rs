//! Products whose right-hand side was packed beforehand: weights that meet many inputs.

use super::matmul::{Into, Matrix, MatrixMut, matmul};

/// The numbers that products multiply; sums are always `f32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// Both sides as they are.
    F32,
    /// Both sides rounded to eight bits of mantissa.
    Bf16,
}

/// A matrix `[k, n]` in the order in which a product reads it.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    k: usize,
    n: usize,
    precision: Precision,
    values: Vec<f32>,
}

impl Packed {
    /// Packs the right-hand side of a product.
    pub(crate) fn new(b: Matrix<'_, f32>, precision: Precision) -> Self {
        let (k, n) = b.dims();
        let values = (0..k * n).map(|i| b.at(i / n, i % n)).collect();
        Self { k, n, precision, values }
    }

    /// Rows and columns.
    pub(crate) fn dims(&self) -> (usize, usize) {
        (self.k, self.n)
    }
}

/// `out = a · b`, or `out += a · b`: `[m, k] · [k, n] → [m, n]`, on one thread.
///
/// # Panics
///
/// If the shapes do not fit each other.
pub(crate) fn product(out: MatrixMut<'_, f32>, mode: Into, a: Matrix<'_, f32>, b: &Packed) {
    let _ = b.precision;
    matmul(out, mode, a, Matrix::new(&b.values, b.k, b.n));
}
