//! The columns of one feature set among those of another: what fine-tuning is built from.
//!
//! Features are fitted afresh whenever a model is fine-tuned, so that they are those of all its examples; a column then
//! stands at another place, and only its meaning says which one it was. Two columns mean the same if they stand
//! for the same n-gram, the same value of the same property, or the same pattern, in featurizers at the same place.

use super::{FeatureSet, Featurizer, Message};
use crate::data::{Lookup, Pattern};

/// For each column of a feature set, the column of an earlier one that means the same, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnOrigins {
    /// Of the rows of the tokens.
    pub sequence: Vec<Option<u32>>,
    /// Of the row of the message.
    pub sentence: Vec<Option<u32>>,
}

impl Featurizer {
    /// For each column, the one that means the same in an earlier featurizer; none in one of another kind.
    fn origins(&self, earlier: &Self) -> Vec<Option<u32>> {
        match (self, earlier) {
            (Self::NGrams(now), Self::NGrams(earlier)) => now.origins(earlier),
            (Self::Lexical(now), Self::Lexical(earlier)) => now.origins(earlier),
            (Self::Patterns(now), Self::Patterns(earlier)) => now.origins(earlier),
            (Self::Custom(now), Self::Custom(earlier)) if now.name == earlier.name => now.origins(earlier),
            _ => {
                let (sequence, sentence) = self.widths();
                vec![None; sequence.max(sentence)]
            }
        }
    }

    /// The same with the columns of an earlier featurizer as well.
    fn with_columns_of(self, earlier: &Self) -> Self {
        match (self, earlier) {
            (Self::NGrams(now), Self::NGrams(earlier)) => Self::NGrams(now.with_columns_of(earlier)),
            (Self::Lexical(now), Self::Lexical(earlier)) => Self::Lexical(now.with_columns_of(earlier)),
            // Only its author could say how to join the two, so it stays as it was.
            (Self::Custom(now), Self::Custom(earlier)) if now.name == earlier.name => {
                Self::Custom(earlier.clone())
            }
            (now, _) => now, // patterns can be had again, see `FeatureSet::patterns`
        }
    }
}

impl FeatureSet {
    /// Where the columns come from, if an earlier feature set had them.
    #[must_use]
    pub fn origins(&self, earlier: &Self) -> ColumnOrigins {
        let mut origins = ColumnOrigins::default();
        let (mut sequence_start, mut sentence_start) = (0, 0);
        for (at, now) in self.featurizers.iter().enumerate() {
            let nothing = || (vec![None; now.widths().0.max(now.widths().1)], (0, 0));
            let found = earlier.featurizers.get(at).map(|earlier| (now.origins(earlier), earlier.widths()));
            let (own, earlier_widths) = found.unwrap_or_else(nothing);
            let placed = |start: u32| move |origin: &Option<u32>| origin.map(|column| start + column);
            let (sequence, sentence) = now.widths();
            origins.sequence.extend(own[..sequence].iter().map(placed(sequence_start)));
            origins.sentence.extend(own[..sentence].iter().map(placed(sentence_start)));
            sequence_start += earlier_widths.0 as u32;
            sentence_start += earlier_widths.1 as u32;
        }
        origins
    }

    /// The same features and those of an earlier set, for when the texts that it was fitted on are gone.
    #[must_use]
    pub fn with_columns_of(mut self, earlier: &Self) -> Self {
        let joined =
            self.featurizers.into_iter().enumerate().map(|(at, now)| match earlier.featurizers.get(at) {
                Some(earlier) => now.with_columns_of(earlier),
                None => now,
            });
        self.featurizers = joined.collect();
        self
    }

    /// The expressions and tables among the features, as training data has them.
    #[must_use]
    pub fn patterns(&self) -> (Vec<Pattern>, Vec<Lookup>) {
        let patterns = self.featurizers.iter().find_map(|featurizer| match featurizer {
            Featurizer::Patterns(patterns) => Some(patterns.lists()),
            _ => None,
        });
        patterns.unwrap_or_default()
    }

    /// The words of a message, as they are counted, that no featurizer of words has a column for.
    ///
    /// # Panics
    ///
    /// If the tokens are those of another text.
    #[must_use]
    pub fn unknown_words(&self, message: Message<'_>) -> Vec<String> {
        let words = self.featurizers.iter().find_map(|featurizer| match featurizer {
            Featurizer::NGrams(ngrams) => ngrams.unknown_words(message),
            _ => None,
        });
        words.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Analyzer, FeaturizerConfig, LexicalConfig, NGramConfig, PatternsConfig, Weighting};
    use super::*;
    use crate::data::{Source, TrainingData};
    use crate::text::{Span, Tokenizer, WhitespaceTokenizer};

