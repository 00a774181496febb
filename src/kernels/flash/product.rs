//! Products small enough to stay in the cache: tiles of sums that stay in registers.
//!
//! The left side is read one word at a time, whatever its strides, so it never needs packing; the right
//! side is read along its rows.

use super::arithmetic::{Arithmetic, Step};
use super::lanes::Lanes;

/// The left side: the word of one row at one depth is `words[row · row_stride + depth · depth_stride]`.
#[derive(Clone, Copy)]
pub(super) struct Left<'a> {
    pub(super) words: &'a [f32],
    pub(super) row_stride: usize,
    pub(super) depth_stride: usize,
}

/// The right side: one row of words for each depth, `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Right<'a> {
    pub(super) words: &'a [f32],
    pub(super) stride: usize,
}

/// What happens to the numbers that the target already holds.
#[derive(Clone, Copy)]
pub(super) enum Start<'a> {
    /// They are replaced.
    Overwrite,
    /// The product is added to them.
    Add,
    /// Each row is multiplied by its factor, then the product is added.
    Rescale(&'a [f32]),
}

/// Where the product goes: rows that are `stride` apart.
pub(super) struct Target<'a> {
    pub(super) values: &'a mut [f32],
    pub(super) stride: usize,
    pub(super) start: Start<'a>,
}

/// `target = left · right`, or added to it.
pub(super) struct Product<'a> {
    pub(super) target: Target<'a>,
    pub(super) left: Left<'a>,
    pub(super) right: Right<'a>,
    /// Rows, columns (whole registers), and words of depth.
    pub(super) size: [usize; 3],
}

impl Product<'_> {
    /// That the farthest element of each side is there.
    fn check(&self, width: usize) {
        let Self { target, left, right, size: [rows, cols, depth] } = self;
        let last = |count: &usize, stride: usize| count.saturating_sub(1).saturating_mul(stride);
        let end = |count: &usize, stride: usize| last(count, stride).saturating_add(*cols);
        assert!(cols.is_multiple_of(width) && end(rows, target.stride) <= target.values.len());
        let left_last = last(rows, left.row_stride).saturating_add(last(depth, left.depth_stride));
        assert!(*depth == 0 || left_last < left.words.len());
        assert!(*depth == 0 || end(depth, right.stride) <= right.words.len());
        assert!(!matches!(target.start, Start::Rescale(factors) if factors.len() < *rows));
    }
}

impl Step for Product<'_> {
    #[inline(always)]
    fn run<A: Arithmetic>(mut self, a: A) {
        let [rows, cols, _] = self.size;
        if rows == 0 || cols == 0 {
            return;
        }
        self.check(A::Lanes::WIDTH);
        let many = A::Lanes::SUMS >= 24;
        let registers = cols / A::Lanes::WIDTH;
        let mut done = 0;
        while done < registers {
            let now = (registers - done).min(if many { 4 } else { 2 });
            let from = done * A::Lanes::WIDTH;
            // SAFETY: the farthest elements were checked, and the columns from here on lie inside.
            unsafe {
                match now {
                    4 => stripe::<A, 6, 4>(a, &mut self, from),
                    3 => stripe::<A, 8, 3>(a, &mut self, from),
                    2 if many => stripe::<A, 12, 2>(a, &mut self, from),
                    2 => stripe::<A, 6, 2>(a, &mut self, from),
                    _ if many => stripe::<A, 12, 1>(a, &mut self, from),
                    _ => stripe::<A, 8, 1>(a, &mut self, from),
                }
            }
            done += now;
        }
    }
}

/// All rows of `REGISTERS` columns of registers, in tiles of up to `MOST` rows.
///
/// # Safety
///
/// As [`Product::check`] asserts.
#[inline(always)]
unsafe fn stripe<A: Arithmetic, const MOST: usize, const REGISTERS: usize>(
    a: A,
    product: &mut Product<'_>,
    from: usize,
) {
    let rows = product.size[0];
    let mut row = 0;
    while row < rows {
        let now = rows_of_tile(MOST, rows - row);
        macro_rules! tile_of {
            ($($size:literal)*) => {
                match now {
                    // SAFETY: tiles stay inside the rows.
                    $($size if $size <= MOST => unsafe { tile::<A, $size, REGISTERS>(a, product, row, from) },)*
                    _ => unreachable!("tiles of up to {MOST} rows"),
                }
            };
        }
        tile_of!(1 2 3 4 5 6 7 8 9 10 11 12);
        row += now;
    }
}

/// How many of the rows that are left the next tile takes: `most`, unless few would be left over. A tile of few rows
/// has too few sums to keep the processor busy.
#[inline(always)]
fn rows_of_tile(most: usize, left: usize) -> usize {
    if left <= most {
        left
    } else if left < most + most.div_ceil(2) {
        left.div_ceil(2)
    } else {
        most
    }
}

/// `ROWS` × `REGISTERS` sums, held in registers from the first depth to the last.
///
/// # Safety
///
/// As [`Product::check`] asserts; the tile lies inside the target.
#[inline(always)]
unsafe fn tile<A: Arithmetic, const ROWS: usize, const REGISTERS: usize>(
    a: A,
    product: &mut Product<'_>,
    row: usize,
    from: usize,
) {
    let Product { target, left, right, size: [_, _, depth] } = product;
    let width = A::Lanes::WIDTH;
    let mut sums = [[a.splat(0.0); REGISTERS]; ROWS];
    // SAFETY: the caller vouches for every index below.
    unsafe {
        let out = target.values.as_mut_ptr().add(row * target.stride + from);
        if !matches!(target.start, Start::Overwrite) {
            for (r, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = load(a, out.add(r * target.stride + v * width));
                }
            }
        }
        if let Start::Rescale(factors) = target.start {
            for (r, sums) in sums.iter_mut().enumerate() {
                let factor = a.splat(*factors.get_unchecked(row + r));
                for sum in sums {
                    *sum = sum.mul(factor);
                }
            }
        }
        let mut left_at = left.words.as_ptr().add(row * left.row_stride);
        let mut right_at = right.words.as_ptr().add(from);
        for _ in 0..*depth {
            let mut along = [a.splat(0.0); REGISTERS];
            for (v, along) in along.iter_mut().enumerate() {
                *along = load(a, right_at.add(v * width));
            }
            for (r, sums) in sums.iter_mut().enumerate() {
                let word = a.splat(*left_at.add(r * left.row_stride));
                for (sum, along) in sums.iter_mut().zip(along) {
                    *sum = a.multiply_add(word, along, *sum);
                }
            }
            // The last step may point past the end; nothing is read there.
            left_at = left_at.wrapping_add(left.depth_stride);
            right_at = right_at.wrapping_add(right.stride);
        }
        for (r, sums) in sums.into_iter().enumerate() {
            for (v, sum) in sums.into_iter().enumerate() {
                sum.store_at(out.add(r * target.stride + v * width));
            }
        }
    }
}

/// # Safety
///
/// As many numbers as the lanes are wide must be readable there.
#[inline(always)]
unsafe fn load<A: Arithmetic>(a: A, from: *const f32) -> A::Lanes {
    // SAFETY: the caller vouches for it.
    a.load(unsafe { std::slice::from_raw_parts(from, A::Lanes::WIDTH) })
}
