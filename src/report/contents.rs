//! The input of a report.

use crate::data::Utterance;
use crate::metrics::Comparison;
use crate::pipeline::{CurveSeries, Evaluation, NO_ENTITY};
use crate::prediction::Prediction;

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

    pub(super) fn has_entities(&self) -> bool {
        self.tested.is_some_and(|Tested { evaluation, .. }| {
            evaluation.token_confusion().labels().iter().any(|label| *label != NO_ENTITY)
        })
    }
}
