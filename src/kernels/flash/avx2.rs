//! Eight `f32` at once.

#![allow(clippy::wildcard_imports, reason = "the names of instructions need no list")]

use std::arch::x86_64::*;

use super::lanes::Lanes;

/// A register of AVX.
#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256);

// SAFETY of every block below: there is a value of this type, or the caller vouches for its making, only where the
// processor has AVX2 and FMA; the two that touch memory check its length first.
impl Lanes for Avx2 {
    const WIDTH: usize = 8;
    const SUMS: usize = 12;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm256_set1_ps(x) })
    }

    #[inline(always)]
    unsafe fn load(from: &[f32]) -> Self {
        assert!(from.len() >= Self::WIDTH);
        // SAFETY: as said above.
        Self(unsafe { _mm256_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        assert!(to.len() >= Self::WIDTH);
        // SAFETY: as said above.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm256_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm256_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm256_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm256_fmadd_ps(self.0, factor.0, term.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm256_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn exp2(self) -> Self {
        // SAFETY: as said above.
        unsafe {
            // The second operand of the minimum and maximum is what they return for NaN.
            let x = _mm256_min_ps(_mm256_set1_ps(127.0), _mm256_max_ps(_mm256_set1_ps(-126.0), self.0));
            let whole = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(whole), _mm256_set1_epi32(127));
            let power = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent));
            let value = _mm256_mul_ps(Self::exp2_of_fraction(Self(_mm256_sub_ps(x, whole))).0, power);
            let large = _mm256_cmp_ps::<_CMP_NLT_UQ>(self.0, _mm256_set1_ps(-126.0));
            Self(_mm256_and_ps(value, large))
        }
    }

    #[inline(always)]
    unsafe fn transpose(
        (from, from_stride): (&[f32], usize),
        (to, to_stride): (&mut [f32], usize),
        rows: usize,
        cols: usize,
    ) {
        if cols == 0 {
            return;
        }
        assert!(rows <= Self::WIDTH && cols <= Self::WIDTH);
        let end =
            |count: usize, stride: usize, width| (count - 1).saturating_mul(stride).saturating_add(width);
        assert!(rows == 0 || end(rows, from_stride, cols) <= from.len());
        assert!(end(cols, to_stride, Self::WIDTH) <= to.len());
        // SAFETY: as said above; the assertions hold every row that is read or written, of which the mask
        // reads only the columns that are there.
        unsafe {
            let there =
                _mm256_cmpgt_epi32(_mm256_set1_epi32(cols as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
            let mut block = [_mm256_setzero_ps(); 8];
            for (row, lanes) in block.iter_mut().enumerate() {
                if row < rows {
                    *lanes = _mm256_maskload_ps(from.as_ptr().add(row * from_stride), there);
                }
            }
            for (col, lanes) in transposed(block).into_iter().enumerate() {
                if col < cols {
                    _mm256_storeu_ps(to.as_mut_ptr().add(col * to_stride), lanes);
                }
            }
        }
    }
}

/// The transpose of an 8 × 8 matrix: numbers change places inside groups of four, then groups do.
///
/// # Safety
///
/// The processor must have AVX.
#[inline(always)]
unsafe fn transposed(rows: [__m256; 8]) -> [__m256; 8] {
    let [mut pairs, mut fours, mut out] = [[rows[0]; 8]; 3];
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        for i in 0..4 {
            pairs[2 * i] = _mm256_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
            pairs[2 * i + 1] = _mm256_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
        }
        for i in 0..4 {
            let at = i / 2 * 4 + i % 2;
            let (low, high) = (_mm256_castps_pd(pairs[at]), _mm256_castps_pd(pairs[at + 2]));
            fours[i / 2 * 4 + i % 2 * 2] = _mm256_castpd_ps(_mm256_unpacklo_pd(low, high));
            fours[i / 2 * 4 + i % 2 * 2 + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(low, high));
        }
        for i in 0..4 {
            out[i] = _mm256_permute2f128_ps::<0x20>(fours[i], fours[4 + i]);
            out[4 + i] = _mm256_permute2f128_ps::<0x31>(fours[i], fours[4 + i]);
        }
    }
    out
}
