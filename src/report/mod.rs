//! The results of a test as files: those of `rasa test nlu` under the same names, and one HTML page with everything.
//!
//! Scores come in from [`Evaluation`](crate::pipeline::Evaluation); out come names and bytes, which the caller writes.
//!
//! - [`Report::files`]: `intent_report.json`, `intent_errors.json` and so on, with the keys of `rasa test nlu`, and
//!   `report.html`, which needs no other file and no network;
//! - [`Drawing`]: confusion matrix, histogram, reliability diagram and learning curve, as SVG or PNG.
//!
//! Read `contents` first, then `drawing` and `charts`.

mod attention;
mod charts;
mod contents;
mod drawing;
mod drawings;
mod files;
mod markup;
mod page;
#[cfg(feature = "png")]
mod png;
mod rasa;
mod svg;

pub use attention::{AttentionPanel, attention};
pub use charts::{confusion_matrix, histogram, learning_curve, reliability};
pub use contents::{FoldScores, Other, Report, Tested};
pub use drawing::{Anchor, Drawing, Paint, Point, Shape};
pub use files::{FileOptions, ReportFile};
