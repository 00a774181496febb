//! The sparse input layer: each output row is a weighted sum of a few table rows.

use super::Real;
use crate::numbers::SparseRows;
use crate::numbers::{GROUPS, MIDDLE, Table};

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

/// How many entries ahead rows are prefetched: they are scattered over a table that is larger than the cache.
const AHEAD: usize = 12;

widest! {
    /// [`bag`] with a table of few bits.
    pub(crate) fn bag_of_codes<T: Real>(sparse: &SparseRows, table: &Table, bias: &[T], out: &mut [T]) {
        let dim = bias.len();
        let (columns, values) = (sparse.columns(), sparse.values());
        columns.iter().take(AHEAD).for_each(|column| prefetch(table, *column));
        for (row, out) in out.chunks_exact_mut(dim.max(1)).enumerate() {
            out.copy_from_slice(bias);
            for entry in sparse.range(row) {
                if let Some(column) = columns.get(entry + AHEAD) {
                    prefetch(table, *column);
                }
                let Some((scale, codes)) = table.row(columns[entry] as usize) else { continue };
                add_row(codes, T::of(f64::from(values[entry])) * T::of(f64::from(scale)), out);
            }
        }
    }
}

/// Prefetches a row.
#[inline(always)]
fn prefetch(table: &Table, column: u32) {
    #[cfg(target_arch = "x86_64")]
    if let Some(bytes) = table.bytes(column as usize) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // The last byte may be in one line more.
        for byte in bytes.iter().step_by(64).chain(bytes.last()) {
            // SAFETY: a hint about memory that is ours; nothing is read.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (table, column);
}

/// Adds `factor · (code − middle)` for the codes of one row.
#[inline(always)]
fn add_row<T: Real>(codes: &[u8], factor: T, out: &mut [T]) {
    match codes.len() / 5 {
        width if width.is_multiple_of(16) => add_parts::<T, 16>(codes, factor, out),
        width if width.is_multiple_of(8) => add_parts::<T, 8>(codes, factor, out),
        _ => add_parts::<T, 1>(codes, factor, out),
    }
}

/// The same, `PART` columns of each group at a time: their codes are put together as bytes, many in one instruction.
#[inline(always)]
fn add_parts<T: Real, const PART: usize>(codes: &[u8], factor: T, out: &mut [T]) {
    let (parts, _) = codes.as_chunks::<PART>();
    for step in 0..parts.len() / 5 {
        // Written out, so that the shifts are constants.
        add_pair::<T, PART, 0>(parts, step, factor, out);
        add_pair::<T, PART, 1>(parts, step, factor, out);
        add_pair::<T, PART, 2>(parts, step, factor, out);
        add_pair::<T, PART, 3>(parts, step, factor, out);
    }
}

/// The same for two groups whose low bits share bytes.
#[inline(always)]
fn add_pair<T: Real, const PART: usize, const GROUP: usize>(
    parts: &[[u8; PART]],
    step: usize,
    factor: T,
    out: &mut [T],
) {
    const { assert!(GROUP < GROUPS / 2) };
    let steps = parts.len() / 5;
    let (low, high) = (&parts[GROUP * steps + step], &parts[4 * steps + step]);
    let mut codes = [[0; PART]; 2];
    for at in 0..PART {
        codes[0][at] = low[at] & 15 | (high[at] >> GROUP & 1) << 4;
        codes[1][at] = low[at] >> 4 | (high[at] >> (GROUP + GROUPS / 2) & 1) << 4;
    }
    for (codes, group) in codes.iter().zip([GROUP, GROUP + GROUPS / 2]) {
        let first = PART * (group * steps + step);
        match out.get_mut(first..first + PART) {
            Some(out) => add_codes(codes, factor, out),
            // The last group may have fewer columns.
            None => add_codes(codes, factor, out.get_mut(first..).unwrap_or_default()),
        }
    }
}

#[inline(always)]
fn add_codes<T: Real, const PART: usize>(codes: &[u8; PART], factor: T, out: &mut [T]) {
    let middle = T::of(f64::from(MIDDLE));
    for (out, code) in out.iter_mut().zip(codes) {
        *out += factor * (T::of(f64::from(i32::from(*code))) - middle);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bag_of_codes_is_the_bag_of_what_they_stand_for() {
        for dim in [1, 7, 8, 20, 64, 128, 131] {
            let values: Vec<f32> = (0..9 * dim).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
            let table = Table::new(&values, dim, |row| row != 4);
            let plain: Vec<f64> = table.to_f32().into_iter().map(f64::from).collect();
            let bias: Vec<f64> = (0..dim).map(|column| column as f64).collect();
            let mut sparse = SparseRows::default();
            sparse.push([(2, 1.0), (0, 2.0), (4, 3.0)]);
            sparse.push([]);
            sparse.push([(8, 0.5), (8, 0.25)]);
            let (mut found, mut expected) = (vec![0.0; 3 * dim], vec![0.0; 3 * dim]);
            bag_of_codes(&sparse, &table, &bias, &mut found);
            bag(&sparse, &plain, &bias, &mut expected);
            assert!(
                found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5),
                "{dim}: {found:?} {expected:?}"
            );
        }
    }

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
