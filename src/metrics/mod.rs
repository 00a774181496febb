//! How good predictions are: pure functions of labels and numbers.
//!
//! Gold labels and predictions go in; counts come out first, and shares only at the end, so that a test
//! set of any size streams through and partial results add up. A share of nothing is 0, never NaN.
//!
//! - [`Counts`] and [`Prf`]: right, wrong and missing, and the three shares made of them;
//! - [`Confusion`]: which label was taken for which, one message at a time, and how that prints;
//! - [`ClassificationReport`]: accuracy, and precision, recall and F1 per label and averaged;
//! - [`EntityScores`]: entities by exact place, and by the overlap rule of the DIET paper;
//! - [`LabelSets`]: messages that carry several labels at once;
//! - [`Calibration`]: whether confidences mean what they say;
//! - [`ScopeScores`]: whether a score tells what is out of scope;
//! - [`Bootstrap`] and [`Intervals`]: how far a score could be off; [`Comparison`]: whether two models differ.
//!
//! ```
//! use talkformer::metrics::{ClassificationReport, Confusion};
//!
//! let mut confusion = Confusion::default();
//! for (gold, predicted) in [("greet", "greet"), ("greet", "bye"), ("bye", "bye")] {
//!     confusion.add(gold, Some(predicted));
//! }
//! let report = ClassificationReport::new(&confusion);
//! assert_eq!(report.labels["greet"].scores.recall, 0.5);
//! assert_eq!(report.labels["bye"].scores.precision, 0.5);
//! ```
//!
//! Read `counts` first: it holds every formula.

mod bootstrap;
mod calibration;
mod classification;
mod confusion;
mod counts;
mod entities;
mod label_sets;
mod out_of_scope;
mod outcomes;

pub use bootstrap::{Bootstrap, Interval};
pub use calibration::{Calibration, ReliabilityBin, brier_score, negative_log_likelihood};
pub use classification::{ClassificationReport, LabelScore, accuracy};
pub use confusion::Confusion;
pub use counts::{Counts, Prf};
pub use entities::{EntityReport, EntityScore, EntityScores, LabelledSpan};
pub use label_sets::{LabelSetReport, LabelSets, label_parts, label_set_name};
pub use out_of_scope::ScopeScores;
pub use outcomes::{Comparison, Difference, Intervals, MessageOutcome, mcnemar_exact};
