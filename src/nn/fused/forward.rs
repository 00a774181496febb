//! The forward pass, and what it keeps for the backward pass.

use super::super::SinusoidalPositions;
use super::super::op::Element;
use super::super::workspace::Buffer;
use super::parameters::{AttentionParameters, FeedForwardParameters};
use super::seeds::LayerSeeds;
use super::steps::Run;
use crate::kernels::attention::LogSums;
use crate::kernels::{Real, activation, dropout};

/// Numbers of the forward pass that the backward pass needs.
pub(in crate::nn) struct Activations<T: Real> {
    pub(super) layers: Vec<LayerActivations<T>>,
    /// `[row, model_dim]`: what the last norm reads.
    pub(super) last: Buffer<T>,
}

pub(super) struct LayerActivations<T: Real> {
    pub(super) attention: AttentionActivations<T>,
    pub(super) feed_forward: FeedForwardActivations<T>,
}

pub(super) struct AttentionActivations<T: Real> {
    pub(super) input: Buffer<T>,           // [row, model_dim]
    pub(super) normed: Buffer<T>,          // [row, model_dim]
    pub(super) query_key_value: Buffer<T>, // [row, 3·model_dim]
    pub(super) context: Buffer<T>,         // [row, model_dim]
    pub(super) log_sums: LogSums,
}

pub(super) struct FeedForwardActivations<T: Real> {
    pub(super) input: Buffer<T>,    // [row, model_dim]
    pub(super) normed: Buffer<T>,   // [row, model_dim]
    pub(super) expanded: Buffer<T>, // [row, ff_dim]
    pub(super) hidden: Buffer<T>,   // [row, ff_dim]
}

impl<T: Element> Run<'_, T> {
    /// The output, `[row, model_dim]`.
    pub(super) fn forward(&self, x: &[T], positions: &SinusoidalPositions) -> (Vec<T>, Activations<T>) {
        let mut rows = self.embed(x, positions);
        let mut layers = Vec::with_capacity(self.stack.layers.len());
        for (layer, seeds) in self.stack.layers.iter().zip(&self.seeds.layers) {
            let (attention, middle) = self.attention(&layer.attention, seeds, rows);
            let (feed_forward, out) = self.feed_forward(&layer.feed_forward, seeds, middle);
            layers.push(LayerActivations { attention, feed_forward });
            rows = out;
        }
        let mut out = vec![T::zero(); self.rows * self.config.model_dim];
        self.norm(&rows, &self.stack.norm, &mut out);
        (out, Activations { layers, last: rows })
    }

    /// `dropout((x·W + b)·√model_dim + positions)`
    fn embed(&self, x: &[T], positions: &SinusoidalPositions) -> Buffer<T> {
        let dim = self.config.model_dim;
        let mut rows = self.linear(x, &self.stack.input);
        rows.iter_mut().for_each(|x| *x *= self.scale());
        for range in self.segments.iter() {
            positions.add_to_rows(&mut rows[range.start * dim..range.end * dim]);
        }
        dropout::dropout_in_place(&mut rows, self.config.dropout, self.seeds.embedding);
        rows
    }

    /// `x + dropout(attention(norm(x)))`
    fn attention(
        &self,
        weights: &AttentionParameters<&[T]>,
        seeds: &LayerSeeds,
        input: Buffer<T>,
    ) -> (AttentionActivations<T>, Buffer<T>) {
        let normed = self.normed(&input, &weights.norm);
        let query_key_value = self.product(&normed, weights.query_key_value, 3 * self.config.model_dim);
        let mut context = self.pool.take(input.len());
        let kernel = self.attention_kernel(seeds);
        let log_sums = kernel.forward(&query_key_value, self.relative(weights), &mut context);
        let mixed = self.linear(&context, &weights.output);
        let mut out = self.pool.take(input.len());
        dropout::add_dropout(&input, &mixed, self.config.dropout, seeds.attention_output, &mut out);
        (AttentionActivations { input, normed, query_key_value, context, log_sums }, out)
    }

    /// `x + dropout(feed_forward(norm(x)))`
    fn feed_forward(
        &self,
        weights: &FeedForwardParameters<&[T]>,
        seeds: &LayerSeeds,
        input: Buffer<T>,
    ) -> (FeedForwardActivations<T>, Buffer<T>) {
        let rate = self.config.dropout;
        let normed = self.normed(&input, &weights.norm);
        let expanded = self.linear(&normed, &weights.expand);
        let mut hidden = self.pool.take(expanded.len());
        activation::gelu_dropout(&expanded, rate, seeds.feed_forward_hidden, &mut hidden);
        let changed = self.linear(&hidden, &weights.contract);
        let mut out = self.pool.take(input.len());
        dropout::add_dropout(&input, &changed, rate, seeds.feed_forward_output, &mut out);
        (FeedForwardActivations { input, normed, expanded, hidden }, out)
    }
}
