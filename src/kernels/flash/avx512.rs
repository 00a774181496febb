//! Sixteen `f32` at once.

#![allow(clippy::wildcard_imports, reason = "the names of instructions need no list")]

use std::arch::x86_64::*;

use super::lanes::Lanes;

/// A register of AVX-512.
#[derive(Clone, Copy)]
pub(super) struct Avx512(pub(super) __m512);

// SAFETY of every block below: there is a value of this type, or the caller vouches for its making, only where the
// processor has AVX-512; those that touch memory check its length first.
impl Lanes for Avx512 {
    const WIDTH: usize = 16;
    const SUMS: usize = 24;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm512_set1_ps(x) })
    }

    #[inline(always)]
    unsafe fn load(from: &[f32]) -> Self {
        assert!(from.len() >= Self::WIDTH);
        // SAFETY: as said above.
        Self(unsafe { _mm512_loadu_ps(from.as_ptr()) })
    }

    #[inline(always)]
    unsafe fn store_at(self, to: *mut f32) {
        // SAFETY: as said above, and the caller vouches for the memory.
        unsafe { _mm512_storeu_ps(to, self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm512_sub_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm512_mul_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, term.0) })
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        // SAFETY: as said above.
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    fn exp2(self) -> Self {
        // SAFETY: as said above.
        unsafe {
            // −∞ has no fraction; 2⁻²⁰⁰ is zero as well. The maximum returns its second operand for NaN.
            let x = _mm512_max_ps(_mm512_set1_ps(-200.0), self.0);
            let whole = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x);
            Self(_mm512_scalef_ps(Self::exp2_of_fraction(Self(_mm512_sub_ps(x, whole))).0, whole))
        }
    }

    #[inline(always)]
    unsafe fn transpose(
        (from, from_stride): (&[f32], usize),
        (to, to_stride): (&mut [f32], usize),
        rows: usize,
        cols: usize,
    ) {
        if rows == 0 || cols == 0 {
            return;
        }
        assert!(rows <= Self::WIDTH && cols <= Self::WIDTH);
        let end =
            |count: usize, stride: usize, width| (count - 1).saturating_mul(stride).saturating_add(width);
        assert!(end(rows, from_stride, cols) <= from.len() && end(cols, to_stride, Self::WIDTH) <= to.len());
        let there = u16::MAX >> (Self::WIDTH - cols);
        // SAFETY: as said above; the assertions hold every row that is read or written, of which the mask
        // reads only the columns that are there.
        unsafe {
            let mut block = [_mm512_setzero_ps(); 16];
            for (row, lanes) in block.iter_mut().enumerate().take(rows) {
                *lanes = _mm512_maskz_loadu_ps(there, from.as_ptr().add(row * from_stride));
            }
            for (col, lanes) in transposed(block).into_iter().enumerate().take(cols) {
                _mm512_storeu_ps(to.as_mut_ptr().add(col * to_stride), lanes);
            }
        }
    }
}

/// The transpose of a 16 × 16 matrix: numbers change places inside groups of four rows, then groups do.
///
/// # Safety
///
/// The processor must have AVX-512.
#[inline(always)]
unsafe fn transposed(rows: [__m512; 16]) -> [__m512; 16] {
    let [mut pairs, mut fours, mut out] = [[rows[0]; 16]; 3];
    // SAFETY: the caller vouches for the instructions.
    unsafe {
        for i in 0..8 {
            pairs[2 * i] = _mm512_unpacklo_ps(rows[2 * i], rows[2 * i + 1]);
            pairs[2 * i + 1] = _mm512_unpackhi_ps(rows[2 * i], rows[2 * i + 1]);
        }
        for i in 0..8 {
            let at = i / 2 * 4 + i % 2;
            let (low, high) = (_mm512_castps_pd(pairs[at]), _mm512_castps_pd(pairs[at + 2]));
            fours[i / 2 * 4 + i % 2 * 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(low, high));
            fours[i / 2 * 4 + i % 2 * 2 + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low, high));
        }
        for i in 0..4 {
            let even = _mm512_shuffle_f32x4::<0x88>(fours[i], fours[4 + i]);
            let odd = _mm512_shuffle_f32x4::<0xdd>(fours[i], fours[4 + i]);
            let even_below = _mm512_shuffle_f32x4::<0x88>(fours[8 + i], fours[12 + i]);
            let odd_below = _mm512_shuffle_f32x4::<0xdd>(fours[8 + i], fours[12 + i]);
            out[i] = _mm512_shuffle_f32x4::<0x88>(even, even_below);
            out[4 + i] = _mm512_shuffle_f32x4::<0x88>(odd, odd_below);
            out[8 + i] = _mm512_shuffle_f32x4::<0xdd>(even, even_below);
            out[12 + i] = _mm512_shuffle_f32x4::<0xdd>(odd, odd_below);
        }
    }
    out
}
