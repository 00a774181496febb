//! A stack of transformer layers.

use super::shard::{LayerWeights, Shard};
use super::threads::Threads;
use crate::kernels::activation::activate;
use crate::kernels::attention::{Attention, Relative};
use crate::kernels::scratch::grow;
use crate::kernels::{LayerNorm, Precision};
use crate::nn::{NormPlacement, TransformerConfig};

/// Memory that the next batch uses again.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The residual stream: `[row, model_dim]`.
    pub(crate) x: Vec<f32>,
    /// Rows on their way into `x` or out of it: what a part of a layer reads, or the sum before its norm.
    pub(crate) spare: Vec<f32>,
    pub(crate) scratch: Scratch,
}

/// Memory for the steps inside a part of a layer.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// Queries, keys and values, or the wide rows of the feed-forward network.
    pub(crate) wide: Vec<f32>,
    /// What is computed from these: the context, or the same rows after the activation.
    inner: Vec<f32>,
    /// What one shard adds, where others add as well: `[row, model_dim]`.
    part: Vec<f32>,
}

impl Buffers {
    /// Numbers that the largest buffer can hold without asking for memory.
    pub(crate) fn capacity(&self) -> usize {
        self.scratch.wide.capacity().max(self.scratch.inner.capacity())
    }
}

/// A stack of transformer layers with packed weights.
#[derive(Clone, Debug)]
pub(crate) struct Layers {
    stack: Vec<Layer>,
    config: TransformerConfig,
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
    /// With more shards each would have too little to do.
    const MOST_SHARDS: usize = 8;

    /// An empty stack, on which up to `threads` threads will work together.
    pub(crate) fn new(config: &TransformerConfig, precision: Precision, threads: usize) -> Self {
        let shards = threads.clamp(1, config.heads.clamp(1, Self::MOST_SHARDS));
        Self { stack: Vec::new(), config: config.clone(), precision, shards }
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
    pub(crate) fn forward(&self, offsets: &[usize], threads: &mut Threads<'_>, buffers: &mut Buffers) {
        for layer in &self.stack {
            self.layer(layer, offsets, threads, buffers, None);
        }
    }

    /// The attention weights of each layer for one sequence in `buffers.x`: `[heads, query, key]`.
    pub(crate) fn attention_weights(&self, rows: usize, buffers: &mut Buffers) -> Vec<Vec<f32>> {
        let weights = |layer| {
            let mut weights = Vec::new();
            self.layer(layer, &[0, rows], &mut Threads::One, buffers, Some(&mut weights));
            weights
        };
        self.stack.iter().map(weights).collect()
    }

    fn layer(
        &self,
        layer: &Layer,
        offsets: &[usize],
        threads: &mut Threads<'_>,
        buffers: &mut Buffers,
        mut weights: Option<&mut Vec<f32>>,
    ) {
        let rows = offsets.last().copied().unwrap_or(0);
        self.add(&layer.attention_norm, &layer.output_bias, buffers, |input, sum, scratch| {
            let Scratch { wide, inner, part } = scratch;
            for shard in threads.shards(&layer.shards) {
                shard.query_key_value.forward(rows, input, wide); // [row, 3·heads·head_dim]
                let (attention, relative) = self.attention(shard, offsets);
                let context = grow(inner, rows * attention.model_dim);
                attention.forward(wide, relative, context); // [row, heads·head_dim]
                if let Some(weights) = &mut weights {
                    weights.extend(attention.attention_weights(wide, relative));
                }
                threads.add(&shard.output, rows, context, part, sum);
            }
        });
        self.add(&layer.feed_forward_norm, &layer.contract_bias, buffers, |input, sum, scratch| {
            let Scratch { wide, inner, part } = scratch;
            for shard in threads.shards(&layer.shards) {
                shard.expand.forward(rows, input, wide); // [row, share of ff_dim]
                let hidden = grow(inner, wide.len());
                activate(self.config.activation, wide, hidden);
                threads.add(&shard.contract, rows, hidden, part, sum);
            }
        });
    }

    /// A residual and a norm around a part, which gets its input and adds its output to the second argument:
    /// `x ← x + part(norm(x))`, or `x ← norm(x + part(x))`. The bias of the part's last map is added here, once.
    fn add(
        &self,
        norm: &LayerNorm,
        bias: &[f32],
        buffers: &mut Buffers,
        part: impl FnOnce(&[f32], &mut [f32], &mut Scratch),
    ) {
        let Buffers { x, spare, scratch } = buffers;
        match self.config.norm {
            NormPlacement::Before => {
                norm.forward(x, spare);
                add_bias(x, bias);
                part(spare, x, scratch);
            }
            NormPlacement::After => {
                spare.clear();
                spare.extend_from_slice(x);
                add_bias(spare, bias);
                part(x, spare, scratch);
                norm.forward(spare, x);
            }
        }
    }

    fn attention<'s>(&self, shard: &'s Shard, offsets: &'s [usize]) -> (Attention<'s>, Relative<'s, f32>) {
        let model_dim = shard.heads * (self.config.model_dim / self.config.heads);
        let attention = Attention::new(offsets, shard.heads, model_dim, self.config.causal);
        let relative = Relative {
            keys: &shard.relative_keys[..],
            values: &shard.relative_values,
            biases: &shard.relative_biases,
            reach: self.config.relative_reach,
        };
        (attention, relative)
    }
}

