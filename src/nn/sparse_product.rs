//! Sparse rows times a matrix, on any device: the sparse input, and rows that move to another place.

use candle_core::{Device, Result, Shape, Tensor, TensorId};

use super::GradientSink;
#[cfg(feature = "cuda")]
use super::op::cuda;
use super::op::{Backward, Element, Input, Operation, apply, has_kernels, has_operations};
use crate::kernels::bag;
use crate::numbers::SparseRows;

/// `out[r] = b + Σ value · x[column]` over the entries of sparse row `r`; `b` only where it is an input.
///
/// # Shapes
///
/// - inputs: `[column, dim]`, `[dim]`
/// - output: `[row, dim]`
pub(super) struct SparseProduct {
    pub(super) rows: SparseRows,
    /// The id of `x`, and where the gradients of the rows that were read go, if not through candle's graph.
    pub(super) sink: Option<(TensorId, GradientSink)>,
}

impl SparseProduct {
    /// Of `x`, and of a bias where there is one.
    ///
    /// # Errors
    ///
    /// If candle cannot compute it.
    pub(super) fn of(rows: SparseRows, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        if !has_operations(x) {
            let product = dense(&rows, x.dim(0)?, x.device())?.to_dtype(x.dtype())?.matmul(x)?;
            return bias.map_or(Ok(product.clone()), |bias| product.broadcast_add(bias));
        }
        let inputs: Vec<&Tensor> = [x].into_iter().chain(bias).collect();
        apply(Self { rows, sink: None }, &inputs)
    }
}

/// The rows of `x` with these numbers, which may repeat and leave some out: `[index, dim]`.
///
/// candle's own `index_select` is slow backward on a GPU: there, one thread walks all numbers, one after the other.
///
/// # Errors
///
/// If `x` has no such row.
pub(crate) fn select_rows(x: &Tensor, index: &[u32]) -> Result<Tensor> {
    if has_kernels(x) || !has_operations(x) {
        return x.index_select(&Tensor::new(index, x.device())?, 0);
    }
    place_rows(x, index.iter().map(|row| Some(*row)))
}

/// The sums of the rows of `x` that have the same place, of `count` places: `[place, dim]`.
///
/// # Errors
///
/// If candle cannot compute it.
pub(crate) fn sum_rows(x: &Tensor, places: &[u32], count: usize) -> Result<Tensor> {
    let mut rows = SparseRows::default();
    places.iter().for_each(|place| rows.push([(*place, 1.0)]));
    SparseProduct::of(rows.transposed(count), x, None)
}

/// The rows of `x` with these numbers, and rows of zeros where there is none: `[index, dim]`.
pub(super) fn place_rows(x: &Tensor, index: impl IntoIterator<Item = Option<u32>>) -> Result<Tensor> {
    let count = x.dim(0)?;
    if !has_operations(x) {
        let with_zeros = Tensor::cat(&[x, &x.narrow(0, 0, 1)?.zeros_like()?], 0)?;
        let index: Vec<u32> = index.into_iter().map(|row| row.unwrap_or(count as u32)).collect();
        return with_zeros.index_select(&Tensor::new(index, x.device())?, 0);
    }
    let mut rows = SparseRows::default();
    for row in index {
        if let Some(row) = row.filter(|row| *row as usize >= count) {
            candle_core::bail!("there is no row {row} among {count}");
        }
        rows.push(row.map(|row| (row, 1.0)));
    }
    SparseProduct::of(rows, x, None)
}

/// The sparse rows with their zeros, for devices without our kernels: `[row, column]`.
pub(super) fn dense(rows: &SparseRows, columns: usize, device: &Device) -> Result<Tensor> {
    let mut values = vec![0_f32; rows.len() * columns];
    for (r, row) in values.chunks_exact_mut(columns.max(1)).enumerate() {
        rows.row(r).for_each(|(column, value)| row[column as usize] += value);
    }
    Tensor::from_vec(values, (rows.len(), columns), device)
}

impl Operation for SparseProduct {
    const NAME: &'static str = "sparse_product";

    type State<T: Element> = ();

