//! Activation functions; GELU with a fast backward pass.

use candle_core::{Result, Shape, Tensor};
use candle_nn::ops;

use super::Activation;
#[cfg(feature = "cuda")]
use super::op::cuda;
use super::op::{Backward, Element, Input, Operation, apply, has_kernels, on_cuda};
use crate::kernels::activation;

/// The Gaussian error linear unit `x·Φ(x)`, exact form
/// ([Hendrycks and Gimpel, 2016](https://arxiv.org/abs/1606.08415)). Any shape.
///
/// # Errors
///
/// If the tensor holds no floats.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if has_kernels(x) || on_cuda(x) { apply(Gelu, &[x]) } else { plain_gelu(x) }
}

/// The same with candle's own operations. (Its `gelu_erf` has a gradient with a constant of six digits.)
fn plain_gelu(x: &Tensor) -> Result<Tensor> {
    (x * 0.5)? * ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?
}

/// Any activation function. Any shape.
///
/// # Errors
///
/// If the tensor holds no floats.
pub fn activate(activation: Activation, x: &Tensor) -> Result<Tensor> {
    match activation {
        Activation::Gelu => gelu(x),
        Activation::GeluTanh => x.gelu(),
        Activation::QuickGelu => x * ops::sigmoid(&(x * 1.702)?)?,
        Activation::Silu => x.silu(),
        Activation::Relu => x.relu(),
        Activation::LeakyRelu => ops::leaky_relu(x, 0.01),
        Activation::Elu => x.elu(1.0),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => ops::sigmoid(x),
        Activation::Identity => Ok(x.clone()),
    }
}

struct Gelu;

impl Operation for Gelu {
    const NAME: &'static str = "gelu";

    type State<T: Element> = ();

    fn forward<T: Element>(&self, inputs: &[Input<'_, T>]) -> Result<(Vec<T>, Shape, ())> {
        let mut out = vec![T::zero(); inputs[0].values.len()];
        activation::gelu(inputs[0].values, &mut out);
        Ok((out, Shape::from(inputs[0].dims), ()))
    }

    fn backward<T: Element>(&self, pass: Backward<'_, T, ()>) -> Result<Vec<Option<Vec<T>>>> {
        let mut out = vec![T::zero(); pass.grad.len()];
        activation::gelu_backward(pass.inputs[0].values, pass.grad, &mut out);
        Ok(vec![Some(out)])
    }

    #[cfg(feature = "cuda")]
    fn forward_on_cuda(&self, gpu: cuda::Gpu<'_>, inputs: &[cuda::Numbers<'_>]) -> cuda::Output {
        Ok((gpu.gelu(&inputs[0])?, Shape::from(inputs[0].dims)))
    }

    #[cfg(feature = "cuda")]
    fn backward_on_cuda(&self, inputs: &[&Tensor], _: &Tensor, grad: &Tensor) -> cuda::Gradients {
        cuda::with_numbers(&[inputs[0], grad], |gpu, numbers| {
            let out = gpu.gelu_backward(&numbers[0], &numbers[1])?;
            Ok(vec![Some(cuda::tensor(out, inputs[0].shape(), gpu))])
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_nn::Init;

    use super::super::testing::{assert_close, assert_gradients, input, seeded, without_kernels};
    use super::*;

    #[test]
    fn the_kernel_agrees_with_candle() -> Result<()> {
        let x = (input((3, 37))? * 4.0)?;
        assert_close(&gelu(&x)?, &x.gelu_erf()?, 1e-12)
    }

    #[test]
    fn every_gradient_is_right() -> Result<()> {
        use Activation::{Elu, Gelu, GeluTanh, Identity, LeakyRelu, QuickGelu, Relu, Sigmoid, Silu, Tanh};
        for activation in [Gelu, GeluTanh, QuickGelu, Silu, Relu, LeakyRelu, Elu, Tanh, Sigmoid, Identity] {
            let (parameters, vb) = seeded();
            let x = vb.get_with_hints((3, 7), "x", Init::Uniform { lo: -3.0, up: 3.0 })?;
            assert_gradients(&parameters, || activate(activation, &x))?;
            assert_gradients(&parameters, || without_kernels(|| activate(activation, &x)))?;
        }
        Ok(())
    }
}
