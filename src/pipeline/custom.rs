//! Components of one's own in a pipeline: which there are, where they are listed, and what a model keeps of them.

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Component, PipelineConfig, PipelineError};
use crate::data::TrainingData;
use crate::features::{
    ComponentError, CustomFeaturizer, CustomFeaturizers, FEATURIZER, FeaturizerConfig, Registry,
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

    /// Changes the answer to a message. The text and its tokens are in the answer, too.
    fn process(&self, answer: &mut Prediction);
}

/// A post-processor that can be saved: every one whose fields can.
pub(super) trait SavedPostProcessor: PostProcessor {
    fn state(&self) -> serde_json::Result<Value>;
}

impl<T: PostProcessor + Serialize> SavedPostProcessor for T {
    fn state(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

/// A tokenizer of a model, which answers from many threads.
pub(super) trait SharedTokenizer: Tokenizer + Debug + Send + Sync {}

impl<T: Tokenizer + Debug + Send + Sync> SharedTokenizer for T {}

/// Components of your own, by the names they have in a pipeline.
///
/// They are given to the training ([`TrainingOptions::components`](super::TrainingOptions::components)) and again when the
/// model is opened ([`Nlu::open_with`](super::Nlu::open_with)), for a saved model holds their options and what they have
/// learnt, but no code. The names and the order of the components are those of the [`PipelineConfig`].
///
/// # Example
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use talkformer::pipeline::{Components, PostProcessor, Recipe};
/// use talkformer::prediction::Prediction;
///
/// /// Takes no intent for sure.
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

    /// An entry of a `config.yml` as a component, if its name is one of these.
    pub(super) fn read(&self, entry: &Map<String, Value>) -> Option<Component> {
        let name = entry.get("name")?.as_str()?.to_owned();
        let mut options = entry.clone();
        options.remove("name");
        if self.tokenizers.contains(&name) {
            Some(Component::CustomTokenizer { name, options })
        } else if self.featurizers.contains(&name) {
            let alias = match options.remove("alias") {
                Some(Value::String(alias)) => alias,
                _ => name.clone(),
            };
            Some(Component::Featurizer { alias, config: FeaturizerConfig::Custom { name, options } })
        } else if self.post_processors.contains(&name) {
            Some(Component::PostProcessor { name, options })
        } else {
            None
        }
    }

    /// The tokenizer of a pipeline, where that is not ours.
    pub(super) fn tokenizer_of(
        &self,
        config: &PipelineConfig,
    ) -> Result<Option<Arc<dyn SharedTokenizer>>, ComponentError> {
        let own = config.components.iter().find_map(|component| match component {
            Component::CustomTokenizer { name, options } => Some(self.tokenizers.configure(name, options)),
            _ => None,
        });
        Ok(own.transpose()?.map(Arc::from))
    }

    /// The post-processors of a pipeline, fitted, in their order.
    pub(super) fn fit_post_processors(
        &self,
        config: &PipelineConfig,
        data: &TrainingData,
    ) -> Result<Vec<FittedPostProcessor>, ComponentError> {
        let own = config.components.iter().filter_map(|component| match component {
            Component::PostProcessor { name, options } => Some((name, options)),
            _ => None,
        });
        own.map(|(name, options)| {
            let (kind, mut processor) = (POST_PROCESSOR, self.post_processors.configure(name, options)?);
            let name = name.clone();
            if let Err(source) = processor.fit(data) {
                return Err(ComponentError::Fit { kind, name, source });
            }
            match processor.state() {
                Ok(state) => {
                    Ok(FittedPostProcessor { saved: Saved { name, state }, processor: processor.into() })
                }
                Err(source) => Err(ComponentError::State { kind, name, source }),
            }
        })
        .collect()
    }

    /// The same, as a model has saved them.
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

impl PipelineConfig {
    /// Reads a `config.yml` that also lists components of one's own; `file` is named in errors.
    ///
    /// # Errors
    ///
    /// As [`PipelineConfig::from_yaml`].
    pub fn from_yaml_with(yaml: &str, file: &str, components: &Components) -> Result<Self, PipelineError> {
        Self::read(yaml, file, components)
    }

    /// With this tokenizer of one's own, without options, in place of the one it has.
    #[must_use]
    pub fn with_tokenizer(mut self, name: impl Into<String>) -> Self {
        let own = Component::CustomTokenizer { name: name.into(), options: Map::new() };
        let is_tokenizer = |component: &&mut Component| component.is_tokenizer();
        match self.components.iter_mut().find(is_tokenizer) {
            Some(tokenizer) => *tokenizer = own,
            None => self.components.insert(0, own),
        }
        self
    }

    /// With this featurizer of one's own, without options, as the last one before DIET, which listens to it.
    #[must_use]
    pub fn with_featurizer(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        let is_diet = |component: &Component| matches!(component, Component::DietClassifier { .. });
        let place = self.components.iter().position(is_diet).unwrap_or(self.components.len());
        if let Some(Component::DietClassifier { featurizers, .. }) = self.components.get_mut(place)
            && !featurizers.is_empty()
        {
            featurizers.push(name.clone());
        }
        let config = FeaturizerConfig::Custom { name: name.clone(), options: Map::new() };
        self.components.insert(place, Component::Featurizer { alias: name, config });
        self
    }

    /// With this post-processor of one's own, without options, as the last component.
    #[must_use]
    pub fn with_post_processor(mut self, name: impl Into<String>) -> Self {
        self.components.push(Component::PostProcessor { name: name.into(), options: Map::new() });
        self
    }
}
