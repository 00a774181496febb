//! A pipeline in a bundle.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dense::DenseEncoders;
use super::memory::Memory;
use super::{Nlu, PipelineConfig, PipelineError};
use crate::bundle::{Bundle, BundleWriter};
use crate::diet::{Diet, Labels, Widths};
use crate::error::Result;
use crate::features::{FeatureSet, LabelFeatures, Patterns};
use crate::text::WhitespaceTokenizer;

/// What kind of model the bundle holds.
const KIND: &str = "nlu";

/// The part that says what opinions weigh, where that was fitted.
const CONFIDENCE: &str = "confidence.json";

impl Nlu {
    /// Saves the model as a bundle at `place`, with a card for people.
    ///
    /// A model that stands there already is replaced at once: a kill at any moment leaves the one or the other.
    ///
    /// # Errors
    ///
    /// If the place cannot be written, or holds something that is no bundle.
    pub fn save(&self, place: &Path, card: String) -> Result<PathBuf> {
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
    pub fn open(path: &Path) -> Result<Self> {
        let bundle = Bundle::open(&crate::bundle::resolve(path)?)?;
        if bundle.kind() != KIND {
            let problem = format!("it is of kind `{}`, not `{KIND}`", bundle.kind());
            return Err(PipelineError::Model { problem }.into());
        }
        let config: PipelineConfig = bundle.config()?;
        let labels: Labels = bundle.json("labels.json")?;
        let features: FeatureSet = bundle.json("features.json")?;
        let extractor: Option<Patterns> = bundle.json("extractor.json")?;
        let synonyms = bundle.json("synonyms.json")?;
        let tokenizer = WhitespaceTokenizer::new(config.tokenizer())?;
        let (diet_config, _) = config.diet();
        diet_config.validate()?;
        let weights = Arc::new(bundle.weights()?);
        let (sequence, sentence) = features.widths();
        let label_features = LabelFeatures::new(&labels.intents, &tokenizer);
        let threads = Self::default_threads();
        let encoders = DenseEncoders::reopen(&bundle, threads)?;
        let widths =
            Widths { sequence, sentence, dense: encoders.as_ref().map_or(0, |encoders| encoders.dim()) };
        let diet = Diet::new(diet_config, widths, labels, &label_features, &weights).map_err(|error| {
            PipelineError::Model { problem: format!("its weights do not fit its configuration: {error}") }
        })?;
        let memory = Memory::open(&bundle)?.map(Arc::new);
        let confidence =
            if bundle.parts().any(|part| part == CONFIDENCE) { Some(bundle.json(CONFIDENCE)?) } else { None };
        Ok(Self {
            config,
            tokenizer,
            features,
            encoders,
            diet,
            extractor,
            synonyms,
            weights,
            confidence,
            memory,
            threads,
        })
    }
}
