//! The settings of an n-gram featurizer.

use serde::{Deserialize, Serialize};

use crate::settings::ConfigError;

/// What an n-gram is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Analyzer {
    /// Words.
    #[default]
    Word,
    /// Characters of the whole message, blanks included.
    Char,
    /// Characters inside each word, with one blank on either side. Where a writing puts no blanks between words, the
    /// whole run of characters is one word.
    CharWb,
    /// The beginnings of two words, in either order and not far from each other: the message alone has these, no
    /// token, and n-gram lengths do not count. Ours, not Rasa's.
    WordPair,
}

/// In how many training messages an n-gram must, or may, occur.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DocumentLimit {
    /// This many.
    Count(usize),
    /// This share of them.
    Share(f64),
}

impl DocumentLimit {
    pub(super) fn of(self, documents: usize) -> f64 {
        match self {
            Self::Count(count) => count as f64,
            Self::Share(share) => share * documents as f64,
        }
    }
}

/// How letters lose their accents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StripAccents {
    /// By Unicode decomposition; what is not ASCII afterwards is removed.
    Ascii,
    /// By Unicode decomposition; combining marks are removed.
    Unicode,
}

/// What an n-gram counts for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// How often it occurs, as in Rasa.
    #[default]
    Count,
    /// `(1 + ln count) · idf` with `idf = 1 + ln((1 + messages) / (1 + messages with it))`, and each
    /// row scaled to length one: rare n-grams speak louder, long messages not.
    TfIdf,
}

/// Settings of one n-gram featurizer; names and defaults are those of Rasa's `CountVectorsFeaturizer`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NGramConfig {
    /// What an n-gram is made of.
    pub analyzer: Analyzer,
    /// Shortest n-gram.
    pub min_ngram: usize,
    /// Longest n-gram; at most 100.
    pub max_ngram: usize,
    /// Fewest training messages an n-gram must occur in.
    pub min_df: DocumentLimit,
    /// Most training messages it may occur in.
    pub max_df: DocumentLimit,
    /// Keep only this many of the most frequent n-grams.
    pub max_features: Option<usize>,
    /// Whether case is ignored.
    pub lowercase: bool,
    /// Whether and how accents are removed.
    pub strip_accents: Option<StripAccents>,
    /// Words that are left out (analyzer `word` only).
    pub stop_words: Option<Vec<String>>,
    /// What unknown words become (analyzer `word` only).
    #[serde(rename = "OOV_token")]
    pub oov_token: Option<String>,
    /// Words that become the unknown word in training.
    #[serde(rename = "OOV_words")]
    pub oov_words: Vec<String>,
    /// What an n-gram counts for. Ours, not Rasa's.
    pub weighting: Weighting,
}

impl Default for NGramConfig {
    fn default() -> Self {
        Self {
            analyzer: Analyzer::Word,
            min_ngram: 1,
            max_ngram: 1,
            min_df: DocumentLimit::Count(1),
            max_df: DocumentLimit::Share(1.0),
            max_features: None,
            lowercase: true,
            strip_accents: None,
            stop_words: None,
            oov_token: None,
            oov_words: Vec::new(),
            weighting: Weighting::Count,
        }
    }
}

impl NGramConfig {
    /// What it is called in `config.yml`.
    pub(crate) const COMPONENT: &str = "CountVectorsFeaturizer";

    /// Checks what the types cannot.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let in_order = self.min_ngram > 0 && self.min_ngram <= self.max_ngram;
        ConfigError::unless(in_order, "min_ngram", "must be at least 1 and at most `max_ngram`")?;
        let problem = "must be at most 100: a text has as many n-grams of each length as it has characters";
        ConfigError::unless(self.max_ngram <= 100, "max_ngram", problem)?;
        for (option, limit) in [("min_df", self.min_df), ("max_df", self.max_df)] {
            let fits = !matches!(limit, DocumentLimit::Share(share) if !(0.0..=1.0).contains(&share));
            ConfigError::unless(fits, option, "must be a count, or a share between 0.0 and 1.0")?;
        }
        Ok(())
    }
}
