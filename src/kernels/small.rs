//! Products of a few rows: a general product would take longer to pack its inputs than to multiply them.

use super::Real;
use super::flash;
use super::matmul::{Accumulate::Add, MatrixMut, matmul};
use super::rows::{Rows, RowsMut, Side};

/// A number type with small products.
pub(crate) trait Small: Sized {
    /// `target += left · right` of `[rows, cols, depth]`.
    ///
    /// # Panics
    ///
    /// If a side is smaller.
    fn add_product(target: RowsMut<'_, Self>, left: Side<'_, Self>, right: Rows<'_, Self>, size: [usize; 3]);

    /// `rows` rows of `cols` numbers as columns: `[cols, lanes]`, with zeros for the lanes that have no row.
    ///
    /// # Panics
    ///
    /// If either is smaller.
    fn transpose(from: Rows<'_, Self>, size: [usize; 2], to: &mut [Self], lanes: usize);
}

impl Small for f32 {
    fn add_product(target: RowsMut<'_, f32>, left: Side<'_, f32>, right: Rows<'_, f32>, size: [usize; 3]) {
        if size[1].is_multiple_of(16) {
            flash::add_product(target, left, right, size);
        } else {
            general(target, left, right, size);
        }
    }

    fn transpose(from: Rows<'_, f32>, size: [usize; 2], to: &mut [f32], lanes: usize) {
        flash::transpose(from, size, to, lanes);
    }
}

/// Not fast: `f64` is there to check `f32`.
impl Small for f64 {
    fn add_product(target: RowsMut<'_, f64>, left: Side<'_, f64>, right: Rows<'_, f64>, size: [usize; 3]) {
        general(target, left, right, size);
    }

    fn transpose(from: Rows<'_, f64>, [rows, cols]: [usize; 2], to: &mut [f64], lanes: usize) {
        for (col, to) in to.chunks_exact_mut(lanes).take(cols).enumerate() {
            to.fill(0.0);
            to[..rows]
                .iter_mut()
                .enumerate()
                .for_each(|(row, to)| *to = from.values[row * from.stride + from.first + col]);
        }
    }
}

/// The same as a product of any size.
fn general<T: Real>(
    target: RowsMut<'_, T>,
    left: Side<'_, T>,
    right: Rows<'_, T>,
    [rows, cols, depth]: [usize; 3],
) {
    let left = match left {
        Side::AsItLies(side) => side.matrix(rows, depth),
        Side::Transposed(side) => side.matrix(depth, rows).transposed(),
    };
    let columns = target.first..target.first + cols;
    let target = MatrixMut::columns(target.values, rows, target.stride, columns);
    matmul(target, Add, left, right.matrix(depth, cols));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_products_agree_with_the_definition() {
        let numbers = |len: usize| (0..len).map(|i| (i * 37 % 19) as f32 - 9.0).collect::<Vec<_>>();
        for [rows, cols, depth] in [[1, 16, 1], [5, 32, 7], [13, 48, 3], [2, 5, 9], [0, 16, 2], [3, 16, 0]] {
            let (left, right) = (numbers(rows.max(depth) * 20), numbers(depth * 50));
            let (left, right) = (Rows::new(&left, 20, 2), Rows::new(&right, 50, 1));
            for transposed in [false, true] {
                let at = |row: usize, deep: usize| {
                    let (row, col) = if transposed { (deep, row) } else { (row, deep) };
                    left.values[row * 20 + 2 + col]
                };
                let mut target = numbers(rows * 60);
                let before = target.clone();
                let side = if transposed { Side::Transposed(left) } else { Side::AsItLies(left) };
                f32::add_product(RowsMut::new(&mut target, 60, 4), side, right, [rows, cols, depth]);
                for (i, (found, before)) in target.iter().zip(before).enumerate() {
                    let (row, col) = (i / 60, i % 60);
                    let inside = (4..4 + cols).contains(&col);
                    let sum: f32 = (0..depth)
                        .map(|d| at(row, d) * right.values[d * 50 + 1 + col.saturating_sub(4).min(48)])
                        .sum();
                    assert_eq!(
                        *found,
                        if inside { before + sum } else { before },
                        "{rows} {cols} {depth} {i}"
                    );
                }
            }
        }
    }

    #[test]
    fn transposing_fills_up_with_zeros() {
        let numbers: Vec<f32> = (0..20 * 30).map(|i| i as f32 + 1.0).collect();
        for [rows, cols] in [[1_usize, 1], [3, 5], [16, 16], [20, 24]] {
            let lanes = rows.next_multiple_of(16);
            let mut to = vec![9.0; cols * lanes];
            f32::transpose(Rows::new(&numbers, 30, 2), [rows, cols], &mut to, lanes);
            for (i, found) in to.iter().enumerate() {
                let (col, row) = (i / lanes, i % lanes);
                assert_eq!(*found, if row < rows { numbers[row * 30 + 2 + col] } else { 0.0 });
            }
        }
    }
}
