//! A pipeline in a bundle.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::dense::DenseEncoders;
use super::memory::Memory;
use super::parts::Parts;
use super::tokenizer::MessageTokenizer;
use super::{Components, Nlu, PipelineConfig, PipelineError, card};
use crate::bundle::{Bundle, BundleError, BundleWriter};
use crate::error::Result;
use crate::features::FeatureSet;

/// What kind of model the bundle holds.
const KIND: &str = "nlu";

/// The part that says what opinions weigh, where that was fitted.
const CONFIDENCE: &str = "confidence.json";

/// The part with post-processors of one's own, where there are any.
const POST_PROCESSORS: &str = "post_processors.json";

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
        let writer = match &self.post_processors[..] {
            [] => writer,
            own => writer.json(POST_PROCESSORS, &own.iter().map(|one| &one.saved).collect::<Vec<_>>())?,
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
        Self::open_with(path, &Components::default())
    }

    /// Opens a model that was trained with components of one's own.
    ///
    /// # Errors
    ///
    /// As [`Nlu::open`]; and [`PipelineError::Component`] names a component that is missing.
    pub fn open_with(path: impl AsRef<Path>, components: &Components) -> Result<Self> {
        let bundle = Bundle::open(&crate::bundle::resolve(path)?)?;
        if bundle.kind() != KIND {
            let found = bundle.kind().to_owned();
            return Err(PipelineError::Kind { found, expected: KIND }.into());
        }
        let config: PipelineConfig = bundle.config()?;
        let (diet, _) = config.diet();
        diet.validate()?;
        let threads = Self::default_threads();
        let mut features: FeatureSet = bundle.json("features.json")?;
        features.attach(&components.featurizers)?;
        let saved = optional(&bundle, POST_PROCESSORS)?.unwrap_or_default();
        let post_processors = components.restore_post_processors(saved).map_err(PipelineError::from)?;
        let parts = Parts {
            tokenizer: MessageTokenizer::new(&config, components)?,
            config,
            diet,
            labels: bundle.json("labels.json")?,
            features,
            post_processors,
            components: components.clone(),
            encoders: DenseEncoders::reopen(&bundle, threads)?,
            extractor: bundle.json("extractor.json")?,
            synonyms: bundle.json("synonyms.json")?,
            memory: Memory::open(&bundle)?.map(Arc::new),
            threads,
        };
        Ok(parts.model(bundle.weights()?, optional(&bundle, CONFIDENCE)?).map_err(PipelineError::from)?)
    }
}

/// A part that not every bundle has.
fn optional<T: DeserializeOwned>(bundle: &Bundle, part: &str) -> Result<Option<T>, BundleError> {
    if bundle.parts().any(|own| own == part) { bundle.json(part).map(Some) } else { Ok(None) }
}
