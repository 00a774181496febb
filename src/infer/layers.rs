//! A stack of transformer layers.

use super::crew::Crew;
use super::shard::{AffineWeights, Shard};
use crate::kernels::activation::{gelu, relu};
use crate::kernels::attention::{Attention, Relative};
use crate::kernels::{LayerNorm, Precision};
use crate::nn::{NormPlacement, TransformerConfig};

/// What stands between the two maps of the feed-forward network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// The Gaussian error linear unit, exact.
    Gelu,
    /// What is above zero.
    Relu,
}

/// The weights of one layer, before they are packed.
#[derive(Debug)]
pub(crate) struct LayerWeights<'a> {
    pub(crate) attention_norm: LayerNorm,
    /// Queries, keys and values side by side: `[model_dim, 3·model_dim]`.
    pub(crate) query_key_value: AffineWeights<'a>,
    /// What distances add to keys, values or scores.
    pub(crate) relative: Relative<'a, f32>,
    pub(crate) output: AffineWeights<'a>,
    pub(crate) feed_forward_norm: LayerNorm,
    /// `[model_dim, ff_dim]`
    pub(crate) expand: AffineWeights<'a>,
    /// `[ff_dim, model_dim]`
    pub(crate) contract: AffineWeights<'a>,
}

/// Memory that one batch leaves to the next.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The residual stream: `[row, model_dim]`.
    pub(crate) x: Vec<f32>,
    /// What goes into a part of a layer, or what a part adds up to before its norm: `[row, model_dim]`.
    pub(crate) other: Vec<f32>,
    /// Queries, keys and values, or the wide rows of the feed-forward network.
    pub(crate) wide: Vec<f32>,
    /// What comes of these: the context, or the same rows after the activation.
    inner: Vec<f32>,
    /// What one shard adds, where others add as well: `[row, model_dim]`.
    part: Vec<f32>,
}

impl Buffers {
    /// Numbers that the largest buffer can hold without asking for memory.
    pub(crate) fn capacity(&self) -> usize {
        self.wide.capacity().max(self.inner.capacity())
    }
}

/// A stack of transformer layers with packed weights.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    stack: Vec<Layer>,
    config: TransformerConfig,
    activation: Activation,
    precision: Precision,
    shards: usize,
}

#[derive(Clone, Debug)]
struct Layer {
    attention_norm: LayerNorm,
    output_bias: Vec<f32>,
    feed_forward_norm: LayerNorm,
    contract_bias: Vec<f32>,
    shards: Vec<Shard>,
}

impl Layers {
    /// More shards would each do too little.
    const MOST_SHARDS: usize = 8;

    /// A stack without layers yet, on which up to `threads` threads are to work together.
    pub(crate) fn new(
        config: &TransformerConfig,
        activation: Activation,
        precision: Precision,
        threads: usize,
    ) -> Self {
        let shards = threads.clamp(1, config.heads.clamp(1, Self::MOST_SHARDS));
        Self { stack: Vec::new(), config: config.clone(), activation, precision, shards }
    }

    /// Packs one more layer.
    pub(crate) fn push(&mut self, weights: LayerWeights<'_>) {
        let shard = |at| Shard::new(&self.config, &weights, self.precision, at, self.shards);
        self.stack.push(Layer {
            shards: (0..self.shards).map(shard).collect(),
            attention_norm: weights.attention_norm,
            output_bias: weights.output.bias.to_vec(),
            feed_forward_norm: weights.feed_forward_norm,
            contract_bias: weights.contract.bias.to_vec(),
        });
    }

    /// How many threads can work on one batch.
    pub(crate) fn shards(&self) -> usize {
        self.shards
    }

    /// Replaces the rows in `buffers.x`: `[row, model_dim]`, of which `offsets` says where each sequence begins and the
    /// last one ends.
    pub(crate) fn forward(&self, offsets: &[usize], crew: &mut Crew<'_>, buffers: &mut Buffers) {
        for layer in &self.stack {
            self.layer(layer, offsets, crew, buffers, None);
        }
    }

