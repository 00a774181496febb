//! One step of `AdamW`, in place.

use super::Real;
use super::sums::lanes_sum;

/// The constants of one step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamW {
    /// Decay of the mean gradient.
    pub(crate) beta1: f64,
    /// Decay of the mean squared gradient.
    pub(crate) beta2: f64,
    /// What the steps without a gradient since the last one have left of both means.
    pub(crate) faded: (f64, f64),
    /// Keeps the division finite.
    pub(crate) epsilon: f64,
    /// Learning rate over `1 − beta1ᵗ`.
    pub(crate) rate: f64,
    /// `1 / (1 − beta2ᵗ)`.
    pub(crate) correction: f64,
    /// What the parameter is multiplied by first: `1 − learning rate · weight decay`.
    pub(crate) shrink: f64,
    /// What the gradient is multiplied by first (clipping).
    pub(crate) gradient_scale: f64,
}

widest! {
    /// Moves `parameter` against `gradient` and updates both running means
    /// ([Loshchilov and Hutter, 2019](https://arxiv.org/abs/1711.05101), algorithm 2).
    pub(crate) fn adamw<T: Real>(
        step: AdamW,
        parameter: &mut [T],
        gradient: &[T],
        mean: &mut [T],
        square: &mut [T],
    ) {
        let (beta1, beta2, epsilon) = (T::of(step.beta1), T::of(step.beta2), T::of(step.epsilon));
        let (keep1, keep2) = (beta1 * T::of(step.faded.0), beta2 * T::of(step.faded.1));
        let (rest1, rest2) = (T::of(1.0 - step.beta1), T::of(1.0 - step.beta2));
        let (rate, correction) = (T::of(step.rate), T::of(step.correction));
        let (shrink, scale) = (T::of(step.shrink), T::of(step.gradient_scale));
        let moments = mean.iter_mut().zip(square.iter_mut());
        for ((parameter, gradient), (mean, square)) in parameter.iter_mut().zip(gradient).zip(moments) {
            let gradient = *gradient * scale;
            *mean = keep1 * *mean + rest1 * gradient;
            *square = keep2 * *square + rest2 * gradient * gradient;
            *parameter = *parameter * shrink - rate * *mean / ((*square * correction).sqrt() + epsilon);
        }
    }
}

widest! {
    /// The same step of a row whose numbers share one mean square
    /// ([Zhang et al., 2024](https://arxiv.org/abs/2406.16793)).
    pub(crate) fn adamw_row<T: Real>(
        step: AdamW,
        parameter: &mut [T],
        gradient: &[T],
        mean: &mut [T],
        square: &mut T,
    ) {
        let keep1 = T::of(step.beta1 * step.faded.0);
        let (rest1, scale) = (T::of(1.0 - step.beta1), T::of(step.gradient_scale));
        let squares = lanes_sum([gradient], |[gradient]| (scale * gradient) * (scale * gradient));
        let rest2 = T::of((1.0 - step.beta2) / gradient.len() as f64);
        *square = T::of(step.beta2 * step.faded.1) * *square + rest2 * squares;
        let rate = T::of(step.rate) / ((*square * T::of(step.correction)).sqrt() + T::of(step.epsilon));
        let shrink = T::of(step.shrink);
        for ((parameter, gradient), mean) in parameter.iter_mut().zip(gradient).zip(mean.iter_mut()) {
            *mean = keep1 * *mean + rest1 * scale * *gradient;
            *parameter = *parameter * shrink - rate * *mean;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_by_hand() {
        let (mut p, mut m, mut v) = ([1.0_f64], [0.0], [0.0]);
        for t in 1..=2_i32 {
            let (beta1, beta2, rate) = (0.9_f64, 0.999_f64, 0.1);
            let step = AdamW {
                beta1,
                beta2,
                faded: (1.0, 1.0),
                epsilon: 1e-8,
                rate: rate / (1.0 - beta1.powi(t)),
                correction: 1.0 / (1.0 - beta2.powi(t)),
                shrink: 1.0 - rate * 0.5,
                gradient_scale: 1.0,
            };
            adamw(step, &mut p, &[2.0 * f64::from(t)], &mut m, &mut v);
        }
        // t = 1: m̂ = 2, v̂ = 4 → p = 1·0.95 − 0.1 = 0.85
        // t = 2: m = 0.58, m̂ = 0.58/0.19; v = 0.019996, v̂ = 0.019996/0.001999
        let expected = 0.85 * 0.95 - 0.1 * (0.58 / 0.19) / (0.019_996_f64 / 0.001_999).sqrt();
        assert!((p[0] - expected).abs() < 1e-8, "{} {expected}", p[0]);
    }

    #[test]
    fn a_row_moves_as_if_each_square_were_their_mean() {
        let step = AdamW {
            beta1: 0.9,
            beta2: 0.99,
            faded: (0.5, 0.25),
            epsilon: 1e-3,
            rate: 0.1,
            correction: 2.0,
            shrink: 0.9,
            gradient_scale: 0.5,
        };
        let (mut row, mut mean, mut square) = ([1.0, -1.0], [0.4, 0.2], 0.3);
        adamw_row(step, &mut row, &[6.0, -8.0], &mut mean, &mut square);
        // Scaled to 3 and −4, whose squares have the mean 12.5.
        let expected_square = 0.99 * 0.25 * 0.3 + 0.01 * 12.5;
        let means = [0.45 * 0.4 + 0.1 * 3.0, 0.45 * 0.2 - 0.1 * 4.0];
        let by = |mean: f64| 0.1 * mean / ((expected_square * 2.0_f64).sqrt() + 1e-3);
        let expected = [0.9 - by(means[0]), -0.9 - by(means[1])];
        let pairs = row.iter().chain(&mean).zip(expected.iter().chain(&means));
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-12, "{a} {b}"));
        assert!((square - expected_square).abs() < 1e-12);
    }
}
