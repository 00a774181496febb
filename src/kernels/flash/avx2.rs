//! Eight `f32` at once.

#![allow(clippy::wildcard_imports, reason = "the names of instructions need no list")]

use std::arch::x86_64::*;

use super::lanes::Lanes;

/// A register of AVX.
#[derive(Clone, Copy)]
pub(super) struct Avx2(__m256);

// SAFETY of every block below: there is a value of this type, or the caller vouches for its making, only where the
// processor has AVX2 and FMA; those that touch memory check its length first.
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
    unsafe fn store_at(self, to: *mut f32) {
        // SAFETY: as said above, and the caller vouches for the memory.
        unsafe { _mm256_storeu_ps(to, self.0) }
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
        let (from, to) = (from.as_ptr(), to.as_mut_ptr());
        // SAFETY: as said above; the assertions hold every row that is read or written, of which the masks read only the
        // columns that are there.
        unsafe {
            let columns = if rows == Self::WIDTH && cols == Self::WIDTH {
                transposed(|row, col| _mm_loadu_ps(from.add(row * from_stride + col)))
            } else {
                let there = |col: usize| {
                    let number = _mm_setr_epi32(0, 1, 2, 3);
                    _mm_cmpgt_epi32(_mm_set1_epi32(cols as i32 - col as i32), number)
                };
                let there = [there(0), there(4)];
                transposed(|row, col| {
                    if row < rows {
                        _mm_maskload_ps(from.wrapping_add(row * from_stride + col), there[col / 4])
                    } else {
                        _mm_setzero_ps()
                    }
                })
            };
            for (col, lanes) in columns.into_iter().enumerate().take(cols) {
                _mm256_storeu_ps(to.add(col * to_stride), lanes);
            }
        }
    }
}

/// The transpose of an 8 × 8 matrix of which `load` gives four numbers from a row and a column on: those of rows four
/// apart go into one register, and change places inside its halves.
///
/// # Safety
///
/// The processor must have AVX2.
#[inline(always)]
unsafe fn transposed(load: impl Fn(usize, usize) -> __m128) -> [__m256; 8] {
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        let mut out = [_mm256_setzero_ps(); 8];
        for half in [0, 4] {
            let pair =
                |row| _mm256_insertf128_ps::<1>(_mm256_castps128_ps256(load(row, half)), load(row + 4, half));
            let rows = [pair(0), pair(1), pair(2), pair(3)];
            let [low, high] = [_mm256_unpacklo_ps(rows[0], rows[1]), _mm256_unpackhi_ps(rows[0], rows[1])];
            let [low_below, high_below] =
                [_mm256_unpacklo_ps(rows[2], rows[3]), _mm256_unpackhi_ps(rows[2], rows[3])];
            out[half] = _mm256_shuffle_ps::<0x44>(low, low_below);
            out[half + 1] = _mm256_shuffle_ps::<0xee>(low, low_below);
            out[half + 2] = _mm256_shuffle_ps::<0x44>(high, high_below);
            out[half + 3] = _mm256_shuffle_ps::<0xee>(high, high_below);
        }
        out
    }
}
