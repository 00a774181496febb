//! The number types of the kernels.

use std::iter::Sum;

use num_traits::{Float, NumAssign};

use super::matmul::{Accumulate, Matrix, MatrixMut, any_matmul};
use super::product::{Precision, multiply_f32};
use super::small::Small;

/// `f32` to work with, `f64` to check it.
pub(crate) trait Real: Float + NumAssign + Sum + Default + Send + Sync + Small + 'static {
    /// The nearest value of this type.
    fn of(value: f64) -> Self;

    /// `eˣ`; in `f32` a polynomial that vectorizes (relative error below 3e-7).
    fn fast_exp(self) -> Self;

    /// The same numbers where they are `f32`, for kernels of that type alone.
    fn as_f32(values: &[Self]) -> Option<&[f32]>;

    /// [`as_f32`](Self::as_f32), to be written.
    fn as_f32_mut(values: &mut [Self]) -> Option<&mut [f32]>;

    /// The reverse of [`as_f32`](Self::as_f32), for what such a kernel returns.
    fn of_f32(values: Vec<f32>) -> Option<Vec<Self>>;

    /// GELU and its slope: `x·Φ(x)` and `Φ(x) + x·φ(x)`, with the exact (error function) form of Φ.
    ///
    /// In `f32` the error function is formula 7.1.26 of Abramowitz and Stegun (absolute error below 2e-7).
    fn gelu(self) -> (Self, Self);

    /// `out = a · b`, or `out += a · b`: `[m, k] · [k, n] → [m, n]`, on one thread.
    ///
    /// `f64` is never rounded.
    fn multiply(
        out: MatrixMut<'_, Self>,
        mode: Accumulate,
        a: Matrix<'_, Self>,
        b: Matrix<'_, Self>,
        precision: Precision,
    );
}

impl Real for f32 {
    fn as_f32(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    fn as_f32_mut(values: &mut [Self]) -> Option<&mut [f32]> {
        Some(values)
    }

    fn of_f32(values: Vec<f32>) -> Option<Vec<Self>> {
        Some(values)
    }

    fn multiply(
        out: MatrixMut<'_, Self>,
        mode: Accumulate,
        a: Matrix<'_, Self>,
        b: Matrix<'_, Self>,
        precision: Precision,
    ) {
        multiply_f32(out, mode, a, b, precision);
    }

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as Self
    }

    #[inline(always)]
    fn fast_exp(self) -> Self {
        // 2ⁿ·eʳ with |r| ≤ ln 2 / 2. Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
        const ROUND: f32 = 12_582_912.0;
        let x = self.clamp(-87.3, 88.3);
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4; // ln 2 in two parts, the first exact
        let power = f32::from_bits((shifted.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
        let tail = 1.0 / 120.0 + r * (1.0 / 720.0 + r * (1.0 / 5040.0));
        power * (1.0 + r * (1.0 + r * (0.5 + r * (1.0 / 6.0 + r * (1.0 / 24.0 + r * tail)))))
    }

    #[inline(always)]
    fn gelu(self) -> (Self, Self) {
        let magnitude = self.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let bell = (-0.5 * self * self).fast_exp();
        let t = 1.0 / (1.0 + 0.327_591_1 * magnitude);
        let series =
            0.254_829_6 + t * (-0.284_496_72 + t * (1.421_413_8 + t * (-1.453_152_1 + t * 1.061_405_4)));
        let erf = (1.0 - t * series * bell).copysign(self);
        let below = 0.5 * (1.0 + erf);
        (self * below, below + self * bell * 0.398_942_3)
    }
}

impl Real for f64 {
    fn as_f32(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn as_f32_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }

    fn of_f32(_: Vec<f32>) -> Option<Vec<Self>> {
        None
    }

    fn multiply(
        out: MatrixMut<'_, Self>,
        mode: Accumulate,
        a: Matrix<'_, Self>,
        b: Matrix<'_, Self>,
        _: Precision,
    ) {
        any_matmul(out, mode, a, b);
    }

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn fast_exp(self) -> Self {
        self.exp()
    }

    #[inline(always)]
    fn gelu(self) -> (Self, Self) {
        let below = 0.5 * (1.0 + libm::erf(self * std::f64::consts::FRAC_1_SQRT_2));
        let bell = (-0.5 * self * self).exp() / (2.0 * std::f64::consts::PI).sqrt();
        (self * below, below + self * bell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> impl Iterator<Item = f32> {
        (-8000..=8000).map(|i| i as f32 / 100.0)
    }

    #[test]
    fn the_fast_exponential_is_close_to_the_exact_one() {
        for x in grid() {
            let exact = f64::from(x).exp();
            assert!(((f64::from(x.fast_exp()) - exact) / exact).abs() < 3e-7, "{x}");
        }
        assert!(f32::NEG_INFINITY.fast_exp() < 1e-37 && f32::NAN.fast_exp().is_nan());
    }

    #[test]
    fn gelu_and_its_slope_are_close_to_the_exact_ones() {
        for x in grid() {
            let (value, slope) = x.gelu();
            let (exact, exact_slope) = f64::from(x).gelu();
            assert!((f64::from(value) - exact).abs() < 3e-7 * exact.abs().max(2.0), "{x}: {value} {exact}");
            assert!((f64::from(slope) - exact_slope).abs() < 1e-6, "{x}: {slope} {exact_slope}");
        }
    }

    #[test]
    fn the_slope_of_gelu_is_its_derivative() {
        for x in grid().map(|x| f64::from(x) / 10.0) {
            let step = 1e-5;
            let difference = ((x + step).gelu().0 - (x - step).gelu().0) / (2.0 * step);
            assert!((difference - x.gelu().1).abs() < 1e-9, "{x}");
        }
    }
}
