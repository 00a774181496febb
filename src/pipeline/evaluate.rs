//! How well a model does on labelled messages; one computation for screen, files and programs.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::Serialize;

use super::entity_scores::{EntityScoresByRule, EntityTally, ExtractorScores, TokenAnswer};
use super::{Nlu, OutOfScopeScores, TrainingOverlap, reported_intents};
use crate::data::{Utterance, base_intent};
use crate::diet::FALLBACK;
use crate::error::Result;
use crate::metrics::{
    Bootstrap, Calibration, ClassificationReport, Comparison, Confusion, Intervals, LabelSetReport,
    LabelSets, MessageOutcome, brier_score, label_parts, label_set_name, negative_log_likelihood,
};
use crate::prediction::{Prediction, Scored};

/// How to score.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EvaluationOptions {
    /// The intent of messages that are out of scope; without it one of
    /// [`OUT_OF_SCOPE_NAMES`](super::OUT_OF_SCOPE_NAMES), in whatever case.
    pub out_of_scope: Option<String>,
    /// What separates several intents in a label, such as `+` in `thank+bye`: labels of the same intents are then the
    /// same in any order. `None` where a message has one intent, whatever its name looks like. A model that is scored
    /// ([`Nlu::score`]) says so itself.
    pub separator: Option<String>,
    /// How intervals are drawn.
    pub bootstrap: Bootstrap,
}

impl EvaluationOptions {
    setters! { out_of_scope: Option<String>, separator: Option<String>, bootstrap: Bootstrap }

    /// The one name of the intents that a label stands for.
    pub(super) fn name_of<'l>(&self, label: &'l str) -> Cow<'l, str> {
        label_set_name(label, self.separator.as_deref())
    }

    fn parts<'l>(&self, label: &'l str) -> Vec<&'l str> {
        label_parts(label, self.separator.as_deref())
    }

    /// Whether a label means out of scope: where it stands for several intents, whether all of them do.
    pub(super) fn is_out_of_scope(&self, label: &str) -> bool {
        let named = self.out_of_scope.as_deref().map(|named| self.name_of(named));
        let means_out = |intent: &str| super::is_out_of_scope(intent, named.as_deref());
        let parts = self.parts(label);
        means_out(&self.name_of(label)) || (!parts.is_empty() && parts.into_iter().all(means_out))
    }
}

/// Scores of a model, as shares of one.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Messages that were answered.
    pub messages: usize,
    /// How often the intent is right.
    pub intent: IntentScores,
    /// How well entities are found, by all components together.
    pub entity: EntityScoresByRule,
    /// The components that found an entity, each with its own scores, by name. As JSON where there are several.
    #[serde(skip_serializing_if = "is_one_at_most")]
    pub extractors: Vec<ExtractorScores>,
    /// How far the scores could be off, where that was asked for.
    pub intervals: Intervals,
    /// How well confidences agree with accuracy, over messages with an intent that is in scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration: Option<CalibrationScores>,
    /// What was fitted in training to calibrate the confidences.
    pub model: ModelCalibration,
    /// Where the data has messages that are out of scope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub out_of_scope: Option<OutOfScopeScores>,
    /// Where a message may have several intents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent_sets: Option<LabelSetReport>,
    /// How many of the messages the model knows from its training; `None` where no model was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub training_overlap: Option<TrainingOverlap>,
    /// Where the data has retrieval intents and the model answers them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub responses: Option<ResponseScores>,
    #[serde(skip)]
    confusion: Confusion,
    #[serde(skip)]
    token_confusion: Confusion,
    #[serde(skip)]
    answers: Vec<Answer>,
}

/// How often the intent is right, among messages that have one.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct IntentScores {
    /// Messages with an intent.
    pub messages: usize,
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean F1 of the intents, each counting the same.
    pub macro_f1: f64,
    /// Mean F1 of the intents, each counting by its messages.
    pub weighted_f1: f64,
    /// Scores of each intent and the averages.
    pub report: ClassificationReport,
}

/// How often the answer is right, among messages with a retrieval intent such as `faq/ask_name`; others count as having
/// none.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ResponseScores {
    /// Messages with a retrieval intent.
    pub messages: usize,
    /// Share of right answers.
    pub accuracy: f64,
}

