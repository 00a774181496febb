//! Products of matrices that lie in slices, transposed and strided as needed.

use std::ops::Range;

use num_traits::Float;

use super::{Precision, Real};
use Accumulate::Add;

/// A matrix inside a slice: `[rows, cols]`, with the distance between rows and between columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix<'a, T> {
    pub(super) data: &'a [T],
    pub(super) shape: Shape,
}

/// A matrix inside a slice, to be written.
#[derive(Debug)]
pub(crate) struct MatrixMut<'a, T> {
    pub(super) data: &'a mut [T],
    pub(super) shape: Shape,
}

/// Rows and columns, and the distance between neighbours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) rows: usize,
    pub(super) cols: usize,
    pub(super) row_stride: usize,
    pub(super) col_stride: usize,
}

impl Shape {
    /// Row-major rows of `width` values, of which the columns `cols` are used.
    fn part(len: usize, rows: usize, width: usize, cols: &Range<usize>) -> Self {
        let fits = rows.checked_mul(width).is_some_and(|size| size <= len);
        assert!(fits && cols.start <= cols.end && cols.end <= width, "matrix outside its slice");
        Self { rows, cols: cols.len(), row_stride: width, col_stride: 1 }
    }
}

impl<'a, T> Matrix<'a, T> {
    /// Row-major `[rows, cols]`.
    pub(crate) fn new(data: &'a [T], rows: usize, cols: usize) -> Self {
        Self { data, shape: Shape::part(data.len(), rows, cols, &(0..cols)) }
    }

    /// Rows and columns.
    pub(crate) fn dims(&self) -> (usize, usize) {
        (self.shape.rows, self.shape.cols)
    }

    /// Some of the columns.
    ///
    /// # Panics
    ///
    /// If the matrix has no such columns.
    pub(crate) fn cols(self, cols: Range<usize>) -> Self {
        assert!(cols.start <= cols.end && cols.end <= self.shape.cols, "columns outside the matrix");
        let start = (cols.start * self.shape.col_stride).min(self.data.len());
        Self { data: &self.data[start..], shape: Shape { cols: cols.len(), ..self.shape } }
    }

    /// Some of the rows.
    ///
    /// # Panics
    ///
    /// If the matrix has no such rows.
    pub(crate) fn rows(self, rows: Range<usize>) -> Self {
        self.transposed().cols(rows).transposed()
    }

    /// The same numbers as `[cols, rows]`.
    pub(crate) fn transposed(self) -> Self {
        let Shape { rows, cols, row_stride, col_stride } = self.shape;
        let shape = Shape { rows: cols, cols: rows, row_stride: col_stride, col_stride: row_stride };
        Self { data: self.data, shape }
    }
}

impl<T: Copy> Matrix<'_, T> {
    /// The number in one row and column.
    pub(crate) fn at(&self, row: usize, col: usize) -> T {
        self.data[row * self.shape.row_stride + col * self.shape.col_stride]
    }
}

impl<'a, T> MatrixMut<'a, T> {
    /// Row-major `[rows, cols]`.
    pub(crate) fn new(data: &'a mut [T], rows: usize, cols: usize) -> Self {
        let shape = Shape::part(data.len(), rows, cols, &(0..cols));
        Self { data, shape }
    }

    /// Some columns of a row-major `[rows, width]`.
    pub(crate) fn columns(data: &'a mut [T], rows: usize, width: usize, cols: Range<usize>) -> Self {
        let shape = Shape::part(data.len(), rows, width, &cols);
        Self { data: if rows == 0 { &mut [] } else { &mut data[cols.start..] }, shape }
    }
}

impl<T> MatrixMut<'_, T> {
    /// Rows and columns.
    pub(crate) fn dims(&self) -> (usize, usize) {
        (self.shape.rows, self.shape.cols)
    }
}

/// What happens to the numbers that the output already holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accumulate {
    /// They are replaced.
    Overwrite,
    /// The product is added to them.
    Add,
}

/// `out = a · b`, or `out += a · b`: `[m, k] · [k, n] → [m, n]`, on one thread.
///
/// # Panics
///
/// If the shapes do not fit each other.
pub(crate) fn matmul<T: Real>(out: MatrixMut<'_, T>, mode: Accumulate, a: Matrix<'_, T>, b: Matrix<'_, T>) {
    T::multiply(out, mode, a, b, Precision::F32);
}

