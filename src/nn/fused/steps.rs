//! The steps that both passes are made of, over plain slices.

use super::super::op::Element;
use super::super::workspace::{Buffer, Pool};
use super::super::{Segments, TransformerConfig};
use super::parameters::{AttentionParameters, Stack, WeightAndBias};
use super::seeds::{LayerSeeds, Seeds};
use crate::kernels::attention::{Attention, Relative};
use crate::kernels::matmul::Accumulate::{self, Add, Overwrite};
use crate::kernels::{Matrix, MatrixMut, layer_norm, sums};

/// One forward or backward pass.
pub(super) struct Run<'a, T: Element> {
    pub(super) config: &'a TransformerConfig,
    pub(super) seeds: &'a Seeds,
    pub(super) segments: &'a Segments,
    pub(super) rows: usize,
    pub(super) pool: &'a Pool<T>,
    pub(super) stack: Stack<&'a [T]>,
}

impl<T: Element> Run<'_, T> {
    /// What embedded rows are multiplied by.
    pub(super) fn scale(&self) -> T {
        T::of((self.config.model_dim as f64).sqrt())
    }

    pub(super) fn attention_kernel(&self, seeds: &LayerSeeds) -> Attention<'_> {
        let TransformerConfig { heads, model_dim, causal, attention_dropout, .. } = *self.config;
        Attention::new(self.segments.offsets(), heads, model_dim, causal)
            .with_dropout(attention_dropout, seeds.attention_scores)
    }

    pub(super) fn relative<'v>(&self, weights: &AttentionParameters<&'v [T]>) -> Relative<'v, T> {
        Relative {
            keys: weights.relative_keys.unwrap_or_default(),
            values: weights.relative_values.unwrap_or_default(),
            biases: &[],
            reach: self.config.relative_reach,
        }
    }

    pub(super) fn norm(&self, x: &[T], norm: &WeightAndBias<&[T]>, out: &mut [T]) {
        layer_norm::layer_norm(x, norm.weight, norm.bias, T::of(self.config.norm_epsilon), out);
    }

    pub(super) fn normed(&self, x: &[T], norm: &WeightAndBias<&[T]>) -> Buffer<T> {
        let mut out = self.pool.take(x.len());
        self.norm(x, norm, &mut out);
        out
    }

    /// The gradients of the rows and of the norm's parameters.
    pub(super) fn norm_backward(
        &self,
        x: &[T],
        norm: &WeightAndBias<&[T]>,
        grad: &[T],
    ) -> (Buffer<T>, WeightAndBias<Buffer<T>>) {
        let (dim, epsilon) = (norm.weight.len(), T::of(self.config.norm_epsilon));
        let mut grad_x = self.pool.take(x.len());
        let (mut weight, mut bias) = (self.pool.zeros(dim), self.pool.zeros(dim));
        layer_norm::layer_norm_backward(x, norm.weight, epsilon, grad, &mut grad_x, &mut weight, &mut bias);
        (grad_x, WeightAndBias { weight, bias })
    }

    /// `x · weight + bias`: `[row, output]`.
    pub(super) fn linear(&self, x: &[T], layer: &WeightAndBias<&[T]>) -> Buffer<T> {
        let output = layer.bias.len();
        let mut out = self.pool.take(self.rows * output);
        out.chunks_exact_mut(output).for_each(|row| row.copy_from_slice(layer.bias));
        self.multiply(&mut out, Add, x, layer.weight, output);
        out
    }

    pub(super) fn linear_backward(
        &self,
        x: &[T],
        grad: &[T],
        layer: &WeightAndBias<&[T]>,
    ) -> WeightAndBias<Buffer<T>> {
        let mut bias = self.pool.zeros(layer.bias.len());
        sums::add_rows(grad, &mut bias);
        WeightAndBias { weight: self.weight_gradient(x, grad, layer.weight, layer.bias.len()), bias }
    }

    /// `x · weight`: `[row, output]`.
    pub(super) fn product(&self, x: &[T], weight: &[T], output: usize) -> Buffer<T> {
        let mut out = self.pool.take(self.rows * output);
        self.multiply(&mut out, Overwrite, x, weight, output);
        out
    }

    fn multiply(&self, out: &mut [T], mode: Accumulate, x: &[T], weight: &[T], output: usize) {
        let input = weight.len() / output;
        let (a, b) = (Matrix::new(x, self.rows, input), Matrix::new(weight, input, output));
        T::multiply(MatrixMut::new(out, self.rows, output), mode, a, b, self.config.precision);
    }

    /// `grad · weightᵀ`: the gradient of what a weight `[input, output]` was multiplied with.
    pub(super) fn input_gradient(&self, grad: &[T], weight: &[T], output: usize, out: &mut [T]) {
        let input = weight.len() / output;
        let (a, b) = (Matrix::new(grad, self.rows, output), Matrix::new(weight, input, output).transposed());
        let out = MatrixMut::new(out, self.rows, input);
        T::multiply(out, Overwrite, a, b, self.config.precision);
    }

    /// `xᵀ · grad`: the gradient of a weight.
    pub(super) fn weight_gradient(&self, x: &[T], grad: &[T], weight: &[T], output: usize) -> Buffer<T> {
        let input = weight.len() / output;
        let mut out = self.pool.take(input * output);
        let (a, b) = (Matrix::new(x, self.rows, input).transposed(), Matrix::new(grad, self.rows, output));
        let target = MatrixMut::new(&mut out, input, output);
        T::multiply(target, Overwrite, a, b, self.config.precision);
        out
    }
}
