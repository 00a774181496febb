//! What a test leaves behind: files under Rasa's names, and one page that holds it all.
//!
//! Scores come in from [`Evaluation`]; out come names and bytes, and whoever asked writes them. Nothing is computed
//! here that the screen does not know as well.
//!
//! - [`Report::files`]: `intent_report.json`, `intent_errors.json` and so on, with the keys of `rasa test nlu`;
//! - [`Report::html`]: `report.html`, which needs nothing else and opens without a network;
//! - [`Drawing`]: confusion matrix, histogram, reliability diagram and learning curve, as SVG or PNG.
//!
//! Read `drawing` first, then `charts`.

mod attention;
mod charts;
mod drawing;
mod html;
mod page;
#[cfg(feature = "png")]
mod png;
mod rasa;
mod svg;

pub use attention::{AttentionPanel, attention};
pub use charts::{confusion_matrix, histogram, learning_curve, reliability};
pub use drawing::{Anchor, Drawing, Paint, Place, Shape};

use crate::data::Utterance;
use crate::metrics::{Comparison, Interval};
use crate::pipeline::{CurveSeries, Evaluation, NO_ENTITY};
use crate::prediction::Prediction;

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportFile {
    /// Its name, without a folder.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// Which files are wanted beside the reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// Messages that were answered wrongly.
    pub errors: bool,
    /// Messages that were answered rightly.
    pub successes: bool,
    /// Drawings.
    pub pictures: bool,
}

impl Default for FileOptions {
    /// Errors and pictures, as in Rasa.
    fn default() -> Self {
        Self { errors: true, successes: false, pictures: true }
    }
}

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

/// Everything a report can tell; what is missing is left out.
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
/// let predictions = [Prediction { intent: Some(greet.clone()), intent_ranking: vec![greet], ..Prediction::default() }];
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
    /// How it was tested: a word and what it says, such as the data and the command.
    pub facts: &'a [(&'a str, String)],
    /// What to keep in mind.
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
    /// All files, `report.html` last: where it is, the others are.
    #[must_use]
    pub fn files(&self, options: FileOptions) -> Vec<ReportFile> {
        let mut files = Vec::new();
        let mut add = |name: String, text: String| files.push(ReportFile { name, bytes: text.into_bytes() });
        if let Some(Tested { utterances, predictions, evaluation }) = self.tested {
            let (answers, extractor) = (evaluation.answers(), rasa::EXTRACTOR);
            let wanted = [(options.errors, "errors", false), (options.successes, "successes", true)];
            let wanted = || wanted.into_iter().filter(|(wanted, _, _)| *wanted);
            if self.has_intents() {
                let report = rasa::report(&evaluation.intent.report, evaluation.confusion());
                add("intent_report.json".to_owned(), report);
                for (_, word, right) in wanted() {
                    add(format!("intent_{word}.json"), rasa::intents(utterances, answers, right));
                }
            }
            if self.has_entities() {
                let report = rasa::report(&evaluation.entity.by_token, evaluation.token_confusion());
                add(format!("{extractor}_report.json"), report);
                for (_, word, right) in wanted() {
                    let text = rasa::entities(utterances, predictions, answers, right);
                    add(format!("{extractor}_{word}.json"), text);
                }
            }
        }
        if !self.curve.is_empty() {
            add("results.json".to_owned(), rasa::results(self.curve));
        }
        let drawings = self.drawings();
        if options.pictures {
            for (name, drawing) in &drawings {
                files.push(ReportFile { name: format!("{name}.svg"), bytes: drawing.to_svg().into_bytes() });
                #[cfg(feature = "png")]
                files.extend(drawing.to_png().map(|bytes| ReportFile { name: format!("{name}.png"), bytes }));
            }
        }
        files.push(ReportFile { name: "report.html".to_owned(), bytes: self.page(&drawings).into_bytes() });
        files
    }

    /// The page that holds it all.
    #[must_use]
    pub fn html(&self) -> String {
        self.page(&self.drawings())
    }

    fn has_intents(&self) -> bool {
        self.tested.is_some_and(|tested| tested.evaluation.intent.messages > 0)
    }

    fn has_entities(&self) -> bool {
        self.tested.is_some_and(|Tested { evaluation, .. }| {
            evaluation.token_confusion().labels().iter().any(|label| *label != NO_ENTITY)
        })
    }

    /// Drawings by the names of their files.
    fn drawings(&self) -> Vec<(&'static str, Drawing)> {
        let mut drawings = Vec::new();
        let mut add =
            |name, drawing: Option<Drawing>| drawings.extend(drawing.map(|drawing| (name, drawing)));
        if let Some(Tested { evaluation, .. }) = self.tested.filter(|_| self.has_intents()) {
            let title = "Intents taken for others";
            add("intent_confusion_matrix", confusion_matrix(evaluation.confusion(), title, "intents"));
            let of = |right: bool| -> Vec<f32> {
                let answers = evaluation.answers().iter();
                let with_intent =
                    answers.filter(|one| one.outcome.gold.is_some() && one.outcome.is_right() == right);
                with_intent.map(|one| one.intent.as_ref().map_or(0.0, |scored| scored.confidence)).collect()
            };
            add("intent_histogram", histogram(&of(true), &of(false), "Confidence in intents"));
            let calibration = evaluation.calibration.as_ref().map(|scores| &scores.calibration);
            add(
                "intent_reliability",
                calibration.and_then(|one| reliability(one, "Reliability of confidences")),
            );
        }
        if let Some(Tested { evaluation, .. }) = self.tested.filter(|_| self.has_entities()) {
            let title = "Entities taken for others, token by token";
            add(
                "DIETClassifier_confusion_matrix",
                confusion_matrix(evaluation.token_confusion(), title, "labels of tokens"),
            );
            let tokens = || evaluation.answers().iter().flat_map(|answer| &answer.tokens);
            let right = tokens().filter(|one| one.gold == one.predicted && one.gold != NO_ENTITY);
            let wrong = tokens().filter(|one| one.gold != one.predicted && one.predicted != NO_ENTITY);
            let (right, wrong): (Vec<f32>, Vec<f32>) =
                (right.map(|one| one.confidence).collect(), wrong.map(|one| one.confidence).collect());
            add(
                "DIETClassifier_histogram",
                histogram(&right, &wrong, "Confidence in entities, token by token"),
            );
        }
        let has_entities =
            self.curve.iter().flat_map(|one| &one.points).any(|one| one.exact_span_f1.is_some());
        add(
            "nlu_model_comparison_graph",
            learning_curve(self.curve, |point| point.weighted_f1, "Weighted F1 of intents"),
        );
        let entities = has_entities.then(|| {
            let score = |point: &crate::pipeline::CurvePoint| point.exact_span_f1.unwrap_or(0.0);
            learning_curve(self.curve, score, "F1 of entities, exact span")
        });
        add("entity_model_comparison_graph", entities.flatten());
        drawings
    }
}

/// A share in percent with a digit.
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// From the lower to the upper end.
fn range(interval: Interval) -> String {
    format!("{:.1} – {:.1} %", 100.0 * interval.low, 100.0 * interval.high)
}
