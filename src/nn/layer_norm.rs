//! Layer normalisation that learns.

use candle_core::{D, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder};

use super::fused::{Parameter, WeightAndBias};
#[cfg(feature = "cuda")]
use super::op::cuda;
use super::op::{Backward, Element, Input, Operation, apply, has_kernels, on_cuda};
use crate::kernels::layer_norm;

/// Normalises each row to mean zero and variance one, then scales and shifts it
/// ([Ba et al., 2016](https://arxiv.org/abs/1607.06450)):
/// `(x − mean) / √(variance + ε) · weight + bias`.
///
/// candle-nn's own layer norm has no backward pass: nothing before it would learn.
///
/// # Shapes
///
/// - input and output: `[…, dim]`
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
    epsilon: f64,
}

impl LayerNorm {
    /// Weights one and biases zero, or loaded; the variance is increased by `epsilon`.
    ///
    /// # Errors
    ///
    /// If the source of weights has them in another shape, or not at all.
    pub fn new(dim: usize, epsilon: f64, vb: VarBuilder) -> Result<Self> {
        let weight = vb.get_with_hints(dim, "weight", Init::Const(1.0))?;
        let bias = vb.get_with_hints(dim, "bias", Init::Const(0.0))?;
        Ok(Self { weight, bias, epsilon })
    }

    /// Normalises each row.
    ///
    /// # Errors
    ///
    /// If the last axis of `x` is not `dim` wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.dim(D::Minus1)? != self.weight.dim(0)? {
            candle_core::bail!(
                "a layer norm of {:?} cannot take rows of {:?}",
                self.weight.shape(),
                x.shape()
            );
        }
        if has_kernels(x) || on_cuda(x) {
            return apply(Normalise { epsilon: self.epsilon }, &[x, &self.weight, &self.bias]);
        }
        self.plain(x)
    }

    pub(super) fn fused(&self) -> WeightAndBias<Parameter> {
        WeightAndBias { weight: Parameter::plain(&self.weight), bias: Parameter::plain(&self.bias) }
    }

    /// The same with candle's own operations, for devices without our kernels.
    fn plain(&self, x: &Tensor) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normal = centred.broadcast_div(&(variance + self.epsilon)?.sqrt()?)?;
        normal.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}

struct Normalise {
    epsilon: f64,
}

impl Operation for Normalise {
    const NAME: &'static str = "layer_norm";

    type State<T: Element> = ();

    fn forward<T: Element>(&self, inputs: &[Input<'_, T>]) -> Result<(Vec<T>, Shape, ())> {
        let [x, weight, bias] = [inputs[0], inputs[1], inputs[2]];
        let mut out = vec![T::zero(); x.values.len()];
        layer_norm::layer_norm(x.values, weight.values, bias.values, T::of(self.epsilon), &mut out);
        Ok((out, Shape::from(x.dims), ()))
    }

    fn backward<T: Element>(&self, pass: Backward<'_, T, ()>) -> Result<Vec<Option<Vec<T>>>> {
        let [x, weight] = [pass.inputs[0], pass.inputs[1]];
        let mut grad_x = vec![T::zero(); pass.grad.len()];
        let (mut grad_weight, mut grad_bias) = (vec![T::zero(); x.width()], vec![T::zero(); x.width()]);
        layer_norm::layer_norm_backward(
            x.values,
            weight.values,
            T::of(self.epsilon),
            pass.grad,
            &mut grad_x,
            &mut grad_weight,
            &mut grad_bias,
        );
        Ok(vec![Some(grad_x), Some(grad_weight), Some(grad_bias)])
    }

    #[cfg(feature = "cuda")]
    fn forward_on_cuda(&self, gpu: cuda::Gpu<'_>, inputs: &[cuda::Numbers<'_>]) -> cuda::Output {
        let out = gpu.layer_norm([&inputs[0], &inputs[1], &inputs[2]], self.epsilon)?;
        Ok((out, Shape::from(inputs[0].dims)))
    }

    #[cfg(feature = "cuda")]
    fn backward_on_cuda(&self, inputs: &[&Tensor], _: &Tensor, grad: &Tensor) -> cuda::Gradients {
        cuda::with_numbers(&[inputs[0], inputs[1], grad], |gpu, numbers| {
            let [grad_x, both] =
                gpu.layer_norm_backward([&numbers[0], &numbers[1], &numbers[2]], self.epsilon)?;
            let both = cuda::tensor(both, (2, inputs[1].elem_count()), gpu);
            let grad_x = cuda::tensor(grad_x, inputs[0].shape(), gpu);
            Ok(vec![Some(grad_x), Some(both.get(0)?), Some(both.get(1)?)])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_close, assert_gradients, input, seeded, shake};
    use super::*;

    #[test]
    fn the_kernel_agrees_with_candle() -> Result<()> {
        let (parameters, vb) = seeded();
        let norm = LayerNorm::new(19, 1e-6, vb)?;
        shake(&parameters)?;
        let x = input((2, 3, 19))?;
        assert_close(&norm.forward(&x)?, &norm.plain(&x)?, 1e-12)
    }

    #[test]
    fn every_parameter_has_the_right_gradient() -> Result<()> {
        let (parameters, vb) = seeded();
        let norm = LayerNorm::new(7, 1e-6, vb.pp("norm"))?;
        let x = vb.get_with_hints((3, 7), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
        assert_gradients(&parameters, || norm.forward(&x))
    }
}
