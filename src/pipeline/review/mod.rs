//! What looks wrong in labelled data, according to models that have not learnt the example in question.
//!
//! The input is examples with the predictions of out-of-fold models: [`CrossValidation`](super::CrossValidation) trains
//! a model on all folds but one and applies it to that one. A model that learnt an example would repeat its label,
//! right or wrong; one that did not, and is sure of another label, deserves attention.
//!
//! `intents` finds mislabelled examples, `confused` the intents that are hard to tell apart, `entities` what is
//! annotated in one place and not in another. All are pure functions and put the surest first.

mod confused;
mod entities;
mod intents;

pub use confused::{ConfusedIntents, Mistaken};
pub use entities::{EntityDoubt, EntityProblem};
pub use intents::IntentDoubt;

use crate::data::{Utterance, texts_by_intent};
use crate::diet::FALLBACK;
use crate::prediction::{Prediction, Scored};

/// What looks wrong in labelled data.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Review<'d> {
    /// Examples whose intent is probably another, likeliest first.
    pub intents: Vec<IntentDoubt<'d>>,
    /// Pairs of intents that are taken for each other, most often first.
    pub confused: Vec<ConfusedIntents<'d>>,
    /// Annotations that are probably wrong or missing, likeliest first.
    pub entities: Vec<EntityDoubt<'d>>,
}

/// Finds what looks wrong, from examples and the predictions of models that have learnt from other examples only.
///
/// Rankings should hold all intents (`ranking_length: 0`): one that is missing counts as impossible. Labels are compared
/// as they stand: where models select responses, give examples their [`reported_intents`](super::reported_intents). Where
/// a message may have several intents, let the models learn each set as a class of its own
/// (`multi_label_intents: false`), from labels of one spelling ([`name_intent_sets`](super::name_intent_sets)).
///
/// # Panics
///
/// If there is not one prediction for each example.
///
/// # Example
///
/// ```
/// use talkformer::data::Utterance;
/// use talkformer::pipeline::review;
/// use talkformer::prediction::{Prediction, Scored};
///
/// let examples = [("hello", "greet"), ("good day", "greet"), ("so long", "bye"), ("hi there", "bye")];
/// let examples = examples.map(|(text, intent)| Utterance::new(text, Some(intent)));
/// let answer = |greet: f32| {
///     let scored = |(name, confidence): (&str, f32)| Scored { name: name.into(), confidence };
///     let mut intent_ranking: Vec<_> = [("greet", greet), ("bye", 1.0 - greet)].map(scored).into();
///     intent_ranking.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
///     let mut answer = Prediction::default();
///     answer.intent_ranking = intent_ranking;
///     answer
/// };
/// let answers = [answer(0.8), answer(0.9), answer(0.2), answer(0.95)];
/// let review = review(&examples, &answers);
/// assert_eq!(review.intents.len(), 1);
/// assert_eq!((&*review.intents[0].utterance.text, review.intents[0].suggested), ("hi there", "greet"));
/// ```
#[must_use]
pub fn review<'d>(utterances: &'d [Utterance], predictions: &'d [Prediction]) -> Review<'d> {
    assert_eq!(utterances.len(), predictions.len(), "one prediction for each example");
    Review {
        intents: intents::doubts(utterances, predictions),
        confused: confused::pairs(utterances, predictions),
        entities: entities::doubts(utterances, predictions),
    }
}

/// The intents of the ranking, best first; a fallback is none.
fn ranking(prediction: &Prediction) -> impl Iterator<Item = &Scored> {
    prediction.intent_ranking.iter().filter(|scored| scored.name != FALLBACK)
}

/// The examples that have an intent which others have as well, with the ranking of intents for each.
///
/// An intent with a single text was unknown to the model that was asked about it: folds keep equal texts together.
fn with_intent<'d>(
    utterances: &'d [Utterance],
    predictions: &'d [Prediction],
) -> Vec<(&'d Utterance, &'d str, Vec<&'d Scored>)> {
    let texts = texts_by_intent(utterances, |intent| vec![intent]);
    let all = utterances.iter().zip(predictions).filter_map(|(utterance, prediction)| {
        Some((utterance, utterance.intent.as_deref()?, ranking(prediction).collect::<Vec<_>>()))
    });
    all.filter(|(_, intent, ranking)| texts[intent].len() > 1 && !ranking.is_empty()).collect()
}

#[cfg(test)]
mod testing {
    use super::*;
    use crate::data::Source;

    /// An example with what a model says of it: intents with confidences, in any order.
    pub(super) fn example(
        text: &str,
        intent: &str,
        line: usize,
        confidences: &[(&str, f32)],
    ) -> (Utterance, Prediction) {
        let scored =
            |(name, confidence): &(&str, f32)| Scored { name: (*name).into(), confidence: *confidence };
        let mut intent_ranking: Vec<Scored> = confidences.iter().map(scored).collect();
        intent_ranking.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        let utterance =
            Utterance { source: Source::new("nlu.yml", line), ..Utterance::new(text, Some(intent)) };
        let prediction = Prediction {
            text: text.into(),
            intent: intent_ranking.first().cloned(),
            intent_ranking,
            ..Prediction::default()
        };
        (utterance, prediction)
    }
}
