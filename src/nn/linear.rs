//! The affine map `x·W + b`.

use candle_core::{D, Result, Shape, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use super::fused::{Parameter, WeightAndBias};
use super::op::{Backward, Element, Input, Operation, apply, has_kernels};
use super::parameters::glorot_uniform;
use crate::kernels::dropout::bits;
use crate::kernels::matmul::Accumulate::{Add, Overwrite};
use crate::kernels::{Matrix, MatrixMut, matmul};

/// A learnable affine map of rows.
///
/// `x·W + b`, with `W` drawn from Glorot's uniform distribution and `b` zero. The weight
/// is stored as `[in, out]`, the layout that the product needs.
///
/// # Shapes
///
/// - input: `[…, in]`
/// - output: `[…, out]`
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    /// Which weights exist, where only some do: `[in, out]` of zeros and ones.
    connections: Option<Tensor>,
}

impl Linear {
    /// A map with bias.
    ///
    /// # Errors
    ///
    /// If the source of weights has them in another shape, or not at all.
    pub fn new(input: usize, output: usize, vb: VarBuilder) -> Result<Self> {
        let bias = vb.get_with_hints(output, "bias", Init::Const(0.0))?;
        Ok(Self { bias: Some(bias), ..Self::without_bias(input, output, vb)? })
    }

    /// A map without bias.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn without_bias(input: usize, output: usize, vb: VarBuilder) -> Result<Self> {
        let weight = vb.get_with_hints((input, output), "weight", glorot_uniform(input, output))?;
        Ok(Self { weight, bias: None, connections: None })
    }

    /// Keeps only a share `density` of the weights, chosen by the layer's full name and never changed.
    ///
    /// The full name is the path of `vb`, under which the parameters lie, so no two layers of a model share their choice.
    /// It does not depend on the seed: connections belong to a network like the widths of its layers. A model answers with
    /// those that it was trained with, and keeps them when it is trained further, with whatever seed.
    ///
    /// DIET's randomly connected layers: every output keeps at least one input and every
    /// input at least one output. Weights are not rescaled for the density. A density of
    /// one changes nothing.
    ///
    /// # Errors
    ///
    /// If candle cannot make the mask.
    pub fn with_density(mut self, density: f64, vb: &VarBuilder) -> Result<Self> {
        if density < 1.0 {
            let (input, output) = self.weight.dims2()?;
            let name = vb.prefix();
            let exists = connections(&name, density, input, output);
            let mask: Vec<f32> = (0..input * output).map(|at| f32::from(u8::from(exists(at)))).collect();
            let mask = Tensor::from_vec(mask, (input, output), self.weight.device())?;
            self.connections = Some(mask.to_dtype(self.weight.dtype())?);
        }
        Ok(self)
    }

    /// Maps each row.
    ///
    /// # Errors
    ///
    /// If the last axis of `x` is not `in` wide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let weight = self.connected_weight()?;
        if x.dim(D::Minus1)? != weight.dim(0)? {
            bail!("a map of {:?} cannot take rows of {:?}", weight.shape(), x.shape());
        }
        if has_kernels(x) {
            return match &self.bias {
                Some(bias) => apply(AffineMap, &[x, &weight, bias]),
                None => apply(AffineMap, &[x, &weight]),
            };
        }
        let out = x.broadcast_matmul(&weight)?;
        self.bias.as_ref().map_or(Ok(out.clone()), |bias| out.broadcast_add(bias))
    }

    /// `[in, out]`, all of it.
    pub(super) fn weight(&self) -> &Tensor {
        &self.weight
    }

    /// What one operation for many layers needs of this one, which has a bias.
    pub(super) fn fused(&self) -> Result<WeightAndBias<Parameter>> {
        let Some(bias) = &self.bias else { bail!("a linear map of a transformer layer has no bias") };
        Ok(WeightAndBias { weight: self.fused_weight()?, bias: Parameter::plain(bias) })
    }

    /// The same of a map without bias.
    pub(super) fn fused_weight(&self) -> Result<Parameter> {
        let (id, connections) = (self.weight.id(), self.connections.clone());
        Ok(Parameter { id, values: self.connected_weight()?.detach(), connections })
    }

    fn connected_weight(&self) -> Result<Tensor> {
        self.connections.as_ref().map_or(Ok(self.weight.clone()), |mask| &self.weight * mask)
    }
}

/// Which weights of the layer of this name exist, by their place in `[in, out]`.
pub(crate) fn connections(
    name: &str,
    density: f64,
    input: usize,
    output: usize,
) -> impl Fn(usize) -> bool + use<> {
    let seed = name.bytes().fold(0, |hash, byte| bits(hash, u64::from(byte)));
    move |at| {
        let diagonal = at / output % output == at % output || at % output % input == at / output;
        let drawn = (bits(seed, at as u64) as f64) < density * u64::MAX as f64;
        density >= 1.0 || diagonal || drawn
    }
}

/// `x·W`, plus `b` where there is one.
struct AffineMap;

impl Operation for AffineMap {
    const NAME: &'static str = "linear";

    type State<T: Element> = ();