    fn tokens(texts: &[&str]) -> Vec<Vec<Span>> {
        texts.iter().map(|text| WhitespaceTokenizer::default().tokenize(text)).collect()
    }

    fn fit(texts: &[&str], regexes: &[&str], cities: &[&str]) -> FeatureSet {
        let pairs = NGramConfig { max_ngram: 2, weighting: Weighting::TfIdf, ..Default::default() };
        let pieces =
            NGramConfig { analyzer: Analyzer::CharWb, min_ngram: 2, max_ngram: 3, ..Default::default() };
        let configs = [
            FeaturizerConfig::Patterns(PatternsConfig::default()),
            FeaturizerConfig::Lexical(LexicalConfig::default()),
            FeaturizerConfig::NGrams(pairs),
            FeaturizerConfig::NGrams(pieces),
        ];
        let regex = |pattern: &&str| Pattern {
            name: "code".into(),
            pattern: (*pattern).into(),
            source: Source::default(),
        };
        let elements = cities.iter().map(|city| (*city).to_owned()).collect();
        let data = TrainingData {
            regexes: regexes.iter().map(regex).collect(),
            lookups: vec![Lookup { name: "city".into(), elements, source: Source::default() }],
            ..Default::default()
        };
        let tokens = tokens(texts);
        let pairs = texts.iter().zip(&tokens);
        let messages: Vec<_> = pairs.map(|(text, tokens)| Message { text, tokens }).collect();
        FeatureSet::fit(&configs, &messages, &data).unwrap()
    }

    /// The columns of a text in either set, through the origins of one in the other, must be the same.
    fn assert_same_columns(now: &FeatureSet, earlier: &FeatureSet, text: &str) {
        let tokens = &tokens(&[text])[0];
        let message = Message { text, tokens };
        let origins = now.origins(earlier);
        assert_eq!((origins.sequence.len(), origins.sentence.len()), now.widths());
        let (now, earlier) = (now.transform(message), earlier.transform(message));
        let pairs = [(&now.sequence, &earlier.sequence, &origins.sequence)];
        for (now, earlier, origins) in
            pairs.into_iter().chain([(&now.sentence, &earlier.sentence, &origins.sentence)])
        {
            for row in 0..earlier.len() {
                let mut through: Vec<u32> =
                    now.row(row).filter_map(|(column, _)| origins[column as usize]).collect();
                let mut direct: Vec<u32> = earlier.row(row).map(|(column, _)| column).collect();
                through.sort_unstable();
                direct.sort_unstable();
                assert_eq!(through, direct, "{text}");
            }
        }
    }

    #[test]
    fn a_column_is_found_again_by_what_it_means() {
        let earlier = fit(&["from Rome to Paris", "room B7"], &["[A-D][0-9]"], &["Rome"]);
        let texts = ["all about Oslo", "from Rome to Paris", "room B7", "Zoë 5"];
        let now = fit(&texts, &["[0-9]{5}", "[A-D][0-9]"], &["Rome", "Oslo"]);
        for text in ["from Rome to Paris", "room B7", "from B7 to Rome"] {
            assert_same_columns(&now, &earlier, text);
        }
        let (_, sentence) = now.widths();
        let known = now.origins(&earlier).sentence.iter().flatten().count();
        assert!(known < sentence && known == earlier.widths().1, "{known} of {sentence}");
    }

    #[test]
    fn joined_with_an_earlier_set_nothing_of_either_is_lost() {
        let earlier = fit(&["from Rome to Paris", "room B7"], &["[A-D][0-9]"], &["Rome"]);
        assert_eq!(earlier.patterns().0[0].pattern, "[A-D][0-9]");
        let now = fit(&["about Oslo to Paris"], &["[A-D][0-9]", "[0-9]{5}"], &["Oslo", "Rome"]);
        let joined = now.clone().with_columns_of(&earlier);
        for (text, before) in [("from Rome to Paris", &earlier), ("room B7", &earlier), ("about Oslo", &now)]
        {
            assert_same_columns(&joined, before, text);
        }
        assert_eq!(joined.origins(&joined).sentence.iter().flatten().count(), joined.widths().1);
        let again: FeatureSet = serde_json::from_str(&serde_json::to_string(&joined).unwrap()).unwrap();
        assert_eq!(again.widths(), joined.widths());
    }

    #[test]
    fn unknown_words_are_those_without_a_column() {
        let features = fit(&["book 12 rooms"], &[], &[]);
        let text = "Book 7 state-of-the-art rooms";
        let unknown = features.unknown_words(Message { text, tokens: &tokens(&[text])[0] });
        assert_eq!(unknown, ["state", "of", "the", "art"]);
    }
}
