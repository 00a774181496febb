//! The sparse input layer: each output row is a weighted sum of a few table rows.

use super::Real;
use crate::sparse::SparseRows;

widest! {
    /// `out[r] = bias + Σ value · table[column]` over the entries of row `r`.
    ///
    /// # Shapes
    ///
    /// - `table`: `[column, dim]`
    /// - `bias`: `[dim]`
    /// - `out`: `[row, dim]`
    pub(crate) fn bag<T: Real>(sparse: &SparseRows, table: &[T], bias: &[T], out: &mut [T]) {
        let dim = bias.len();
        for (row, out) in out.chunks_exact_mut(dim).enumerate() {
            out.copy_from_slice(bias);
            for (column, value) in sparse.row(row) {
                let (column, value) = (column as usize, T::of(f64::from(value)));
                for (out, weight) in out.iter_mut().zip(&table[column * dim..(column + 1) * dim]) {
                    *out += value * *weight;
                }
            }
        }
    }
}

widest! {
    /// Adds the gradients of [`bag`] for the gradient `grad` (`[row, dim]`) of its output.
    pub(crate) fn bag_backward<T: Real>(
        sparse: &SparseRows,
        grad: &[T],
        grad_table: &mut [T],
        grad_bias: &mut [T],
    ) {
        let dim = grad_bias.len();
        for (row, grad) in grad.chunks_exact(dim).enumerate() {
            for (bias, grad) in grad_bias.iter_mut().zip(grad) {
                *bias += *grad;
            }
            for (column, value) in sparse.row(row) {
                let (column, value) = (column as usize, T::of(f64::from(value)));
                for (out, grad) in grad_table[column * dim..(column + 1) * dim].iter_mut().zip(grad) {
                    *out += value * *grad;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bag_is_a_product_with_a_sparse_matrix() {
        let mut sparse = SparseRows::default();
        sparse.push([(2, 1.0), (0, 2.0)]);
        sparse.push([]);
        sparse.push([(1, 0.5)]);
        let (table, bias) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [10.0, 20.0]);
        let mut out = [0.0; 6];
        bag(&sparse, &table, &bias, &mut out);
        assert_eq!(out, [17.0, 30.0, 10.0, 20.0, 11.5, 22.0]);

        let (mut grad_table, mut grad_bias) = ([0.0; 6], [0.0; 2]);
        bag_backward(&sparse, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &mut grad_table, &mut grad_bias);
        assert_eq!(grad_table, [2.0, 4.0, 2.5, 3.0, 1.0, 2.0]);
        assert_eq!(grad_bias, [9.0, 12.0]);
    }
}
