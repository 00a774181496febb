//! Dropout drawn from the seed of the pass.

use candle_core::{Result, Shape, Tensor};

use super::Pass;
#[cfg(feature = "cuda")]
use super::op::cuda;
use super::op::{Backward, Element, Input, Operation, apply, has_kernels, on_cuda};
use crate::kernels::dropout::{self, drops, threshold};

/// Sets a share of the numbers to zero while training and scales the others up, so that the mean stays
/// ([Srivastava et al., 2014](https://jmlr.org/papers/v15/srivastava14a.html)). Outside training: the identity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    rate: f64,
}

impl Dropout {
    /// Drops a share `rate` in `[0, 1)`.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self { rate }
    }

    /// Drops from a tensor of any shape.
    ///
    /// # Errors
    ///
    /// If the tensor holds no floats.
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let Some(seed) = pass.next_seed().filter(|_| self.rate > 0.0) else { return Ok(x.clone()) };
        if has_kernels(x) || on_cuda(x) {
            return apply(Drop { rate: self.rate, seed }, &[x]);
        }
        self.plain(x, seed)
    }

    /// The same, draw by draw, with candle's own operations, for devices and types without our kernels.
    fn plain(self, x: &Tensor, seed: u64) -> Result<Tensor> {
        let limit = threshold(self.rate);
        let keep = |i| u8::from(!drops(seed, i, limit));
        let mask: Vec<u8> = (0..x.elem_count() as u64).map(keep).collect();
        let mask = Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?;
        (x * mask)? * (1.0 - self.rate).recip()
    }
}

struct Drop {
    rate: f64,
    seed: u64,
}

impl Drop {
    fn run<T: Element>(&self, x: &[T]) -> Vec<T> {
        let mut out = vec![T::zero(); x.len()];
        dropout::dropout(x, self.rate, self.seed, &mut out);
        out
    }
}

impl Operation for Drop {
    const NAME: &'static str = "dropout";

    type State<T: Element> = ();

    fn forward<T: Element>(&self, inputs: &[Input<'_, T>]) -> Result<(Vec<T>, Shape, ())> {
        Ok((self.run(inputs[0].values), Shape::from(inputs[0].dims), ()))
    }

    fn backward<T: Element>(&self, pass: Backward<'_, T, ()>) -> Result<Vec<Option<Vec<T>>>> {
        Ok(vec![Some(self.run(pass.grad))])
    }

    #[cfg(feature = "cuda")]
    fn forward_on_cuda(&self, gpu: cuda::Gpu<'_>, inputs: &[cuda::Numbers<'_>]) -> cuda::Output {
        Ok((gpu.dropout(&inputs[0], self.rate, self.seed)?, Shape::from(inputs[0].dims)))
    }

    #[cfg(feature = "cuda")]
    fn backward_on_cuda(&self, _: &[&Tensor], _: &Tensor, grad: &Tensor) -> cuda::Gradients {
        cuda::with_numbers(&[grad], |gpu, numbers| {
            let out = gpu.dropout(&numbers[0], self.rate, self.seed)?;
            Ok(vec![Some(cuda::tensor(out, grad.shape(), gpu))])
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Var};
    use candle_nn::Init;

    use super::super::testing::{assert_close, assert_gradients, input, seeded};
    use super::*;

    #[test]
    fn outside_training_nothing_happens() -> Result<()> {
        let x = input((3, 5))?;
        assert_close(&Dropout::new(0.5).forward(&x, &Pass::inference())?, &x, 0.0)
    }

    #[test]
    fn the_seed_decides_what_falls_and_each_draw_differs() -> Result<()> {
        let x = input((8, 16))?;
        let draw = |pass: &Pass| Dropout::new(0.5).forward(&x, pass)?.flatten_all()?.to_vec1::<f64>();
        let (first, second) = (Pass::training(1), Pass::training(1));
        let once = draw(&first)?;
        assert_eq!(once, draw(&second)?);
        assert_ne!(once, draw(&first)?);
        Ok(())
    }

    #[test]
    fn with_and_without_kernels_the_same_falls_and_the_rest_is_the_same() -> Result<()> {
        for dtype in [DType::F32, DType::F64] {
            for rate in [0.1, 0.4, 0.9] {
                let x = Var::from_tensor(&input((8, 16))?.to_dtype(dtype)?)?;
                let (dropout, pass) = (Dropout::new(rate), Pass::training(3));
                let seed = Pass::training(3).next_seed().unwrap();
                let both = [dropout.forward(&x, &pass)?, dropout.plain(&x, seed)?];
                assert_close(&both[0], &both[1], 0.0)?;
                let weights = input((8, 16))?.to_dtype(dtype)?;
                let [kernel, plain] = both.map(|out| (out * &weights)?.sum_all()?.backward());
                assert_close(kernel?.get(&x).unwrap(), plain?.get(&x).unwrap(), 0.0)?;
            }
        }
        Ok(())
    }

    #[test]
    fn the_gradient_passes_where_the_value_did() -> Result<()> {
        let (parameters, vb) = seeded();
        let x = vb.get_with_hints((3, 7), "x", Init::Uniform { lo: -3.0, up: 3.0 })?;
        assert_gradients(&parameters, || Dropout::new(0.4).forward(&x, &Pass::training(3)))
    }
}
