//! Several featurizers side by side.

use serde::{Deserialize, Serialize};

use super::message::Rows;
use super::{
    ComponentError, Custom, CustomConfig, CustomFeaturizers, FEATURIZER, FeatureError, Features, Lexical,
    LexicalConfig, Message, NGramConfig, NGrams, Patterns, PatternsConfig, UnitRanges,
};
use crate::data::TrainingData;

/// Settings of one featurizer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FeaturizerConfig {
    /// Word or character n-grams.
    NGrams(NGramConfig),
    /// The shape of a token and its neighbours.
    Lexical(LexicalConfig),
    /// Regular expressions and lookup tables.
    Patterns(PatternsConfig),
    /// A [`CustomFeaturizer`](super::CustomFeaturizer).
    Custom(CustomConfig),
}

/// A featurizer that has seen the training data.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Featurizer {
    /// Word or character n-grams.
    NGrams(NGrams),
    /// The shape of a token and its neighbours.
    Lexical(Lexical),
    /// Regular expressions and lookup tables.
    Patterns(Patterns),
    /// A featurizer from outside this crate.
    Custom(Custom),
}

impl Featurizer {
    fn fit(
        config: &FeaturizerConfig,
        messages: &[Message<'_>],
        data: &TrainingData,
        registered: &CustomFeaturizers,
        least: usize,
    ) -> Result<Self, FeatureError> {
        Ok(match config {
            FeaturizerConfig::NGrams(config) => Self::NGrams(NGrams::fit_frequent(config, messages, least)?),
            FeaturizerConfig::Lexical(config) => {
                Self::Lexical(Lexical::fit_frequent(config, messages, least)?)
            }
            FeaturizerConfig::Patterns(config) => Self::Patterns(Patterns::fit(config, data)?),
            FeaturizerConfig::Custom(config) => {
                Self::Custom(Custom::fit(config, messages, data, registered)?)
            }
        })
    }

    /// Number of columns per token and per message.
    pub(super) fn widths(&self) -> (usize, usize) {
        match self {
            Self::NGrams(featurizer) => (featurizer.width(), featurizer.width()),
            Self::Lexical(featurizer) => (featurizer.width(), 0),
            Self::Patterns(featurizer) => (featurizer.width(), featurizer.width()),
            Self::Custom(featurizer) => (featurizer.width(), featurizer.width()),
        }
    }

    /// Whether it says what a message is about, not only what its words look like.
    const fn recognises_words(&self) -> bool {
        !matches!(self, Self::Lexical(_))
    }

    /// Appends its entries to the rows of the tokens and of the message.
    fn transform(&self, message: Message<'_>, rows: &mut Rows) {
        match self {
            Self::NGrams(featurizer) => featurizer.transform(message, rows),
            Self::Lexical(featurizer) => featurizer.transform(message, rows),
            Self::Patterns(featurizer) => featurizer.transform(message, rows),
            Self::Custom(featurizer) => featurizer.transform(message, rows),
        }
    }
}

/// Fitted featurizers whose columns stand side by side.
///
/// # Example
///
/// ```
/// use talkformer::data::TrainingData;
/// use talkformer::features::{FeatureSet, FeaturizerConfig, Message, NGramConfig};
/// use talkformer::text::{Tokenizer, WhitespaceTokenizer};
///
/// let text = "money in the bank";
/// let tokens = WhitespaceTokenizer::default().tokenize(text);
/// let message = Message { text, tokens: &tokens };
/// let configs = [FeaturizerConfig::NGrams(NGramConfig::default())];
/// let features = FeatureSet::fit(&configs, &[message], &TrainingData::default())?;
/// let row = features.transform(message);
/// assert_eq!(row.sequence.len(), 4);
/// assert_eq!(row.sentence.row(0).count(), 4);
/// # Ok::<(), talkformer::features::FeatureError>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FeatureSet {
    pub(super) featurizers: Vec<Featurizer>,
}

