//! The inner loops for processors with AVX-512.
//!
//! A tile of the output, up to twelve rows by 32 columns (or few rows by several panels), stays in registers
//! while one pass over `k` reads its rows of `a`, a number at a time, and its panels of `b`, sixteen at a time.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, __mmask16, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm512_add_ps,
    _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps, _mm512_permutexvar_epi16, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_si512,
};
use std::mem::transmute;

use super::super::matmul::{Accumulate, Matrix, MatrixMut, Shape};
use super::super::processor::{HasAvx512, HasBf16};
use super::PANEL;
use super::bf16::Pairs;

/// Rows of the largest tile.
const ROWS: usize = 12;

/// Steps along `k` that one pass makes at most, so that its part of a panel stays in the cache.
const DEPTH: usize = 1024;

/// How many steps ahead the numbers of a panel are prefetched: a panel and a block of rows together are often larger than
/// the first-level cache.
const AHEAD: usize = 16;

/// Bytes of a cache line.
const LINE: usize = 64;

/// One number, or pair, of `a` and the sixteen of `b` that it is multiplied with.
trait Operand: Copy {
    /// That the processor has the instructions.
    type Proof: Copy;

    /// Adds the products of `a` with sixteen columns of `b`.
    ///
    /// # Safety
    ///
    /// The processor must have the instructions; `b` must be readable for sixteen values.
    unsafe fn add_product(sum: __m512, a: Self, b: *const Self) -> __m512;

    /// [`tile`], compiled for the instructions that this operand needs.
    ///
    /// # Safety
    ///
    /// As [`tile`].
    unsafe fn tile<const ROWS: usize, const PANELS: usize>(
        a: Left<'_, Self>,
        b: Right<'_, Self>,
        out: &Target,
    );
}

impl Operand for f32 {
    type Proof = HasAvx512;

    #[inline(always)]
    unsafe fn add_product(sum: __m512, a: Self, b: *const Self) -> __m512 {
        // SAFETY: the caller vouches for the instructions and for `b`.
        unsafe { _mm512_fmadd_ps(_mm512_set1_ps(a), _mm512_loadu_ps(b), sum) }
    }

    #[target_feature(enable = "avx512f,avx512bw")]
    unsafe fn tile<const ROWS: usize, const PANELS: usize>(
        a: Left<'_, Self>,
        b: Right<'_, Self>,
        out: &Target,
    ) {
        // SAFETY: the caller vouches for the sizes.
        unsafe { tile::<Self, ROWS, PANELS>(a, b, out) }
    }
}

impl Operand for u32 {
    type Proof = HasBf16;

    #[inline(always)]
    unsafe fn add_product(sum: __m512, a: Self, b: *const Self) -> __m512 {
        // SAFETY: the caller vouches for the instructions and for `b`; all types are 512 bits of numbers.
        unsafe {
            let (a, b) = (_mm512_set1_epi32(a.cast_signed()), _mm512_loadu_si512(b.cast()));
            _mm512_dpbf16_ps(sum, transmute::<__m512i, __m512bh>(a), transmute::<__m512i, __m512bh>(b))
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn tile<const ROWS: usize, const PANELS: usize>(
        a: Left<'_, Self>,
        b: Right<'_, Self>,
        out: &Target,
    ) {
        // SAFETY: the caller vouches for the sizes.
        unsafe { tile::<Self, ROWS, PANELS>(a, b, out) }
    }
}

/// The left-hand side as the inner loop reads it.
#[derive(Clone, Copy)]
struct Left<'a, T> {
    values: &'a [T],
    row_stride: usize,
    step_stride: usize,
}

/// The panels that a tile reads.
#[derive(Clone, Copy)]
struct Right<'a, T> {
    values: &'a [T],
    panel_stride: usize,
    /// Steps along `k`.
    depth: usize,
    /// Where the next panels begin, and how many of their bytes each step prefetches: weights come from main memory when
    /// they are first read, and there is time to fetch them during the products with the panels before.
    coming: (*const T, usize),
}

/// Where the sums of a tile go.
struct Target {
    start: *mut f32,
    row_stride: usize,
    /// Columns of it that exist.
    columns: usize,
    mode: Accumulate,
}

/// `out (+)= a · b` for `f32` panels.
pub(super) fn product_f32(
    has: HasAvx512,
    out: MatrixMut<'_, f32>,
    mode: Accumulate,
    a: Matrix<'_, f32>,
    panels: &[f32],
) {
    let Shape { cols, row_stride, col_stride, .. } = a.shape;
    let left = Left { values: a.data, row_stride, step_stride: col_stride };
    run(has, 0, out, mode, left, cols, panels);
}