impl ResponseScores {
    fn new(utterances: &[Utterance], predictions: &[Prediction]) -> Option<Self> {
        let (mut messages, mut right) = (0, 0);
        for (gold, found) in utterances.iter().zip(predictions) {
            let wanted = gold.intent.as_deref().filter(|intent| base_intent(intent) != *intent);
            let (Some(wanted), Some(selection)) = (wanted, &found.response_selector) else { continue };
            messages += 1;
            // A selector for one retrieval intent comes before the one for all.
            let own = selection.selected.get(base_intent(wanted)).or(selection.selected.get("default"));
            right += usize::from(own.is_some_and(|own| own.response.intent_response_key == wanted));
        }
        (messages > 0).then(|| Self { messages, accuracy: right as f64 / messages as f64 })
    }
}

/// Whether confidences mean what they say.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CalibrationScores {
    /// Expected calibration error and its bins.
    #[serde(flatten)]
    pub calibration: Calibration,
    /// Mean squared distance of the confidences from the truth: see [`brier_score`].
    pub brier_score: f64,
    /// Mean of [`negative_log_likelihood`].
    pub negative_log_likelihood: f64,
}

/// What was fitted on held-out data while the model was trained; `None` where nothing was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelCalibration {
    /// Similarities are divided by this before they become confidences.
    pub temperature: Option<f64>,
    /// Expected calibration error on the held-out messages with a temperature of 1.
    pub expected_calibration_error_before: Option<f64>,
    /// Expected calibration error on the held-out messages with the fitted temperature.
    pub expected_calibration_error_after: Option<f64>,
    /// From this out-of-scope score on, the answer is the fallback.
    pub out_of_scope_threshold: Option<f64>,
}

/// One message: its answer, and what of it is scored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The best intent, a fallback undone.
    pub intent: Option<Scored>,
    /// What became of it.
    pub outcome: MessageOutcome,
    /// Its tokens.
    pub tokens: Vec<TokenAnswer>,
}

impl Evaluation {
    /// Scores answers to labelled messages, both in the same order: those of a model, or those of a cross-validation.
    ///
    /// A fallback is undone first: the best intent counts, however unsure. Where a message may have several intents
    /// (`options.separator`), it is right if it has exactly those, and reports call the set by their names in
    /// alphabetical order. Of a retrieval intent `faq/ask_name` the intent is `faq`; whether the answer to it is right is
    /// scored apart. Entities are those that a user receives, whichever component found them; see
    /// [`EntityScoresByRule`] for what counts where two found something in the same place.
    #[must_use]
    pub fn new(utterances: &[Utterance], predictions: &[Prediction], options: &EvaluationOptions) -> Self {
        let responses = ResponseScores::new(utterances, predictions);
        let utterances = &*reported_intents(utterances, predictions);
        let mut labels: HashMap<Cow<'_, str>, usize> = HashMap::new();
        let (mut confusion, mut sets) = (Confusion::default(), LabelSets::default());
        let mut all_entities = EntityTally::default();
        let mut answers = Vec::with_capacity(utterances.len());
        for (gold, found) in utterances.iter().zip(predictions) {
            let best = found.intent_ranking.iter().find(|scored| scored.name != FALLBACK);
            let right = gold.intent.as_deref().map(|intent| options.name_of(intent));
            let name = best.map(|scored| options.name_of(&scored.name));
            if let Some(right) = &right {
                confusion.add(right, name.as_deref());
                sets.add(options.parts(right), name.iter().flat_map(|name| options.parts(name)));
            }
            let (entities, tokens) = all_entities.add(gold, found, None);
            let mut number = |name| {
                let next = labels.len();
                *labels.entry(name).or_insert(next)
            };
            let outcome = MessageOutcome {
                gold: right.map(&mut number),
                predicted: name.map(&mut number),
                confidence: is_in_scope(gold, options)
                    .then(|| best.map_or(0.0, |scored| f64::from(scored.confidence))),
                entities,
            };
            answers.push(Answer { intent: best.cloned(), outcome, tokens });
        }
        let outcomes: Vec<MessageOutcome> = answers.iter().map(|answer| answer.outcome).collect();
        let (entity, token_confusion) = all_entities.finish();
        let several = options.separator.is_some() && confusion.total() > 0;
        Self {
            messages: answers.len(),
            intent: IntentScores::new(&confusion),
            entity,
            extractors: ExtractorScores::of_each(utterances, predictions),
            intervals: Intervals::new(&outcomes, options.bootstrap),
            calibration: CalibrationScores::new(utterances, predictions, &outcomes, options),
            model: ModelCalibration::default(),
            out_of_scope: OutOfScopeScores::new(utterances, predictions, options),
            intent_sets: several.then(|| sets.finish()),
            training_overlap: None,
            responses,
            confusion,
            token_confusion,
            answers,
        }
    }

