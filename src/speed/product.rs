//! One matrix product.

use crate::kernels::matmul::Accumulate;
use crate::kernels::{Matrix, MatrixMut, Packed, Precision, product};

/// `[m, k] · [k, n] → [m, n]` on one thread, the right-hand side packed beforehand like the weights of a layer.
#[derive(Clone, Debug)]
pub struct Product {
    rows: usize,
    left: Vec<f32>,
    right: Packed,
    out: Vec<f32>,
}

impl Product {
    /// A product of made-up numbers.
    #[must_use]
    pub fn new(m: usize, k: usize, n: usize, precision: Precision) -> Self {
        let numbers = |count: usize| (0..count).map(|i| ((i * 31) % 17) as f32 / 17.0 - 0.5);
        let right: Vec<f32> = numbers(k * n).collect();
        Self {
            rows: m,
            left: numbers(m * k).collect(),
            right: Packed::new(Matrix::new(&right, k, n), precision),
            out: vec![0.0; m * n],
        }
    }

    /// Computes it.
    pub fn run(&mut self) {
        let (m, (k, n)) = (self.rows, self.right.dims());
        let left = Matrix::new(&self.left, m, k);
        product(MatrixMut::new(&mut self.out, m, n), Accumulate::Overwrite, left, &self.right);
    }

    /// Floating-point operations of one run.
    #[must_use]
    pub fn operations(&self) -> f64 {
        let (k, n) = self.right.dims();
        2.0 * self.rows as f64 * k as f64 * n as f64
    }
}
