//! The backward pass: the parts of the forward pass in reverse, each with the gradients of its parameters.

use super::super::op::Element;
use super::super::workspace::Buffer;
use super::forward::{Activations, AttentionActivations, FeedForwardActivations};
use super::parameters::{Layer, Stack, WeightAndBias};
use super::seeds::LayerSeeds;
use super::steps::Run;
use crate::kernels::attention::{AttentionGradients, Outputs};
use crate::kernels::{Real, activation, dropout, sums};

/// Gradients of the parameters around attention.
struct OfAttention<T: Real> {
    norm: WeightAndBias<Buffer<T>>,
    query_key_value: Buffer<T>,
    relative_keys: Buffer<T>,
    relative_values: Buffer<T>,
    output: WeightAndBias<Buffer<T>>,
}

/// Gradients of the parameters around the feed-forward network.
struct OfFeedForward<T: Real> {
    norm: WeightAndBias<Buffer<T>>,
    expand: WeightAndBias<Buffer<T>>,
    contract: WeightAndBias<Buffer<T>>,
}

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
        for ((layer, seeds), activations) in parts.rev() {
            let feed_forward = self.feed_forward_backward(layer, seeds, &activations.feed_forward, &mut rows);
            let attention = self.attention_backward(layer, seeds, &activations.attention, &mut rows);
            layers.push(layer_gradients(layer, attention, feed_forward));
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

    /// Turns the gradient of the output, `rows`, into that of the input.
    fn feed_forward_backward(
        &self,
        layer: &Layer<&[T]>,
        seeds: &LayerSeeds,
        kept: &FeedForwardActivations<T>,
        rows: &mut Buffer<T>,
    ) -> OfFeedForward<T> {
        let (dim, ff_dim, rate) = (self.config.model_dim, self.config.ff_dim, self.config.dropout);
        let mut inner = self.pool.take(rows.len());
        dropout::dropout(rows, rate, seeds.feed_forward_output, &mut inner);
        let contract = self.linear_backward(&kept.hidden, &inner, &layer.contract);
        let mut hidden = self.pool.take(kept.hidden.len());
        self.input_gradient(&inner, layer.contract.weight, dim, &mut hidden);
        activation::gelu_dropout_backward(&kept.expanded, rate, seeds.feed_forward_hidden, &mut hidden);
        let expand = self.linear_backward(&kept.normed, &hidden, &layer.expand);
        self.input_gradient(&hidden, layer.expand.weight, ff_dim, &mut inner);
        let (through_norm, norm) = self.norm_backward(&kept.input, &layer.feed_forward_norm, &inner);
        sums::add(rows, &through_norm);
        OfFeedForward { norm, expand, contract }
    }

    /// Turns the gradient of the output, `rows`, into that of the input.
    fn attention_backward(
        &self,
        layer: &Layer<&[T]>,
        seeds: &LayerSeeds,
        kept: &AttentionActivations<T>,
        rows: &mut Buffer<T>,
    ) -> OfAttention<T> {
        let dim = self.config.model_dim;
        let mut inner = self.pool.take(rows.len());
        dropout::dropout(rows, self.config.dropout, seeds.attention_output, &mut inner);
        let output = self.linear_backward(&kept.context, &inner, &layer.output);
        let mut context = self.pool.take(rows.len());
        self.input_gradient(&inner, layer.output.weight, dim, &mut context);
        let (qkv, [relative_keys, relative_values]) = self.scores_backward(layer, seeds, kept, &context);
        let query_key_value = self.weight_gradient(&kept.normed, &qkv, layer.query_key_value, 3 * dim);
        self.input_gradient(&qkv, layer.query_key_value, 3 * dim, &mut inner);
        let (through_norm, norm) = self.norm_backward(&kept.input, &layer.attention_norm, &inner);
        sums::add(rows, &through_norm);
        OfAttention { norm, query_key_value, relative_keys, relative_values, output }
    }

    /// The gradients of queries, keys and values (`[row, 3·model_dim]`), and of relative keys and values.
    fn scores_backward(
        &self,
        layer: &Layer<&[T]>,
        seeds: &LayerSeeds,
        kept: &AttentionActivations<T>,
        grad: &[T],
    ) -> (Buffer<T>, [Buffer<T>; 2]) {
        let relative = self.relative(layer);
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

/// The gradients of all parameters of a layer.
fn layer_gradients<T: Real>(
    layer: &Layer<&[T]>,
    attention: OfAttention<T>,
    feed_forward: OfFeedForward<T>,
) -> Layer<Buffer<T>> {
    Layer {
        attention_norm: attention.norm,
        query_key_value: attention.query_key_value,
        relative_keys: layer.relative_keys.map(|_| attention.relative_keys),
        relative_values: layer.relative_values.map(|_| attention.relative_values),
        output: attention.output,
        feed_forward_norm: feed_forward.norm,
        expand: feed_forward.expand,
        contract: feed_forward.contract,
    }
}
