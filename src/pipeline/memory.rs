//! The examples that a model was trained on, kept so that it can be fine-tuned with new ones alone.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::bundle::{Bundle, BundleError, BundleWriter};
use crate::data::{Format, ReadError, TrainingData, Utterance, WriteError, read_str, to_jsonl};
use crate::numbers::Bytes;

/// The part of a bundle that holds them.
const EXAMPLES: &str = "examples.jsonl";

/// Remembered examples, as JSON Lines: they are read when they are first wanted, not whenever a model is opened.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// A text; part of the bundle where it comes from one.
    lines: Bytes,
    /// What the lines hold, once they were read.
    examples: OnceLock<Vec<Utterance>>,
    /// Where they were read from, for messages.
    place: PathBuf,
}

impl Memory {
    pub(super) fn of(examples: &[Utterance]) -> Result<Self, WriteError> {
        // One without text taught nothing.
        let taught: Vec<_> = examples.iter().filter(|one| !one.text.trim().is_empty()).cloned().collect();
        Ok(Self {
            lines: to_jsonl(&taught)?.into_bytes().into(),
            examples: OnceLock::new(),
            place: EXAMPLES.into(),
        })
    }

    /// What a bundle remembers; `None` where it was told to forget, or is older than memory.
    pub(super) fn open(bundle: &Bundle) -> Result<Option<Self>, BundleError> {
        if !bundle.has(EXAMPLES) {
            return Ok(None);
        }
        bundle.text(EXAMPLES)?;
        let (lines, place) = (bundle.bytes(EXAMPLES)?, bundle.folder().join(EXAMPLES));
        Ok(Some(Self { lines, examples: OnceLock::new(), place }))
    }

    pub(super) fn save(&self, writer: BundleWriter) -> Result<BundleWriter, BundleError> {
        writer.text(EXAMPLES, self.lines().to_owned())
    }

    fn lines(&self) -> &str {
        str::from_utf8(&self.lines).expect("a text, as was checked when it was opened")
    }

    /// The examples, each with its line in the bundle as its source.
    pub(super) fn examples(&self) -> Result<&[Utterance], ReadError> {
        if let Some(examples) = self.examples.get() {
            return Ok(examples);
        }
        let data: TrainingData =
            read_str(Format::JsonLines, self.lines(), &self.place.display().to_string())?;
        Ok(self.examples.get_or_init(|| data.utterances))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_are_read_once() {
        let memory = Memory::of(&[Utterance::new("hello", Some("greet"))]).unwrap();
        let (first, second) = (memory.examples().unwrap(), memory.examples().unwrap());
        assert!(std::ptr::eq(first, second) && first[0].text == "hello");
        assert_eq!(first[0].source.to_string(), "examples.jsonl:1");
    }
}
