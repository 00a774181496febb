//! The encoder itself, for answering: no graph, no tensors, packed weights.
//!
//! Every layer is divided into **shards**: some heads with their part of the output map, some columns of the feed-forward
//! network with the rows that they meet. What the shards find is added up, so that several threads need to meet only twice
//! a layer ([Shoeybi et al., 2019](https://arxiv.org/abs/1909.08053)), and each reads its own part of the weights. One
//! thread walks over all shards.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::config::{Activation, ModelConfig};
use super::parts::{LayerParts, Map, Parts};
use super::weights::Stored;
use crate::embed::EmbedError;
use crate::kernels::activation::{gelu, relu};
use crate::kernels::attention::{Attention, Relative};
use crate::kernels::{Affine, LayerNorm, Matrix, PANEL, Precision, sums};
use crate::threads::{Member, Team};

/// The layers of an encoder and what comes before them.
#[derive(Debug)]
pub(super) struct Network {
    words: Stored,
    /// `[place, model_dim]`
    positions: Vec<f32>,
    norm: LayerNorm,
    layers: Vec<Layer>,
    reach: usize,
    model_dim: usize,
    head_dim: usize,
    activation: Activation,
    /// Buffers of earlier calls.
    rooms: Mutex<Vec<Room>>,
}

#[derive(Debug)]
struct Layer {
    shards: Vec<Shard>,
    output_bias: Vec<f32>,
    attention_norm: LayerNorm,
    contract_bias: Vec<f32>,
    feed_forward_norm: LayerNorm,
}

/// A share of a layer.
#[derive(Debug)]
struct Shard {
    heads: usize,
    query_key_value: Affine,
    output: Affine,
    expand: Affine,
    contract: Affine,
    /// `[heads, 2·reach + 1]`, or empty.
    relative_biases: Vec<f32>,
}

/// Buffers of one thread.
#[derive(Debug, Default)]
struct Room {
    /// `[row, model_dim]`
    x: Vec<f32>,
    /// What a part adds up to, before its norm: `[row, model_dim]`.
    sum: Vec<f32>,
    /// What one shard adds, where others add as well: `[row, model_dim]`.
    part: Vec<f32>,
    /// Queries, keys and values, or the wide rows of the feed-forward network.
    wide: Vec<f32>,
    /// What comes of them.
    inner: Vec<f32>,
}

/// Who works on a batch.
enum Crew<'t> {
    /// One thread, on all shards.
    Alone,
    /// One of several, on the shard of its number.
    Together(Member<'t>),
}

impl Crew<'_> {
    fn shards<'l>(&self, all: &'l [Shard]) -> &'l [Shard] {
        match self {
            Self::Alone => all,
            Self::Together(member) => &all[member.index..=member.index],
        }
    }

    /// `sum += x · W`, and what the others add.
    fn add(&mut self, map: &Affine, rows: usize, x: &[f32], part: &mut Vec<f32>, sum: &mut [f32]) {
        match self {
            Self::Alone => map.add(rows, x, sum),
            Self::Together(member) => {
                map.forward(rows, x, part);
                member.share(part, |found| sums::add(sum, found));
            }
        }
    }
}

/// Sequences of tokens, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequences<'a> {
    /// `[token]`
    pub(super) ids: &'a [u32],
    /// Where each begins and the last ends: `[sequence + 1]`.
    pub(super) offsets: &'a [usize],
}

/// Who looks at whom in one layer: `[heads, query, key]`.
pub(super) type Weights = Vec<f32>;

impl Network {
    /// More shards would each do too little.
    const MOST_SHARDS: usize = 8;

    /// Reads and packs the weights.
    pub(super) fn new(parts: &Parts<'_>, precision: Precision, threads: usize) -> Result<Self, EmbedError> {
        let config = &parts.config;
        let relative = parts.relative_biases()?;
        let shares = threads.clamp(1, config.heads.min(Self::MOST_SHARDS));
        let biases = relative.as_ref().map_or(&[][..], |relative| &relative.biases);
        let layer = |at| Ok(Layer::new(config, parts.layer(at)?, biases, precision, shares));
        Ok(Self {
            words: parts.words()?,
            positions: parts.positions()?,
            norm: parts.norm()?,
            layers: (0..config.layers).map(layer).collect::<Result<_, EmbedError>>()?,
            reach: relative.map_or(0, |relative| relative.reach),
            model_dim: config.model_dim,
            head_dim: config.model_dim / config.heads,
            activation: config.activation,
            rooms: Mutex::default(),
        })
    }

