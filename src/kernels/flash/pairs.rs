//! Products of pairs of `bf16`, summed in `f32`.

#![allow(clippy::wildcard_imports, reason = "the names of instructions need no list")]

use std::arch::x86_64::*;
use std::mem::transmute;

use super::arithmetic::{Arithmetic, Step};
use super::avx512::Avx512;
use super::lanes::Lanes;
use crate::kernels::processor::HasBf16;

/// A word holds two `bf16`.
#[derive(Clone, Copy)]
pub(super) struct Pairs(pub(super) HasBf16);

// SAFETY of this and of the blocks below: it holds the proof that the processor has AVX-512 with BF16, and
// each `transmute` renames a register without changing its bits.
unsafe impl Arithmetic for Pairs {
    type Lanes = Avx512;
    const TERMS: usize = 2;

    #[inline(always)]
    fn multiply_add(self, left: Avx512, right: Avx512, sum: Avx512) -> Avx512 {
        // SAFETY: as said above.
        unsafe {
            let left = transmute::<__m512, __m512bh>(left.0);
            let right = transmute::<__m512, __m512bh>(right.0);
            Avx512(_mm512_dpbf16_ps(sum.0, left, right))
        }
    }

    #[inline(always)]
    fn join(self, first: Avx512, second: Avx512) -> Avx512 {
        // SAFETY: as said above.
        unsafe {
            let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(second.0, first.0));
            let lanes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
            // Number i, and number 16 + i above it.
            let order = _mm512_or_si512(
                lanes,
                _mm512_slli_epi32::<16>(_mm512_add_epi32(lanes, _mm512_set1_epi32(16))),
            );
            Avx512(_mm512_castsi512_ps(_mm512_permutexvar_epi16(order, both)))
        }
    }

    #[inline(always)]
    fn store_words(self, values: Avx512, to: &mut [f32]) {
        assert!(to.len() >= Avx512::WIDTH / 2);
        // SAFETY: as said above, and the words fit.
        unsafe {
            let words = transmute::<__m256bh, __m256>(_mm512_cvtneps_pbh(values.0));
            _mm256_storeu_ps(to.as_mut_ptr(), words);
        }
    }

    fn run(self, step: impl Step) {
        #[target_feature(enable = "avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn wide(a: Pairs, step: impl Step) {
            step.run(a);
        }
        // SAFETY: as said above.
        unsafe { wide(self, step) }
    }
}