/// Adds the bias to each row.
fn add_bias(rows: &mut [f32], bias: &[f32]) {
    for row in rows.chunks_exact_mut(bias.len().max(1)) {
        row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias);
    }
}

#[cfg(test)]
mod tests {
    use super::super::AffineWeights;
    use super::*;
    use crate::kernels::Matrix;
    use crate::kernels::dropout::bits;
    use crate::threads::Team;

    const OFFSETS: [usize; 4] = [0, 5, 5, 12];

    fn numbers(salt: u64, len: usize) -> Vec<f32> {
        (0..len).map(|at| (bits(salt, at as u64) >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    /// Two layers, for up to `threads` threads.
    fn layers(norm: NormPlacement, threads: usize) -> Layers {
        let config = TransformerConfig { model_dim: 24, heads: 3, ff_dim: 72, norm, ..Default::default() };
        let mut layers = Layers::new(&config, Precision::F32, threads);
        let vector = numbers(1, 72);
        let (qkv, output) = (numbers(2, 24 * 72), numbers(3, 24 * 24));
        let (expand, contract) = (numbers(4, 24 * 72), numbers(5, 72 * 24));
        let tables = [numbers(6, 3 * 11 * 8), numbers(7, 3 * 11 * 8)];
        for _ in 0..2 {
            let norm = || LayerNorm { weight: vec![0.5; 24], bias: vector[..24].to_vec(), epsilon: 1e-6 };
            let map = |weight, rows, bias| AffineWeights { weight: Matrix::new(weight, rows, 72), bias };
            let output = Matrix::new(&output, 24, 24);
            layers.push(LayerWeights {
                attention_norm: norm(),
                query_key_value: map(&qkv, 24, &vector),
                relative: Relative { keys: &tables[0][..], values: &tables[1], biases: &[], reach: 5 },
                output: AffineWeights { weight: output, bias: &vector[..24] },
                feed_forward_norm: norm(),
                expand: map(&expand, 24, &vector),
                contract: AffineWeights { weight: Matrix::new(&contract, 72, 24), bias: &vector[24..48] },
            });
        }
        layers
    }

    fn run(layers: &Layers, threads: &mut Threads<'_>) -> Vec<f32> {
        let mut buffers = Buffers { x: numbers(8, 12 * 24), ..Buffers::default() };
        layers.forward(&OFFSETS, threads, &mut buffers);
        buffers.x
    }

    fn assert_close(a: &[f32], b: &[f32]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4), "{a:?} {b:?}");
    }

    #[test]
    fn however_a_layer_is_divided_it_computes_the_same() {
        for norm in [NormPlacement::Before, NormPlacement::After] {
            let whole = run(&layers(norm, 1), &mut Threads::One);
            for shards in [2, 3] {
                let layers = layers(norm, shards);
                assert_eq!(layers.shards(), shards);
                assert_close(&run(&layers, &mut Threads::One), &whole);
                assert_close(&Team::run(shards, |member| run(&layers, &mut Threads::Team(member))), &whole);
            }
        }
    }

    #[test]
    fn a_sequence_alone_equals_the_same_in_a_batch_and_its_weights_sum_to_one() {
        for norm in [NormPlacement::Before, NormPlacement::After] {
            let layers = layers(norm, 2);
            let whole = run(&layers, &mut Threads::One);
            let x = numbers(8, 12 * 24)[5 * 24..].to_vec();
            let mut buffers = Buffers { x: x.clone(), ..Buffers::default() };
            layers.forward(&[0, 7], &mut Threads::One, &mut buffers);
            assert_close(&buffers.x, &whole[5 * 24..]);
            let mut buffers = Buffers { x, ..Buffers::default() };
            let weights = layers.attention_weights(7, &mut buffers);
            assert_eq!(weights.iter().map(Vec::len).collect::<Vec<_>>(), [3 * 7 * 7; 2]);
            for row in weights.iter().flat_map(|layer| layer.chunks(7)) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
            }
        }
    }
}
