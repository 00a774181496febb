//! Training steps of DIET on made-up messages.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use candle_core::{Error, Result};

use super::Times;
use crate::data::TagSet;
use crate::diet::{DietConfig, Example, Labels, Learner, TrainingSet, Widths};
use crate::features::{Features, LabelFeatures};
use crate::kernels::Precision;
use crate::nn::Device;
use crate::text::WhitespaceTokenizer;
use crate::train::{BatchSize, BatchStrategy, Event, Trainer};

/// Work for the training loop: one batch of messages of one length, over and over.
///
/// The network is the default one: width 256, two layers of four heads, feed-forward 1024, embeddings of
/// 20; weights are dense, and the intent is learnt against all others.
#[derive(Clone, Debug, PartialEq)]
pub struct DietTraining {
    /// Messages in the batch.
    pub messages: usize,
    /// Tokens of each message.
    pub tokens: usize,
    /// Different sparse features of tokens, and as many of messages.
    pub columns: usize,
    /// Features of one token; a message has those of all its tokens.
    pub entries: usize,
    /// Different intents.
    pub intents: usize,
    /// Different types of entities; each has four tags.
    pub entity_types: usize,
    /// Share of inputs and activations that is dropped.
    pub drop_rate: f64,
    /// What the products of the transformer multiply.
    pub precision: Precision,
    /// What computes.
    pub device: Device,
}

impl Default for DietTraining {
    fn default() -> Self {
        Self {
            messages: 64,
            tokens: 12,
            columns: 4000,
            entries: 24,
            intents: 60,
            entity_types: 54,
            drop_rate: 0.0,
            precision: Precision::F32,
            device: Device::Cpu,
        }
    }
}

impl DietTraining {
    /// Trains for so many steps, forward, backward and `AdamW`, and says how long each took.
    ///
    /// A few steps before are not counted.
    ///
    /// # Errors
    ///
    /// If there is no such device, or candle cannot compute a step.
    pub fn steps(&self, threads: usize, steps: usize) -> Result<Times> {
        const WARM_UP: usize = 2;
        let config = DietConfig::default().with(|diet| {
            diet.training.epochs = WARM_UP + steps.max(1);
            diet.training.batch_size = BatchSize::Fixed(self.messages);
            diet.training.batch_strategy = BatchStrategy::Sequence;
            diet.similarity.negatives = 0;
            diet.transformer.connection_density = 1.0;
            (diet.transformer.dropout, diet.transformer.precision) = (self.drop_rate, self.precision);
        });
        let labels = self.labels();
        let label_features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
        let widths = Widths { sequence: self.columns, sentence: self.columns, dense: 0 };
        let (set, device) = (TrainingSet::all(self.examples()), self.device.open().map_err(Error::wrap)?);
        let learner = Learner::new(&config, widths, &labels, &label_features, set, None, &device)?;
        let mut ends = Vec::new();
        let stop = AtomicBool::new(false);
        Trainer::new(config.training.trainer(self.messages, threads), &stop).run(&learner, |event| {
            if let Event::Step { .. } = event {
                ends.push(Instant::now());
            }
        })?;
        Ok(Times::new(ends[WARM_UP - 1..].windows(2).map(|pair| pair[1] - pair[0]).collect()))
    }

    fn labels(&self) -> Labels {
        Labels {
            intents: (0..self.intents).map(|at| format!("intent_{at:02}")).collect(),
            entities: Some(TagSet::new((0..self.entity_types).map(|at| format!("type {at:02}")), true)),
            separator: None,
            roles: None,
            groups: None,
        }
    }

    fn examples(&self) -> Vec<Example> {
        (0..self.messages).map(|at| self.example(at)).collect()
    }

    fn example(&self, at: usize) -> Example {
        let mut features = Features::default();
        let column = |seed: usize| (number(seed, self.columns) as u32, 1.0);
        let first = |token| (at * self.tokens + token) * self.entries;
        for token in 0..self.tokens {
            features.sequence.push((0..self.entries).map(|entry| column(first(token) + entry)));
        }
        features.sentence.push((0..self.tokens * self.entries).map(|entry| column(first(0) + entry)));
        // Outside, or an entity of one token (the last of the four tags of a type), so that all is legal.
        let tag = |token| match number(at * 31 + token, 3) {
            0 => 4 * (1 + number(at + token, self.entity_types) as u32),
            _ => 0,
        };
        let intent = number(at, self.intents) as u32;
        Example {
            features,
            intent: Some(intent),
            intents: vec![intent],
            entities: (0..self.tokens).map(tag).collect(),
            roles: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// Numbers that look random and never change.
fn number(seed: usize, below: usize) -> usize {
    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_right(17) % below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_asked_for_is_timed() -> Result<()> {
        let small =
            DietTraining { messages: 3, tokens: 2, intents: 2, entity_types: 1, ..Default::default() };
        let times = small.steps(2, 5)?;
        assert!(times.total() >= times.median() * 3);
        assert!(times.quantile(0.0) > std::time::Duration::ZERO);
        Ok(())
    }
}
