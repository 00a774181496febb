//! How products are computed: on which lanes, and in which numbers.
//!
//! A product reads *words* of 32 bits: one `f32` each, or two `bf16` that are multiplied with the two of
//! another word and summed in `f32`. Code that all arithmetics share therefore handles rows of words; only
//! this file knows what is inside.

use std::marker::PhantomData;

use super::lanes::{Lanes, Portable};

#[cfg(target_arch = "x86_64")]
use super::{avx2::Avx2, avx512::Avx512};

/// A way to compute products. May be used only where the processor has its instructions.
pub(super) trait Arithmetic {
    type Lanes: Lanes;

    /// How many numbers a word holds.
    const TERMS: usize;

    /// The sum with the products of the numbers in each word added.
    fn multiply_add(left: Self::Lanes, right: Self::Lanes, sum: Self::Lanes) -> Self::Lanes;

    /// Words that hold the numbers of the first row and, if a word holds two, those of the second.
    fn join(first: Self::Lanes, second: Self::Lanes) -> Self::Lanes;

    /// Stores numbers as words side by side: `Lanes::WIDTH / TERMS` of them.
    fn store_words(values: Self::Lanes, to: &mut [f32]);

    /// Runs a step that is compiled for the instructions of this arithmetic.
    fn run(step: impl Step);
}

/// An inner loop. Its `run` is `#[inline(always)]`, so that [`Arithmetic::run`] compiles all of it.
pub(super) trait Step {
    fn run<A: Arithmetic>(self);
}

/// Products of `f32`.
pub(super) struct Single<L>(PhantomData<L>);

/// What products of `f32` share, whatever their lanes.
macro_rules! single {
    () => {
        const TERMS: usize = 1;

        #[inline(always)]
        fn multiply_add(left: Self::Lanes, right: Self::Lanes, sum: Self::Lanes) -> Self::Lanes {
            left.mul_add(right, sum)
        }

        #[inline(always)]
        fn join(first: Self::Lanes, _: Self::Lanes) -> Self::Lanes {
            first
        }

        #[inline(always)]
        fn store_words(values: Self::Lanes, to: &mut [f32]) {
            values.store(to);
        }
    };
}

impl Arithmetic for Single<Portable> {
    type Lanes = Portable;
    single!();

    fn run(step: impl Step) {
        step.run::<Self>();
    }
}

#[cfg(target_arch = "x86_64")]
impl Arithmetic for Single<Avx2> {
    type Lanes = Avx2;
    single!();

    fn run(step: impl Step) {
        #[target_feature(enable = "avx2,fma")]
        fn wide(step: impl Step) {
            step.run::<Single<Avx2>>();
        }
        // SAFETY: this arithmetic is used only where the processor has these instructions.
        unsafe { wide(step) }
    }
}

#[cfg(target_arch = "x86_64")]
impl Arithmetic for Single<Avx512> {
    type Lanes = Avx512;
    single!();

    fn run(step: impl Step) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
        fn wide(step: impl Step) {
            step.run::<Single<Avx512>>();
        }
        // SAFETY: this arithmetic is used only where the processor has these instructions.
        unsafe { wide(step) }
    }
}
