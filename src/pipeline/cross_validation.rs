//! Answers to labelled messages by models that have not seen them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use super::{Nlu, PipelineConfig, PipelineError, Training, TrainingOptions, name_intent_sets};
use crate::data::{TrainingData, Utterance, stratified_folds, texts_by_intent};
use crate::error::Result;
use crate::metrics::label_parts;
use crate::prediction::Prediction;
use crate::text::fold;
use crate::train::{Event, Stopped};

/// How to cut the data. What the models learn is decided by the seed of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CrossValidation {
    /// Parts of the data, and thus models: each is trained without one part and answers it.
    pub folds: usize,
    /// Decides which message belongs to which part.
    pub seed: u64,
}

impl Default for CrossValidation {
    /// Five parts, as in Rasa.
    fn default() -> Self {
        Self { folds: 5, seed: 0 }
    }
}

/// How far a cross-validation has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fold {
    /// The part that is left out now, counted from 0.
    pub fold: usize,
    /// Of how many.
    pub folds: usize,
}

/// The pooled answers of all models of a cross-validation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OutOfFold {
    /// The answer to each message of the data, in its order, by the model that was trained without it.
    pub predictions: Vec<Prediction>,
    /// The part that each message belongs to, counted from 0.
    pub folds: Vec<usize>,
    /// Messages that have the text of an earlier one, but for case and blanks at its ends. They are in the same part, so
    /// that no model answers a text that it learnt.
    pub repeated_texts: usize,
    /// How each of the models was trained.
    pub trainings: Vec<Training>,
    /// What is odd about the data: intents that are not in every part, and the like.
    pub warnings: Vec<String>,
}

impl CrossValidation {
    setters! { folds: usize, seed: u64 }

    /// Trains one model per part on all other parts and has it answer the part that it has not seen.
    ///
    /// The parts keep the proportions of the intents, and equal texts stay together: see [`stratified_folds`].
    /// Intents with fewer examples than parts are kept, unlike in Rasa, which drops them; a warning names them,
    /// for an intent with one example cannot be answered rightly. Messages without an intent are spread as well.
    /// Synonyms, regular expressions and lookup tables are known to every model.
    ///
    /// `observe` hears of every step and which part is left out. The same data, pipeline, seeds and number of
    /// threads give the same answers.
    ///
    /// # Errors
    ///
    /// If there are fewer than two parts or fewer messages than parts, if `options.stop` was raised, and as
    /// [`Nlu::train`].
    pub fn run(
        self,
        pipeline: &PipelineConfig,
        data: &TrainingData,
        options: &TrainingOptions,
        mut observe: impl FnMut(Fold, Event),
    ) -> Result<OutOfFold> {
        let folds = self.folds;
        let all = &data.utterances;
        if folds < 2 {
            return Err(PipelineError::TooFewFolds { folds }.into());
        }
        if all.len() < folds {
            return Err(PipelineError::TooFewExamples { folds, examples: all.len() }.into());
        }
        let separator = pipeline.intent_separator();
        let separator = separator.as_deref();
        let mut labelled = Cow::Borrowed(&all[..]);
        if separator.is_some() {
            name_intent_sets(labelled.to_mut(), separator);
        }
        let part = stratified_folds(&labelled, folds, self.seed);
        let mut answers = vec![Prediction::default(); all.len()];
        let mut trainings = Vec::with_capacity(folds);
        for fold in 0..folds {
            let place = Fold { fold, folds };
            let others = all.iter().zip(&part).filter(|&(_, &of)| of != fold);
            let without = data.only(others.map(|(utterance, _)| utterance));
            let (nlu, training) =
                Nlu::train_with(pipeline, &without, options, |event| observe(place, event))?;
            if training.outcome.stopped == Stopped::Interrupted || options.stop.load(Ordering::Relaxed) {
                return Err(PipelineError::Stopped { during: format!("fold {} of {folds}", fold + 1) }.into());
            }
            let left_out: Vec<usize> = (0..all.len()).filter(|&at| part[at] == fold).collect();
            let texts: Vec<&str> = left_out.iter().map(|&at| all[at].text.as_str()).collect();
            for (at, answer) in left_out.into_iter().zip(nlu.parse_batch(&texts)?) {
                answers[at] = answer;
            }
            trainings.push(training);
        }
        let repeated_texts = repeated_texts(all);
        let mut warnings = rare_intents(all, separator, folds);
        if repeated_texts > 0 {
            warnings.push(format!(
                "{repeated_texts} of {} messages have the text of another one, but for case and blanks at its ends; they \
                 are in the same fold, so that no model is tested on a text that it learnt",
                all.len()
            ));
        }
        Ok(OutOfFold { predictions: answers, warnings, folds: part, repeated_texts, trainings })
    }
}

/// Messages that have the text of an earlier one.
fn repeated_texts(utterances: &[Utterance]) -> usize {
    let texts: BTreeSet<String> = utterances.iter().map(|utterance| fold(&utterance.text)).collect();
    utterances.len() - texts.len()
}

