//! The network once more, for answering: no graph, no tensors, only what leads to an answer.
//!
//! While it learns, a network is a [`Network`](super::Network) of blocks that remember what they did. An
//! [`Engine`] is made of the same weights when they no longer change. Matrices are packed for the product
//! kernel, labels are embedded, tag scores are prepared, once. The rows between the layers lie in buffers that
//! each thread keeps for the next message, so threads never wait for each other.
//!
//! | file | what it does |
//! | --- | --- |
//! | `intent` | similarity to the labels |
//! | `tags` | best tags and how sure they are |
//! | `scratch` | the buffers |
//!
//! The tests compare it with the network that learnt.

mod intent;
mod scratch;
mod tags;

use super::multi_label::Decision;
use super::{DietConfig, Labels, Widths};
use crate::bundle::Weights;
use crate::features::{Features, LabelFeatures};
use crate::infer::{Bag, Buffers, DenseLayers, Source, Transformer, WeightsError};
use crate::kernels::Precision;

use intent::IntentHead;
use scratch::Scratch;
use tags::{HeadSpace, TagHead};

pub(super) use tags::Found;

/// A network that answers and no longer learns.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    sequence: Bag,
    sentence: Bag,
    /// Width of the dense features.
    dense: usize,
    hidden: DenseLayers,
    transformer: Option<Transformer>,
    /// Width of what the heads read.
    model_dim: usize,
    intent: Option<IntentHead>,
    tags: Vec<TagHead>,
}

impl Engine {
    /// Makes an engine of the weights of a trained network.
    pub(super) fn new(
        config: &DietConfig,
        widths: Widths,
        labels: &Labels,
        label_features: &LabelFeatures,
        weights: &Weights,
        precision: Precision,
    ) -> Result<Self, WeightsError> {
        let source = Source::new(weights, precision);
        let dense = config.layers.dense_dimension.text;
        let sequence = Bag::new(widths.sequence, dense, &source.at("sequence"))?;
        let sentence = Bag::new(widths.sentence, dense, &source.at("sentence"))?;
        let density = config.transformer.connection_density;
        let input = dense + widths.dense;
        let hidden =
            DenseLayers::new(&config.layers.hidden_sizes.text, input, density, &source.at("hidden"))?;
        let width = hidden.output(input);
        let layered = config.transformer.layers > 0;
        let transformer = || Transformer::new(width, &config.transformer(), &source.at("transformer"));
        let model_dim = if layered { config.transformer.model_dim } else { width };
        let intents = config.intents.enabled && !labels.intents.is_empty();
        let intent = || {
            let source = source.at("intent");
            IntentHead::new(config, model_dim, widths, labels, label_features, &hidden, &source)
        };
        Ok(Self {
            sequence,
            sentence,
            dense: widths.dense,
            transformer: layered.then(transformer).transpose()?,
            model_dim,
            intent: intents.then(intent).transpose()?,
            tags: if config.entities.enabled { tags::heads(labels, model_dim, &source)? } else { Vec::new() },
            hidden,
        })
    }

    /// Width of the rows that the heads read.
    pub(super) fn model_dim(&self) -> usize {
        self.model_dim
    }

    /// The rows that the heads read, of each message its tokens and then itself: `[token + 1, model_dim]`.
    pub(super) fn rows(&self, messages: &[&Features]) -> Vec<Vec<f32>> {
        Scratch::with(|scratch| {
            self.encode(messages, scratch);
            let rows =
                |ends: &[usize]| scratch.rows.x[ends[0] * self.model_dim..ends[1] * self.model_dim].to_vec();
            scratch.offsets.windows(2).map(rows).collect()
        })
    }

    /// How a message gets its intents, where it may have several.
    pub(super) fn decision(&self) -> Option<Decision> {
        self.intent.as_ref().and_then(|intent| intent.decision)
    }

