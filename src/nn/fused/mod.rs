//! A whole transformer as one operation of candle's graph.
//!
//! Block by block, candle's graph makes a fresh tensor for every step of every layer, twice for its gradient,
//! and walks over each of them once more to add it to zeros. Here the steps of a layer write into memory of
//! the step before, neighbours along memory are one loop, and the gradients of the parameters go straight to
//! the [`Pass`](super::Pass). The blocks remain the readable form, and the tests hold this one against them.

mod parts;

use std::any::Any;
use std::sync::{Mutex, PoisonError};

use candle_core::{Result, Shape, Tensor};

pub(super) use parts::{Affine, Layer, Parameter, Stack};

use super::op::{Element, Input, Operation, with_values};
use super::pass::Handover;
use super::workspace::{Buffer, Pool};
use super::{Segments, SinusoidalPositions, TransformerConfig};
use crate::kernels::attention::{Attention, Gradients, Relative};
use crate::kernels::matmul::Into;
use crate::kernels::{Matrix, MatrixMut, Precision, Real, activation, dropout, layer_norm, sums};

/// The transformer of one pass.
pub(super) struct FusedTransformer {
    pub(super) config: TransformerConfig,
    pub(super) positions: SinusoidalPositions,
    pub(super) parameters: Stack<Parameter>,
    pub(super) segments: Segments,
    /// Of the embedding's dropout, then per layer: of attention's, and of the three dropouts around it.
    pub(super) seeds: Vec<u64>,
    pub(super) handover: Handover,
    /// What the backward pass needs of the forward pass: a [`Kept`].
    pub(super) kept: Mutex<Option<Box<dyn Any + Send>>>,
}

/// Draws of dropout per layer.
const DRAWS: usize = 4;

/// Numbers of the forward pass that the backward pass needs.
struct Kept<T: Real> {
    layers: Vec<KeptLayer<T>>,
    /// `[row, model_dim]`: what the last norm reads.
    last: Buffer<T>,
}

struct KeptLayer<T: Real> {
    input: Buffer<T>,
    attention_normed: Buffer<T>,
    query_key_value: Buffer<T>,
    context: Buffer<T>,
    middle: Buffer<T>,
    feed_forward_normed: Buffer<T>,
    expanded: Buffer<T>,
    hidden: Buffer<T>,
}

impl FusedTransformer {
    /// Number of draws that a pass must make for it.
    pub(super) fn draws(layers: usize) -> usize {
        1 + DRAWS * layers
    }

    fn on<'a, T: Element>(&'a self, stack: Stack<&'a [T]>) -> Run<'a, T> {
        Run {
            config: &self.config,
            seeds: &self.seeds,
            segments: &self.segments,
            rows: self.segments.rows(),
            pool: T::pool(&self.handover.workspace),
            stack,
        }
    }

    /// Runs `f` on the values of all parameters.
    fn with_stack<T: Element, R>(&self, f: impl FnOnce(Run<'_, T>) -> R) -> Result<R> {
        let tensors: Vec<&Tensor> = self.parameters.all().iter().map(|parameter| &parameter.values).collect();
        with_values(&tensors, |values| {
            let mut values = values.iter().copied();
            f(self.on(self.parameters.map(&mut |_| values.next().unwrap_or(&[]))))
        })
    }
}

impl Operation for FusedTransformer {
    const NAME: &'static str = "transformer";

    fn forward<T: Element>(&self, inputs: &[Input<'_, T>]) -> Result<(Vec<T>, Shape)> {
        let (out, kept) = self.with_stack(|run| run.forward(inputs[0].values, &self.positions))?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(kept));
        Ok((out, Shape::from((self.segments.rows(), self.config.model_dim))))
    }

