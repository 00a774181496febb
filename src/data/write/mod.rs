//! Writing labelled data so that reading gives it back unchanged.
//!
//! [`write_yaml`] for people and other tools, [`write_jsonl`] for programs. What a format cannot hold is
//! a [`WriteError`] that names the example, never a silent change.

mod error;
mod jsonl;
mod rasa;
mod yaml_text;

pub use error::WriteError;
pub use jsonl::{to_jsonl, write_jsonl};
pub use rasa::{to_yaml, write_yaml};
