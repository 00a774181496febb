//! A pipeline in a bundle.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dense::DenseEncoders;
use super::memory::Memory;
use super::parts::Parts;
use super::{Nlu, PipelineConfig, PipelineError, card};
use crate::bundle::{Bundle, BundleWriter};
use crate::error::Result;
use crate::text::WhitespaceTokenizer;

/// What kind of model the bundle holds.
const KIND: &str = "nlu";

/// The part that says what opinions weigh, where that was fitted.
const CONFIDENCE: &str = "confidence.json";

impl Nlu {
    /// Saves the model as a bundle, a folder at `place`; says where it is.
    ///
    /// A model that is there already is replaced in one step: a crash at any moment leaves the old one or the new one.
    ///
    /// # Errors
    ///
    /// If the place cannot be written, or holds something that is not a bundle.
    pub fn save(&self, place: impl AsRef<Path>) -> Result<PathBuf> {
        self.save_with_card(place, card::brief(self))
    }

    /// The same, with a text of one's own as `README.md`, such as a rendered [`Card`](super::Card).
    ///
    /// # Errors
    ///
    /// As [`Nlu::save`].
    pub fn save_with_card(&self, place: impl AsRef<Path>, card: String) -> Result<PathBuf> {
        let writer = BundleWriter::new(KIND, &self.config)?
            .json("labels.json", self.diet.labels())?
            .json("features.json", &self.features)?
            .json("extractor.json", &self.extractor)?
            .json("synonyms.json", &self.synonyms)?
            .text("README.md", card)?
            .weights(&self.weights)?;
        let writer = match &self.confidence {
            Some(confidence) => writer.json(CONFIDENCE, confidence)?,
            None => writer,
        };
        let writer = self.encoders.iter().try_fold(writer, |writer, encoders| encoders.save(writer))?;
        let writer = self.memory.iter().try_fold(writer, |writer, memory| memory.save(writer))?;
        Ok(writer.save(place)?)
    }

    /// Opens a bundle, or the newest of a folder of bundles.
    ///
    /// # Errors
    ///
    /// If there is none, a file is missing or altered, or its parts do not fit each other.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let bundle = Bundle::open(&crate::bundle::resolve(path)?)?;
        if bundle.kind() != KIND {
            let problem = format!("it is of kind `{}`, not `{KIND}`", bundle.kind());
            return Err(PipelineError::Model { problem }.into());
        }
        let config: PipelineConfig = bundle.config()?;
        let (diet, _) = config.diet();
        diet.validate()?;
        let threads = Self::default_threads();
        let parts = Parts {
            tokenizer: WhitespaceTokenizer::new(config.tokenizer())?,
            config,
            diet,
            labels: bundle.json("labels.json")?,
            features: bundle.json("features.json")?,
            encoders: DenseEncoders::reopen(&bundle, threads)?,
            extractor: bundle.json("extractor.json")?,
            synonyms: bundle.json("synonyms.json")?,
            memory: Memory::open(&bundle)?.map(Arc::new),
            threads,
        };
        let fitted = bundle.parts().any(|part| part == CONFIDENCE);
        let confidence = if fitted { Some(bundle.json(CONFIDENCE)?) } else { None };
        Ok(parts.model(bundle.weights()?, confidence).map_err(PipelineError::from)?)
    }
}