    fn backward<T: Element>(&self, inputs: &[Input<'_, T>], grad: &[T]) -> Result<Vec<Option<Vec<T>>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(kept) = kept.and_then(|kept| kept.downcast::<Kept<T>>().ok()) else {
            candle_core::bail!("the gradient of a pass can be asked for once");
        };
        let (grad_x, gradients) = self.with_stack(|run| run.backward(inputs[0].values, *kept, grad))?;
        let (all, mut gradients) = (self.parameters.all(), gradients.into_iter());
        for parameter in all {
            let Some(mut values) = gradients.next() else { break };
            if let Some(connections) = &parameter.connections {
                with_values::<T, _>(&[connections], |connections| {
                    values.iter_mut().zip(connections[0]).for_each(|(x, connected)| *x *= *connected);
                })?;
            }
            self.handover.hand(parameter.id, None, values);
        }
        Ok(vec![Some(grad_x), None])
    }
}

/// One forward or backward pass over plain slices.
struct Run<'a, T: Element> {
    config: &'a TransformerConfig,
    seeds: &'a [u64],
    segments: &'a Segments,
    rows: usize,
    pool: &'a Pool<T>,
    stack: Stack<&'a [T]>,
}

/// What a layer's dropouts draw from.
struct Seeds<'a>(&'a [u64]);

impl Seeds<'_> {
    fn attention(&self) -> u64 {
        self.0[0]
    }

    fn mixed(&self) -> u64 {
        self.0[1]
    }

    fn hidden(&self) -> u64 {
        self.0[2]
    }

    fn changed(&self) -> u64 {
        self.0[3]
    }
}

