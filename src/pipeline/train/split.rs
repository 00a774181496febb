//! The examples of a training in the order in which they are used, with their tokens and labels.

use std::sync::Arc;

use super::super::PipelineError;
use super::super::dense::EncoderExamples;
use super::super::tokenizer::MessageTokenizer;
use crate::data::{HoldOut, Utterance, stratified_split};
use crate::diet::{DietConfig, Example, Labels, TrainingSet};
use crate::features::{DenseFeatures, FeatureSet, Features, Message};
use crate::text::Span;

/// Calibration takes no more messages than this: further ones serve better when the network learns from them.
const MOST_FOR_CALIBRATION: f64 = 600.0;

/// The examples that are not held out, in three parts.
pub(super) struct Split<'d> {
    /// The names of the intents as messages; empty unless the network learns from them.
    names: Vec<Utterance>,
    /// What the network learns from.
    learnt: Vec<&'d Utterance>,
    /// Messages with an intent that confidences are fitted on. Only the linear path learns from them as well.
    calibration: Vec<&'d Utterance>,
}

impl<'d> Split<'d> {
    pub(super) fn new(
        train: &'d [&'d Utterance],
        labels: &Labels,
        config: &DietConfig,
    ) -> Result<Self, PipelineError> {
        check(labels, train)?;
        let names = if config.intents.learn_names { names_as_messages(labels) } else { Vec::new() };
        let share = if labels.intents.is_empty() { 0.0 } else { calibration_share(train.len(), config) };
        let (mut learnt, held_out) =
            stratified_split(train, HoldOut::Share(share), config.seed().wrapping_add(1));
        let (calibration, others): (Vec<_>, Vec<_>) =
            held_out.into_iter().partition(|one| one.intent.is_some());
        learnt.extend(others);
        Ok(Self { names, learnt, calibration })
    }

    /// All parts one after the other, with their tokens.
    pub(super) fn tokenize(&self, tokenizer: &MessageTokenizer) -> Examples<'_> {
        let parts =
            self.names.iter().chain(self.learnt.iter().copied()).chain(self.calibration.iter().copied());
        let utterances: Vec<&Utterance> = parts.collect();
        let tokens = utterances.iter().map(|one| tokenizer.tokenize(&one.text).0).collect();
        Examples { utterances, tokens, names: self.names.len(), calibration: self.calibration.len() }
    }
}

/// Names of intents, messages, and messages held out for calibration, in this order.
pub(super) struct Examples<'e> {
    pub(super) utterances: Vec<&'e Utterance>,
    /// The tokens of each.
    pub(super) tokens: Vec<Vec<Span>>,
    /// How many at the beginning are names of intents.
    names: usize,
    /// How many at the end are held out for calibration.
    calibration: usize,
}

impl Examples<'_> {
    /// As featurizers see them.
    pub(super) fn messages(&self) -> Vec<Message<'_>> {
        let all = self.utterances.iter().zip(&self.tokens);
        all.map(|(one, tokens)| Message { text: &one.text, tokens }).collect()
    }

    /// As encoders see them.
    pub(super) fn for_encoders<'e>(&'e self, labels: &'e Labels) -> EncoderExamples<'e> {
        let (utterances, tokens) = (&self.utterances[..], &self.tokens[..]);
        EncoderExamples { utterances, tokens, labels, calibration: self.calibration }
    }

    /// As the network sees them, without those that have no token.
    pub(super) fn training_set(
        &self,
        features: &FeatureSet,
        dense: &[Arc<DenseFeatures>],
        labels: &Labels,
    ) -> TrainingSet {
        let example = |at: usize| {
            let (utterance, tokens) = (self.utterances[at], &self.tokens[at]);
            let sparse = features.transform(Message { text: &utterance.text, tokens });
            labels.example(utterance, tokens, Features { dense: dense.get(at).cloned(), ..sparse })
        };
        let part = |places: std::ops::Range<usize>| -> Vec<Example> {
            places.filter(|at| !self.tokens[*at].is_empty()).map(example).collect()
        };
        let (count, kept) = (self.utterances.len(), self.utterances.len() - self.calibration);
        let parts = [part(0..self.names), part(self.names..kept), part(kept..count)];
        TrainingSet {
            names: parts[0].len(),
            calibration: parts[2].len(),
            examples: parts.concat(),
            unit_ranges: features.unit_ranges(),
        }
    }
}

/// The names of the intents as messages: `card_arrival` says in two words what its messages are about.
fn names_as_messages(labels: &Labels) -> Vec<Utterance> {
    let words = |intent: &String| {
        let words = intent.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    };
    labels.intents.iter().map(|intent| Utterance::new(words(intent), Some(intent))).collect()
}

/// The share of the examples that is held out for calibration.
fn calibration_share(examples: usize, config: &DietConfig) -> f64 {
    config.intents.calibration_share.min(MOST_FOR_CALIBRATION / examples.max(1) as f64)
}

/// Whether there is anything to learn.
fn check(labels: &Labels, train: &[&Utterance]) -> Result<(), PipelineError> {
    let readable = train.iter().filter(|utterance| !utterance.text.trim().is_empty()).count();
    if readable > 0 && !labels.is_empty() {
        return Ok(());
    }
    let intent = train.iter().find_map(|utterance| utterance.intent.as_deref());
    Err(match (readable, intent) {
        (0, _) => PipelineError::NoText,
        (_, Some(only)) => PipelineError::OneIntent { intent: only.to_owned() },
        (_, None) => PipelineError::NoLabels,
    })
}
