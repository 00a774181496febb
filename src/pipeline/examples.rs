//! The examples of a training in the order in which they are used, with their tokens.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::PipelineError;
use super::tokenizer::MessageTokenizer;
use crate::data::{HoldOut, Utterance, stratified_split};
use crate::diet::{DietConfig, Labels, TrainingSet};
use crate::features::{DenseFeatures, FeatureSet, Features, Message};
use crate::text::Span;

/// Calibration takes no more messages than this: further ones serve better when the network learns from them.
const MOST_FOR_CALIBRATION: f64 = 600.0;

/// Names of intents, messages, and messages held out for calibration, in this order.
pub(super) struct Examples<'d> {
    pub(super) utterances: Vec<Cow<'d, Utterance>>,
    /// The tokens of each.
    pub(super) tokens: Vec<Vec<Span>>,
    /// How many at the beginning are names of intents; none unless the network learns from them.
    names: usize,
    /// How many at the end are held out for calibration: messages with an intent that confidences are fitted on. Only
    /// the linear path learns from them as well.
    calibration: usize,
}

impl<'d> Examples<'d> {
    pub(super) fn new(
        train: &'d [&'d Utterance],
        labels: &Labels,
        config: &DietConfig,
        tokenizer: &MessageTokenizer,
    ) -> Result<Self, PipelineError> {
        check(labels, train)?;
        let names = if config.intents.learn_names { names_as_messages(labels) } else { Vec::new() };
        let share = if labels.intents.is_empty() { 0.0 } else { calibration_share(train.len(), config) };
        let seed = config.training.seed().wrapping_add(1);
        let (mut learnt, held_out) = stratified_split(train, HoldOut::Share(share), seed);
        let (calibration, others): (Vec<_>, Vec<_>) =
            held_out.into_iter().partition(|one| one.intent.is_some());
        learnt.extend(others);
        let calibration = without_only_ones(&mut learnt, calibration);
        let counts = (names.len(), calibration.len());
        let messages = learnt.into_iter().chain(calibration).map(Cow::Borrowed);
        let utterances: Vec<Cow<'d, Utterance>> = names.into_iter().map(Cow::Owned).chain(messages).collect();
        let tokens = utterances.iter().map(|one| tokenizer.tokenize(&one.text).0).collect();
        Ok(Self { utterances, tokens, names: counts.0, calibration: counts.1 })
    }

    /// How many at the beginning are not held out for calibration.
    pub(super) fn learnt(&self) -> usize {
        self.utterances.len() - self.calibration
    }

    /// As featurizers see them.
    pub(super) fn messages(&self) -> Vec<Message<'_>> {
        let all = self.utterances.iter().zip(&self.tokens);
        all.map(|(one, tokens)| Message { text: &one.text, tokens }).collect()
    }

    /// As the network sees them, without those that have no token.
    pub(super) fn training_set(
        &self,
        features: &FeatureSet,
        dense: &[Arc<DenseFeatures>],
        labels: &Labels,
    ) -> TrainingSet {
        let example = |at: usize| {
            let (utterance, tokens) = (&self.utterances[at], &self.tokens[at]);
            let sparse = features.transform(Message { text: &utterance.text, tokens });
            labels.example(utterance, tokens, Features { dense: dense.get(at).cloned(), ..sparse })
        };
        let has_tokens = |at: &usize| !self.tokens[*at].is_empty();
        let (count, learnt) = (self.utterances.len(), self.learnt());
        TrainingSet {
            names: (0..self.names).filter(has_tokens).count(),
            calibration: (learnt..count).filter(has_tokens).count(),
            examples: (0..count).filter(has_tokens).map(example).collect(),
            unit_ranges: features.unit_ranges(),
            whole_tables: false,
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

/// The messages of `calibration` that may be held out; into `learnt` go those with a type, role or group of an entity that
/// no message has there.
fn without_only_ones<'d>(
    learnt: &mut Vec<&'d Utterance>,
    calibration: Vec<&'d Utterance>,
) -> Vec<&'d Utterance> {
    let names = |one: &'d Utterance| {
        let entities = one.entities.iter();
        entities.flat_map(|entity| {
            let own = [Some(&entity.entity), entity.role.as_ref(), entity.group.as_ref()];
            own.into_iter().enumerate().filter_map(|(kind, name)| Some((kind, name?)))
        })
    };
    let mut known: HashSet<_> = learnt.iter().copied().flat_map(names).collect();
    calibration
        .into_iter()
        .filter(|&one| {
            let may_be_held_out = names(one).all(|name| known.contains(&name));
            if !may_be_held_out {
                known.extend(names(one));
                learnt.push(one);
            }
            may_be_held_out
        })
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Entity;

    #[test]
    fn the_only_example_of_an_entity_type_is_not_held_out() {
        let message = |entity: &str, role: Option<&str>| {
            let mut one = Utterance::new("x", Some("a"));
            one.entities
                .push(Entity { role: role.map(str::to_owned), ..Entity::new(entity, Span::new(0, 1)) });
            one
        };
        let all = [
            message("city", None),
            message("rate", None),
            message("rate", None),
            message("city", Some("from")),
            message("city", None),
        ];
        let mut learnt = vec![&all[0]];
        let held_out = without_only_ones(&mut learnt, all[1..].iter().collect());
        assert_eq!(held_out, [&all[2], &all[4]]);
        assert_eq!(learnt, [&all[0], &all[1], &all[3]]);
    }
}
