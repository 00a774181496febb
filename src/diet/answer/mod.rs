//! The network once more, for answering: no graph, no tensors, only what leads to an answer.
//!
//! While it learns, a network is a [`Network`](super::Network) of blocks that remember what they did. An
//! [`Engine`] is made of the same weights when they no longer change. Matrices are packed for the product
//! kernel, labels are embedded, tag scores are prepared, once. The rows between the layers lie in buffers that
//! each thread keeps for the next message, so threads never wait for each other.
//!
//! | file | what it does |
//! | --- | --- |
//! | `layers` | the rows that the heads read |
//! | `intent` | similarity to the labels |
//! | `tags` | best tags and how sure they are |
//! | `scratch` | the buffers |
//!
//! On a GPU the network that learnt computes the rows, and the heads here read them. The tests compare both.

mod intent;
mod layers;
mod scratch;
mod tags;

use super::multi_label::Decision;
use super::{DietConfig, Labels, Widths};
use crate::bundle::Weights;
use crate::features::{Features, LabelFeatures};
use crate::infer::{Buffers, Source, WeightsError};
use crate::kernels::Precision;

use intent::IntentHead;
use layers::Layers;
use scratch::Scratch;
use tags::{HeadSpace, TagHead};

pub(super) use tags::Found;

/// A network that answers and no longer learns.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    layers: Layers,
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
        let layers = Layers::new(config, widths, &source)?;
        let model_dim = layers.model_dim();
        let intents = config.intents.enabled && !labels.intents.is_empty();
        let intent = || {
            let source = source.at("intent");
            IntentHead::new(config, model_dim, widths, labels, label_features, layers.hidden(), &source)
        };
        Ok(Self {
            intent: intents.then(intent).transpose()?,
            tags: if config.entities.enabled { tags::heads(labels, model_dim, &source)? } else { Vec::new() },
            layers,
        })
    }

    /// Width of the rows that the heads read.
    pub(super) fn model_dim(&self) -> usize {
        self.layers.model_dim()
    }

    /// The rows that the heads read, of each message its tokens and then itself: `[token + 1, model_dim]`.
    pub(super) fn rows(&self, messages: &[&Features]) -> Vec<Vec<f32>> {
        Scratch::with(|scratch| {
            self.encode(messages, scratch);
            split_rows(messages, &scratch.rows.x, self.model_dim())
        })
    }

    /// How a message gets its intents, where it may have several.
    pub(super) fn decision(&self) -> Option<Decision> {
        self.intent.as_ref().and_then(|intent| intent.decision)
    }

    /// Answers some messages together and tells `finish` of each, with its number.
    pub(super) fn answer(&self, messages: &[impl AsRef<Features>], finish: impl FnMut(usize, Found<'_>)) {
        Scratch::with(|scratch| {
            self.encode(messages, scratch);
            self.finish(messages, scratch, finish);
        });
    }

    /// The same, where the rows that the heads read are there: `[row, model_dim]`, of each message its tokens and then itself.
    ///
    /// # Panics
    ///
    /// If these are not the rows of these messages.
    pub(super) fn answer_rows(
        &self,
        messages: &[impl AsRef<Features>],
        rows: Vec<f32>,
        finish: impl FnMut(usize, Found<'_>),
    ) {
        Scratch::with(|scratch| {
            count_rows(messages, &mut scratch.offsets);
            scratch.rows.x = rows;
            self.finish(messages, scratch, finish);
        });
    }

    /// Decides what the rows mean, and tells.
    fn finish(
        &self,
        messages: &[impl AsRef<Features>],
        scratch: &mut Scratch,
        mut finish: impl FnMut(usize, Found<'_>),
    ) {
        self.decide(messages, scratch);
        let Scratch { offsets, similarities, heads: spaces, .. } = scratch;
        let labels = self.intent.as_ref().map_or(0, IntentHead::labels);
        for (at, rows) in offsets.windows(2).enumerate() {
            let found = Found {
                similarities: &similarities[at * labels..(at + 1) * labels],
                heads: &self.tags,
                spaces,
                tokens: rows[0] - at..rows[1] - at - 1,
            };
            finish(at, found);
        }
    }

    /// Leaves similarities and tags of all messages behind.
    fn decide(&self, messages: &[impl AsRef<Features>], scratch: &mut Scratch) {
        let Scratch { offsets, rows, similarities, entity_tags, heads: spaces } = scratch;
        let Buffers { x, spare, scratch } = rows;
        let dim = self.model_dim();
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

    /// Leaves in `x` the rows that the heads read: `[row, model_dim]`, of each message its tokens, then itself.
    fn encode(&self, messages: &[impl AsRef<Features>], scratch: &mut Scratch) {
        count_rows(messages, &mut scratch.offsets);
        self.layers.forward(messages, &scratch.offsets, &mut scratch.rows);
    }
}

/// Where the rows of each message begin, and end.
fn count_rows(messages: &[impl AsRef<Features>], offsets: &mut Vec<usize>) {
    let mut end = 0;
    offsets.clear();
    offsets.push(0);
    offsets.extend(messages.iter().map(|message| {
        end += message.as_ref().sequence.len() + 1;
        end
    }));
}

/// The rows of each message, of those of all: `[row, dim]`.
pub(super) fn split_rows(messages: &[&Features], rows: &[f32], dim: usize) -> Vec<Vec<f32>> {
    let mut rest = rows.chunks_exact(dim.max(1));
    let own =
        |message: &&Features| rest.by_ref().take(message.sequence.len() + 1).flatten().copied().collect();
    messages.iter().map(own).collect()
}

#[cfg(test)]
mod tests;
