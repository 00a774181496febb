//! Labelled examples and where they come from.
//!
//! In come files written by people ([`read`]); out come [`TrainingData`] that knows the line of every
//! example, so that whoever finds fault with one can say where it is. [`write_yaml`] and [`write_jsonl`]
//! put data back into files, [`stratified_split`] parts it, [`stratified_folds`] cuts it for a
//! cross-validation, and [`TagSet`] turns entities into what a tagger learns, one tag a token.
//!
//! Read `utterance.rs` first, then `training_data.rs`; the formats are in `read`.

mod folds;
mod label;
mod read;
mod split;
mod tags;
mod training_data;
mod trimming;
mod update;
mod utterance;
mod warning;
mod write;

pub use folds::stratified_folds;
pub(crate) use folds::texts_by_intent;
pub(crate) use label::base_intent;
pub use read::{AnnotationError, Format, Limits, ReadError, read, read_str, read_with};
pub use split::{HoldOut, stratified_split};
pub use tags::{Encoding, OUTSIDE, TagSet, UnsortedTypes};
pub use training_data::{Lookup, Pattern, TrainingData};
pub use update::Updated;
pub use utterance::{Entity, Source, Utterance, keep_sane};
pub use warning::Warning;
pub use write::{WriteError, to_jsonl, to_yaml, write_jsonl, write_yaml};