impl<T: Element> Run<'_, T> {
    fn forward(&self, x: &[T], positions: &SinusoidalPositions) -> (Vec<T>, Kept<T>) {
        let dim = self.config.model_dim;
        let mut rows = self.pool.take(self.rows * dim);
        let embedded = self.affine(x, &self.stack.input, dim);
        for range in self.segments.iter() {
            for (position, row) in range.enumerate() {
                let cells = row * dim..(row + 1) * dim;
                positions.add_to(position, &embedded[cells.clone()], self.scale(), &mut rows[cells]);
            }
        }
        dropout::dropout_in_place(&mut rows, self.config.dropout, self.seeds[0]);
        let mut layers = Vec::with_capacity(self.stack.layers.len());
        for (at, layer) in self.stack.layers.iter().enumerate() {
            let kept = self.layer(layer, self.layer_seeds(at), rows);
            rows = kept.1;
            layers.push(kept.0);
        }
        let mut out = vec![T::zero(); self.rows * dim];
        self.norm(&rows, &self.stack.norm, &mut out);
        (out, Kept { layers, last: rows })
    }

    /// What the first rows are multiplied by.
    fn scale(&self) -> T {
        T::of((self.config.model_dim as f64).sqrt())
    }

    fn layer_seeds(&self, layer: usize) -> Seeds<'_> {
        Seeds(&self.seeds[1 + DRAWS * layer..])
    }

    fn layer(&self, layer: &Layer<&[T]>, seeds: Seeds<'_>, input: Buffer<T>) -> (KeptLayer<T>, Buffer<T>) {
        let (dim, ff_dim, rate) = (self.config.model_dim, self.config.ff_dim, self.config.dropout);
        let mut attention_normed = self.pool.take(self.rows * dim);
        self.norm(&input, &layer.attention_norm, &mut attention_normed);
        let query_key_value = self.product(&attention_normed, layer.query_key_value, dim, 3 * dim);
        let mut context = self.pool.take(self.rows * dim);
        self.attention(&seeds).forward(&query_key_value, self.relative(layer), &mut context);
        let mixed = self.affine(&context, &layer.output, dim);
        let mut middle = self.pool.take(self.rows * dim);
        dropout::add_dropout(&input, &mixed, rate, seeds.mixed(), &mut middle);

        let mut feed_forward_normed = self.pool.take(self.rows * dim);
        self.norm(&middle, &layer.feed_forward_norm, &mut feed_forward_normed);
        let expanded = self.affine(&feed_forward_normed, &layer.expand, ff_dim);
        let mut hidden = self.pool.take(self.rows * ff_dim);
        activation::gelu_dropout(&expanded, rate, seeds.hidden(), &mut hidden);
        let changed = self.affine(&hidden, &layer.contract, dim);
        let mut out = self.pool.take(self.rows * dim);
        dropout::add_dropout(&middle, &changed, rate, seeds.changed(), &mut out);
        let kept = KeptLayer {
            input,
            attention_normed,
            query_key_value,
            context,
            middle,
            feed_forward_normed,
            expanded,
            hidden,
        };
        (kept, out)
    }

    /// The gradient of `x`, and of every parameter in the order of [`Stack::all`].
    fn backward(&self, x: &[T], kept: Kept<T>, grad: &[T]) -> (Vec<T>, Vec<Buffer<T>>) {
        let dim = self.config.model_dim;
        let (mut rows, norm) = self.norm_backward(&kept.last, &self.stack.norm, grad);
        let mut layers = Vec::with_capacity(kept.layers.len());
        for (at, kept) in kept.layers.into_iter().enumerate().rev() {
            layers.push(self.layer_backward(&self.stack.layers[at], self.layer_seeds(at), kept, &mut rows));
        }
        layers.reverse();
        dropout::dropout_in_place(&mut rows, self.config.dropout, self.seeds[0]);
        rows.iter_mut().for_each(|x| *x *= self.scale());
        let input = self.affine_backward(x, &rows, &self.stack.input);
        let mut grad_x = vec![T::zero(); x.len()];
        self.input_gradient(&rows, self.stack.input.weight, dim, &mut grad_x);
        (grad_x, Stack { input, layers, norm }.into_all())
    }

    /// Turns the gradient of a layer's output, `rows`, into that of its input.
    fn layer_backward(
        &self,
        layer: &Layer<&[T]>,
        seeds: Seeds<'_>,
        kept: KeptLayer<T>,
        rows: &mut Buffer<T>,
    ) -> Layer<Buffer<T>> {
        let (dim, ff_dim, rate) = (self.config.model_dim, self.config.ff_dim, self.config.dropout);
        let mut inner = self.pool.take(self.rows * dim);
        dropout::dropout(rows, rate, seeds.changed(), &mut inner);
        let contract = self.affine_backward(&kept.hidden, &inner, &layer.contract);
        let mut hidden = self.pool.take(self.rows * ff_dim);
        self.input_gradient(&inner, layer.contract.weight, dim, &mut hidden);
        activation::gelu_dropout_backward(&kept.expanded, rate, seeds.hidden(), &mut hidden);
        let expand = self.affine_backward(&kept.feed_forward_normed, &hidden, &layer.expand);
        self.input_gradient(&hidden, layer.expand.weight, ff_dim, &mut inner);
        let (through_norm, feed_forward_norm) =
            self.norm_backward(&kept.middle, &layer.feed_forward_norm, &inner);
        sums::add(rows, &through_norm);

        dropout::dropout(rows, rate, seeds.mixed(), &mut inner);
        let output = self.affine_backward(&kept.context, &inner, &layer.output);
        let mut context = self.pool.take(self.rows * dim);
        self.input_gradient(&inner, layer.output.weight, dim, &mut context);
        let mut qkv = self.pool.zeros(self.rows * 3 * dim);
        let table = |values: Option<&[T]>| self.pool.zeros(values.map_or(0, <[T]>::len));
        let (mut keys, mut values) = (table(layer.relative_keys), table(layer.relative_values));
        let mut gradients = Gradients {
            qkv: &mut qkv,
            relative_keys: &mut keys,
            relative_values: &mut values,
            relative_biases: &mut [],
        };
        let relative = self.relative(layer);
        self.attention(&seeds).backward(&kept.query_key_value, relative, &context, &mut gradients);
        let query_key_value =
            self.weight_gradient(&kept.attention_normed, &qkv, layer.query_key_value, 3 * dim);
        self.input_gradient(&qkv, layer.query_key_value, 3 * dim, &mut inner);
        let (through_norm, attention_norm) = self.norm_backward(&kept.input, &layer.attention_norm, &inner);
        sums::add(rows, &through_norm);
        Layer {
            attention_norm,
            query_key_value,
            relative_keys: layer.relative_keys.map(|_| keys),
            relative_values: layer.relative_values.map(|_| values),
            output,
            feed_forward_norm,
            expand,
            contract,
        }
    }

    fn attention(&self, seeds: &Seeds<'_>) -> Attention<'_> {
        Attention {
            offsets: self.segments.offsets(),
            heads: self.config.heads,
            model_dim: self.config.model_dim,
            causal: self.config.causal,
            drop_rate: self.config.attention_dropout,
            seed: seeds.attention(),
        }
    }

    fn relative<'v>(&self, layer: &Layer<&'v [T]>) -> Relative<'v, T> {
        let values = |table: Option<&'v [T]>| table.unwrap_or(&[]);
        Relative {
            keys: values(layer.relative_keys),
            values: values(layer.relative_values),
            biases: &[],
            reach: self.config.relative_reach,
        }
    }

    fn norm(&self, x: &[T], norm: &Affine<&[T]>, out: &mut [T]) {
        layer_norm::layer_norm(x, norm.weight, norm.bias, T::of(self.config.norm_epsilon), out);
    }

    fn norm_backward(&self, x: &[T], norm: &Affine<&[T]>, grad: &[T]) -> (Buffer<T>, Affine<Buffer<T>>) {
        let dim = norm.weight.len();
        let (mut grad_x, mut weight, mut bias) =
            (self.pool.take(x.len()), self.pool.zeros(dim), self.pool.zeros(dim));
        let epsilon = T::of(self.config.norm_epsilon);
        layer_norm::layer_norm_backward(x, norm.weight, epsilon, grad, &mut grad_x, &mut weight, &mut bias);
        (grad_x, Affine { weight, bias })
    }

    /// `x · weight + bias`: `[row, output]`.
    fn affine(&self, x: &[T], layer: &Affine<&[T]>, output: usize) -> Buffer<T> {
        let mut out = self.pool.take(self.rows * output);
        out.chunks_exact_mut(output).for_each(|row| row.copy_from_slice(layer.bias));
        self.multiply(&mut out, Into::Sum, x, layer.weight, output);
        out
    }

    /// `x · weight`: `[row, output]`.
    fn product(&self, x: &[T], weight: &[T], input: usize, output: usize) -> Buffer<T> {
        debug_assert_eq!(weight.len(), input * output);
        let mut out = self.pool.take(self.rows * output);
        self.multiply(&mut out, Into::Fresh, x, weight, output);
        out
    }

    fn multiply(&self, out: &mut [T], mode: Into, x: &[T], weight: &[T], output: usize) {
        let input = weight.len() / output;
        let (a, b) = (Matrix::new(x, self.rows, input), Matrix::new(weight, input, output));
        T::multiply(MatrixMut::new(out, self.rows, output), mode, a, b, self.precision());
    }

    /// `grad · weightᵀ`: the gradient of what a weight `[input, output]` was multiplied with.
    fn input_gradient(&self, grad: &[T], weight: &[T], output: usize, out: &mut [T]) {
        let input = weight.len() / output;
        let (a, b) = (Matrix::new(grad, self.rows, output), Matrix::new(weight, input, output).transposed());
        T::multiply(MatrixMut::new(out, self.rows, input), Into::Fresh, a, b, self.precision());
    }

    /// `xᵀ · grad`: the gradient of a weight.
    fn weight_gradient(&self, x: &[T], grad: &[T], weight: &[T], output: usize) -> Buffer<T> {
        let input = weight.len() / output;
        let mut out = self.pool.take(input * output);
        let (a, b) = (Matrix::new(x, self.rows, input).transposed(), Matrix::new(grad, self.rows, output));
        T::multiply(MatrixMut::new(&mut out, input, output), Into::Fresh, a, b, self.precision());
        out
    }

    fn affine_backward(&self, x: &[T], grad: &[T], layer: &Affine<&[T]>) -> Affine<Buffer<T>> {
        let mut bias = self.pool.zeros(layer.bias.len());
        sums::add_rows(grad, &mut bias);
        Affine { weight: self.weight_gradient(x, grad, layer.weight, layer.bias.len()), bias }
    }

    fn precision(&self) -> Precision {
        self.config.precision
    }
}
