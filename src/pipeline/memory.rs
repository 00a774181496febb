//! The examples that a model was trained on, kept so that it can be fine-tuned with new ones alone.

use std::path::PathBuf;

use crate::bundle::{Bundle, BundleError, BundleWriter};
use crate::data::{Format, ReadError, TrainingData, Utterance, WriteError, read_str, to_jsonl};

/// The part of a bundle that holds them.
const EXAMPLES: &str = "examples.jsonl";

/// Remembered examples, as JSON Lines: they are read when they are wanted, not whenever a model is opened.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    lines: String,
    /// Where they were read from, for messages.
    place: PathBuf,
}

impl Memory {
    pub(super) fn of(examples: &[Utterance]) -> Result<Self, WriteError> {
        // One without text taught nothing.
        let taught: Vec<_> = examples.iter().filter(|one| !one.text.trim().is_empty()).cloned().collect();
        Ok(Self { lines: to_jsonl(&taught)?, place: EXAMPLES.into() })
    }

    /// What a bundle remembers; `None` where it was told to forget, or is older than memory.
    pub(super) fn open(bundle: &Bundle) -> Result<Option<Self>, BundleError> {
        if !bundle.has(EXAMPLES) {
            return Ok(None);
        }
        Ok(Some(Self { lines: bundle.text(EXAMPLES)?.to_owned(), place: bundle.folder().join(EXAMPLES) }))
    }

    pub(super) fn save(&self, writer: BundleWriter) -> Result<BundleWriter, BundleError> {
        writer.text(EXAMPLES, self.lines.clone())
    }

    /// The examples, each with its line in the bundle as its source.
    pub(super) fn examples(&self) -> Result<Vec<Utterance>, ReadError> {
        let data: TrainingData = read_str(Format::JsonLines, &self.lines, &self.place.display().to_string())?;
        Ok(data.utterances)
    }
}
