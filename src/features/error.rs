//! What can be wrong with featurizer options and patterns.

use super::ComponentError;
use crate::data::Source;
use crate::settings::ConfigError;
use crate::text::ExpressionError;

/// Why a featurizer cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureError {
    /// A regular expression of the training data does not compile.
    #[error(
        "{at}: the expression `{pattern}` of regex `{name}` cannot be used: {error}; correct it, or set `skip_invalid_regexes: true` to leave it out"
    )]
    Regex {
        /// Where it stands.
        at: Source,
        /// Name of the regex block.
        name: String,
        /// The expression.
        pattern: String,
        /// What is wrong with it.
        error: ExpressionError,
    },
    /// A lookup table is too large to search for.
    #[error("{at}: lookup table `{name}` cannot be compiled: {reason}")]
    Lookup {
        /// Where it stands.
        at: Source,
        /// Name of the table.
        name: String,
        /// What the compiler says.
        reason: String,
    },
    /// An option has a value that makes no sense.
    #[error("component {component}: {error}")]
    Option {
        /// The component as it is called in `config.yml`.
        component: &'static str,
        /// What is wrong, and what would be right.
        error: ConfigError,
    },
    /// A custom featurizer is missing or broken.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// Saved n-grams that cannot be understood.
    #[error("the saved n-grams are damaged: {problem}; train the model again")]
    Vocabulary {
        /// What is wrong with them.
        problem: &'static str,
    },
}
