//! Products on processors with AVX-512: registers of sixteen sums.

use std::arch::x86_64::{
    __m512, __m512bh, __m512i, __mmask16, _mm512_add_ps, _mm512_cvtne2ps_pbh, _mm512_dpbf16_ps,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_storeu_ps, _mm512_maskz_loadu_ps,
    _mm512_permutexvar_epi16, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_si512,
};
use std::mem::transmute;

use super::super::matmul::{Accumulate, Matrix, MatrixMut, Shape};
use super::super::processor::{HasAvx512, HasBf16};
use super::bf16::Pairs;
use super::tiles::{Left, Registers, Right, Target, run, tile, tiles};

/// Sixteen `f32`.
pub(super) struct Sixteen;

/// Sixteen pairs of `bf16`, summed in `f32`.
struct SixteenPairs;

/// What both share: sixteen sums of `f32`.
macro_rules! sixteen_sums {
    ($number:ty, $features:literal) => {
        type Number = $number;
        type Sums = __m512;
        const LANES: usize = 16;
        const SUMS: usize = 24;

        #[inline(always)]
        unsafe fn zero() -> __m512 {
            // SAFETY: the caller vouches for the instructions.
            unsafe { _mm512_setzero_ps() }
        }

        #[inline(always)]
        unsafe fn store(sums: __m512, to: *mut f32, columns: usize, mode: Accumulate) {
            let mask = ((1_u32 << columns) - 1) as __mmask16;
            // SAFETY: the caller vouches for the instructions; the mask keeps both accesses to the columns that exist.
            unsafe {
                let sums = match mode {
                    Accumulate::Overwrite => sums,
                    Accumulate::Add => _mm512_add_ps(sums, _mm512_maskz_loadu_ps(mask, to)),
                };
                _mm512_mask_storeu_ps(to, mask, sums);
            }
        }

        #[target_feature(enable = $features)]
        unsafe fn tile<const ROWS: usize, const PANELS: usize>(
            a: Left<'_, $number>,
            b: Right<'_, $number>,
            out: &Target,
        ) {
            // SAFETY: the caller vouches for the sizes.
            unsafe { tile::<Self, ROWS, PANELS>(a, b, out) }
        }

        tiles! {
            (1, 1) (1, 2) (1, 3) (1, 4) (2, 1) (2, 2) (2, 3) (2, 4) (3, 1) (3, 2) (3, 3) (3, 4) (4, 1) (4, 2) (4, 3)
            (5, 1) (5, 2) (6, 1) (6, 2) (7, 1) (8, 1) (9, 1) (10, 1) (11, 1) (12, 1)
        }
    };
}

impl Registers for Sixteen {
    type Proof = HasAvx512;
    type Numbers = __m512;
    sixteen_sums!(f32, "avx512f,avx512bw");

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m512 {
        // SAFETY: the caller vouches for the instructions.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: as above; the caller vouches for the numbers.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn add_products(sums: __m512, a: __m512, b: __m512) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_fmadd_ps(a, b, sums) }
    }
}

impl Registers for SixteenPairs {
    type Proof = HasBf16;
    type Numbers = __m512bh;
    sixteen_sums!(u32, "avx512f,avx512bw,avx512bf16");

    #[inline(always)]
    unsafe fn splat(x: u32) -> __m512bh {
        // SAFETY: the caller vouches for the instructions; both types are 512 bits of numbers.
        unsafe { transmute::<__m512i, __m512bh>(_mm512_set1_epi32(x.cast_signed())) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u32) -> __m512bh {
        // SAFETY: as above; the caller vouches for the numbers.
        unsafe { transmute::<__m512i, __m512bh>(_mm512_loadu_si512(from.cast())) }
    }

    #[inline(always)]
    unsafe fn add_products(sums: __m512, a: __m512bh, b: __m512bh) -> __m512 {
        // SAFETY: as above.
        unsafe { _mm512_dpbf16_ps(sums, a, b) }
    }
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
    run::<Sixteen>(has, 0, out, mode, left, cols, panels);
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
    run::<SixteenPairs>(has, first, out, mode, left, a.per_row, panels);
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
