//! The encoder for embedding texts: packed weights, without the tensor library.

use std::sync::{Mutex, PoisonError};

use super::parts::Parts;
use super::weights::Stored;
use crate::embed::EmbedError;
use crate::infer::{Buffers, Layers, Threads};
use crate::kernels::{LayerNorm, Precision, sums};
use crate::threads::Team;

/// The layers of an encoder and what comes before them.
#[derive(Debug)]
pub(super) struct Network {
    words: Stored,
    /// `[position, model_dim]`
    positions: Vec<f32>,
    norm: LayerNorm,
    layers: Layers,
    model_dim: usize,
    /// Buffers of earlier calls, to be used again.
    buffers: Mutex<Vec<Buffers>>,
}

/// Sequences of tokens, one after the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sequences<'a> {
    /// `[token]`
    pub(super) ids: &'a [u32],
    /// Where each begins and the last ends: `[sequence + 1]`.
    pub(super) offsets: &'a [usize],
}

impl Network {
    /// Reads and packs the weights.
    pub(super) fn new(parts: &Parts<'_>, precision: Precision, threads: usize) -> Result<Self, EmbedError> {
        let relative = parts.relative_biases()?;
        let config = parts.config.layers(relative.as_ref());
        let mut layers = Layers::new(&config, precision, threads);
        for at in 0..config.layers {
            layers.push(parts.layer(at)?.weights(relative.as_ref()));
        }
        Ok(Self {
            words: parts.words()?,
            positions: parts.positions()?,
            norm: parts.norm()?,
            layers,
            model_dim: config.model_dim,
            buffers: Mutex::default(),
        })
    }

    /// How many threads can work on one batch.
    pub(super) fn shards(&self) -> usize {
        self.layers.shards()
    }

    /// The rows of all tokens, `[token, model_dim]`, computed by one thread for each shard if `threads` allows, else by
    /// one thread.
    pub(super) fn encode(&self, sequences: Sequences<'_>, threads: usize) -> Vec<f32> {
        let shards = self.shards();
        let run = |mut threads: Threads<'_>| {
            self.with_buffers(|buffers| {
                self.embed(sequences, buffers);
                self.layers.forward(sequences.offsets, &mut threads, buffers);
                std::mem::take(&mut buffers.x)
            })
        };
        if shards > 1 && threads >= shards {
            Team::run(shards, |member| run(Threads::Team(member)))
        } else {
            run(Threads::One)
        }
    }

    /// The attention weights of one sequence, layer by layer: `[heads, query, key]`.
    pub(super) fn attention(&self, ids: &[u32]) -> Vec<Vec<f32>> {
        self.with_buffers(|buffers| {
            self.embed(Sequences { ids, offsets: &[0, ids.len()] }, buffers);
            self.layers.attention_weights(ids.len(), buffers)
        })
    }

    fn with_buffers<T>(&self, work: impl FnOnce(&mut Buffers) -> T) -> T {
        let lock = || self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffers = lock().pop().unwrap_or_default();
        let result = work(&mut buffers);
        lock().push(buffers);
        result
    }

    /// `x = norm(word + position)`
    fn embed(&self, sequences: Sequences<'_>, buffers: &mut Buffers) {
        let dim = self.model_dim;
        buffers.spare.resize(sequences.ids.len() * dim, 0.0);
        let positions = sequences.offsets.windows(2).flat_map(|pair| 0..pair[1] - pair[0]);
        let rows = buffers.spare.chunks_exact_mut(dim);
        for ((id, position), row) in sequences.ids.iter().zip(positions).zip(rows) {
            self.words.read(*id as usize * dim, row);
            sums::add(row, &self.positions[position * dim..(position + 1) * dim]);
        }
        self.norm.forward(&buffers.spare, &mut buffers.x);
    }
}