    /// How many threads can work on one batch.
    pub(super) fn shards(&self) -> usize {
        self.layers.first().map_or(1, |layer| layer.shards.len())
    }

    /// The rows of all tokens, `[token, model_dim]`, computed by a thread for each shard if there may be so many, else by
    /// one.
    pub(super) fn encode(&self, sequences: Sequences<'_>, threads: usize) -> Vec<f32> {
        let shards = self.shards();
        if shards > 1 && threads >= shards {
            Team::run(shards, |member| self.run(sequences, Crew::Together(member), None))
        } else {
            self.run(sequences, Crew::Alone, None)
        }
    }

    /// Who looks at whom in one sequence, layer by layer.
    pub(super) fn attention(&self, ids: &[u32]) -> Vec<Weights> {
        let mut seen = Vec::with_capacity(self.layers.len());
        self.run(Sequences { ids, offsets: &[0, ids.len()] }, Crew::Alone, Some(&mut seen));
        seen
    }

    fn run(
        &self,
        sequences: Sequences<'_>,
        mut crew: Crew<'_>,
        mut seen: Option<&mut Vec<Weights>>,
    ) -> Vec<f32> {
        let mut room = self.lock().pop().unwrap_or_default();
        self.embed(sequences, &mut room);
        for layer in &self.layers {
            let mut weights = seen.as_ref().map(|_| Weights::new());
            self.layer(layer, sequences, &mut crew, &mut room, weights.as_mut());
            seen.iter_mut().for_each(|seen| seen.extend(weights.take()));
        }
        let x = std::mem::take(&mut room.x);
        self.lock().push(room);
        x
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `x = norm(word + position)`
    fn embed(&self, sequences: Sequences<'_>, room: &mut Room) {
        let dim = self.model_dim;
        room.sum.resize(sequences.ids.len() * dim, 0.0);
        let places = sequences.offsets.windows(2).flat_map(|pair| 0..pair[1] - pair[0]);
        for ((id, place), row) in sequences.ids.iter().zip(places).zip(room.sum.chunks_exact_mut(dim)) {
            self.words.read(*id as usize * dim, row);
            sums::add(row, &self.positions[place * dim..(place + 1) * dim]);
        }
        self.norm.forward(&room.sum, &mut room.x);
    }

    /// `x = norm(x + attention(x))`, then `x = norm(x + feed_forward(x))`.
    fn layer(
        &self,
        layer: &Layer,
        sequences: Sequences<'_>,
        crew: &mut Crew<'_>,
        room: &mut Room,
        mut seen: Option<&mut Weights>,
    ) {
        let rows = sequences.ids.len();
        room.begin(&layer.output_bias);
        for shard in crew.shards(&layer.shards) {
            shard.query_key_value.forward(rows, &room.x, &mut room.wide); // [row, 3·heads·head_dim]
            let (attention, relative) = self.attention_of(shard, sequences);
            room.inner.resize(rows * attention.model_dim, 0.0);
            attention.forward(&room.wide, relative, &mut room.inner); // [row, heads·head_dim]
            if let Some(seen) = &mut seen {
                seen.extend(attention.weights_of(0, &room.wide, relative));
            }
            crew.add(&shard.output, rows, &room.inner, &mut room.part, &mut room.sum);
        }
        layer.attention_norm.forward(&room.sum, &mut room.x);

        room.begin(&layer.contract_bias);
        for shard in crew.shards(&layer.shards) {
            shard.expand.forward(rows, &room.x, &mut room.wide); // [row, share of ff_dim]
            room.inner.resize(room.wide.len(), 0.0);
            match self.activation {
                Activation::Gelu => gelu(&room.wide, &mut room.inner),
                Activation::Relu => relu(&room.wide, &mut room.inner),
            }
            crew.add(&shard.contract, rows, &room.inner, &mut room.part, &mut room.sum);
        }
        layer.feed_forward_norm.forward(&room.sum, &mut room.x);
    }

    fn attention_of<'s>(
        &self,
        shard: &'s Shard,
        sequences: Sequences<'s>,
    ) -> (Attention<'s>, Relative<'s, f32>) {
        let attention = Attention {
            offsets: sequences.offsets,
            heads: shard.heads,
            model_dim: shard.heads * self.head_dim,
            causal: false,
            drop_rate: 0.0,
            seed: 0,
        };
        (attention, Relative { biases: &shard.relative_biases, reach: self.reach, ..Relative::NONE })
    }
}

