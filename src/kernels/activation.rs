//! GELU, forward and backward.

use super::Real;

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