/// `out (+)= a · b` for `bf16` panels.
pub(super) fn product_bf16(
    has: HasBf16,
    out: MatrixMut<'_, f32>,
    mode: Accumulate,
    a: Pairs<'_>,
    panels: &[u32],
) {
    product_from(has, 0, out, mode, a, panels);
}

/// The same, of all pairs from `first` on.
pub(super) fn product_from(
    has: HasBf16,
    first: usize,
    out: MatrixMut<'_, f32>,
    mode: Accumulate,
    a: Pairs<'_>,
    panels: &[u32],
) {
    debug_assert_eq!(a.rows, out.shape.rows);
    let left = Left { values: a.values, row_stride: a.row_stride, step_stride: a.pair_stride };
    run(has, first, out, mode, left, a.per_row, panels);
}

/// Computes all tiles. `steps` are numbers or pairs along `k`, of which those before `begin` are left out.
fn run<T: Operand>(
    _: T::Proof,
    begin: usize,
    out: MatrixMut<'_, f32>,
    mode: Accumulate,
    a: Left<'_, T>,
    steps: usize,
    panels: &[T],
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
    assert!((rows - 1) * a.row_stride + (steps - 1) * a.step_stride < a.values.len());
    assert!(panels.len() == cols.div_ceil(PANEL) * steps * PANEL);
    assert!((rows - 1) * row_stride + cols <= out.data.len());
    let blocks = rows.div_ceil(ROWS);
    // Few rows leave registers for several panels, whose sums do not wait for each other.
    let together = match rows {
        1..=3 => 4,
        4..=6 => 2,
        _ => 1,
    };
    for first in (begin..steps).step_by(DEPTH) {
        let depth = DEPTH.min(steps - first);
        let mode = if first == begin { mode } else { Accumulate::Add };
        for panel in (0..cols.div_ceil(PANEL)).step_by(together) {
            let count = together.min(cols.div_ceil(PANEL) - panel);
            for block in 0..blocks {
                let (from, to) = (block * rows / blocks, (block + 1) * rows / blocks);
                let target = Target {
                    // SAFETY: row `from` and column `panel · 32` lie inside `out`, as asserted above.
                    start: unsafe { out.data.as_mut_ptr().add(from * row_stride + panel * PANEL) },
                    row_stride,
                    columns: cols - panel * PANEL,
                    mode,
                };
                let left = &a.values[from * a.row_stride + first * a.step_stride..];
                let left = Left { values: left, ..a };
                let right = &panels[(panel * steps + first) * PANEL..];
                let each = (count * PANEL * size_of::<T>()).div_ceil(blocks);
                let each = if each <= LINE { each } else { 0 };
                let coming = right.as_ptr().wrapping_add(count * steps * PANEL);
                let coming = (coming.wrapping_byte_add(block * depth * each), each);
                let right = Right { values: right, panel_stride: steps * PANEL, depth, coming };
                // SAFETY: the processor has the instructions, as the caller has proven; the
                // rows `from..to`, the steps `first..first + depth` and the `count` panels from `panel`
                // on lie inside their slices, as asserted above.
                unsafe { dispatch(to - from, count, left, right, &target) };
            }
        }
    }
}

/// Runs the tile of this many rows and panels.
///
/// # Safety
///
/// As [`tile`], for `rows` and `count`.
unsafe fn dispatch<T: Operand>(rows: usize, count: usize, a: Left<'_, T>, b: Right<'_, T>, out: &Target) {
    macro_rules! tiles {
        ($(($rows:literal, $count:literal))*) => {
            match (rows, count) {
                // SAFETY: the caller vouches for the sizes.
                $(($rows, $count) => unsafe { T::tile::<$rows, $count>(a, b, out) },)*
                _ => unreachable!("no tile of {rows} rows and {count} panels"),
            }
        };
    }
    tiles! {
        (1, 1) (1, 2) (1, 3) (1, 4) (2, 1) (2, 2) (2, 3) (2, 4) (3, 1) (3, 2) (3, 3) (3, 4)
        (4, 1) (4, 2) (5, 1) (5, 2) (6, 1) (6, 2)
        (7, 1) (8, 1) (9, 1) (10, 1) (11, 1) (12, 1)
    }
}

