//! GELU, forward and backward, and other activation functions, forward.

use serde::{Deserialize, Serialize};

use super::Real;
use super::dropout::{drops, threshold};

/// The function between two maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// `x·Φ(x)`, the Gaussian error linear unit, exact.
    #[default]
    Gelu,
    /// `x·σ(2·√(2/π)·(x + 0.044715·x³))`, which is GELU up to `1e-3`.
    GeluTanh,
    /// `x·σ(1.702·x)`, which is GELU up to `0.03`.
    QuickGelu,
    /// `x·σ(x)`.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// `x`, and `0.01·x` below zero.
    LeakyRelu,
    /// `x`, and `eˣ - 1` below zero.
    Elu,
    /// The hyperbolic tangent.
    Tanh,
    /// `σ(x) = 1 / (1 + e⁻ˣ)`.
    Sigmoid,
    /// `x`.
    Identity,
}

/// `2·√(2/π)`
const SLOPE: f32 = 2.0 * std::f32::consts::FRAC_2_SQRT_PI * std::f32::consts::FRAC_1_SQRT_2;

widest! {
    /// `out[i] = activation(x[i])`.
    pub(crate) fn activate(activation: Activation, x: &[f32], out: &mut [f32]) {
        let rows = out.iter_mut().zip(x);
        match activation {
            Activation::Gelu => rows.for_each(|(out, x)| *out = x.gelu().0),
            Activation::GeluTanh => {
                rows.for_each(|(out, x)| *out = x * sigmoid(SLOPE * (x + 0.044_715 * x * x * x)));
            }
            Activation::QuickGelu => rows.for_each(|(out, x)| *out = x * sigmoid(1.702 * x)),
            Activation::Silu => rows.for_each(|(out, x)| *out = x * sigmoid(*x)),
            // `max` would make a NaN zero.
            Activation::Relu => rows.for_each(|(out, x)| *out = if *x < 0.0 { 0.0 } else { *x }),
            Activation::LeakyRelu => rows.for_each(|(out, x)| *out = x.max(0.01 * x)),
            Activation::Elu => rows.for_each(|(out, x)| *out = if *x > 0.0 { *x } else { x.fast_exp() - 1.0 }),
            Activation::Tanh => rows.for_each(|(out, x)| *out = 2.0 * sigmoid(2.0 * x) - 1.0),
            Activation::Sigmoid => rows.for_each(|(out, x)| *out = sigmoid(*x)),
            Activation::Identity => rows.for_each(|(out, x)| *out = *x),
        }
    }
}

#[allow(clippy::inline_always, reason = "it must be compiled inside each loop")]
#[inline(always)]
fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).fast_exp())
}

widest! {
    /// `out[i] = gelu(x[i])`.
    pub(crate) fn gelu<T: Real>(x: &[T], out: &mut [T]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = x.gelu().0;
        }
    }
}

widest! {
    /// `out[i] = grad[i] · gelu′(x[i])`.
    pub(crate) fn gelu_backward<T: Real>(x: &[T], grad: &[T], out: &mut [T]) {
        for ((out, x), grad) in out.iter_mut().zip(x).zip(grad) {
            *out = *grad * x.gelu().1;
        }
    }
}

widest! {
    /// `out[i] = dropout(gelu(x))[i]`.
    pub(crate) fn gelu_dropout<T: Real>(x: &[T], probability: f64, seed: u64, out: &mut [T]) {
        let limit = threshold(probability);
        let scale = T::of((1.0 - probability).recip());
        // What is dropped is computed as well: two loops without a branch are twice as fast as one with it.
        for (part, (out, x)) in out.chunks_mut(PART).zip(x.chunks(PART)).enumerate() {
            out.iter_mut().zip(x).for_each(|(out, x)| *out = x.gelu().0 * scale);
            drop_some(out, seed, part, limit);
        }
    }
}

widest! {
    /// Turns the gradient of [`gelu_dropout`]'s output into that of `x`.
    pub(crate) fn gelu_dropout_backward<T: Real>(x: &[T], probability: f64, seed: u64, grad: &mut [T]) {
        let limit = threshold(probability);
        let scale = T::of((1.0 - probability).recip());
        for (part, (grad, x)) in grad.chunks_mut(PART).zip(x.chunks(PART)).enumerate() {
            grad.iter_mut().zip(x).for_each(|(grad, x)| *grad *= x.gelu().1 * scale);
            drop_some(grad, seed, part, limit);
        }
    }
}

