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
}
