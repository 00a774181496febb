//! The settings of the [`WhitespaceTokenizer`](super::WhitespaceTokenizer), and what can be wrong with them.

use serde::{Deserialize, Serialize};

use super::ExpressionError;

/// A [`WhitespaceTokenizerConfig`] that cannot work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// The pattern cannot be read.
    #[error("`token_pattern` {pattern:?} cannot be used: {error}")]
    TokenPattern {
        /// The pattern as written.
        pattern: String,
        /// What is wrong with it.
        error: ExpressionError,
    },
    /// With one group the group is the token, with none the whole match; with more nobody could tell.
    #[error("`token_pattern` {pattern:?} has {groups} capture groups, expected at most one: write `(?:…)`")]
    TokenPatternGroups {
        /// The pattern as written.
        pattern: String,
        /// How many capture groups it has.
        groups: usize,
    },
    /// A separator without characters separates nothing.
    #[error("`{option}` is empty, expected at least one character")]
    EmptySymbol {
        /// The name of the option.
        option: &'static str,
    },
}

/// Settings of a [`WhitespaceTokenizer`](super::WhitespaceTokenizer), under the names Rasa gives them.
///
/// # Example
///
/// ```
/// use talkformer::text::{WhitespaceTokenizer, WhitespaceTokenizerConfig};
///
/// let config = WhitespaceTokenizerConfig { intent_tokenization_flag: true, ..Default::default() };
/// let tokenizer = WhitespaceTokenizer::new(config)?;
/// assert_eq!(tokenizer.label_tokens("greet_and+thank"), ["greet", "and+thank"]);
/// # Ok::<(), talkformer::text::TokenizerError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WhitespaceTokenizerConfig {
    /// Whether an intent name is several label tokens. Off by default: each intent is one.
    pub intent_tokenization_flag: bool,
    /// What stands between the label tokens of an intent name. Default `_`; may not be empty while
    /// `intent_tokenization_flag` is on.
    pub intent_split_symbol: String,
    /// A regular expression that picks tokens inside each token found so far. Where it matches, its
    /// matches (or, with one capture group, what the group caught) are the tokens; where it does not, the
    /// token stays. A pattern also takes over from the rules for writing without blanks. Default: none.
    pub token_pattern: Option<String>,
    /// What stands between an intent name and a prefix that is one label token, whatever the flag says;
    /// it counts once, at its first place. Default: none; may not be empty.
    pub prefix_separator_symbol: Option<String>,
}

impl Default for WhitespaceTokenizerConfig {
    fn default() -> Self {
        Self {
            intent_tokenization_flag: false,
            intent_split_symbol: "_".to_owned(),
            token_pattern: None,
            prefix_separator_symbol: None,
        }
    }
}