/// Computes a tile of `ROWS` rows by `PANELS · 32` columns.
///
/// # Safety
///
/// The processor must have the instructions of `T`; `a` must hold the rows and `depth` steps, `b` as many
/// steps of each panel, and `out` must be writable for the rows and the columns that it says exist.
#[inline(always)]
unsafe fn tile<T: Operand, const ROWS: usize, const PANELS: usize>(
    a: Left<'_, T>,
    b: Right<'_, T>,
    out: &Target,
) {
    // SAFETY: the caller vouches for the instructions.
    let mut sums = [[[unsafe { _mm512_setzero_ps() }; 2]; PANELS]; ROWS];
    let (mut left, mut right) = (a.values.as_ptr(), b.values.as_ptr());
    let (mut coming, each) = b.coming;
    for _ in 0..b.depth {
        if each > 0 {
            // SAFETY: a hint, which may be about any address.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(coming.cast()) }
            coming = coming.wrapping_byte_add(each);
        }
        for line in 0..2 * PANELS {
            let ahead = right.wrapping_add(line / 2 * b.panel_stride + AHEAD * PANEL + line % 2 * 16);
            // SAFETY: as above.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(ahead.cast()) }
        }
        for (row, sums) in sums.iter_mut().enumerate() {
            // SAFETY: row and step lie inside `a`, panel and step inside `b`.
            unsafe {
                let x = *left.add(row * a.row_stride);
                for (panel, [low, high]) in sums.iter_mut().enumerate() {
                    let columns = right.add(panel * b.panel_stride);
                    *low = T::add_product(*low, x, columns);
                    *high = T::add_product(*high, x, columns.add(16));
                }
            }
        }
        // Beyond the last step the pointers are not read.
        left = left.wrapping_add(a.step_stride);
        right = right.wrapping_add(PANEL);
    }
    for (row, sums) in sums.iter().enumerate() {
        for (at, sum) in sums.as_flattened().iter().enumerate() {
            let missing = (16 * (at + 1)).saturating_sub(out.columns).min(16);
            let mask: __mmask16 = ((1_u32 << (16 - missing)) - 1) as __mmask16;
            // SAFETY: the mask keeps both accesses to the columns that exist.
            unsafe {
                let place = out.start.wrapping_add(row * out.row_stride + 16 * at);
                let sum = match out.mode {
                    Accumulate::Overwrite => *sum,
                    Accumulate::Add => _mm512_add_ps(*sum, _mm512_maskz_loadu_ps(mask, place)),
                };
                _mm512_mask_storeu_ps(place, mask, sum);
            }
        }
    }
}

/// Pairs `low[i]` with `high[i]`, sixteen at a time; returns how many pairs it made.
pub(super) fn interleave(_: HasBf16, low: &[f32], high: &[f32], out: &mut [u32]) -> usize {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn vectors(low: &[f32], high: &[f32], out: &mut [u32]) -> usize {
        const LANES: usize = 16;
        // Word 2i of the result is word i of the lower half, word 2i + 1 that of the upper half.
        const WORDS: [u16; 2 * LANES] = {
            let (mut words, mut word) = ([0; 2 * LANES], 0);
            while word < 2 * LANES {
                words[word] = (word / 2 + word % 2 * LANES) as u16;
                word += 1;
            }
            words
        };
        let triples = low.chunks_exact(LANES).zip(high.chunks_exact(LANES)).zip(out.chunks_exact_mut(LANES));
        let mut done = 0;
        // SAFETY: `WORDS` is 512 bits long.
        let order = unsafe { _mm512_loadu_si512(WORDS.as_ptr().cast()) };
        for ((low, high), out) in triples {
            // SAFETY: each chunk is sixteen numbers long; both types are 512 bits of numbers.
            unsafe {
                let (low, high) = (_mm512_loadu_ps(low.as_ptr()), _mm512_loadu_ps(high.as_ptr()));
                let halves = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_si512(out.as_mut_ptr().cast(), _mm512_permutexvar_epi16(order, halves));
            }
            done += LANES;
        }
        done
    }
    // SAFETY: the caller has proven that there is `bf16`.
    unsafe { vectors(low, high, out) }
}

/// Pairs neighbours of a row, sixteen pairs at a time; returns how many pairs it made.
pub(super) fn neighbours(_: HasBf16, row: &[f32], out: &mut [u32]) -> usize {
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    fn vectors(row: &[f32], out: &mut [u32]) -> usize {
        const LANES: usize = 16;
        let mut done = 0;
        for (both, out) in row.chunks_exact(2 * LANES).zip(out.chunks_exact_mut(LANES)) {
            // SAFETY: a chunk is 32 numbers, or sixteen pairs; both types are 512 bits of numbers.
            unsafe {
                let (first, second) =
                    (_mm512_loadu_ps(both.as_ptr()), _mm512_loadu_ps(both.as_ptr().add(LANES)));
                let pairs = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second, first));
                _mm512_storeu_si512(out.as_mut_ptr().cast(), pairs);
            }
            done += LANES;
        }
        done
    }
    // SAFETY: the caller has proven that there is `bf16`.
    unsafe { vectors(row, out) }
}
