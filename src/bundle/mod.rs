//! A saved model: a folder that is opened only if it is complete and unaltered.
//!
//! In goes what a model is made of: a configuration, weights by name, vocabularies as JSON, a card for
//! people. Out comes a folder, and later the same things again. Nothing in it is ever run or unpacked, and
//! there is no way to load a model without the checks.
//!
//! ```text
//! my-model/
//! ├── config.json         the manifest: format, kind, when, by whom, SHA-256 of each part, configuration
//! ├── model.safetensors   the weights; large tables in few bits
//! ├── features.json, …    parts the model asked for
//! └── README.md           the model card; people may edit it, so it is the one file that is not verified
//! ```
//!
//! Three promises, each with its test:
//!
//! - **Saving is one step.** Everything is written and flushed in a hidden folder beside the place and
//!   then exchanged with what was there. Whenever the power fails, the old model or the new one opens.
//! - **Damage is noticed.** Every part has its size and SHA-256 in the manifest, and the manifest has a
//!   checksum of itself. These find accidents; they do not prove who made a model.
//! - **Same model, same bytes.** Only `created` (and so the checksum) in `config.json` differs between
//!   two saves of the same.
//!
//! ```
//! use talkformer::bundle::{Bundle, BundleWriter, Weight, Weights};
//!
//! # let folder = tempfile::tempdir()?;
//! # let place = folder.path().join("my-model");
//! let weights = Weights::from([("bias".to_owned(), Weight::f32(vec![2], vec![0.5, -1.0]))]);
//! BundleWriter::new("nlu", &serde_json::json!({ "model_dim": 2 }))?
//!     .json("labels.json", &["greet", "goodbye"])?
//!     .weights(&weights)?
//!     .save(&place)?;
//!
//! let bundle = Bundle::open(&place)?;
//! assert_eq!(bundle.kind(), "nlu");
//! assert_eq!(bundle.json::<Vec<String>>("labels.json")?, ["greet", "goodbye"]);
//! assert_eq!(bundle.weights()?, weights);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Read `writer` first, then `reader`; `manifest` is about `config.json`, and `place` about which folder is
//! meant. `files` replaces a folder without ever leaving half of one.

mod clock;
mod error;
mod limited;
mod manifest;
mod place;
mod reader;
mod storage;
#[cfg(test)]
mod tests;
mod weights;
mod writer;

pub use crate::files::Occupant;
pub use error::{BundleError, WeightError};
pub use manifest::FORMAT_VERSION;
pub use place::{check_writable, choose_place, resolve};
pub use reader::Bundle;
pub use storage::Storage;
pub use weights::{Values, Weight, Weights};
pub use writer::BundleWriter;
