//! The loops of our own products, whatever the registers.
//!
//! A tile of the output, as many rows as registers allow by the columns of a panel (or few rows by several panels), stays
//! in registers while one pass over `k` reads its rows of `a`, a number at a time, and its panels of `b`, a register at a time.
//! Each number of the output is summed in the order of `k`, whatever the other rows are.

use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
use std::array;

use super::super::matmul::{Accumulate, MatrixMut, Shape};

/// Steps along `k` that one pass makes at most, so that its part of a panel stays in the cache.
const DEPTH: usize = 1024;

/// Numbers of `a` that are multiplied with one panel after the other, so that they stay in the second-level cache.
const BLOCK: usize = 1 << 16;

/// How many steps ahead the numbers of a panel are prefetched: a panel and a block of rows together are often larger than
/// the first-level cache.
const AHEAD: usize = 16;

/// Bytes of a cache line.
pub(super) const LINE: usize = 64;

/// Registers of sums, and what is multiplied into them.
pub(super) trait Registers: Sized {
    /// That the processor has the instructions.
    type Proof: Copy;
    /// One number of `a` and `b`, or a pair.
    type Number: Copy;
    /// A register of such numbers.
    type Numbers: Copy;
    /// A register of sums.
    type Sums: Copy;
    /// Sums in a register.
    const LANES: usize;
    /// How many registers can hold sums.
    const SUMS: usize;

    /// Columns of a panel, two registers wide.
    const PANEL: usize = 2 * Self::LANES;
    /// Rows of the largest tile.
    const ROWS: usize = Self::SUMS / 2;

    /// No sums yet.
    ///
    /// # Safety
    ///
    /// The processor must have the instructions, here and below.
    unsafe fn zero() -> Self::Sums;

    /// The same number everywhere.
    ///
    /// # Safety
    ///
    /// As [`zero`](Self::zero).
    unsafe fn splat(x: Self::Number) -> Self::Numbers;

    /// As many numbers as a register holds.
    ///
    /// # Safety
    ///
    /// As [`zero`](Self::zero); they must be readable.
    unsafe fn load(from: *const Self::Number) -> Self::Numbers;

    /// Adds products.
    ///
    /// # Safety
    ///
    /// As [`zero`](Self::zero).
    unsafe fn add_products(sums: Self::Sums, a: Self::Numbers, b: Self::Numbers) -> Self::Sums;

    /// Writes the sums of the first columns, or adds them to what is there.
    ///
    /// # Safety
    ///
    /// As [`zero`](Self::zero); `to` must be readable and writable for that many columns.
    unsafe fn store(sums: Self::Sums, to: *mut f32, columns: usize, mode: Accumulate);

    /// [`tile`], compiled for these instructions.
    ///
    /// # Safety
    ///
    /// As [`tile`].
    unsafe fn tile<const ROWS: usize, const PANELS: usize>(
        a: Left<'_, Self::Number>,
        b: Right<'_, Self::Number>,
        out: &Target,
    );

    /// The tile of this many rows and panels; made by [`tiles`].
    ///
    /// # Safety
    ///
    /// As [`tile`], for `rows` and `count`.
    unsafe fn any_tile(
        rows: usize,
        count: usize,
        a: Left<'_, Self::Number>,
        b: Right<'_, Self::Number>,
        out: &Target,
    );
}

/// Lists the tiles of rows and panels whose sums fit the registers.
macro_rules! tiles {
    ($(($rows:literal, $count:literal))*) => {
        unsafe fn any_tile(
            rows: usize,
            count: usize,
            a: Left<'_, Self::Number>,
            b: Right<'_, Self::Number>,
            out: &Target,
        ) {
            match (rows, count) {
                // SAFETY: the caller vouches for the sizes.
                $(($rows, $count) => unsafe { Self::tile::<$rows, $count>(a, b, out) },)*
                _ => unreachable!("no tile of {rows} rows and {count} panels"),
            }
        }
    };
}
pub(super) use tiles;

/// The left-hand side as the inner loop reads it.
#[derive(Clone, Copy)]
pub(super) struct Left<'a, T> {
    pub(super) values: &'a [T],
    pub(super) row_stride: usize,
    pub(super) step_stride: usize,
}

/// The panels that a tile reads.
#[derive(Clone, Copy)]
pub(super) struct Right<'a, T> {
    values: &'a [T],
    panel_stride: usize,
    /// Steps along `k`.
    depth: usize,
    /// Where the next panels begin, and how many of their bytes each step prefetches: weights come from main memory when
    /// they are first read, and there is time to fetch them during the products with the panels before.
    coming: (*const T, usize),
}

/// Where the sums of a tile go.
pub(super) struct Target {
    start: *mut f32,
    row_stride: usize,
    /// Columns of it that exist.
    columns: usize,
    mode: Accumulate,
}