/// How many numbers are computed before some of them are dropped: they stay in the nearest cache.
const PART: usize = 512;

/// Zero for the numbers of one part that the seed drops.
#[allow(clippy::inline_always, reason = "it must be compiled inside each loop")]
#[inline(always)]
fn drop_some<T: Real>(values: &mut [T], seed: u64, part: usize, limit: u32) {
    for (at, value) in values.iter_mut().enumerate() {
        *value = if drops(seed, (part * PART + at) as u64, limit) { T::zero() } else { *value };
    }
}

#[cfg(test)]
mod tests {
    use super::super::dropout::dropout;
    use super::*;

    const ALL: [Activation; 10] = {
        use Activation::{Elu, Gelu, GeluTanh, Identity, LeakyRelu, QuickGelu, Relu, Sigmoid, Silu, Tanh};
        [Gelu, GeluTanh, QuickGelu, Silu, Relu, LeakyRelu, Elu, Tanh, Sigmoid, Identity]
    };

    #[test]
    fn what_is_not_a_number_stays_so_and_spoils_nothing_else() {
        let mut x = [-1.0, 2.0].repeat(20);
        x[7] = f32::NAN;
        let (mut out, mut slopes) = (vec![0.0; 40], vec![0.0; 40]);
        let only_the_seventh = |out: &[f32]| out.iter().enumerate().all(|(at, x)| x.is_nan() == (at == 7));
        for activation in ALL {
            activate(activation, &x, &mut out);
            assert!(only_the_seventh(&out), "{activation:?}: {out:?}");
        }
        gelu_backward(&x, &[1.0; 40], &mut slopes);
        assert!(only_the_seventh(&slopes), "{slopes:?}");
    }

    #[test]
    fn each_function_is_its_formula() {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        let formula = |activation, x: f64| match activation {
            Activation::Gelu => x * 0.5 * (1.0 + libm::erf(x / 2.0_f64.sqrt())),
            Activation::GeluTanh => {
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
                0.5 * x * (1.0 + inner.tanh())
            }
            Activation::QuickGelu => x * sigmoid(1.702 * x),
            Activation::Silu => x * sigmoid(x),
            Activation::Relu => x.max(0.0),
            Activation::LeakyRelu => x.max(x / 100.0),
            Activation::Elu => x.max(x.min(0.0).exp_m1()),
            Activation::Tanh => x.tanh(),
            Activation::Sigmoid => sigmoid(x),
            Activation::Identity => x,
        };
        for activation in ALL {
            let x: Vec<f32> = (-400..400).map(|i| i as f32 / 20.0).chain([-1e30, 1e30]).collect();
            let mut found = vec![f32::NAN; x.len()];
            activate(activation, &x, &mut found);
            for (x, found) in x.iter().zip(found) {
                let expected = formula(activation, f64::from(*x));
                let wrong = (f64::from(found) - expected).abs() / expected.abs().max(1.0);
                assert!(wrong < 2e-6, "{activation:?} of {x}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn one_loop_does_what_two_do() {
        // Two parts, and the beginning of a third.
        const LEN: usize = 2 * PART + 100;
        let x: Vec<f64> = (0..LEN as u16).map(|i| f64::from(i % 101) / 10.0 - 5.0).collect();
        let (mut curved, mut expected, mut found) = (vec![0.0; LEN], vec![0.0; LEN], vec![0.0; LEN]);
        gelu(&x, &mut curved);
        dropout(&curved, 0.3, 5, &mut expected);
        gelu_dropout(&x, 0.3, 5, &mut found);
        assert_eq!(found, expected);

        let mut kept = vec![0.0; LEN];
        dropout(&[1.0; LEN], 0.3, 5, &mut kept);
        gelu_backward(&x, &kept, &mut expected);
        found.fill(1.0);
        gelu_dropout_backward(&x, 0.3, 5, &mut found);
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
