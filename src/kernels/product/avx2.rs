//! Products on processors with AVX2: registers of eight sums.

use std::arch::x86_64::{
    __m256, _mm256_add_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_storeu_ps,
};

use super::super::matmul::{Accumulate, Matrix, MatrixMut, Shape};
use super::super::processor::HasAvx2;
use super::tiles::{Left, Registers, Right, Target, run, tile, tiles};

/// Eight `f32`.
pub(super) struct Eight;

impl Registers for Eight {
    type Proof = HasAvx2;
    type Number = f32;
    type Numbers = __m256;
    type Sums = __m256;
    const LANES: usize = 8;
    const SUMS: usize = 12;

    #[inline(always)]
    unsafe fn zero() -> __m256 {
        // SAFETY: the caller vouches for the instructions.
        unsafe { _mm256_setzero_ps() }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m256 {
        // SAFETY: as above; the caller vouches for the numbers.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn add_products(sums: __m256, a: __m256, b: __m256) -> __m256 {
        // SAFETY: as above.
        unsafe { _mm256_fmadd_ps(a, b, sums) }
    }

    #[inline(always)]
    unsafe fn store(sums: __m256, to: *mut f32, columns: usize, mode: Accumulate) {
        let mut aside = [0.0; 8];
        let whole = columns == Self::LANES;
        // SAFETY: the caller vouches for the instructions and for the columns of `to`; `aside` has all columns.
        unsafe {
            if !whole {
                aside.as_mut_ptr().copy_from_nonoverlapping(to, columns);
            }
            let place = if whole { to } else { aside.as_mut_ptr() };
            let sums = match mode {
                Accumulate::Overwrite => sums,
                Accumulate::Add => _mm256_add_ps(sums, _mm256_loadu_ps(place)),
            };
            _mm256_storeu_ps(place, sums);
            if !whole {
                to.copy_from_nonoverlapping(aside.as_ptr(), columns);
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    unsafe fn tile<const ROWS: usize, const PANELS: usize>(
        a: Left<'_, f32>,
        b: Right<'_, f32>,
        out: &Target,
    ) {
        // SAFETY: the caller vouches for the sizes.
        unsafe { tile::<Self, ROWS, PANELS>(a, b, out) }
    }

    tiles! {
        (1, 1) (1, 2) (1, 3) (1, 4) (2, 1) (2, 2) (2, 3) (3, 1) (3, 2) (4, 1) (5, 1) (6, 1)
    }
}

/// `out (+)= a · b`.
pub(super) fn product_f32(
    has: HasAvx2,
    out: MatrixMut<'_, f32>,
    mode: Accumulate,
    a: Matrix<'_, f32>,
    panels: &[f32],
) {
    let Shape { cols, row_stride, col_stride, .. } = a.shape;
    let left = Left { values: a.data, row_stride, step_stride: col_stride };
    run::<Eight>(has, 0, out, mode, left, cols, panels);
}