/// Intents that cannot be in every part, in one sentence for those with one text and one for the others.
fn rare_intents(utterances: &[Utterance], separator: Option<&str>, folds: usize) -> Vec<String> {
    let texts = texts_by_intent(utterances, |label| label_parts(label, separator));
    let named = |wanted: &dyn Fn(usize) -> bool| -> Vec<String> {
        let found = texts.iter().filter(|(_, texts)| wanted(texts.len()));
        found.map(|(name, _)| format!("`{name}`")).collect()
    };
    let lonely = named(&|texts| texts == 1);
    let few = named(&|texts| texts > 1 && texts < folds);
    let mut warnings = Vec::new();
    if !lonely.is_empty() {
        warnings.push(format!(
            "with one example each, these intents are answered by a model that never met them, and count as wrong: {}",
            lonely.join(", ")
        ));
    }
    if !few.is_empty() {
        warnings.push(format!(
            "with fewer than {folds} examples each, these intents are missing in some folds: {}",
            few.join(", ")
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::Error;

    const CONFIG: &str = "
pipeline:
- name: WhitespaceTokenizer
- name: CountVectorsFeaturizer
- name: DIETClassifier
  epochs: 30
  batch_size: 8
  transformer_size: 16
  number_of_attention_heads: 2
  number_of_transformer_layers: 1
  minimum_steps: 0
";

    fn config() -> PipelineConfig {
        PipelineConfig::from_yaml(CONFIG, "config.yml").unwrap()
    }

    /// Twelve messages of two intents that share no word, one of a third intent, one without any.
    fn data() -> TrainingData {
        let mut data = TrainingData::default();
        for i in 0..6 {
            data.push(Utterance::new(format!("hello dear friend {i}"), Some("greet")));
            data.push(Utterance::new(format!("cancel that order {i}"), Some("cancel")));
        }
        data.push(Utterance::new("zebra", Some("animal")));
        data.push(Utterance::new("nothing in particular", None));
        data
    }

    fn options() -> TrainingOptions {
        TrainingOptions { threads: 1, ..TrainingOptions::default() }
    }

    #[test]
    fn every_message_is_answered_once_by_a_model_that_has_not_seen_it() {
        let data = data();
        let cut = CrossValidation { folds: 3, seed: 5 };
        let mut begun = Vec::new();
        let found = cut
            .run(&config(), &data, &options(), |place, event| {
                assert_eq!(place.folds, 3);
                if let Event::Started { examples, .. } = event {
                    begun.push((place.fold, examples));
                }
            })
            .unwrap();
        assert!(found.predictions.iter().zip(&data.utterances).all(|(answer, one)| answer.text == one.text));
        let outside = |fold| found.folds.iter().filter(|&&of| of != fold).count();
        assert_eq!(begun, [0, 1, 2].map(|fold| (fold, outside(fold))));
        assert_eq!(found.trainings.len(), 3);
        let intent = |at: usize| found.predictions[at].intent.as_ref().map(|intent| intent.name.as_str());
        assert!((0..12).all(|at| intent(at) == data.utterances[at].intent.as_deref()));
        // The model that answers "zebra" has never heard of animals; a model that had seen it would know.
        let names = |at: usize| found.predictions[at].intent_ranking.iter().map(|one| one.name.as_str());
        assert!(names(12).all(|name| name != "animal"));
        assert!(
            (0..12)
                .filter(|&at| found.folds[at] != found.folds[12])
                .all(|at| names(at).any(|name| name == "animal"))
        );
        assert_eq!((found.warnings.len(), found.repeated_texts), (1, 0));
        assert!(found.warnings[0].contains("`animal`") && found.warnings[0].contains("one example"));
    }

    #[test]
    fn the_same_text_in_another_spelling_is_in_one_fold_and_named() {
        let mut data = data();
        for (text, intent) in [(" Hello Dear Friend 0", "cancel"), ("CANCEL that order 1 ", "cancel")] {
            data.push(Utterance::new(text, Some(intent)));
        }
        let found =
            CrossValidation { folds: 3, seed: 2 }.run(&config(), &data, &options(), |_, _| {}).unwrap();
        assert_eq!(found.repeated_texts, 2);
        assert!(
            found.warnings.iter().any(|one| one.starts_with("2 of 16 messages have the text of another one"))
        );
        assert_eq!((found.folds[0], found.folds[3]), (found.folds[14], found.folds[15]));
    }

    #[test]
    fn an_intent_beside_others_is_known_by_those_messages() {
        let all = ["a|b", "b|a", "a", "c", "google+"].map(|intent| Utterance::new(intent, Some(intent)));
        let warnings = rare_intents(&all, Some("|"), 2);
        assert!(warnings.len() == 1 && warnings[0].ends_with(": `c`, `google+`"), "{warnings:?}");
        let warnings = rare_intents(&all, None, 2);
        assert!(warnings[0].ends_with(": `a`, `a|b`, `b|a`, `c`, `google+`"), "{warnings:?}");
    }

    #[test]
    fn seeds_decide_everything() {
        let (config, data) = (config(), data());
        let run =
            |seed| CrossValidation { folds: 2, seed }.run(&config, &data, &options(), |_, _| {}).unwrap();
        assert_eq!(run(1).predictions, run(1).predictions);
        assert_ne!(run(1).folds, run(2).folds);
    }

    #[test]
    fn too_few_examples_and_a_raised_flag_are_errors() {
        let message = |folds, options: TrainingOptions| {
            let cut = CrossValidation { folds, seed: 0 };
            cut.run(&config(), &data(), &options, |_, _| {}).unwrap_err().to_string()
        };
        assert!(message(1, options()).contains("at least 2"));
        assert!(message(15, options()).contains("there are 14"));
        let stopped =
            TrainingOptions { threads: 1, stop: Arc::new(AtomicBool::new(true)), ..Default::default() };
        assert_eq!(message(3, stopped), "stopped during fold 1 of 3");
        let error: Error = PipelineError::Stopped { during: String::new() }.into();
        assert!(matches!(error, Error::Pipeline(PipelineError::Stopped { .. })));
    }
}