impl Room {
    /// `sum = x + bias`
    fn begin(&mut self, bias: &[f32]) {
        self.sum.clear();
        for row in self.x.chunks_exact(bias.len()) {
            self.sum.extend(row.iter().zip(bias).map(|(x, bias)| x + bias));
        }
    }
}

impl Layer {
    fn new(
        config: &ModelConfig,
        parts: LayerParts,
        biases: &[f32],
        precision: Precision,
        shares: usize,
    ) -> Self {
        let head_dim = config.model_dim / config.heads;
        let of_head = biases.len() / config.heads;
        let shard = |at: usize| {
            let heads = share(config.heads, 1, at, shares);
            let inner = heads.start * head_dim..heads.end * head_dim;
            let wide = share(config.ff_dim, PANEL, at, shares);
            Shard {
                heads: heads.len(),
                query_key_value: some_outputs(&parts.query_key_value, config.model_dim, &inner, precision),
                output: some_inputs(&parts.output, config.model_dim, &inner, precision),
                expand: some_outputs(std::slice::from_ref(&parts.expand), config.model_dim, &wide, precision),
                contract: some_inputs(&parts.contract, config.ff_dim, &wide, precision),
                relative_biases: biases[heads.start * of_head..heads.end * of_head].to_vec(),
            }
        };
        Self {
            shards: (0..shares).map(shard).collect(),
            output_bias: parts.output.bias,
            attention_norm: parts.attention_norm,
            contract_bias: parts.contract.bias,
            feed_forward_norm: parts.feed_forward_norm,
        }
    }
}

/// One of several shares of a whole, in steps of some size where it is large enough.
fn share(whole: usize, step: usize, at: usize, shares: usize) -> Range<usize> {
    let step = if whole < step * shares { 1 } else { step };
    let border = |at: usize| if at == shares { whole } else { whole / step * at / shares * step };
    border(at)..border(at + 1)
}

/// The same outputs of several maps, side by side.
fn some_outputs(maps: &[Map], input: usize, outputs: &Range<usize>, precision: Precision) -> Affine {
    let rows = |map: &Map| map.weight[outputs.start * input..outputs.end * input].to_vec();
    let weight: Vec<f32> = maps.iter().flat_map(rows).collect(); // [maps · outputs, in]
    let bias = maps.iter().flat_map(|map| map.bias[outputs.clone()].to_vec()).collect();
    Affine::new(Matrix::new(&weight, maps.len() * outputs.len(), input).transposed(), bias, precision)
}

/// What some inputs of a map of so many add to its outputs.
fn some_inputs(map: &Map, input: usize, inputs: &Range<usize>, precision: Precision) -> Affine {
    let weight = Matrix::columns(&map.weight, map.bias.len(), input, inputs.clone());
    Affine::new(weight.transposed(), Vec::new(), precision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_together() {
        for (whole, step, shares) in
            [(12, 1, 5), (1536, 32, 2), (1536, 32, 7), (40, 32, 2), (3, 1, 3), (100, 32, 2)]
        {
            let all: Vec<usize> = (0..shares).flat_map(|at| share(whole, step, at, shares)).collect();
            assert_eq!(all, (0..whole).collect::<Vec<_>>());
        }
        assert_eq!(share(1536, 32, 0, 2), 0..768);
    }
}
