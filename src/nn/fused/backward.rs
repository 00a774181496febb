//! The backward pass: the parts of the forward pass in reverse, each with the gradients of its parameters.

use super::super::op::Element;
use super::super::workspace::Buffer;
use super::forward::{Activations, AttentionActivations, FeedForwardActivations};
use super::parameters::{AttentionParameters, FeedForwardParameters, Layer, Stack, WeightAndBias};
use super::seeds::LayerSeeds;
use super::steps::Run;
use crate::kernels::attention::{AttentionGradients, Outputs};
use crate::kernels::{activation, dropout, sums};

impl<T: Element> Run<'_, T> {
    /// The gradients of `x` and of every parameter, given that of the output.
    pub(super) fn backward(
        &self,
        x: &[T],
        activations: Activations<T>,
        grad: &[T],
    ) -> (Vec<T>, Stack<Buffer<T>>) {
        let (mut rows, norm) = self.norm_backward(&activations.last, &self.stack.norm, grad);
        let mut layers = Vec::with_capacity(activations.layers.len());
        let parts = self.stack.layers.iter().zip(&self.seeds.layers).zip(activations.layers);
        for ((layer, seeds), kept) in parts.rev() {
            let feed_forward =
                self.feed_forward_backward(&layer.feed_forward, seeds, &kept.feed_forward, &mut rows);
            let attention = self.attention_backward(&layer.attention, seeds, &kept.attention, &mut rows);
            layers.push(Layer { attention, feed_forward });
        }
        layers.reverse();
        let (grad_x, input) = self.embed_backward(x, rows);
        (grad_x, Stack { input, layers, norm })
    }

    fn embed_backward(&self, x: &[T], mut rows: Buffer<T>) -> (Vec<T>, WeightAndBias<Buffer<T>>) {
        dropout::dropout_in_place(&mut rows, self.config.dropout, self.seeds.embedding);
        rows.iter_mut().for_each(|x| *x *= self.scale());
        let input = self.linear_backward(x, &rows, &self.stack.input);
        let mut grad_x = vec![T::zero(); x.len()];
        self.input_gradient(&rows, self.stack.input.weight, self.config.model_dim, &mut grad_x);
        (grad_x, input)
    }

    /// Turns the gradient of the output of `x + dropout(part(norm(x)))`, `rows`, into that of `x`. `part` does the same
    /// for its own output and input. Returns the gradients of the norm's parameters and what `part` returns.
    fn around<P>(
        &self,
        x: &[T],
        norm: &WeightAndBias<&[T]>,
        seed: u64,
        rows: &mut Buffer<T>,
        part: impl FnOnce(&mut Buffer<T>) -> P,
    ) -> (WeightAndBias<Buffer<T>>, P) {
        let mut inner = self.pool.take(rows.len());
        dropout::dropout(rows, self.config.dropout, seed, &mut inner);
        let found = part(&mut inner);
        let (through_norm, norm) = self.norm_backward(x, norm, &inner);
        sums::add(rows, &through_norm);
        (norm, found)
    }

    /// Turns the gradient of the output, `rows`, into that of the input.
    fn feed_forward_backward(
        &self,
        weights: &FeedForwardParameters<&[T]>,
        seeds: &LayerSeeds,
        kept: &FeedForwardActivations<T>,
        rows: &mut Buffer<T>,
    ) -> FeedForwardParameters<Buffer<T>> {
        let (dim, ff_dim, rate) = (self.config.model_dim, self.config.ff_dim, self.config.dropout);
        let part = |inner: &mut Buffer<T>| {
            let contract = self.linear_backward(&kept.hidden, inner, &weights.contract);
            let mut hidden = self.pool.take(kept.hidden.len());
            self.input_gradient(inner, weights.contract.weight, dim, &mut hidden);
            activation::gelu_dropout_backward(&kept.expanded, rate, seeds.feed_forward_hidden, &mut hidden);
            let expand = self.linear_backward(&kept.normed, &hidden, &weights.expand);
            self.input_gradient(&hidden, weights.expand.weight, ff_dim, inner);
            (expand, contract)
        };
        let (norm, (expand, contract)) =
            self.around(&kept.input, &weights.norm, seeds.feed_forward_output, rows, part);
        FeedForwardParameters { norm, expand, contract }
    }

    /// Turns the gradient of the output, `rows`, into that of the input.
    fn attention_backward(
        &self,
        weights: &AttentionParameters<&[T]>,
        seeds: &LayerSeeds,
        kept: &AttentionActivations<T>,
        rows: &mut Buffer<T>,
    ) -> AttentionParameters<Buffer<T>> {
        let dim = self.config.model_dim;
        let part = |inner: &mut Buffer<T>| {
            let output = self.linear_backward(&kept.context, inner, &weights.output);
            let mut context = self.pool.take(inner.len());
            self.input_gradient(inner, weights.output.weight, dim, &mut context);
            let (qkv, tables) = self.scores_backward(weights, seeds, kept, &context);
            let query_key_value = self.weight_gradient(&kept.normed, &qkv, weights.query_key_value, 3 * dim);
            self.input_gradient(&qkv, weights.query_key_value, 3 * dim, inner);
            (query_key_value, tables, output)
        };
        let (norm, (query_key_value, [keys, values], output)) =
            self.around(&kept.input, &weights.norm, seeds.attention_output, rows, part);
        AttentionParameters {
            norm,
            query_key_value,
            relative_keys: weights.relative_keys.map(|_| keys),
            relative_values: weights.relative_values.map(|_| values),
            output,
        }
    }

    /// The gradients of queries, keys and values (`[row, 3·model_dim]`), and of relative keys and values.
    fn scores_backward(
        &self,
        weights: &AttentionParameters<&[T]>,
        seeds: &LayerSeeds,
        kept: &AttentionActivations<T>,
        grad: &[T],
    ) -> (Buffer<T>, [Buffer<T>; 2]) {
        let relative = self.relative(weights);
        let mut qkv = self.pool.zeros(kept.query_key_value.len());
        let mut tables = [relative.keys, relative.values].map(|table| self.pool.zeros(table.len()));
        let [relative_keys, relative_values] = &mut tables;
        let mut gradients =
            AttentionGradients { qkv: &mut qkv, relative_keys, relative_values, relative_biases: &mut [] };
        let outputs = Outputs { out: &kept.context[..], log_sums: &kept.log_sums };
        let kernel = self.attention_kernel(seeds);
        kernel.backward(&kept.query_key_value, relative, outputs, grad, &mut gradients);
        (qkv, tables)
    }
}
