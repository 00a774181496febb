//! The input of a report.

use crate::data::Utterance;
use crate::metrics::{ClassificationReport, Comparison, Confusion};
use crate::pipeline::{CurveSeries, Evaluation, NO_ENTITY, TokenAnswer};
use crate::prediction::{DIET_CLASSIFIER, Prediction};

/// Answers to labelled messages and their scores.
#[derive(Clone, Copy, Debug)]
pub struct Tested<'a> {
    /// The messages.
    pub utterances: &'a [Utterance],
    /// The answers, in the same order.
    pub predictions: &'a [Prediction],
    /// Their scores.
    pub evaluation: &'a Evaluation,
}

/// Another model on the same messages.
#[derive(Clone, Copy, Debug)]
pub struct Other<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Its scores.
    pub evaluation: &'a Evaluation,
    /// From the tested model to this one.
    pub comparison: Comparison,
}

/// A score of each part of a cross-validation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FoldScores {
    /// The score.
    pub name: String,
    /// Its value for each part.
    pub values: Vec<f64>,
}

impl FoldScores {
    /// Mean and standard deviation over the parts.
    #[must_use]
    pub fn mean_and_deviation(&self) -> (f64, f64) {
        let parts = self.values.len().max(1) as f64;
        let mean = self.values.iter().sum::<f64>() / parts;
        let squares: f64 = self.values.iter().map(|value| (value - mean).powi(2)).sum();
        (mean, (squares / parts).sqrt())
    }
}

/// Everything that a report can show; what is missing is left out.
///
/// # Example
///
/// ```
/// use talkformer::data::Utterance;
/// use talkformer::pipeline::{Evaluation, EvaluationOptions};
/// use talkformer::prediction::{Prediction, Scored};
/// use talkformer::report::{FileOptions, Report, Tested};
///
/// let utterances = [Utterance::new("hello", Some("greet"))];
/// let greet = Scored { name: "greet".to_owned(), confidence: 0.9 };
/// let mut answer = Prediction::default();
/// (answer.intent, answer.intent_ranking) = (Some(greet.clone()), vec![greet]);
/// let predictions = [answer];
/// let evaluation = Evaluation::new(&utterances, &predictions, &EvaluationOptions::default());
/// let tested = Tested { utterances: &utterances, predictions: &predictions, evaluation: &evaluation };
/// let report = Report { title: "A first test", tested: Some(tested), ..Report::default() };
/// let names: Vec<String> = report.files(FileOptions::default()).into_iter().map(|file| file.name).collect();
/// assert!(names.contains(&"intent_report.json".to_owned()) && names.last().unwrap() == "report.html");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Report<'a> {
    /// What was tested.
    pub title: &'a str,
    /// How it was tested: names and values, such as the data and the command.
    pub facts: &'a [(&'a str, String)],
    /// Remarks for the reader.
    pub notes: &'a [String],
    /// The answers.
    pub tested: Option<Tested<'a>>,
    /// Scores of each part, after a cross-validation.
    pub folds: &'a [FoldScores],
    /// Another model.
    pub other: Option<Other<'a>>,
    /// How scores grow with the number of examples.
    pub curve: &'a [CurveSeries],
}

impl Report<'_> {
    pub(super) fn has_intents(&self) -> bool {
        self.tested.is_some_and(|tested| tested.evaluation.intent.messages > 0)
    }

    /// The entities of all components together, then of each alone where several found some; nothing where there is no
    /// entity.
    pub(super) fn entity_parts(&self) -> Vec<EntityPart<'_>> {
        let Some(Tested { evaluation, .. }) = self.tested else { return Vec::new() };
        let confusion = evaluation.token_confusion();
        if confusion.labels().iter().all(|label| *label == NO_ENTITY) {
            return Vec::new();
        }
        let (extractors, all) = (&evaluation.extractors, &evaluation.entity.by_token);
        let tokens = evaluation.answers().iter().map(|answer| &answer.tokens[..]).collect();
        let mut stems = vec!["intent".to_owned(), ALL_ENTITIES.to_owned()];
        let mut stem = |extractor: &str| {
            let stem = stem(extractor, &stems);
            stems.push(stem.clone());
            stem
        };
        if let [] | [_] = &extractors[..] {
            let only = extractors.first().map_or(DIET_CLASSIFIER, |one| &one.extractor);
            return vec![EntityPart { stem: stem(only), extractor: None, by_token: all, confusion, tokens }];
        }
        let whole =
            EntityPart { stem: ALL_ENTITIES.to_owned(), extractor: None, by_token: all, confusion, tokens };
        let own = extractors.iter().map(|one| EntityPart {
            stem: stem(&one.extractor),
            extractor: Some(&one.extractor),
            by_token: &one.scores.by_token,
            confusion: one.token_confusion(),
            tokens: one.tokens().iter().map(Vec::as_slice).collect(),
        });
        std::iter::once(whole).chain(own).collect()
    }
}

/// What the files about the entities of all components together begin with.
const ALL_ENTITIES: &str = "entity";

/// The entities of all components together or of one.
pub(super) struct EntityPart<'a> {
    /// What the names of its files begin with.
    pub(super) stem: String,
    /// The one component.
    pub(super) extractor: Option<&'a str>,
    pub(super) by_token: &'a ClassificationReport,
    pub(super) confusion: &'a Confusion,
    /// Of each message.
    pub(super) tokens: Vec<&'a [TokenAnswer]>,
}

/// The name of a component as the beginning of file names, unlike those that are taken. A component from outside this
/// crate may have any name.
fn stem(extractor: &str, taken: &[String]) -> String {
    const LONGEST: usize = 80;
    let plain = |c: char| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' };
    let name: String = extractor.chars().take(LONGEST).map(plain).collect();
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    let mut names = std::iter::once(name.clone()).filter(|name| !name.is_empty()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_component_leads_nowhere_else_and_replaces_no_file() {
        let taken = ["intent".to_owned(), "a_b".to_owned()];
        for (name, expected) in [
            ("DIETClassifier", "DIETClassifier"),
            ("../a b", "___a_b"),
            ("a/b", "a_b_2"),
            ("intent", "intent_2"),
            ("", "_2"),
        ] {
            assert_eq!(stem(name, &taken), expected);
        }
        assert_eq!(stem(&"ß".repeat(500), &taken).chars().count(), 80);
    }
}
