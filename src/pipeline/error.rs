//! What can be wrong with a pipeline.

use std::path::PathBuf;

use crate::data::Source;
use crate::diet::WeightsError;
use crate::features::ComponentError;
use crate::settings::ConfigError;

/// Why a pipeline cannot be built or trained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The configuration is not YAML, or not of Rasa's layout.
    #[error("{file}: {problem}")]
    Config {
        /// The file, or what stands for it.
        file: String,
        /// What is wrong, with the line where that is known.
        problem: String,
    },
    /// A component that does not exist.
    #[error("{file}: unknown component `{name}` in the pipeline; known are {known}")]
    UnknownComponent {
        /// The file.
        file: String,
        /// The component.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// A component in Python, from outside Rasa.
    #[error(
        "{file}: component `{name}` is a Python class of your own, which cannot run here; remove it, or write it in Rust and register it under this name in `pipeline::Components`"
    )]
    PythonComponent {
        /// The file.
        file: String,
        /// The path of the class.
        name: String,
    },
    /// An option that does not exist or has a value of the wrong kind.
    #[error("{file}: component {component}: {error}")]
    Option {
        /// The file.
        file: String,
        /// The component.
        component: String,
        /// What is wrong, and which options there are.
        error: ConfigError,
    },
    /// A pipeline without a tokenizer, or with several.
    #[error("{file}: the pipeline needs exactly one tokenizer: list WhitespaceTokenizer first")]
    Tokenizers {
        /// The file.
        file: String,
    },
    /// A pipeline without `DIETClassifier`, or with several.
    #[error("{file}: the pipeline needs exactly one DIETClassifier")]
    Classifiers {
        /// The file.
        file: String,
    },
    /// A pipeline without a featurizer, or with one that no component reads.
    #[error(
        "{file}: featurizers belong between the tokenizer and DIETClassifier, and there must be one at least"
    )]
    Featurizers {
        /// The file.
        file: String,
    },
    /// `DIETClassifier` listens to a featurizer that is not there.
    #[error("{file}: DIETClassifier listens to `{alias}`, but the featurizers are called {known}")]
    UnknownAlias {
        /// The file.
        file: String,
        /// What it listens to.
        alias: String,
        /// The names of the featurizers.
        known: String,
    },
    /// A pipeline for finetuning that makes another network than that of the model.
    #[error(
        "the pipeline makes another network than that of the model: {}; train from scratch, or leave out the pipeline to keep that of the model",
        differences.join("; ")
    )]
    OtherNetwork {
        /// The options that differ, with what they are and what they would have to be.
        differences: Vec<String>,
    },
    /// A pipeline for finetuning with other encoders than those of the model.
    #[error(
        "the pipeline makes another network than that of the model: the encoders of its dense features are others; train from scratch, or leave out the pipeline to keep that of the model"
    )]
    OtherEncoders,
    /// An example that was made in a program has an entity that is no part of its text.
    #[error(
        "{at}: entity `{entity}` over the bytes {start}..{end} is no part of the text; a span counts bytes, and begins \
         and ends between two characters"
    )]
    EntityOutsideText {
        /// The example.
        at: Source,
        /// The type of the entity.
        entity: String,
        /// Its first byte.
        start: usize,
        /// One past its last byte.
        end: usize,
    },
    /// No example has a text.
    #[error("nothing to learn from: the data has no example with text")]
    NoText,
    /// All examples have the same intent, and none has an entity.
    #[error(
        "nothing to learn from: all examples have the intent `{intent}` and none has an entity; at least two intents, or one annotated entity, are needed"
    )]
    OneIntent {
        /// The intent.
        intent: String,
    },
    /// No word and no part of one occurs in enough examples to be kept.
    #[error(
        "nothing to learn from: no n-gram occurs in {min_count} examples, and those in fewer are not to be kept; lower \
         --min-count (`TrainingOptions::min_count`) or add examples"
    )]
    NothingFrequent {
        /// In how many examples it would have to occur.
        min_count: usize,
    },
    /// No example has an intent or an entity.
    #[error("nothing to learn from: no example has an intent or an entity")]
    NoLabels,
    /// A cross-validation needs two parts at least.
    #[error("cross-validation: {folds} folds are too few; at least 2 are needed")]
    TooFewFolds {
        /// What was asked for.
        folds: usize,
    },
    /// A cross-validation needs an example for each part.
    #[error(
        "cross-validation: {folds} folds need at least {folds} examples, and there are {examples}; ask for fewer folds or add examples"
    )]
    TooFewExamples {
        /// What was asked for.
        folds: usize,
        /// What there is.
        examples: usize,
    },
    /// A learning curve without runs or percentages.
    #[error("learning curve: at least one run and one percentage are needed")]
    NoRuns,
    /// A learning curve that leaves everything out.
    #[error("learning curve: percentages say how much is left out; {percentage} is not below 100")]
    Percentage {
        /// What was asked for.
        percentage: u8,
    },
    /// Too few examples to hold some out.
    #[error("learning curve: no intent has two examples of different texts, so that none can be held out")]
    NothingToHoldOut,
    /// Labels have no dense features, so they cannot share layers with messages that do.
    #[error("the pipeline: `share_hidden_layers` does not go with dense features, which labels do not have")]
    SharedHiddenLayers,
    /// The stop flag was raised where half a result is of no use.
    #[error("stopped during {during}")]
    Stopped {
        /// What was going on.
        during: String,
    },
    /// A custom component is missing or broken.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The weights belong to another network than the configuration describes.
    #[error("the model cannot be used: its weights do not fit its configuration: {0}")]
    Weights(#[from] WeightsError),
    /// The bundle holds a model of another kind.
    #[error("the model cannot be used: it is of kind `{found}`, not `{expected}`")]
    Kind {
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// An encoder that the model was trained with is gone.
    #[error(
        "the model cannot be used: it was trained with the encoder {}, which is not there; say with `--encoder PATH` (in code, `OpeningOptions::encoders`) where it is, put it back, or train again",
        path.display()
    )]
    MissingEncoder {
        /// Where it was.
        path: PathBuf,
    },
    /// Another encoder is where the one was that the model was trained with, or where it should be by now.
    #[error(
        "the model cannot be used: it was not trained with the encoder {} as it is now; put the old one back, say with `--encoder PATH` (in code, `OpeningOptions::encoders`) where it is, or train again",
        path.display()
    )]
    ChangedEncoder {
        /// Where it is.
        path: PathBuf,
    },
    /// The list of encoders in a model does not belong to its pipeline.
    #[error(
        "the model cannot be used: its pipeline has {expected} encoders, and it lists {found}; copy or train it again"
    )]
    EncoderCount {
        /// What is listed.
        found: usize,
        /// What the pipeline has.
        expected: usize,
    },
    /// The encoder gives vectors of another width than the model was trained with.
    #[error("the model cannot be used: the encoder {} gives {found} numbers, not {expected}", path.display())]
    EncoderWidth {
        /// Where it is.
        path: PathBuf,
        /// What it gives.
        found: usize,
        /// What it gave.
        expected: usize,
    },
}