    fn forward<T: Element>(&self, inputs: &[Input<'_, T>]) -> Result<(Vec<T>, Shape, ())> {
        let (x, weight) = (inputs[0], inputs[1]);
        let (rows, input, output) = (x.rows(), x.width(), weight.width());
        let (mut out, mode) = match inputs.get(2) {
            Some(bias) => (bias.values.repeat(rows), Add),
            None => (vec![T::zero(); rows * output], Overwrite),
        };
        let product = MatrixMut::new(&mut out, rows, output);
        matmul(product, mode, Matrix::new(x.values, rows, input), Matrix::new(weight.values, input, output));
        let mut dims = x.dims.to_vec();
        if let Some(last) = dims.last_mut() {
            *last = output;
        }
        Ok((out, Shape::from(dims), ()))
    }

    fn backward<T: Element>(&self, pass: Backward<'_, T, ()>) -> Result<Vec<Option<Vec<T>>>> {
        let (x, weight) = (pass.inputs[0], pass.inputs[1]);
        let (rows, input, output) = (x.rows(), x.width(), weight.width());
        let grad_matrix = Matrix::new(pass.grad, rows, output);
        let mut grad_x = vec![T::zero(); rows * input];
        let transposed = Matrix::new(weight.values, input, output).transposed();
        matmul(MatrixMut::new(&mut grad_x, rows, input), Overwrite, grad_matrix, transposed);
        let mut grad_weight = vec![T::zero(); input * output];
        let transposed = Matrix::new(x.values, rows, input).transposed();
        matmul(MatrixMut::new(&mut grad_weight, input, output), Overwrite, transposed, grad_matrix);
        let mut gradients = vec![Some(grad_x), Some(grad_weight)];
        if pass.inputs.len() == 3 {
            let mut grad_bias = vec![T::zero(); output];
            for row in pass.grad.chunks_exact(output.max(1)) {
                grad_bias.iter_mut().zip(row).for_each(|(sum, x)| *sum += *x);
            }
            gradients.push(Some(grad_bias));
        }
        Ok(gradients)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::super::Parameters;
    use super::super::testing::{assert_close, assert_gradients, input, seeded};
    use super::*;

    #[test]
    fn every_parameter_has_the_right_gradient() -> Result<()> {
        let (parameters, vb) = seeded();
        let layer = Linear::new(5, 3, vb.pp("whole"))?;
        let thin = Linear::without_bias(3, 7, vb.pp("thin"))?.with_density(0.4, &vb.pp("thin"))?;
        let x = vb.get_with_hints((2, 4, 5), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
        assert_gradients(&parameters, || thin.forward(&layer.forward(&x)?))
    }

    #[test]
    fn the_kernel_agrees_with_candle() -> Result<()> {
        let (_, vb) = seeded();
        let layer = Linear::new(5, 3, vb)?;
        let x = input((2, 4, 5))?;
        let plain = x.broadcast_matmul(&layer.weight)?.broadcast_add(layer.bias.as_ref().unwrap())?;
        assert_close(&layer.forward(&x)?, &plain, 1e-12)
    }

    #[test]
    fn a_thin_map_connects_every_input_and_every_output() -> Result<()> {
        for (input, output) in [(13, 5), (5, 13), (7, 7)] {
            let (_, vb) = seeded();
            let layer = Linear::without_bias(input, output, vb.clone())?.with_density(0.01, &vb)?;
            let mask: Vec<Vec<f64>> = layer.connections.unwrap().to_vec2()?;
            assert!(mask.iter().all(|row| row.contains(&1.0)));
            assert!((0..output).all(|to| mask.iter().any(|row| row[to] == 1.0)));
            assert!(mask.iter().flatten().sum::<f64>() < 0.5 * (input * output) as f64);
        }
        Ok(())
    }

    /// Weights without a connection are saved as they are, so models that exist depend on it.
    #[test]
    fn the_same_name_means_the_same_connections_for_ever_and_another_name_means_others() -> Result<()> {
        let pattern = |name: &str| -> String {
            let exists = connections(name, 0.3, 5, 6);
            (0..30).map(|at| if exists(at) { '1' } else { '0' }).collect()
        };
        assert_eq!(pattern("transformer.layers.0.attention.output"), "110001010010001100000101010011");
        assert_ne!(
            pattern("transformer.layers.0.attention.output"),
            pattern("transformer.layers.1.attention.output")
        );
        let mask = |seed: u64, name: &str| -> Result<Vec<f64>> {
            let vb = Parameters::new(seed).builder(DType::F64, &Device::Cpu).pp("net").pp(name);
            let layer = Linear::new(5, 6, vb.clone())?.with_density(0.3, &vb)?;
            layer.connections.unwrap().flatten_all()?.to_vec1()
        };
        assert_eq!(mask(1, "output")?, mask(2, "output")?);
        assert_ne!(mask(1, "output")?, mask(1, "input")?);
        Ok(())
    }

    #[test]
    fn rows_of_another_width_are_refused() -> Result<()> {
        let (_, vb) = seeded();
        assert!(Linear::new(5, 3, vb)?.forward(&input((2, 4))?).is_err());
        Ok(())
    }
}
