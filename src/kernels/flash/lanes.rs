//! Several `f32` at once.

use std::mem::MaybeUninit;

/// A register full of `f32`, or an array where there is no such register.
///
/// An implementation for wider registers than every processor has exists only where the processor has them: a value proves
/// it, so what makes one is unsafe, and [`Arithmetic`](super::arithmetic::Arithmetic) makes them for all others.
pub(super) trait Lanes: Copy {
    /// How many numbers.
    const WIDTH: usize;
    /// How many registers can hold sums while two sides of a product need theirs.
    const SUMS: usize;

    /// The same number everywhere.
    ///
    /// # Safety
    ///
    /// The processor must have such registers.
    unsafe fn splat(x: f32) -> Self;
    /// The first `WIDTH` numbers.
    ///
    /// # Safety
    ///
    /// The processor must have such registers.
    unsafe fn load(from: &[f32]) -> Self;
    /// Writes `WIDTH` numbers.
    ///
    /// # Safety
    ///
    /// There must be memory for them.
    unsafe fn store_at(self, to: *mut f32);

    /// Overwrites the first `WIDTH` numbers.
    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        assert!(to.len() >= Self::WIDTH);
        // SAFETY: they fit.
        unsafe { self.store_at(to.as_mut_ptr()) }
    }

    /// [`store`](Self::store) where nothing has been written yet.
    #[inline(always)]
    fn write(self, to: &mut [MaybeUninit<f32>]) {
        assert!(to.len() >= Self::WIDTH);
        // SAFETY: they fit.
        unsafe { self.store_at(to.as_mut_ptr().cast()) }
    }

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// `self · factor + term`, rounded once where the processor can.
    fn mul_add(self, factor: Self, term: Self) -> Self;
    fn max(self, other: Self) -> Self;
    /// `2ˣ`: relative error below 3e-7, zero below 2⁻¹²⁶ or earlier, NaN for NaN.
    fn exp2(self) -> Self;

    /// Reads `rows` rows of `cols` numbers, `from_stride` apart, and writes them as columns: `cols` rows of
    /// `WIDTH` numbers, `to_stride` apart, with zeros for rows that are missing.
    ///
    /// # Safety
    ///
    /// The processor must have such registers.
    unsafe fn transpose(
        (from, from_stride): (&[f32], usize),
        (to, to_stride): (&mut [f32], usize),
        rows: usize,
        cols: usize,
    ) {
        for col in 0..cols {
            let out = &mut to[col * to_stride..][..Self::WIDTH];
            for (row, out) in out.iter_mut().enumerate() {
                *out = if row < rows { from[row * from_stride + col] } else { 0.0 };
            }
        }
    }

    /// `2ᶠ` for `|f| ≤ ½`: of the polynomials of degree 5 that are one at zero, that of the smallest relative
    /// error, 1e-7 before rounding.
    #[inline(always)]
    fn exp2_of_fraction(f: Self) -> Self {
        const COEFFICIENTS: [f32; 6] =
            [1.0, std::f32::consts::LN_2, 0.240_222_42, 0.055_507_336, 0.009_671_513, 0.001_326_472_7];
        // In a loop, since a closure might become a function that is not compiled for these registers.
        // SAFETY: `f` is such a register.
        let mut sum = unsafe { Self::splat(COEFFICIENTS[5]) };
        for at in (0..5).rev() {
            // SAFETY: as above.
            sum = sum.mul_add(f, unsafe { Self::splat(COEFFICIENTS[at]) });
        }
        sum
    }
}

/// Four numbers, which every current processor can add at once and every compiler vectorizes.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 4]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

impl Lanes for Portable {
    const WIDTH: usize = 4;
    const SUMS: usize = 12;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 4])
    }

    #[inline(always)]
    unsafe fn load(from: &[f32]) -> Self {
        Self([from[0], from[1], from[2], from[3]])
    }

    #[inline(always)]
    unsafe fn store_at(self, to: *mut f32) {
        // SAFETY: the caller vouches for the memory.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.mul(factor).add(term)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn exp2(self) -> Self {
        // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
        const ROUND: f32 = 12_582_912.0;
        let shifted = Self(self.0.map(|x| x.clamp(-126.0, 127.0) + ROUND));
        let fraction = self.zip(shifted, |x, shifted| x.clamp(-126.0, 127.0) - (shifted - ROUND));
        let power = shifted.0.map(|x| x.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23);
        let value = Self::exp2_of_fraction(fraction).mul(Self(power.map(f32::from_bits)));
        self.zip(value, |x, value| if x < -126.0 { 0.0 } else { value })
    }
}
