//! Featurizers from outside this crate, and how such components are registered, built and saved.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Message;
use super::featurizer::{Entries, Rows};
use crate::data::TrainingData;

/// A featurizer of your own.
///
/// Its fields are its options, as a pipeline gives them, and what it learns in [`fit`](Self::fit): a model saves them as
/// JSON, so it must implement serde's `Serialize` and `Deserialize` as well. Fields that a pipeline may leave out need
/// `#[serde(default)]`. It answers from many threads at once.
///
/// No method may fail on a message, however odd: unknown words have no features. Entries outside of the columns, and
/// values that are not finite, are left out.
pub trait CustomFeaturizer: Debug + Send + Sync {
    /// Learns from the messages of the training; by default there is nothing to learn.
    ///
    /// # Errors
    ///
    /// If the options or the data make no sense; this ends the training.
    fn fit(
        &mut self,
        messages: &[Message<'_>],
        data: &TrainingData,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let _ = (messages, data);
        Ok(())
    }

    /// What each column means, in a name of its own. A model that learns on takes its weights to the columns with the
    /// same names.
    fn columns(&self) -> Vec<String>;

    /// The columns of one token of a message that are not zero, with their values.
    fn token(&self, message: Message<'_>, token: usize) -> Vec<(usize, f32)>;

    /// The same for the message as a whole; by default there are none.
    fn message(&self, message: Message<'_>) -> Vec<(usize, f32)> {
        let _ = message;
        Vec::new()
    }
}

/// A component of one's own is missing or broken.
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

    /// A component with these options.
    pub(crate) fn configure(
        &self,
        name: &str,
        options: &Map<String, Value>,
    ) -> Result<Box<C>, ComponentError> {
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

/// A featurizer that can be saved: every one whose fields can.
pub(crate) trait SavedFeaturizer: CustomFeaturizer {
    fn state(&self) -> serde_json::Result<Value>;
}

impl<T: CustomFeaturizer + Serialize> SavedFeaturizer for T {
    fn state(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

/// The registered featurizers.
pub(crate) type CustomFeaturizers = Registry<dyn SavedFeaturizer>;

/// The name of this kind of component in messages.
pub(crate) const FEATURIZER: &str = "featurizer";

/// A [`CustomFeaturizer`] that has seen the training data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Custom {
    name: String,
    columns: Vec<String>,
    state: Value,
    /// `None` between reading a bundle and [`attach`](Self::attach).
    #[serde(skip)]
    featurizer: Option<Arc<dyn SavedFeaturizer>>,
}

impl Custom {
    pub(super) fn fit(
        name: &str,
        options: &Map<String, Value>,
        messages: &[Message<'_>],
        data: &TrainingData,
        registered: &CustomFeaturizers,
    ) -> Result<Self, ComponentError> {
        let mut featurizer = registered.configure(name, options)?;
        let (kind, name) = (FEATURIZER, name.to_owned());
        if let Err(source) = featurizer.fit(messages, data) {
            return Err(ComponentError::Fit { kind, name, source });
        }
        match featurizer.state() {
            Ok(state) => {
                Ok(Self { name, columns: featurizer.columns(), state, featurizer: Some(featurizer.into()) })
            }
            Err(source) => Err(ComponentError::State { kind, name, source }),
        }
    }

    /// Builds the featurizer from what was saved of it.
    pub(super) fn attach(&mut self, registered: &CustomFeaturizers) -> Result<(), ComponentError> {
        self.featurizer = Some(registered.restore(&self.name, self.state.clone())?.into());
        Ok(())
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn transform(&self, message: Message<'_>, rows: &mut Rows) {
        let Some(featurizer) = &self.featurizer else { return };
        for (at, row) in rows.sequence.iter_mut().enumerate() {
            row.extend(self.entries(featurizer.token(message, at), rows.token_start));
        }
        rows.sentence.extend(self.entries(featurizer.message(message), rows.message_start));
    }

    /// In the order of the columns, each once, those that are not allowed left out.
    fn entries(&self, mut found: Vec<(usize, f32)>, start: u32) -> Entries {
        found.retain(|(column, value)| *column < self.width() && value.is_finite());
        found.sort_by_key(|(column, _)| *column);
        let mut entries: Entries = Vec::with_capacity(found.len());
        for (column, value) in found {
            let column = start + column as u32;
            match entries.last_mut() {
                Some((last, sum)) if *last == column => *sum += value,
                _ => entries.push((column, value)),
            }
        }
        entries
    }

    /// For each column, the one of the same name in an earlier featurizer.
    pub(super) fn origins(&self, earlier: &Self) -> Vec<Option<u32>> {
        let places: HashMap<&str, u32> = earlier.columns.iter().map(String::as_str).zip(0..).collect();
        self.columns.iter().map(|column| places.get(column.as_str()).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FeatureSet, FeaturizerConfig};
    use super::*;
    use crate::text::{Tokenizer, WhitespaceTokenizer};

    /// Words of the training data that begin with a capital letter.
    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(default)]
    struct Names {
        least: usize,
        seen: Vec<String>,
    }

    impl CustomFeaturizer for Names {
        fn fit(
            &mut self,
            messages: &[Message<'_>],
            _: &TrainingData,
        ) -> Result<(), Box<dyn Error + Send + Sync>> {
            let words =
                messages.iter().flat_map(|message| message.tokens.iter().map(|token| token.of(message.text)));
            self.seen =
                words.filter(|word| word.starts_with(char::is_uppercase)).map(str::to_owned).collect();
            if self.seen.len() < self.least { Err("too few names".into()) } else { Ok(()) }
        }

        fn columns(&self) -> Vec<String> {
            self.seen.clone()
        }

        fn token(&self, message: Message<'_>, token: usize) -> Vec<(usize, f32)> {
            let found = self.seen.iter().position(|word| word == message.token(token));
            found.into_iter().flat_map(|at| [(at, 0.5), (99, 1.0), (at, 0.5)]).collect()
        }
    }

    fn fit(texts: &[&str], options: Value) -> Result<FeatureSet, super::super::FeatureError> {
        let tokens: Vec<_> = texts.iter().map(|text| WhitespaceTokenizer::default().tokenize(text)).collect();
        let messages: Vec<_> =
            texts.iter().zip(&tokens).map(|(text, tokens)| Message { text, tokens }).collect();
        let Value::Object(options) = options else { panic!("options are an object") };
        let configs = [FeaturizerConfig::Custom { name: "Names".into(), options }];
        FeatureSet::fit_with(&configs, &messages, &TrainingData::default(), &registered())
    }

    fn registered() -> CustomFeaturizers {
        let mut all = CustomFeaturizers::new(FEATURIZER);
        all.insert("Names".to_owned(), |state| Ok(Box::new(serde_json::from_value::<Names>(state)?)));
        all
    }

    fn first_token(features: &FeatureSet, text: &str) -> Vec<(u32, f32)> {
        let tokens = WhitespaceTokenizer::default().tokenize(text);
        features.transform(Message { text, tokens: &tokens }).sequence.row(0).collect()
    }

    #[test]
    fn it_learns_is_saved_and_comes_back() {
        let features = fit(&["from Rome to Paris"], Value::Object(Map::new())).unwrap();
        assert_eq!(features.widths(), (2, 2));
        assert_eq!(first_token(&features, "Paris"), [(1, 1.0)]);
        let json = serde_json::to_string(&features).unwrap();
        let mut again: FeatureSet = serde_json::from_str(&json).unwrap();
        assert!(first_token(&again, "Paris").is_empty());
        again.attach(&registered()).unwrap();
        assert_eq!(first_token(&again, "Paris"), [(1, 1.0)]);
        let error = again.attach(&CustomFeaturizers::new(FEATURIZER)).unwrap_err();
        assert!(error.to_string().contains("the featurizer `Names`, which is not known here"), "{error}");
    }

    #[test]
    fn columns_of_the_same_name_are_the_same() {
        let earlier = fit(&["from Rome to Paris"], Value::Object(Map::new())).unwrap();
        let now = fit(&["from Oslo to Rome"], Value::Object(Map::new())).unwrap();
        assert_eq!(now.origins(&earlier).sequence, [None, Some(0)]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = fit(&["from Rome"], serde_json::json!({"least": 2})).unwrap_err();
        assert_eq!(error.to_string(), "the featurizer `Names` cannot be fitted");
        let error = fit(&["from Rome"], serde_json::json!({"least": "two"})).unwrap_err();
        assert!(error.to_string().contains("cannot be built from its options"), "{error}");
    }
}
