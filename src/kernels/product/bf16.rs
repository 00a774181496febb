//! Numbers in the order in which the inner loops read them, rounded to `bf16` where they need it.

#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only our own inner loops read pairs"))]

use std::cell::RefCell;

use super::super::Instructions;
use super::super::flash;
use super::super::matmul::{Matrix, MatrixMut, Shape};
use super::super::processor::HasBf16;
use super::super::rows::Rows;
use super::PANEL;
#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::lines::Lines;

/// The left-hand side of a `bf16` product: two neighbours of a row in one number.
///
/// The pair `j` of row `r` stands at `r · row_stride + j · pair_stride`; the odd one out is paired with zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pairs<'a> {
    pub(super) values: &'a [u32],
    pub(super) rows: usize,
    /// Pairs in a row.
    pub(super) per_row: usize,
    pub(super) row_stride: usize,
    pub(super) pair_stride: usize,
}

/// The nearest `bf16`, ties to even, in the upper half. What is not a number stays so.
#[inline(always)]
fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7FFF + ((bits >> 16) & 1));
    (if x.is_nan() { bits | 0x0040_0000 } else { rounded }) & 0xFFFF_0000
}

#[inline(always)]
fn pair(low: f32, high: f32) -> u32 {
    (round(low) >> 16) | round(high)
}

/// `out[i] = (low[i], high[i])`.
fn interleave(low: &[f32], high: &[f32], out: &mut [u32]) {
    let done = in_vectors(|has| avx512::interleave(has, low, high, out));
    for ((out, low), high) in out.iter_mut().zip(low).zip(high).skip(done) {
        *out = pair(*low, *high);
    }
}

/// `out[j] = (row[2j], row[2j + 1])`; the odd one out is paired with zero.
fn neighbours(row: &[f32], out: &mut [u32]) {
    let done = in_vectors(|has| avx512::neighbours(has, row, out));
    for (out, both) in out.iter_mut().zip(row.chunks(2)).skip(done) {
        *out = pair(both[0], both.get(1).copied().unwrap_or(0.0));
    }
}

/// How many pairs `convert` made, where the processor supports `bf16`; else none.
fn in_vectors(convert: impl FnOnce(HasBf16) -> usize) -> usize {
    Instructions::best().bf16().map_or(0, convert)
}

/// Other processors pair one number at a time.
#[cfg(not(target_arch = "x86_64"))]
mod avx512 {
    use super::HasBf16;

    pub(super) fn interleave(_: HasBf16, _: &[f32], _: &[f32], _: &mut [u32]) -> usize {
        0
    }

    pub(super) fn neighbours(_: HasBf16, _: &[f32], _: &mut [u32]) -> usize {
        0
    }
}

