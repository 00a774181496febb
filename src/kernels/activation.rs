//! GELU, forward and backward, and `ReLU`.

use super::Real;
use super::dropout::{drops, threshold};

widest! {
    /// `out[i] = gelu(x[i])`.
    pub(crate) fn gelu<T: Real>(x: &[T], out: &mut [T]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = x.gelu().0;
        }
    }
}

widest! {
    /// `out[i] = max(x[i], 0)`; a NaN stays one.
    pub(crate) fn relu(x: &[f32], out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = if *x < 0.0 { 0.0 } else { *x };
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
        for (i, (out, x)) in out.iter_mut().zip(x).enumerate() {
            *out = if drops(seed, i as u64, limit) { T::zero() } else { x.gelu().0 * scale };
        }
    }
}

widest! {
    /// Turns the gradient of [`gelu_dropout`]'s output into that of `x`.
    pub(crate) fn gelu_dropout_backward<T: Real>(x: &[T], probability: f64, seed: u64, grad: &mut [T]) {
        let limit = threshold(probability);
        let scale = T::of((1.0 - probability).recip());
        for (i, (grad, x)) in grad.iter_mut().zip(x).enumerate() {
            *grad = if drops(seed, i as u64, limit) { T::zero() } else { *grad * x.gelu().1 * scale };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dropout::dropout;
    use super::*;

    #[test]
    fn what_is_not_a_number_stays_so_and_spoils_nothing_else() {
        let mut x = [-1.0, 2.0].repeat(20);
        x[7] = f32::NAN;
        let (mut curved, mut straight, mut slopes) = (vec![0.0; 40], vec![0.0; 40], vec![0.0; 40]);
        gelu(&x, &mut curved);
        relu(&x, &mut straight);
        gelu_backward(&x, &[1.0; 40], &mut slopes);
        for out in [curved, straight, slopes] {
            assert!(out.iter().enumerate().all(|(at, x)| x.is_nan() == (at == 7)), "{out:?}");
        }
    }

    #[test]
    fn one_loop_does_what_two_do() {
        let x: Vec<f64> = (-50..50).map(|i| f64::from(i) / 10.0).collect();
        let (mut curved, mut expected, mut found) = (vec![0.0; 100], vec![0.0; 100], vec![0.0; 100]);
        gelu(&x, &mut curved);
        dropout(&curved, 0.3, 5, &mut expected);
        gelu_dropout(&x, 0.3, 5, &mut found);
        assert_eq!(found, expected);

        let mut kept = vec![0.0; 100];
        dropout(&[1.0; 100], 0.3, 5, &mut kept);
        gelu_backward(&x, &kept, &mut expected);
        found.fill(1.0);
        gelu_dropout_backward(&x, 0.3, 5, &mut found);
        assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