/// Computes all tiles. `steps` are numbers or pairs along `k`, of which those before `begin` are left out.
pub(super) fn run<R: Registers>(
    _: R::Proof,
    begin: usize,
    out: MatrixMut<'_, f32>,
    mode: Accumulate,
    a: Left<'_, R::Number>,
    steps: usize,
    panels: &[R::Number],
) {
    let Shape { rows, cols, row_stride, col_stride } = out.shape;
    assert!(col_stride == 1, "the output of a product has its columns side by side");
    if rows == 0 || cols == 0 {
        return;
    }
    if steps == 0 {
        if mode == Accumulate::Overwrite {
            out.data.chunks_mut(row_stride).take(rows).for_each(|row| row[..cols].fill(0.0));
        }
        return;
    }
    let (width, count) = (R::PANEL, cols.div_ceil(R::PANEL));
    assert!((rows - 1) * a.row_stride + (steps - 1) * a.step_stride < a.values.len());
    assert!(panels.len() == count * steps * width);
    assert!((rows - 1) * row_stride + cols <= out.data.len());
    let (blocks, together) = cut::<R>(rows);
    for first in (begin..steps).step_by(DEPTH) {
        let depth = DEPTH.min(steps - first);
        let mode = if first == begin { mode } else { Accumulate::Add };
        let at_once = (BLOCK / (R::ROWS * depth)).max(1);
        for from in (0..blocks).step_by(at_once) {
            let some = from..blocks.min(from + at_once);
            for panel in (0..count).step_by(together) {
                let together = together.min(count - panel);
                let each = (together * width * size_of::<R::Number>()).div_ceil(some.len());
                let each = if each <= LINE { each } else { 0 };
                let right = &panels[(panel * steps + first) * width..];
                let coming = right.as_ptr().wrapping_add(together * steps * width);
                for (at, block) in some.clone().enumerate() {
                    let (top, bottom) = (block * rows / blocks, (block + 1) * rows / blocks);
                    let target = Target {
                        // SAFETY: row `top` and the first column of the panel lie inside `out`, as asserted above.
                        start: unsafe { out.data.as_mut_ptr().add(top * row_stride + panel * width) },
                        row_stride,
                        columns: cols - panel * width,
                        mode,
                    };
                    let left = &a.values[top * a.row_stride + first * a.step_stride..];
                    let left = Left { values: left, ..a };
                    let coming = (coming.wrapping_byte_add(at * depth * each), each);
                    let right = Right { values: right, panel_stride: steps * width, depth, coming };
                    // SAFETY: the processor has the instructions, as the caller has proven; the
                    // rows `top..bottom`, the steps `first..first + depth` and the panels from `panel`
                    // on lie inside their slices, as asserted above.
                    unsafe { R::any_tile(bottom - top, together, left, right, &target) };
                }
            }
        }
    }
}

/// Into how many blocks rows are cut, and how many panels are worked on together: few rows leave registers for several, whose
/// sums do not wait for each other.
fn cut<R: Registers>(rows: usize) -> (usize, usize) {
    /// Sums enough that the next multiply-add never waits for the last.
    const ENOUGH: usize = 10;
    let together = |blocks| (R::ROWS / rows.div_ceil(blocks)).clamp(1, 4);
    let sums = |blocks| 2 * (rows / blocks) * together(blocks);
    let blocks = rows.div_ceil(R::ROWS);
    let one_more = sums(blocks) < ENOUGH && sums(blocks + 1) >= sums(blocks);
    let blocks = blocks + usize::from(one_more);
    (blocks, together(blocks))
}

/// Computes a tile of `ROWS` rows by `PANELS` panels.
///
/// # Safety
///
/// The processor must have the instructions of `R`; `a` must hold the rows and `depth` steps, `b` as many
/// steps of each panel, and `out` must be writable for the rows and the columns that it says exist.
#[inline(always)]
pub(super) unsafe fn tile<R: Registers, const ROWS: usize, const PANELS: usize>(
    a: Left<'_, R::Number>,
    b: Right<'_, R::Number>,
    out: &Target,
) {
    // SAFETY: the caller vouches for the instructions.
    let mut sums = [[[unsafe { R::zero() }; 2]; PANELS]; ROWS];
    let (mut left, mut right) = (a.values.as_ptr(), b.values.as_ptr());
    let (mut coming, each) = b.coming;
    for _ in 0..b.depth {
        if each > 0 {
            // SAFETY: a hint, which may be about any address.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(coming.cast()) }
            coming = coming.wrapping_byte_add(each);
        }
        for panel in 0..PANELS {
            let ahead = right.wrapping_add(panel * b.panel_stride + AHEAD * R::PANEL);
            for line in (0..R::PANEL * size_of::<R::Number>()).step_by(LINE) {
                // SAFETY: as above.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_byte_add(line).cast()) }
            }
        }
        // SAFETY: row and step lie inside `a`, panel and step inside `b`.
        unsafe {
            let column = |at: usize| R::load(right.add(at / 2 * b.panel_stride + at % 2 * R::LANES));
            let number = |row: usize| R::splat(*left.add(row * a.row_stride));
            // There are registers for all of the smaller side and one of the larger.
            if 2 * PANELS <= ROWS {
                let columns: [[_; 2]; PANELS] =
                    array::from_fn(|panel| [column(2 * panel), column(2 * panel + 1)]);
                for (row, sums) in sums.iter_mut().enumerate() {
                    let x = number(row);
                    for (sums, columns) in sums.as_flattened_mut().iter_mut().zip(columns.as_flattened()) {
                        *sums = R::add_products(*sums, x, *columns);
                    }
                }
            } else {
                let numbers: [_; ROWS] = array::from_fn(number);
                for at in 0..2 * PANELS {
                    let columns = column(at);
                    for (sums, x) in sums.iter_mut().zip(numbers) {
                        let sums = &mut sums[at / 2][at % 2];
                        *sums = R::add_products(*sums, x, columns);
                    }
                }
            }
        }
        // Beyond the last step the pointers are not read.
        left = left.wrapping_add(a.step_stride);
        right = right.wrapping_add(R::PANEL);
    }
    for (row, sums) in sums.iter().enumerate() {
        for (at, sums) in sums.as_flattened().iter().enumerate() {
            let before = R::LANES * at;
            let place = out.start.wrapping_add(row * out.row_stride + before);
            // SAFETY: both accesses keep to the columns that exist.
            unsafe { R::store(*sums, place, out.columns.saturating_sub(before).min(R::LANES), out.mode) };
        }
    }
}
