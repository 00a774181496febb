//! How products are computed: on which lanes, and in which numbers.
//!
//! A product reads *words* of 32 bits: one `f32` each, or two `bf16` that are multiplied with the two of
//! another word and summed in `f32`. Code that all arithmetics share therefore handles rows of words; only
//! this file knows what is inside.

use super::lanes::{Lanes, Portable};

#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};
#[cfg(target_arch = "x86_64")]
use crate::kernels::processor::{HasAvx2, HasAvx512};

/// A way to compute products.
///
/// # Safety
///
/// There may be a value only where the processor has the instructions.
pub(super) unsafe trait Arithmetic: Copy + Send + Sync {
    type Lanes: Lanes;

    /// How many numbers a word holds.
    const TERMS: usize;

    /// The same number everywhere.
    #[inline(always)]
    fn splat(self, x: f32) -> Self::Lanes {
        // SAFETY: there is a value of this type.
        unsafe { Self::Lanes::splat(x) }
    }

    /// As many numbers as the lanes are wide.
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::Lanes {
        // SAFETY: as above.
        unsafe { Self::Lanes::load(from) }
    }

    /// [`Lanes::transpose`].
    #[inline(always)]
    fn transpose(self, from: (&[f32], usize), to: (&mut [f32], usize), rows: usize, cols: usize) {
        // SAFETY: as above.
        unsafe { Self::Lanes::transpose(from, to, rows, cols) }
    }

    /// The sum with the products of the numbers in each word added.
    fn multiply_add(self, left: Self::Lanes, right: Self::Lanes, sum: Self::Lanes) -> Self::Lanes;

    /// Words that hold the numbers of the first row and, if a word holds two, those of the second.
    fn join(self, first: Self::Lanes, second: Self::Lanes) -> Self::Lanes;

    /// Stores numbers as words side by side: `Lanes::WIDTH / TERMS` of them.
    fn store_words(self, values: Self::Lanes, to: &mut [f32]);

    /// Runs a step that is compiled for the instructions of this arithmetic.
    fn run(self, step: impl Step);
}

/// An inner loop. Its `run` is `#[inline(always)]`, so that [`Arithmetic::run`] compiles all of it.
pub(super) trait Step {
    fn run<A: Arithmetic>(self, a: A);
}

/// Products of `f32`, with the proof that the processor has the instructions; where it needs none, `()`.
#[derive(Clone, Copy)]
pub(super) struct Single<P>(pub(super) P);

/// What products of `f32` share, whatever their lanes.
macro_rules! single {
    () => {
        const TERMS: usize = 1;

        #[inline(always)]
        fn multiply_add(self, left: Self::Lanes, right: Self::Lanes, sum: Self::Lanes) -> Self::Lanes {
            left.mul_add(right, sum)
        }

        #[inline(always)]
        fn join(self, first: Self::Lanes, _: Self::Lanes) -> Self::Lanes {
            first
        }

        #[inline(always)]
        fn store_words(self, values: Self::Lanes, to: &mut [f32]) {
            values.store(to);
        }
    };
}

// SAFETY: every processor can do this.
unsafe impl Arithmetic for Single<()> {
    type Lanes = Portable;
    single!();

    fn run(self, step: impl Step) {
        step.run(self);
    }
}

// SAFETY: it holds the proof.
#[cfg(target_arch = "x86_64")]
unsafe impl Arithmetic for Single<HasAvx2> {
    type Lanes = Avx2;
    single!();

    fn run(self, step: impl Step) {
        #[target_feature(enable = "avx2,fma")]
        fn wide(a: Single<HasAvx2>, step: impl Step) {
            step.run(a);
        }
        // SAFETY: it holds the proof.
        unsafe { wide(self, step) }
    }
}

// SAFETY: it holds the proof.
#[cfg(target_arch = "x86_64")]
unsafe impl Arithmetic for Single<HasAvx512> {
    type Lanes = Avx512;
    single!();

    fn run(self, step: impl Step) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn wide(a: Single<HasAvx512>, step: impl Step) {
            step.run(a);
        }
        // SAFETY: it holds the proof.
        unsafe { wide(self, step) }
    }
}