impl FeatureSet {
    /// Fits one featurizer per config.
    ///
    /// # Errors
    ///
    /// If an option makes no sense or a pattern does not compile.
    ///
    /// # Panics
    ///
    /// If the tokens of a message are those of another text.
    pub fn fit(
        configs: &[FeaturizerConfig],
        messages: &[Message<'_>],
        data: &TrainingData,
    ) -> Result<Self, FeatureError> {
        Self::fit_with(configs, messages, data, &CustomFeaturizers::new(FEATURIZER), 1)
    }

    /// The same, with featurizers from outside this crate, and without n-grams and values of properties that occur in
    /// fewer than `least` messages.
    pub(crate) fn fit_with(
        configs: &[FeaturizerConfig],
        messages: &[Message<'_>],
        data: &TrainingData,
        registered: &CustomFeaturizers,
        least: usize,
    ) -> Result<Self, FeatureError> {
        let fit = |config| Featurizer::fit(config, messages, data, registered, least);
        Ok(Self { featurizers: configs.iter().map(fit).collect::<Result<_, _>>()? })
    }

    /// Why expressions of the training data were left out, see [`Patterns::left_out`].
    pub(crate) fn left_out(&self) -> impl Iterator<Item = &String> {
        let patterns = self.featurizers.iter().filter_map(|featurizer| match featurizer {
            Featurizer::Patterns(patterns) => Some(patterns),
            _ => None,
        });
        patterns.flat_map(Patterns::left_out)
    }

    /// Builds the featurizers from outside this crate, after a feature set was read from a file.
    pub(crate) fn attach(&mut self, registered: &CustomFeaturizers) -> Result<(), ComponentError> {
        for featurizer in &mut self.featurizers {
            if let Featurizer::Custom(own) = featurizer {
                own.attach(registered)?;
            }
        }
        Ok(())
    }

    /// Whether one of them is from outside this crate.
    pub(crate) fn has_custom(&self) -> bool {
        self.featurizers.iter().any(|featurizer| matches!(featurizer, Featurizer::Custom(_)))
    }

    /// Number of columns per token and per message.
    #[must_use]
    pub fn widths(&self) -> (usize, usize) {
        let widths = self.featurizers.iter().map(Featurizer::widths);
        widths.fold((0, 0), |sum, width| (sum.0 + width.0, sum.1 + width.1))
    }

    /// Which columns of a row are scaled together to length one.
    #[must_use]
    pub fn unit_ranges(&self) -> UnitRanges {
        let mut start = (0, 0);
        let mut ranges = UnitRanges::default();
        for featurizer in &self.featurizers {
            let (token, message) = featurizer.widths();
            let end = (start.0 + token as u32, start.1 + message as u32);
            if matches!(featurizer, Featurizer::NGrams(own) if own.is_scaled()) {
                ranges.sequence.push(start.0..end.0);
                ranges.sentence.push(start.1..end.1);
            }
            start = end;
        }
        ranges
    }

    /// The features of one message.
    ///
    /// # Panics
    ///
    /// If the tokens are those of another text.
    #[must_use]
    pub fn transform(&self, message: Message<'_>) -> Features {
        let mut features = Features::default();
        self.transform_into(message, &mut features);
        features
    }

    /// The same, in the memory of earlier features.
    pub(crate) fn transform_into(&self, message: Message<'_>, features: &mut Features) {
        Rows::with(message.tokens.len(), |rows| {
            for featurizer in &self.featurizers {
                featurizer.transform(message, rows);
                let widths = featurizer.widths();
                rows.token_start += widths.0 as u32;
                rows.message_start += widths.1 as u32;
            }
            let recognises = self.featurizers.iter().any(Featurizer::recognises_words);
            let Features { sequence, sentence, dense, unrecognised } = features;
            (*dense, *unrecognised) = (None, recognises && !rows.recognised);
            // Exactly as long as they are: those of all training examples stay in memory.
            sequence.clear_for(rows.sequence.len(), rows.sequence.iter().map(Vec::len).sum());
            rows.sequence.iter().for_each(|row| sequence.push(row.iter().copied()));
            sentence.clear_for(1, rows.sentence.len());
            sentence.push(rows.sentence.iter().copied());
        });
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::*;
    use crate::features::Weighting;
    use crate::numbers::SparseRows;
    use crate::text::{Tokenizer, WhitespaceTokenizer};

    #[test]
    fn columns_that_are_scaled_together_lie_elsewhere_in_tokens_and_messages() {
        let text = "money in the bank";
        let tokens = WhitespaceTokenizer::default().tokenize(text);
        let message = Message { text, tokens: &tokens };
        let tf_idf = NGramConfig { weighting: Weighting::TfIdf, ..Default::default() };
        let configs = [
            FeaturizerConfig::Lexical(LexicalConfig::default()),
            FeaturizerConfig::NGrams(NGramConfig::default()),
            FeaturizerConfig::NGrams(tf_idf),
        ];
        let features = FeatureSet::fit(&configs, &[message], &TrainingData::default()).unwrap();
        let (sequence, sentence) = features.widths();
        let ranges = features.unit_ranges();
        assert_eq!((ranges.sequence.len(), ranges.sentence.len(), sentence), (1, 1, 8));
        assert_eq!(
            (&ranges.sequence[0], &ranges.sentence[0]),
            (&(sequence as u32 - 4..sequence as u32), &(4..8))
        );
        let row = features.transform(message);
        let length = |rows: &SparseRows, range: &Range<u32>| {
            let own = rows.row(0).filter(|(column, _)| range.contains(column));
            own.map(|(_, value)| value * value).sum::<f32>()
        };
        assert!((length(&row.sequence, &ranges.sequence[0]) - 1.0).abs() < 1e-6);
        assert!((length(&row.sentence, &(4..8)) - 1.0).abs() < 1e-6);
    }
}
