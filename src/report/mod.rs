//! What a test leaves behind: files under Rasa's names, and one page that holds it all.
//!
//! Scores come in from [`Evaluation`](crate::pipeline::Evaluation); out come names and bytes, and whoever asked writes them. Nothing is computed
//! here that the screen does not know as well.
//!
//! - [`Report::files`]: `intent_report.json`, `intent_errors.json` and so on, with the keys of `rasa test nlu`;
//! - [`Report::html`]: `report.html`, which needs nothing else and opens without a network;
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
pub use drawing::{Anchor, Drawing, Paint, Place, Shape};
pub use files::{FileOptions, ReportFile};
