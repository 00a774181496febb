//! Featurizers from outside this crate.

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::{Entries, Rows};
use super::registry::{Registry, State};
use super::vocabulary::name_origins;
use super::{ComponentError, CustomConfig, Message};
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

    /// A distinct name for each column. A model that is fine-tuned moves its weights to the columns with the same
    /// names.
    fn columns(&self) -> Vec<String>;

    /// The columns of one token of a message that are not zero, with their values.
    fn token(&self, message: Message<'_>, token: usize) -> Vec<(usize, f32)>;

    /// The same for the message as a whole; by default there are none.
    fn message(&self, message: Message<'_>) -> Vec<(usize, f32)> {
        let _ = message;
        Vec::new()
    }
}

/// A featurizer that can be saved: every one whose fields can.
pub(crate) trait SavedFeaturizer: CustomFeaturizer + State {}

impl<T: CustomFeaturizer + State> SavedFeaturizer for T {}

/// The registered featurizers.
pub(crate) type CustomFeaturizers = Registry<dyn SavedFeaturizer>;

/// The name of this kind of component in messages.
pub(crate) const FEATURIZER: &str = "featurizer";

/// A [`CustomFeaturizer`] that has seen the training data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Custom {
    pub(super) name: String,
    columns: Vec<String>,
    state: Value,
    /// `None` between reading a bundle and [`attach`](Self::attach).
    #[serde(skip)]
    featurizer: Option<Arc<dyn SavedFeaturizer>>,
}

impl Custom {
    pub(super) fn fit(
        config: &CustomConfig,
        messages: &[Message<'_>],
        data: &TrainingData,
        registered: &CustomFeaturizers,
    ) -> Result<Self, ComponentError> {
        let (featurizer, state) = registered.fit(config, |own| own.fit(messages, data))?;
        let (name, columns) = (config.name.clone(), featurizer.columns());
        Ok(Self { name, columns, state, featurizer: Some(featurizer.into()) })
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
        let of_message = self.entries(featurizer.message(message), rows.message_start);
        rows.recognised |= !of_message.is_empty()
            || rows
                .sequence
                .iter()
                .any(|row| row.last().is_some_and(|(column, _)| *column >= rows.token_start));
        rows.sentence.extend(of_message);
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
        name_origins(&self.columns, &earlier.columns)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::super::{FeatureError, FeatureSet, FeaturizerConfig};
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

    fn fit(texts: &[&str], options: Value) -> Result<FeatureSet, FeatureError> {
        fit_named("Names", texts, options)
    }

    fn fit_named(name: &str, texts: &[&str], options: Value) -> Result<FeatureSet, FeatureError> {
        let tokens: Vec<_> = texts.iter().map(|text| WhitespaceTokenizer::default().tokenize(text)).collect();
        let messages: Vec<_> =
            texts.iter().zip(&tokens).map(|(text, tokens)| Message { text, tokens }).collect();
        let config = json!({"name": name, "options": options});
        let configs = [FeaturizerConfig::Custom(serde_json::from_value(config).unwrap())];
        FeatureSet::fit_with(&configs, &messages, &TrainingData::default(), &registered(), 1)
    }

    fn registered() -> CustomFeaturizers {
        let mut all = CustomFeaturizers::new(FEATURIZER);
        for name in ["Names", "Others"] {
            all.insert(name.to_owned(), |state| Ok(Box::new(serde_json::from_value::<Names>(state)?)));
        }
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
        let other = fit_named("Others", &["from Oslo to Rome"], Value::Object(Map::new())).unwrap();
        assert_eq!(other.origins(&earlier).sequence, [None, None]);
    }

    #[test]
    fn without_the_earlier_messages_it_stays_as_it_was() {
        let earlier = fit(&["from Rome to Paris"], Value::Object(Map::new())).unwrap();
        let now = || fit(&["from Oslo"], Value::Object(Map::new())).unwrap();
        let joined = now().with_columns_of(&earlier);
        assert_eq!(first_token(&joined, "Paris"), first_token(&earlier, "Paris"));
        assert_eq!(joined.origins(&earlier).sequence, [Some(0), Some(1)]);
        let other = fit_named("Others", &["from Rome to Paris"], Value::Object(Map::new())).unwrap();
        assert_eq!(now().with_columns_of(&other).widths(), (1, 1));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = fit(&["from Rome"], json!({"least": 2})).unwrap_err();
        assert_eq!(error.to_string(), "the featurizer `Names` cannot be fitted");
        let error = fit(&["from Rome"], json!({"least": "two"})).unwrap_err();
        assert!(error.to_string().contains("cannot be built from its options"), "{error}");
    }
}