    /// Which intents are taken for which.
    #[must_use]
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }

    /// Which labels of tokens are taken for which.
    #[must_use]
    pub fn token_confusion(&self) -> &Confusion {
        &self.token_confusion
    }

    /// What was answered, in the order of the messages.
    #[must_use]
    pub fn answers(&self) -> &[Answer] {
        &self.answers
    }

    /// This model and another on the same messages: how they differ, and whether that could be chance.
    #[must_use]
    pub fn compare(&self, other: &Self, bootstrap: Bootstrap) -> Comparison {
        let outcomes = |one: &Self| -> Vec<MessageOutcome> {
            // Comparing asks only whether an intent is right, so that two numberings of intents do not matter.
            one.answers.iter().map(|answer| answer.outcome).collect()
        };
        Comparison::new(&outcomes(self), &outcomes(other), bootstrap)
    }
}

impl IntentScores {
    fn new(confusion: &Confusion) -> Self {
        let report = ClassificationReport::new(confusion);
        Self {
            messages: confusion.total(),
            accuracy: report.accuracy,
            macro_f1: report.macro_average.f1,
            weighted_f1: report.weighted_average.f1,
            report,
        }
    }
}

impl CalibrationScores {
    fn new(
        utterances: &[Utterance],
        predictions: &[Prediction],
        outcomes: &[MessageOutcome],
        options: &EvaluationOptions,
    ) -> Option<Self> {
        let counted = || outcomes.iter().filter_map(|one| Some((one.confidence?, one.is_right())));
        let calibration = Calibration::new(counted());
        let (mut brier, mut likelihood) = (0.0, 0.0);
        for ((gold, found), outcome) in utterances.iter().zip(predictions).zip(outcomes) {
            let Some(intent) = gold.intent.as_deref().filter(|_| outcome.confidence.is_some()) else {
                continue;
            };
            let ranking = found.intent_ranking.iter().filter(|scored| scored.name != FALLBACK);
            let right = options.name_of(intent);
            let ranking =
                ranking.map(|scored| (f64::from(scored.confidence), options.name_of(&scored.name) == right));
            brier += brier_score(ranking.clone());
            likelihood += negative_log_likelihood(ranking.clone().find(|one| one.1).map(|one| one.0));
        }
        let messages = calibration.messages as f64;
        (messages > 0.0).then(|| Self {
            calibration,
            brier_score: brier / messages,
            negative_log_likelihood: likelihood / messages,
        })
    }
}

impl Nlu {
    /// Scores this model on labelled messages, without intervals and without a look at its training data; otherwise as
    /// [`Nlu::evaluate_with`].
    ///
    /// # Errors
    ///
    /// If the network cannot be computed.
    pub fn evaluate(&self, utterances: &[Utterance]) -> Result<Evaluation> {
        let bootstrap = Bootstrap { draws: 0, ..Bootstrap::default() };
        let options = EvaluationOptions::default().bootstrap(bootstrap);
        Ok(self.scores_of(utterances, &self.answers_to(utterances)?, &options))
    }

    /// Scores this model on labelled messages, see [`Evaluation::new`], and says how many of them it was trained on.
    ///
    /// # Errors
    ///
    /// If the network cannot be computed, or the examples that the model keeps cannot be read.
    pub fn evaluate_with(&self, utterances: &[Utterance], options: &EvaluationOptions) -> Result<Evaluation> {
        self.score(utterances, &self.answers_to(utterances)?, options)
    }

    fn answers_to(&self, utterances: &[Utterance]) -> Result<Vec<Prediction>> {
        let texts: Vec<&str> = utterances.iter().map(|utterance| utterance.text.as_str()).collect();
        self.parse_batch(&texts)
    }

    /// Scores answers that this model gave, adds what was fitted in training to calibrate them, and says how many of the
    /// messages it was trained on. Whether labels stand for several intents is decided by the model, not by `options`.
    ///
    /// # Errors
    ///
    /// If the examples that the model keeps cannot be read.
    pub fn score(
        &self,
        utterances: &[Utterance],
        predictions: &[Prediction],
        options: &EvaluationOptions,
    ) -> Result<Evaluation> {
        let training_overlap = Some(self.training_overlap(utterances, predictions, options)?);
        Ok(Evaluation { training_overlap, ..self.scores_of(utterances, predictions, options) })
    }

    /// The scores alone.
    pub(super) fn scores_of(
        &self,
        utterances: &[Utterance],
        predictions: &[Prediction],
        options: &EvaluationOptions,
    ) -> Evaluation {
        let options = options.clone().separator(self.labels().separator.clone());
        Evaluation { model: self.model_calibration(), ..Evaluation::new(utterances, predictions, &options) }
    }