    /// Answers some messages together and tells `finish` of each, with its number.
    pub(super) fn answer(&self, messages: &[impl AsRef<Features>], mut finish: impl FnMut(usize, Found<'_>)) {
        Scratch::with(|scratch| {
            self.encode(messages, scratch);
            self.decide(messages, scratch);
            let Scratch { offsets, similarities, heads: spaces, .. } = scratch;
            let labels = self.intent.as_ref().map_or(0, IntentHead::labels);
            for (at, rows) in offsets.windows(2).enumerate() {
                finish(
                    at,
                    Found {
                        similarities: &similarities[at * labels..(at + 1) * labels],
                        heads: &self.tags,
                        spaces,
                        tokens: rows[0] - at..rows[1] - at - 1,
                    },
                );
            }
        });
    }

    /// Leaves similarities and tags of all messages behind.
    fn decide(&self, messages: &[impl AsRef<Features>], scratch: &mut Scratch) {
        let Scratch { offsets, rows, similarities, entity_tags, heads: spaces } = scratch;
        let Buffers { x, spare, scratch } = rows;
        let dim = self.model_dim;
        similarities.clear();
        if let Some(intent) = &self.intent {
            spare.clear();
            for end in &offsets[1..] {
                spare.extend_from_slice(&x[(end - 1) * dim..end * dim]);
            }
            intent.scores(spare, messages, &mut scratch.wide, similarities);
        }
        if self.tags.is_empty() {
            return;
        }
        // The tokens move together, over the rows of the messages between them.
        for (at, rows) in offsets.windows(2).enumerate() {
            x.copy_within(rows[0] * dim..(rows[1] - 1) * dim, (rows[0] - at) * dim);
        }
        let tokens = &x[..(offsets[messages.len()] - messages.len()) * dim];
        spaces.resize_with(spaces.len().max(self.tags.len()), HeadSpace::default);
        entity_tags.clear();
        for (head, space) in self.tags.iter().zip(spaces.iter_mut()) {
            let lengths = offsets.windows(2).map(|rows| rows[1] - 1 - rows[0]);
            head.decode(tokens, entity_tags, lengths, &mut scratch.wide, space);
            if entity_tags.is_empty() {
                entity_tags.extend_from_slice(space.path());
            }
        }
    }

    /// The rows of the sparse features with the dense ones behind them.
    ///
    /// # Panics
    ///
    /// If a message has no dense features, or others than the network was trained with.
    fn append_dense(&self, messages: &[impl AsRef<Features>], sparse: &[f32], joined: &mut Vec<f32>) {
        let mut sparse = sparse.chunks_exact(self.sequence.dim());
        joined.clear();
        for features in messages.iter().map(AsRef::as_ref) {
            let dense = features.dense.as_ref().filter(|own| own.dim == self.dense);
            let dense = dense.expect("dense features of the width that the network was trained with");
            let mut dense = dense.rows();
            for own in sparse.by_ref().take(features.sequence.len() + 1) {
                joined.extend_from_slice(own);
                joined.extend(dense.by_ref().take(self.dense));
            }
        }
    }

    /// Leaves in `x` the rows that the heads read: `[row, model_dim]`, of each message its tokens, then itself.
    fn encode(&self, messages: &[impl AsRef<Features>], scratch: &mut Scratch) {
        let mut end = 0;
        scratch.offsets.clear();
        scratch.offsets.push(0);
        scratch.offsets.extend(messages.iter().map(|message| {
            end += message.as_ref().sequence.len() + 1;
            end
        }));
        let (dim, rows) = (self.sequence.dim(), &mut scratch.rows);
        rows.x.resize(end * dim, 0.0);
        for (features, ends) in messages.iter().map(AsRef::as_ref).zip(scratch.offsets.windows(2)) {
            let (tokens, message) =
                rows.x[ends[0] * dim..ends[1] * dim].split_at_mut((ends[1] - ends[0] - 1) * dim);
            self.sequence.forward(&features.sequence, tokens);
            self.sentence.forward(&features.sentence, message);
        }
        if self.dense > 0 {
            self.append_dense(messages, &rows.x, &mut rows.spare);
            std::mem::swap(&mut rows.x, &mut rows.spare);
        }
        self.hidden.forward(end, &mut rows.x, &mut rows.spare, &mut rows.scratch.wide);
        if let Some(transformer) = &self.transformer {
            transformer.forward(&scratch.offsets, rows);
        }
    }
}

#[cfg(test)]
mod tests;