    fn forward<T: Element>(&self, inputs: &[Input<'_, T>]) -> Result<(Vec<T>, Shape, ())> {
        let width = inputs[0].width();
        let zeros = if inputs.len() > 1 { Vec::new() } else { vec![T::zero(); width] };
        let bias = inputs.get(1).map_or(&zeros[..], |bias| bias.values);
        let mut out = vec![T::zero(); self.rows.len() * width];
        bag::bag(&self.rows, inputs[0].values, bias, &mut out);
        Ok((out, Shape::from((self.rows.len(), width)), ()))
    }

    fn backward<T: Element>(&self, pass: Backward<'_, T, ()>) -> Result<Vec<Option<Vec<T>>>> {
        let x = pass.inputs[0];
        let mut grad_bias = vec![T::zero(); x.width()];
        let grad_x = if let Some((parameter, sink)) = &self.sink {
            let (touched, local) = self.rows.compacted();
            let mut values = T::pool(sink.workspace()).zeros(touched.len() * x.width());
            bag::bag_backward(&local, pass.grad, &mut values, &mut grad_bias);
            sink.hand(*parameter, Some(touched), T::gradient(values));
            None
        } else {
            let mut values = vec![T::zero(); x.values.len()];
            bag::bag_backward(&self.rows, pass.grad, &mut values, &mut grad_bias);
            Some(values)
        };
        Ok([grad_x, Some(grad_bias)].into_iter().take(pass.inputs.len()).collect())
    }

    #[cfg(feature = "cuda")]
    fn forward_on_cuda(&self, gpu: cuda::Gpu<'_>, inputs: &[cuda::Numbers<'_>]) -> cuda::Output {
        let out = gpu.sparse_product(&self.rows, &inputs[0], inputs.get(1))?;
        Ok((out, Shape::from((self.rows.len(), inputs[0].dims[1]))))
    }

    /// By the transposed form: each row of the gradient is a sum of its own, which needs no other.
    #[cfg(feature = "cuda")]
    fn backward_on_cuda(&self, inputs: &[&Tensor], _: &Tensor, grad: &Tensor) -> cuda::Gradients {
        let (columns, dim) = inputs[0].dims2()?;
        let product = |rows: &SparseRows| {
            cuda::with_numbers(&[grad], |gpu, numbers| {
                Ok(cuda::tensor(gpu.sparse_product(rows, &numbers[0], None)?, (rows.len(), dim), gpu))
            })
        };
        let grad_x = if let Some((parameter, sink)) = &self.sink {
            let (touched, local) = self.rows.compacted();
            let values = product(&local.transposed(touched.len()))?;
            sink.hand(*parameter, Some(touched), super::GradientValues::OnDevice(values));
            None
        } else {
            Some(product(&self.rows.transposed(columns))?)
        };
        let grad_bias = if inputs.len() > 1 { Some(grad.sum(0)?) } else { None };
        Ok([grad_x, grad_bias].into_iter().take(inputs.len()).collect())
    }
}

#[cfg(test)]
mod tests {
    use candle_nn::Init;

    use super::super::testing::{assert_close, assert_gradients, input, seeded, without_kernels};
    use super::*;

    #[test]
    fn selected_rows_are_those_of_candle_and_have_the_right_gradient() -> Result<()> {
        let (parameters, vb) = seeded();
        let x = vb.get_with_hints((5, 3), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
        let index = [4, 0, 4, 2];
        let selected = || without_kernels(|| select_rows(&x, &index));
        assert_close(&selected()?, &select_rows(&x, &index)?, 0.0)?;
        assert!(without_kernels(|| select_rows(&x, &[5])).is_err());
        assert_gradients(&parameters, selected)
    }

    #[test]
    fn rows_without_a_number_are_zeros() -> Result<()> {
        let placed = place_rows(&input((2, 3))?, [None, Some(1), None])?.to_vec2::<f64>()?;
        assert_eq!((&placed[0], &placed[2]), (&vec![0.0; 3], &vec![0.0; 3]));
        assert_eq!(placed[1], input((2, 3))?.to_vec2::<f64>()?[1]);
        Ok(())
    }
}
