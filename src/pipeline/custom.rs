//! Custom components: how they are registered, and what a model keeps of post-processors.

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::data::TrainingData;
use crate::features::{
    ComponentError, CustomConfig, CustomFeaturizer, CustomFeaturizers, FEATURIZER, Registry, State,
};
use crate::prediction::Prediction;
use crate::text::Tokenizer;

/// A step of your own behind DIET: it may add, change and remove entities and intents.
///
/// Its fields are its options, as a pipeline gives them, and what it learns in [`fit`](Self::fit): a model saves them as
/// JSON, so it must implement serde's `Serialize` and `Deserialize` as well. Fields that a pipeline may leave out need
/// `#[serde(default)]`. It answers from many threads at once.
pub trait PostProcessor: Debug + Send + Sync {
    /// Learns from the training data; by default there is nothing to learn.
    ///
    /// # Errors
    ///
    /// If the options or the data make no sense; this ends the training.
    fn fit(&mut self, data: &TrainingData) -> Result<(), Box<dyn Error + Send + Sync>> {
        let _ = data;
        Ok(())
    }

    /// Changes the answer to a message. The text and its tokens are in the answer, too. An entity whose span is no part
    /// of the text is left out afterwards.
    fn process(&self, answer: &mut Prediction);
}

/// A post-processor that can be saved: every one whose fields can.
pub(super) trait SavedPostProcessor: PostProcessor + State {}

impl<T: PostProcessor + State> SavedPostProcessor for T {}

/// A tokenizer of a model, which answers from many threads.
pub(super) trait SharedTokenizer: Tokenizer + Debug + Send + Sync {}

impl<T: Tokenizer + Debug + Send + Sync> SharedTokenizer for T {}

/// Components of your own, by the names they have in a pipeline.
///
/// They are given to the training ([`TrainingOptions::components`](super::TrainingOptions::components)) and again when
/// the model is opened ([`Nlu::open_with`](super::Nlu::open_with)), for a saved model holds their options and what they
/// have learnt, but no code. The names and the order of the components are those of the
/// [`PipelineConfig`](super::PipelineConfig).
///
/// # Example
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use talkformer::pipeline::{Components, PostProcessor, Recipe};
/// use talkformer::prediction::Prediction;
///
/// /// Lowers every confidence by a tenth.
/// #[derive(Debug, Serialize, Deserialize)]
/// struct Modest;
///
/// impl PostProcessor for Modest {
///     fn process(&self, answer: &mut Prediction) {
///         answer.intent_ranking.iter_mut().for_each(|intent| intent.confidence *= 0.9);
///         answer.intent = answer.intent_ranking.first().cloned();
///     }
/// }
///
/// let components = Components::default().post_processor::<Modest>("Modest");
/// let config = Recipe::accurate().with_post_processor("Modest");
/// # let _ = (components, config);
/// ```
#[derive(Clone, Debug)]
pub struct Components {
    tokenizers: Registry<dyn SharedTokenizer>,
    pub(super) featurizers: CustomFeaturizers,
    post_processors: Registry<dyn SavedPostProcessor>,
}

impl Default for Components {
    /// No components but those of this crate.
    fn default() -> Self {
        Self {
            tokenizers: Registry::new("tokenizer"),
            featurizers: Registry::new(FEATURIZER),
            post_processors: Registry::new(POST_PROCESSOR),
        }
    }
}

/// The name of this kind of component in messages.
const POST_PROCESSOR: &str = "post-processor";

impl Components {
    /// Adds a tokenizer; its fields are its options.
    #[must_use]
    pub fn tokenizer<T>(mut self, name: impl Into<String>) -> Self
    where
        T: Tokenizer + Debug + DeserializeOwned + Send + Sync + 'static,
    {
        self.tokenizers.insert(name.into(), |options| Ok(Box::new(serde_json::from_value::<T>(options)?)));
        self
    }

    /// Adds a featurizer; its fields are its options and what it learns.
    #[must_use]
    pub fn featurizer<T>(mut self, name: impl Into<String>) -> Self
    where
        T: CustomFeaturizer + Serialize + DeserializeOwned + 'static,
    {
        self.featurizers.insert(name.into(), |state| Ok(Box::new(serde_json::from_value::<T>(state)?)));
        self
    }

    /// Adds a post-processor; its fields are its options and what it learns.
    #[must_use]
    pub fn post_processor<T>(mut self, name: impl Into<String>) -> Self
    where
        T: PostProcessor + Serialize + DeserializeOwned + 'static,
    {
        self.post_processors.insert(name.into(), |state| Ok(Box::new(serde_json::from_value::<T>(state)?)));
        self
    }

    /// What kind of component has this name, where it is one of these.
    pub(super) fn kind(&self, name: &str) -> Option<CustomKind> {
        let kinds = [
            (self.tokenizers.contains(name), CustomKind::Tokenizer),
            (self.featurizers.contains(name), CustomKind::Featurizer),
            (self.post_processors.contains(name), CustomKind::PostProcessor),
        ];
        kinds.into_iter().find(|(registered, _)| *registered).map(|(_, kind)| kind)
    }

    /// A tokenizer with its options.
    pub(super) fn configure_tokenizer(
        &self,
        config: &CustomConfig,
    ) -> Result<Arc<dyn SharedTokenizer>, ComponentError> {
        self.tokenizers.configure(config).map(Arc::from)
    }

    /// Fits post-processors, in their order. Those of an `earlier` model stay as they are.
    pub(super) fn fit_post_processors<'c>(
        &self,
        configs: impl Iterator<Item = &'c CustomConfig>,
        data: &TrainingData,
        earlier: &[FittedPostProcessor],
    ) -> Result<Vec<FittedPostProcessor>, ComponentError> {
        let mut earlier = earlier.to_vec();
        let fit = |config: &CustomConfig| {
            if let Some(at) = earlier.iter().position(|one| one.saved.name == config.name) {
                return Ok(earlier.remove(at));
            }
            let (processor, state) = self.post_processors.fit(config, |own| own.fit(data))?;
            let saved = Saved { name: config.name.clone(), state };
            Ok(FittedPostProcessor { saved, processor: processor.into() })
        };
        configs.map(fit).collect()
    }

    /// Post-processors as a model has saved them.
    pub(super) fn restore_post_processors(
        &self,
        saved: Vec<Saved>,
    ) -> Result<Vec<FittedPostProcessor>, ComponentError> {
        let restore = |saved: Saved| {
            let processor = self.post_processors.restore(&saved.name, saved.state.clone())?.into();
            Ok(FittedPostProcessor { saved, processor })
        };
        saved.into_iter().map(restore).collect()
    }
}

/// What a model keeps of a post-processor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Saved {
    name: String,
    state: Value,
}

/// A post-processor that has seen the training data.
#[derive(Clone, Debug)]
pub(super) struct FittedPostProcessor {
    pub(super) saved: Saved,
    pub(super) processor: Arc<dyn SavedPostProcessor>,
}

/// Kinds of components that may be custom.
#[derive(Clone, Copy, Debug)]
pub(super) enum CustomKind {
    Tokenizer,
    Featurizer,
    PostProcessor,
}
