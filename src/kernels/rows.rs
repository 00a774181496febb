//! Rows with a stride: the inputs and outputs of small products.

use super::matmul::Matrix;

/// Rows of `stride` numbers, of which the columns from `first` on are used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rows<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) stride: usize,
    pub(crate) first: usize,
}

impl<'a, T> Rows<'a, T> {
    pub(crate) fn new(values: &'a [T], stride: usize, first: usize) -> Self {
        Self { values, stride, first }
    }

    pub(super) fn matrix(self, rows: usize, cols: usize) -> Matrix<'a, T> {
        Matrix::new(self.values, rows, self.stride).cols(self.first..self.first + cols)
    }
}

/// The same, to be written.
#[derive(Debug)]
pub(crate) struct RowsMut<'a, T> {
    pub(crate) values: &'a mut [T],
    pub(crate) stride: usize,
    pub(crate) first: usize,
}

impl<'a, T> RowsMut<'a, T> {
    pub(crate) fn new(values: &'a mut [T], stride: usize, first: usize) -> Self {
        Self { values, stride, first }
    }
}

/// The left side of a product.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Side<'a, T> {
    AsItLies(Rows<'a, T>),
    Transposed(Rows<'a, T>),
}
