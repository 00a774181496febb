//! A pipeline in a bundle.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::dense::DenseEncoders;
use super::memory::Memory;
use super::options::default_threads;
use super::parts::Parts;
use super::post::Synonyms;
use super::responses::Responses;
use super::tokenizer::MessageTokenizer;
use super::{Nlu, OpeningOptions, PipelineConfig, PipelineError, card};
use crate::bundle::{Bundle, BundleError, BundleWriter};
use crate::error::Result;
use crate::features::FeatureSet;

/// What kind of model the bundle holds.
const KIND: &str = "nlu";

/// The part with the ensemble weights, where they were fitted.
const CONFIDENCE: &str = "confidence.json";

/// The part with what to answer to retrieval intents, where there are any.
const RESPONSES: &str = "responses.json";

/// The part with custom post-processors, where there are any.
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

    /// The same, with a text of your own as `README.md`, such as a rendered [`Card`](super::Card).
    ///
    /// # Errors
    ///
    /// As [`Nlu::save`].
    pub fn save_with_card(&self, place: impl AsRef<Path>, card: String) -> Result<PathBuf> {
        let parts = &self.parts;
        let writer = BundleWriter::new(KIND, &parts.config)?
            .json("labels.json", &parts.labels)?
            .json("features.json", &parts.features)?
            .json("extractor.json", &parts.extractor)?
            .json("synonyms.json", &parts.synonyms.table)?
            .text("README.md", card)?
            .weights(&self.weights)?;
        let writer = match &self.confidence {
            Some(confidence) => writer.json(CONFIDENCE, confidence)?,
            None => writer,
        };
        let writer = match &parts.responses {
            Some(responses) => writer.json(RESPONSES, &responses.texts)?,
            None => writer,
        };
        let writer = match &parts.post_processors[..] {
            [] => writer,
            own => writer.json(POST_PROCESSORS, &own.iter().map(|one| &one.saved).collect::<Vec<_>>())?,
        };
        let writer = parts.encoders.iter().try_fold(writer, |writer, encoders| encoders.save(writer))?;
        let writer = parts.tokenizer.save_cuts(writer)?;
        let writer = parts.memory.iter().try_fold(writer, |writer, memory| memory.save(writer))?;
        Ok(writer.save(place)?)
    }

    /// Opens a bundle, or the newest of a folder of bundles.
    ///
    /// # Errors
    ///
    /// If there is none, a file is missing or altered, or its parts do not fit each other.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, &OpeningOptions::default())
    }

    /// Opens a model with options: custom components that it was trained with, and where its encoders are by now.
    ///
    /// # Errors
    ///
    /// As [`Nlu::open`]; [`PipelineError::Component`] names a component that is missing, and
    /// [`PipelineError::MissingEncoder`] and [`PipelineError::ChangedEncoder`] an encoder.
    pub fn open_with(path: impl AsRef<Path>, options: &OpeningOptions) -> Result<Self> {
        Bundle::open_and(crate::bundle::resolve(path)?, |bundle| Self::of_bundle(bundle, options))
    }

    /// The model in a bundle that was opened.
    fn of_bundle(bundle: &Bundle, options: &OpeningOptions) -> Result<Self> {
        let components = &options.components;
        if bundle.kind() != KIND {
            let found = bundle.kind().to_owned();
            return Err(PipelineError::Kind { found, expected: KIND }.into());
        }
        let config: PipelineConfig = bundle.config()?;
        let diet = config.diet();
        diet.validate()?;
        let threads = default_threads();
        let mut features: FeatureSet = bundle.json("features.json")?;
        features.attach(&components.featurizers).map_err(PipelineError::from)?;
        let saved = optional(bundle, POST_PROCESSORS)?.unwrap_or_default();
        let post_processors = components.restore_post_processors(saved).map_err(PipelineError::from)?;
        let tokenizer = MessageTokenizer::new(&config, components)?.with_saved_cuts(bundle)?;
        let labels = bundle.json("labels.json")?;
        let responses = optional(bundle, RESPONSES)?.map(|texts| Responses::new(&config, &labels, texts));
        let encoders = DenseEncoders::reopen(bundle, &config, options, threads)?;
        let parts = Arc::new(Parts {
            label_features: tokenizer.label_features(&labels),
            tokenizer,
            config,
            diet,
            labels,
            features,
            post_processors,
            components: components.clone(),
            encoders,
            extractor: bundle.json("extractor.json")?,
            responses,
            synonyms: Synonyms::new(bundle.json("synonyms.json")?),
            memory: Memory::open(bundle)?,
        });
        let confidence = optional(bundle, CONFIDENCE)?;
        let nlu = Self::new(&parts, bundle.weights()?, confidence, threads).map_err(PipelineError::from)?;
        nlu.on_device(options.device)
    }
}

/// A part that not every bundle has.
fn optional<T: DeserializeOwned>(bundle: &Bundle, part: &str) -> Result<Option<T>, BundleError> {
    bundle.has(part).then(|| bundle.json(part)).transpose()
}
