//! Components from outside this crate: how they are registered, built from JSON, fitted and saved.

use std::collections::BTreeMap;
use std::error::Error;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A custom component of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CustomConfig {
    /// The name that it is registered with.
    pub name: String,
    /// Its fields.
    pub options: Map<String, Value>,
}

impl CustomConfig {
    /// The component of this name, without options.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), options: Map::new() }
    }
}

/// A custom component is missing or broken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// Nobody has registered it.
    #[error(
        "the pipeline has the {kind} `{name}`, which is not known here; register it with `Components`, in the options \
         of the training and again in `Nlu::open_with`"
    )]
    Missing {
        /// Tokenizer, featurizer or post-processor.
        kind: &'static str,
        /// The name in the pipeline.
        name: String,
    },
    /// It cannot be built from its options, or from what a model has saved of it.
    #[error("the {kind} `{name}` cannot be built from its options or its saved state")]
    State {
        /// Tokenizer, featurizer or post-processor.
        kind: &'static str,
        /// The name in the pipeline.
        name: String,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// It cannot learn from the training data.
    #[error("the {kind} `{name}` cannot be fitted")]
    Fit {
        /// Featurizer or post-processor.
        kind: &'static str,
        /// The name in the pipeline.
        name: String,
        /// What it says.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// How components of one kind are built from JSON, by name.
#[derive(Debug)]
pub(crate) struct Registry<C: ?Sized> {
    kind: &'static str,
    builders: BTreeMap<String, Builder<C>>,
}

type Builder<C> = fn(Value) -> serde_json::Result<Box<C>>;

impl<C: ?Sized> Clone for Registry<C> {
    fn clone(&self) -> Self {
        Self { kind: self.kind, builders: self.builders.clone() }
    }
}

impl<C: ?Sized> Registry<C> {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, builders: BTreeMap::new() }
    }

    pub(crate) fn insert(&mut self, name: String, builder: Builder<C>) {
        self.builders.insert(name, builder);
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.builders.contains_key(name)
    }

    /// A component with its options.
    pub(crate) fn configure(&self, config: &CustomConfig) -> Result<Box<C>, ComponentError> {
        let CustomConfig { name, options } = config;
        // A struct without fields is `null` in JSON, one whose fields all have defaults is `{}`.
        if options.is_empty()
            && let Ok(component) = self.restore(name, Value::Null)
        {
            return Ok(component);
        }
        self.restore(name, Value::Object(options.clone()))
    }

    /// A component as it was saved.
    pub(crate) fn restore(&self, name: &str, state: Value) -> Result<Box<C>, ComponentError> {
        let (kind, name) = (self.kind, name.to_owned());
        match self.builders.get(&name) {
            Some(build) => build(state).map_err(|source| ComponentError::State { kind, name, source }),
            None => Err(ComponentError::Missing { kind, name }),
        }
    }
}

/// What a component is restored from.
pub(crate) trait State {
    /// Its options and what it has learnt, as JSON.
    fn state(&self) -> serde_json::Result<Value>;
}

impl<T: Serialize> State for T {
    fn state(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

impl<C: State + ?Sized> Registry<C> {
    /// A component that has learnt, and its state.
    pub(crate) fn fit(
        &self,
        config: &CustomConfig,
        learn: impl FnOnce(&mut C) -> Result<(), Box<dyn Error + Send + Sync>>,
    ) -> Result<(Box<C>, Value), ComponentError> {
        let mut component = self.configure(config)?;
        let (kind, name) = (self.kind, config.name.clone());
        if let Err(source) = learn(&mut component) {
            return Err(ComponentError::Fit { kind, name, source });
        }
        match component.state() {
            Ok(state) => Ok((component, state)),
            Err(source) => Err(ComponentError::State { kind, name, source }),
        }
    }
}
