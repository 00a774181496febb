//! Layer normalisation, forward and backward.

use super::Real;
use super::sums::{add, lanes_sum};

/// A layer norm that no longer learns.
#[derive(Clone, Debug)]
pub(crate) struct LayerNorm {
    /// `[dim]`
    pub(crate) weight: Vec<f32>,
    /// `[dim]`
    pub(crate) bias: Vec<f32>,
    pub(crate) epsilon: f32,
}

impl LayerNorm {
    /// `[row, dim]` to `[row, dim]`.
    pub(crate) fn forward(&self, x: &[f32], out: &mut Vec<f32>) {
        out.resize(x.len(), 0.0);
        layer_norm(x, &self.weight, &self.bias, self.epsilon, out);
    }
}

widest! {
    /// `out = (x − mean) / √(variance + ε) · weight + bias`, row by row.
    ///
    /// # Shapes
    ///
    /// - `x`, `out`: `[row, dim]`
    /// - `weight`, `bias`: `[dim]`
    pub(crate) fn layer_norm<T: Real>(x: &[T], weight: &[T], bias: &[T], epsilon: T, out: &mut [T]) {
        let dim = weight.len();
        for (x, out) in x.chunks_exact(dim).zip(out.chunks_exact_mut(dim)) {
            let (mean, scale) = moments(x, epsilon);
            for (((out, x), weight), bias) in out.iter_mut().zip(x).zip(weight).zip(bias) {
                *out = (*x - mean) * scale * *weight + *bias;
            }
        }
    }
}

widest! {
    /// Gradients of [`layer_norm`]: writes `grad_x`, adds to `grad_weight` and `grad_bias`.
    pub(crate) fn layer_norm_backward<T: Real>(
        x: &[T],
        weight: &[T],
        epsilon: T,
        grad: &[T],
        grad_x: &mut [T],
        grad_weight: &mut [T],
        grad_bias: &mut [T],
    ) {
        let dim = weight.len();
        let share = T::one() / T::of(dim as f64);
        let rows = x.chunks_exact(dim).zip(grad.chunks_exact(dim)).zip(grad_x.chunks_exact_mut(dim));
        for ((x, grad), grad_x) in rows {
            let (mean, scale) = moments(x, epsilon);
            for ((own, x), grad) in grad_weight.iter_mut().zip(x).zip(grad) {
                *own += *grad * (*x - mean) * scale;
            }
            add(grad_bias, grad);
            for ((out, grad), weight) in grad_x.iter_mut().zip(grad).zip(weight) {
                *out = *grad * *weight;
            }
            let along_ones = lanes_sum([&*grad_x], |[grad]| grad) * share;
            let along_x = lanes_sum([&*grad_x, x], |[grad, x]| grad * (x - mean)) * scale * share;
            for (grad, x) in grad_x.iter_mut().zip(x) {
                *grad = (*grad - along_ones - (*x - mean) * scale * along_x) * scale;
            }
        }
    }
}

/// Mean of a row, and `1 / √(variance + ε)`.
#[inline(always)]
fn moments<T: Real>(x: &[T], epsilon: T) -> (T, T) {
    let share = T::one() / T::of(x.len() as f64);
    let mean = lanes_sum([x], |[x]| x) * share;
    let variance = lanes_sum([x], |[x]| (x - mean) * (x - mean)) * share;
    (mean, (variance + epsilon).sqrt().recip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_spoils_its_own_row_alone() {
        for odd in [f32::NAN, f32::INFINITY] {
            let mut x: Vec<f32> = (0..3 * 19).map(|i| (i * i % 23) as f32).collect();
            x[19 + 4] = odd;
            let (mut out, mut grad_x) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            let (mut weight, mut bias) = ([0.0; 19], [0.0; 19]);
            layer_norm(&x, &[1.0; 19], &[0.0; 19], 1e-6, &mut out);
            layer_norm_backward(&x, &[1.0; 19], 1e-6, &x, &mut grad_x, &mut weight, &mut bias);
            for rows in [out, grad_x] {
                let spoilt = |row: &[f32]| row.iter().all(|x| x.is_nan());
                let whole = |row: &[f32]| row.iter().all(|x| x.is_finite());
                let rows: Vec<&[f32]> = rows.chunks(19).collect();
                assert!(whole(rows[0]) && spoilt(rows[1]) && whole(rows[2]), "{odd}: {rows:?}");
            }
        }
    }

    #[test]
    fn a_row_comes_out_centred_and_scaled() {
        let x: Vec<f64> = (0..2 * 83).map(|i| f64::from(i * i % 23) - 3.0).collect();
        let mut out = vec![0.0; x.len()];
        layer_norm(&x, &[1.0; 83], &[0.0; 83], 0.0, &mut out);
        for (row, x) in out.chunks(83).zip(x.chunks(83)) {
            let mean = x.iter().sum::<f64>() / 83.0;
            let deviation = (x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 83.0).sqrt();
            for (out, x) in row.iter().zip(x) {
                assert!((out - (x - mean) / deviation).abs() < 1e-12);
            }
        }
    }
}