    /// What was fitted while this model was trained.
    fn model_calibration(&self) -> ModelCalibration {
        let Some(found) = self.confidence() else { return ModelCalibration::default() };
        ModelCalibration {
            temperature: (found.transformer > 0.0).then(|| 1.0 / f64::from(found.transformer)),
            expected_calibration_error_before: Some(found.error_before),
            expected_calibration_error_after: Some(found.error_after),
            out_of_scope_threshold: Some(1.0 - f64::from(found.threshold)),
        }
    }
}

fn is_in_scope(gold: &Utterance, options: &EvaluationOptions) -> bool {
    gold.intent.as_deref().is_some_and(|intent| !options.is_out_of_scope(intent))
}

/// Whether the scores of each component alone would only repeat those of all together.
fn is_one_at_most(extractors: &[ExtractorScores]) -> bool {
    extractors.len() < 2
}

/// Gives each label that stands for the same intents the same name: see [`label_set_name`]. Without a separator labels stay
/// as they are.
pub fn name_intent_sets(utterances: &mut [Utterance], separator: Option<&str>) {
    for intent in utterances.iter_mut().filter_map(|utterance| utterance.intent.as_mut()) {
        if let Cow::Owned(name) = label_set_name(intent, separator) {
            *intent = name;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages with an intent, and the intent that was answered to each.
    fn intents(pairs: &[(&str, &str)], separator: Option<&str>) -> Evaluation {
        let answer = |name: &str| {
            let scored = Scored { name: name.to_owned(), confidence: 0.8 };
            Prediction { intent: Some(scored.clone()), intent_ranking: vec![scored], ..Prediction::default() }
        };
        let gold: Vec<_> = pairs.iter().map(|(gold, _)| Utterance::new("x", Some(gold))).collect();
        let found: Vec<_> = pairs.iter().map(|(_, found)| answer(found)).collect();
        let options = EvaluationOptions::default().separator(separator.map(str::to_owned));
        Evaluation::new(&gold, &found, &options)
    }

    #[test]
    fn a_name_with_a_sign_in_it_is_one_intent_unless_a_message_may_have_several() {
        let found = intents(&[("google", "google+"), ("google+", "google+"), ("a+b", "b+a")], None);
        assert!((found.intent.accuracy - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(found.confusion().labels(), ["a+b", "b+a", "google", "google+"]);
        assert!(found.intent_sets.is_none());
        assert!(!found.answers()[0].outcome.is_right());
        let calibration = found.calibration.unwrap();
        assert!((calibration.calibration.expected_calibration_error - (0.8 - 1.0 / 3.0)).abs() < 1e-6);
    }

    #[test]
    fn the_same_intents_are_right_in_any_order_and_have_one_row() {
        let pairs = [("b|a", "a|b"), ("a|b", "b | a"), ("a", "a|b"), ("c+d", "c")];
        let found = intents(&pairs, Some("|"));
        assert_eq!(found.intent.accuracy, 0.5);
        assert_eq!(found.confusion().labels(), ["a", "a|b", "c", "c+d"]);
        assert_eq!(found.intent.report.labels["a|b"].support, 2);
        let sets = found.intent_sets.as_ref().unwrap();
        assert_eq!((sets.messages, sets.exact_match), (4, 0.5));
        assert_eq!(sets.labels.keys().collect::<Vec<_>>(), ["a", "b", "c", "c+d"]);
        // Two of four confidences of 0.8 are right; each of the right ones is 0.2 away from the truth.
        assert!(
            (found.calibration.as_ref().unwrap().brier_score - (2.0 * 0.04 + 2.0 * 1.64) / 4.0).abs() < 1e-6
        );
        let other = intents(&[("b|a", "a|b"), ("a|b", "a"), ("a", "a"), ("c+d", "c+d")], Some("|"));
        let compared = found.compare(&other, Bootstrap::default());
        assert_eq!((compared.only_first_right, compared.only_second_right), (1, 2));
    }

    #[test]
    fn one_spelling_for_all_labels_of_the_same_intents() {
        let mut all =
            [Utterance::new("x", Some("b | a")), Utterance::new("x", Some("|")), Utterance::new("x", None)];
        name_intent_sets(&mut all, Some("|"));
        assert_eq!(all.each_ref().map(|one| one.intent.as_deref()), [Some("a|b"), Some("|"), None]);
        let mut plain = [Utterance::new("x", Some("b|a"))];
        name_intent_sets(&mut plain, None);
        assert_eq!(plain[0].intent.as_deref(), Some("b|a"));
    }
}
