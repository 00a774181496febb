//! The product and the transpose of this folder, for other kernels.

use super::arithmetic::{Arithmetic, Single, Step};
use super::layout::Transposed;
use super::product::{Left, Product, Right, Start, Target};
use crate::kernels::Instructions;
use crate::kernels::rows::{Rows, RowsMut, Side};

/// `target += left · right` of `[rows, cols, depth]`, where `cols` is a multiple of sixteen: whole registers of any width.
pub(crate) fn add_product(
    target: RowsMut<'_, f32>,
    left: Side<'_, f32>,
    right: Rows<'_, f32>,
    size: [usize; 3],
) {
    if size.contains(&0) {
        return;
    }
    let (row_stride, depth_stride, words) = match left {
        Side::AsItLies(rows) => (rows.stride, 1, &rows.values[rows.first..]),
        Side::Transposed(rows) => (1, rows.stride, &rows.values[rows.first..]),
    };
    run(Product {
        target: Target {
            values: &mut target.values[target.first..],
            stride: target.stride,
            start: Start::Add,
        },
        left: Left { words, row_stride, depth_stride },
        right: Right { words: &right.values[right.first..], stride: right.stride },
        size,
    });
}

/// `rows` rows of `cols` numbers as columns: `[cols, lanes]`, with zeros for the lanes that have no row.
pub(crate) fn transpose(from: Rows<'_, f32>, [rows, cols]: [usize; 2], to: &mut [f32], lanes: usize) {
    if rows == 0 || cols == 0 {
        return;
    }
    run(Transposed { words: &from.values[from.first..], stride: from.stride, width: cols, rows, to, lanes });
}

fn run(step: impl Step) {
    let best = Instructions::best();
    match (best.avx512(), best.avx2()) {
        #[cfg(target_arch = "x86_64")]
        (Some(has), _) => Single(has).run(step),
        #[cfg(target_arch = "x86_64")]
        (_, Some(has)) => Single(has).run(step),
        _ => Single(()).run(step),
    }
}