/// [`matmul`] by the `gemm` crate: for numbers, processors and shapes that have no loops of our own.
pub(super) fn any_matmul<T: Float + 'static>(
    out: MatrixMut<'_, T>,
    mode: Accumulate,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
) {
    let (m, k, n) = (a.shape.rows, a.shape.cols, b.shape.cols);
    assert!(b.shape.rows == k && out.shape.rows == m && out.shape.cols == n, "matrix shapes do not fit");
    if m == 0 || n == 0 || (k == 0 && mode == Add) {
        return;
    }
    if k == 0 {
        for row in out.data.chunks_mut(out.shape.row_stride).take(m) {
            row[..n].fill(T::zero());
        }
        return;
    }
    // SAFETY: each pointer comes from a slice that holds the farthest element of its matrix: `Shape::part` has
    // checked each matrix, and `cols`, `rows` and `transposed` only narrow or reorder one that was checked. `out`
    // is borrowed mutably, so it overlaps neither input.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.data.as_mut_ptr(),
            out.shape.col_stride as isize,
            out.shape.row_stride as isize,
            mode == Add,
            a.data.as_ptr(),
            a.shape.col_stride as isize,
            a.shape.row_stride as isize,
            b.data.as_ptr(),
            b.shape.col_stride as isize,
            b.shape.row_stride as isize,
            T::one(),
            T::one(),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::Accumulate::Overwrite;
    use super::*;

    fn numbers(len: usize, salt: usize) -> Vec<f64> {
        (0..len).map(|i| ((i * 7919 + salt * 104_729) % 1000) as f64 / 500.0 - 1.0).collect()
    }

    /// `[m, k] · [k, n]` by the definition.
    fn slow(a: &[f64], b: &[f64], (m, k, n): (usize, usize, usize)) -> Vec<f64> {
        let at = |i: usize| (0..k).map(|j| a[i / n * k + j] * b[j * n + i % n]).sum();
        (0..m * n).map(at).collect()
    }

    fn transpose(a: &[f64], rows: usize, cols: usize) -> Vec<f64> {
        (0..rows * cols).map(|i| a[i % rows * cols + i / rows]).collect()
    }

    fn close(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-12), "{a:?} {b:?}");
    }

    #[test]
    #[should_panic(expected = "matrix outside its slice")]
    fn a_size_that_overflows_does_not_fit() {
        // Their product is 2⁶⁴, or zero in 64 bits.
        Matrix::new(&[1.0], 1 << (usize::BITS / 2), 1 << (usize::BITS / 2));
    }

    #[test]
    fn parts_of_a_matrix_are_views_of_it() {
        let values: Vec<usize> = (0..12).collect();
        let matrix = Matrix::new(&values, 3, 4);
        for (view, transposed) in [(matrix, false), (matrix.transposed(), true)] {
            let part = view.cols(1..3).rows(1..3);
            let at = |row: usize, col: usize| if transposed { col * 4 + row } else { row * 4 + col };
            assert_eq!(part.dims(), (2, 2));
            for (row, col) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                assert_eq!(part.at(row, col), at(row + 1, col + 1));
            }
            assert_eq!(view.cols(3..3).dims().1, 0);
        }
    }

    #[test]
    fn products_agree_with_the_definition() {
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (17, 13, 11), (2, 0, 3), (0, 4, 2), (65, 33, 129)] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let expected = slow(&a, &b, (m, k, n));
            let mut out = vec![9.0; m * n];
            let (a_matrix, b_matrix) = (Matrix::new(&a, m, k), Matrix::new(&b, k, n));
            matmul(MatrixMut::new(&mut out, m, n), Overwrite, a_matrix, b_matrix);
            close(&out, &expected);

            let (ta, tb) = (transpose(&a, m, k), transpose(&b, k, n));
            let (ta, tb) = (Matrix::new(&ta, k, m).transposed(), Matrix::new(&tb, n, k).transposed());
            matmul(MatrixMut::new(&mut out, m, n), Add, ta, tb);
            close(&out, &expected.iter().map(|x| 2.0 * x).collect::<Vec<_>>());
        }
    }

    #[test]
    fn columns_of_a_wider_matrix_leave_the_others_alone() {
        let (a, b) = (numbers(3 * 10, 1), numbers(2 * 4, 2));
        let part: Vec<f64> = (0..3).flat_map(|r| a[r * 10 + 5..r * 10 + 7].to_vec()).collect();
        let expected = slow(&part, &b, (3, 2, 4));
        let mut out = vec![9.0; 3 * 6];
        let (a, b) = (Matrix::new(&a, 3, 10).cols(5..7), Matrix::new(&b, 2, 4));
        matmul(MatrixMut::columns(&mut out, 3, 6, 1..5), Overwrite, a, b);
        for r in 0..3 {
            close(&out[r * 6 + 1..r * 6 + 5], &expected[r * 4..r * 4 + 4]);
            assert!(out[r * 6] == 9.0 && out[r * 6 + 5] == 9.0);
        }
    }
}