/// Rounds a left-hand side into memory of this thread and passes it to `use_them`, if `side_by_side` with the pairs of a
/// row next to each other.
pub(super) fn with_pairs<R>(
    a: Matrix<'_, f32>,
    side_by_side: bool,
    use_them: impl FnOnce(Pairs<'_>) -> R,
) -> R {
    thread_local! {
        static PAIRS: RefCell<Lines<u32>> = const { RefCell::new(Lines::new()) };
    }
    PAIRS.with_borrow_mut(|values| {
        let (rows, k) = a.dims();
        let pairs = k.div_ceil(2);
        values.resize(rows * pairs);
        let (row_stride, pair_stride) = if a.shape.col_stride == 1 {
            for (row, out) in values.chunks_exact_mut(pairs.max(1)).enumerate() {
                neighbours(&a.data[row * a.shape.row_stride..][..k], out);
            }
            (pairs, 1)
        } else if side_by_side {
            const BLOCK: usize = 16;
            let mut block = [[0; BLOCK]; BLOCK];
            for first in (0..rows).step_by(BLOCK) {
                let count = BLOCK.min(rows - first);
                for pair in (0..pairs).step_by(BLOCK) {
                    let width = BLOCK.min(pairs - pair);
                    for (j, column) in block.iter_mut().take(width).enumerate() {
                        column_pair(a, 2 * (pair + j), first..first + count, &mut column[..count]);
                    }
                    for row in 0..count {
                        let out = &mut values[(first + row) * pairs + pair..][..width];
                        out.iter_mut().zip(&block).for_each(|(out, column)| *out = column[row]);
                    }
                }
            }
            (pairs, 1)
        } else {
            // Transposed: a row of `a` is a column in memory.
            for (j, out) in values.chunks_exact_mut(rows.max(1)).enumerate() {
                column_pair(a, 2 * j, 0..rows, out);
            }
            (1, rows)
        };
        use_them(Pairs { values, rows, per_row: pairs, row_stride, pair_stride })
    })
}

/// Pairs the columns `first` and `first + 1`, each of which is contiguous.
fn column_pair(a: Matrix<'_, f32>, first: usize, rows: std::ops::Range<usize>, out: &mut [u32]) {
    let column = |at: usize| &a.data[at * a.shape.col_stride..][rows.clone()];
    if first + 1 < a.shape.cols {
        interleave(column(first), column(first + 1), out);
    } else {
        column(first).iter().zip(out).for_each(|(x, out)| *out = pair(*x, 0.0));
    }
}

/// Fills `[panel, ⌈k / 2⌉, 32]`.
pub(super) fn panels(b: Matrix<'_, f32>, out: &mut [u32]) {
    let (k, n) = b.dims();
    let pairs = k.div_ceil(2);
    let size = (pairs * PANEL).max(1);
    if b.shape.col_stride == 1 {
        let flipped = b.transposed();
        for (panel, out) in out.chunks_exact_mut(size).enumerate() {
            let columns = panel * PANEL..n.min((panel + 1) * PANEL);
            for (j, out) in out.chunks_exact_mut(PANEL).enumerate() {
                column_pair(flipped, 2 * j, columns.clone(), out);
            }
        }
    } else {
        let mut column = vec![0; pairs];
        for (panel, out) in out.chunks_exact_mut(size).enumerate() {
            let columns = panel * PANEL..n.min((panel + 1) * PANEL);
            for at in columns {
                neighbours(&b.data[at * b.shape.col_stride..][..k], &mut column);
                for (out, pair) in out[at % PANEL..].iter_mut().step_by(PANEL).zip(&column) {
                    *out = *pair;
                }
            }
        }
    }
}

/// Multiplies a left-hand side into the rows of `out` that are its own: as it lies, or if it is transposed some rows at a time, copied
/// into memory of this thread. As they lie, the numbers of a step would be far from those of the next, and compete for the
/// same few lines of the cache.
pub(super) fn with_rows(
    a: Matrix<'_, f32>,
    out: MatrixMut<'_, f32>,
    multiply: impl Fn(Matrix<'_, f32>, MatrixMut<'_, f32>),
) {
    /// A multiple of the rows of every tile.
    const ROWS: usize = 48;
    thread_local! {
        static BLOCK: RefCell<Lines<f32>> = const { RefCell::new(Lines::new()) };
    }
    let Shape { rows, cols, col_stride, .. } = a.shape;
    if col_stride == 1 {
        return multiply(a, out);
    }
    BLOCK.with_borrow_mut(|block| {
        for first in (0..rows).step_by(ROWS) {
            let count = ROWS.min(rows - first);
            block.resize(cols * count);
            for (step, to) in block.chunks_exact_mut(count).enumerate() {
                to.copy_from_slice(&a.data[step * col_stride + first..][..count]);
            }
            let shape = Shape { rows: count, ..out.shape };
            let out = MatrixMut { data: &mut out.data[first * shape.row_stride..], shape };
            multiply(Matrix::new(block, cols, count).transposed(), out);
        }
    });
}

/// Fills `[panel, k, WIDTH]`.
pub(super) fn panels_f32<const WIDTH: usize>(b: Matrix<'_, f32>, out: &mut [f32]) {
    let (k, n) = b.dims();
    let Shape { row_stride, col_stride, .. } = b.shape;
    for (panel, out) in out.chunks_exact_mut((k * WIDTH).max(1)).enumerate() {
        let first = panel * WIDTH;
        let count = WIDTH.min(n - first);
        if col_stride != 1 {
            let columns = Rows::new(&b.data[first * col_stride..], col_stride, 0);
            flash::transpose(columns, [count, k], out, WIDTH);
            continue;
        }
        for (row, out) in out.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
            let from = &b.data[row * row_stride + first..];
            match from.first_chunk::<WIDTH>() {
                Some(whole) if count == WIDTH => *out = *whole,
                _ => out[..count].copy_from_slice(&from[..count]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bits: u32) -> f32 {
        f32::from_bits(bits)
    }

    #[test]
    fn rounds_to_the_nearest_and_ties_to_even() {
        for (x, expected) in [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.0 + 3.0 / 256.0, 1.0 + 4.0 / 256.0),
            (1.0 + 1.1 / 256.0, 1.0 + 2.0 / 256.0),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (f32::MAX, f32::INFINITY),
        ] {
            assert_eq!(value(round(x)), expected, "{x}");
        }
        assert!(value(round(f32::NAN)).is_nan() && value(round(-f32::NAN)).is_nan());
        assert!(value(round(f32::from_bits(0x7FFF_FFFF))).is_nan());
    }

    #[test]
    fn the_processor_pairs_as_we_do() {
        let x: Vec<f32> =
            (0..150).map(|i| (i as f32 - 70.0).powi(3) / 7.0).chain([f32::INFINITY, 0.0]).collect();
        for len in [0, 1, 15, 16, 31, 32, 33, 75, 76] {
            let (low, high, mut out) = (&x[..len], &x[x.len() - len..], vec![0; len]);
            interleave(low, high, &mut out);
            assert!((0..len).all(|i| out[i] == pair(low[i], high[i])), "{len}");
            let mut out = vec![0; len.div_ceil(2)];
            neighbours(high, &mut out);
            let next = |i: usize| high.get(i).copied().unwrap_or(0.0);
            assert!(
                out.iter().enumerate().all(|(j, out)| *out == pair(high[2 * j], next(2 * j + 1))),
                "{len}"
            );
        }
    }

    #[test]
    fn every_number_is_off_by_less_than_a_256th() {
        for i in 1..100_000 {
            let x = (i as f32).sqrt() * if i % 2 == 0 { 1e-3 } else { -1e6 };
            assert!((value(round(x)) - x).abs() <= x.abs() / 256.0, "{x}");
        }
    }
}
