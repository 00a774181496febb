//! Reading labelled data: one file per format.
//!
//! [`read`] takes a file or a folder and gives [`TrainingData`](super::TrainingData). Each format is one
//! variant of [`Format`], one file here and one line in the list in `format.rs`. Whatever is wrong comes
//! back as a [`ReadError`] that names file, line and fix; whatever is merely odd as a
//! [`Warning`](super::Warning) in the data.
//!
//! Read `load.rs` first, then `rasa.rs` for the format most people bring.

pub(super) mod annotation;
mod error;
mod format;
mod jsonl;
mod limits;
mod load;
mod rasa;
mod rasa_document;
mod rasa_examples;
mod scalar;

pub use annotation::AnnotationError;
pub use error::ReadError;
pub use format::Format;
pub use limits::Limits;
pub use load::{read, read_str, read_with};
