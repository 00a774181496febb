//! The options of components that have no place of their own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::embed::FineTuning;

/// Where dense features come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DenseConfig {
    /// The folder of a pretrained encoder, or a file of word vectors.
    pub path: PathBuf,
    /// Only where the examples are in this language, a code such as `en`; always where there is none.
    pub language: Option<String>,
    /// Whether a saved model holds a copy of it, so that the model opens wherever it is. Otherwise it holds the path.
    pub keep_in_model: bool,
    /// Whether the encoder learns from the examples before DIET does ([`FineTuning`]).
    pub fine_tune: bool,
    /// Epochs of fine-tuning; few examples are gone through more often.
    pub fine_tune_epochs: usize,
    /// Largest learning rate of fine-tuning.
    pub fine_tune_learning_rate: f64,
}

impl DenseConfig {
    /// The encoder or the word vectors at this path, without fine-tuning.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, ..Self::default() }
    }
}

impl Default for DenseConfig {
    fn default() -> Self {
        let FineTuning { epochs, learning_rate, .. } = FineTuning::default();
        Self {
            path: PathBuf::new(),
            language: None,
            keep_in_model: false,
            fine_tune: false,
            fine_tune_epochs: epochs,
            fine_tune_learning_rate: learning_rate,
        }
    }
}

/// Which answers to choose from; the name is that of Rasa's `ResponseSelector`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct ResponseSelectorConfig {
    /// The retrieval intent whose answers it chooses from; `None` for those of all.
    pub retrieval_intent: Option<String>,
}

/// When an intent is too unsure to act on; names and defaults of Rasa's `FallbackClassifier`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackConfig {
    /// Below this confidence.
    pub threshold: Threshold,
    /// Or this close to the next intent.
    pub ambiguity_threshold: f32,
}

/// A confidence: a number, or the word `fitted`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Threshold {
    /// This one.
    Share(f32),
    /// Ours: the one that was found in training ([`FittedConfidence`](crate::diet::FittedConfidence)); Rasa's 0.3 where
    /// none was.
    Fitted(Fitted),
}

/// The word `fitted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fitted {
    /// As found in training.
    Fitted,
}

impl Threshold {
    /// The number, where this one was `fitted`.
    #[must_use]
    pub fn or(self, fitted: Option<f32>) -> f32 {
        match self {
            Self::Share(share) => share,
            Self::Fitted(_) => fitted.unwrap_or(0.3),
        }
    }
}

impl Default for FallbackConfig {
    fn default() -> Self {
        Self { threshold: Threshold::Share(0.3), ambiguity_threshold: 0.1 }
    }
}
