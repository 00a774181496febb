//! What can be wrong with a pipeline.

use crate::diet::WeightsError;
use crate::features::ComponentError;

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
    /// An option that does not exist or has a value of the wrong kind.
    #[error("{file}: component {component}: {problem}")]
    Option {
        /// The file.
        file: String,
        /// The component.
        component: String,
        /// What is wrong, and which options there are.
        problem: String,
    },
    /// Components that do not fit together.
    #[error("{file}: {problem}")]
    Order {
        /// The file.
        file: String,
        /// What is missing or too much, and what to do.
        problem: String,
    },
    /// A pipeline for finetuning that makes another network than that of the model.
    #[error(
        "the pipeline makes another network than that of the model: {}; train from scratch, or leave the pipeline away to keep that of the model",
        differences.join("; ")
    )]
    OtherNetwork {
        /// The options that differ, with what they are and what they would have to be.
        differences: Vec<String>,
    },
    /// The data holds nothing to learn.
    #[error("nothing to learn from: {problem}")]
    NothingToLearn {
        /// What was found, and what is needed.
        problem: String,
    },
    /// The data cannot be cut into so many parts.
    #[error("cross-validation: {problem}")]
    CrossValidation {
        /// What is too few, and what is needed.
        problem: String,
    },
    /// A learning curve cannot be drawn.
    #[error("learning curve: {problem}")]
    LearningCurve {
        /// What is wrong, and what is needed.
        problem: String,
    },
    /// The stop flag was raised where half a result is of no use.
    #[error("stopped during {during}")]
    Stopped {
        /// What was going on.
        during: String,
    },
    /// A component of one's own is missing or broken.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// The weights belong to another network than the configuration describes.
    #[error("the weights of the model do not fit its configuration")]
    Weights(#[from] WeightsError),
    /// The bundle holds a model of another kind, or parts that do not fit each other.
    #[error("the model cannot be used: {problem}")]
    Model {
        /// What is wrong.
        problem: String,
    },
}