    /// The attention weights of each layer for one sequence in `buffers.x`: `[heads, query, key]`.
    pub(crate) fn attention_weights(&self, rows: usize, buffers: &mut Buffers) -> Vec<Vec<f32>> {
        let weights = |layer| {
            let mut weights = Vec::new();
            self.layer(layer, &[0, rows], &mut Crew::Alone, buffers, Some(&mut weights));
            weights
        };
        self.stack.iter().map(weights).collect()
    }

    fn layer(
        &self,
        layer: &Layer,
        offsets: &[usize],
        crew: &mut Crew<'_>,
        buffers: &mut Buffers,
        mut weights: Option<&mut Vec<f32>>,
    ) {
        let rows = offsets.last().copied().unwrap_or(0);
        self.add(
            &layer.attention_norm,
            &layer.output_bias,
            buffers,
            |input, sum, Room { wide, inner, part }| {
                for shard in crew.shards(&layer.shards) {
                    shard.query_key_value.forward(rows, input, wide); // [row, 3·heads·head_dim]
                    let (attention, relative) = self.attention(shard, offsets);
                    let context = room(inner, rows * attention.model_dim);
                    attention.forward(wide, relative, context); // [row, heads·head_dim]
                    if let Some(weights) = &mut weights {
                        weights.extend(attention.weights_of(0, wide, relative));
                    }
                    crew.add(&shard.output, rows, context, part, sum);
                }
            },
        );
        self.add(
            &layer.feed_forward_norm,
            &layer.contract_bias,
            buffers,
            |input, sum, Room { wide, inner, part }| {
                for shard in crew.shards(&layer.shards) {
                    shard.expand.forward(rows, input, wide); // [row, share of ff_dim]
                    let hidden = room(inner, wide.len());
                    match self.activation {
                        Activation::Gelu => gelu(wide, hidden),
                        Activation::Relu => relu(wide, hidden),
                    }
                    crew.add(&shard.contract, rows, hidden, part, sum);
                }
            },
        );
    }

    /// A residual and a norm around a part, which adds to `sum` what it makes of its input:
    /// `x ← x + part(norm(x))`, or `x ← norm(x + part(x))`. The bias of the part's last map is added here, once.
    fn add(
        &self,
        norm: &LayerNorm,
        bias: &[f32],
        buffers: &mut Buffers,
        part: impl FnOnce(&[f32], &mut [f32], Room<'_>),
    ) {
        let Buffers { x, other, wide, inner, part: shared } = buffers;
        let room = Room { wide, inner, part: shared };
        match self.config.norm {
            NormPlacement::Before => {
                norm.forward(x, other);
                add_bias(x, bias);
                part(other, x, room);
            }
            NormPlacement::After => {
                other.clear();
                other.extend_from_slice(x);
                add_bias(other, bias);
                part(x, other, room);
                norm.forward(other, x);
            }
        }
    }

    fn attention<'s>(&self, shard: &'s Shard, offsets: &'s [usize]) -> (Attention<'s>, Relative<'s, f32>) {
        let attention = Attention {
            offsets,
            heads: shard.heads,
            model_dim: shard.heads * (self.config.model_dim / self.config.heads),
            causal: self.config.causal,
            drop_rate: 0.0,
            seed: 0,
        };
        let relative = Relative {
            keys: &shard.relative_keys[..],
            values: &shard.relative_values,
            biases: &shard.relative_biases,
            reach: self.config.relative_reach,
        };
        (attention, relative)
    }
}

/// Memory for a part of a layer.
struct Room<'b> {
    wide: &'b mut Vec<f32>,
    inner: &'b mut Vec<f32>,
    part: &'b mut Vec<f32>,
}

/// The first `len` numbers of a buffer that only ever grows, whatever they are.
fn room(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    &mut buffer[..len]
}

/// Adds the bias to each row.
fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len().max(1)) {
        row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
    }
}
