//! Word and character n-grams.

mod config;
mod grams;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::message::Rows;
use super::vocabulary::Vocabulary;
use super::words::words_of;
use super::{FeatureError, Message};

use grams::Grams;
pub(super) use grams::Space;

pub use config::{Analyzer, DocumentLimit, NGramConfig, StripAccents, Weighting};

/// N-grams of the training texts and their columns.
///
/// A token is first folded: a run of digits becomes `__number__`, case is ignored.
/// Words are then cut out of it again (letters, digits, marks and `_`), so that
/// `state-of-the-art` gives four. A token is recognised if at least half of its n-grams have a column.
/// A token's row sees that token alone; the message's
/// row sees all of it, so word pairs span tokens there. Columns are in alphabetical order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub struct NGrams {
    config: NGramConfig,
    columns: Vocabulary,
    /// In how many training messages each occurs, and how many there were; empty and zero where all count one.
    documents: Vec<usize>,
    messages: usize,
    /// Weight of each column; empty where all count one.
    idf: Vec<f32>,
}

/// The form in which n-grams are saved.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Saved {
    config: NGramConfig,
    /// As [`Vocabulary::to_text`] writes it.
    vocabulary: String,
    documents: Vec<usize>,
    messages: usize,
}

fn check(config: &NGramConfig) -> Result<(), FeatureError> {
    config.validate().map_err(|error| FeatureError::Option { component: NGramConfig::COMPONENT, error })
}

impl TryFrom<Saved> for NGrams {
    type Error = FeatureError;

    fn try_from(saved: Saved) -> Result<Self, FeatureError> {
        check(&saved.config)?;
        let columns = Vocabulary::from_text(&saved.vocabulary)?;
        let counted = if saved.config.weighting == Weighting::TfIdf { columns.len() } else { 0 };
        if saved.documents.len() != counted {
            return Err(FeatureError::Vocabulary { problem: "there is not one count for each" });
        }
        Ok(Self::new(saved.config, columns, saved.documents, saved.messages))
    }
}

impl From<NGrams> for Saved {
    fn from(ngrams: NGrams) -> Self {
        let vocabulary = ngrams.columns.to_text();
        Self { config: ngrams.config, vocabulary, documents: ngrams.documents, messages: ngrams.messages }
    }
}

impl NGrams {
    /// Learns the n-grams of these messages.
    ///
    /// # Errors
    ///
    /// If the n-gram lengths or the shares make no sense.
    ///
    /// # Panics
    ///
    /// If the tokens of a message are those of another text.
    pub fn fit(config: &NGramConfig, messages: &[Message<'_>]) -> Result<Self, FeatureError> {
        Self::fit_frequent(config, messages, 1)
    }

    /// The same, of the n-grams that occur in at least so many messages, whatever less the settings ask for.
    pub(super) fn fit_frequent(
        config: &NGramConfig,
        messages: &[Message<'_>],
        least: usize,
    ) -> Result<Self, FeatureError> {
        check(config)?;
        // Stop words are compared with words that are folded. A model from before remembers them as they were written.
        let fold = |word: String| config.fold(&word);
        let stop_words = config.stop_words.clone().map(|words| words.into_iter().map(fold).collect());
        let own = NGramConfig { stop_words, ..config.clone() };
        let mut ngrams = Self::new(own, Vocabulary::default(), Vec::new(), 0);
        let rare: HashSet<String> = config.oov_words.iter().map(|word| config.fold(word)).collect();
        let mut grams = Grams::default();
        // In how many messages, and how often in all.
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for message in messages {
            let mut own: HashMap<String, usize> = HashMap::new();
            ngrams.each_gram(*message, &rare, &mut grams, &mut |_, gram| match own.get_mut(gram) {
                Some(count) => *count += 1,
                None => drop(own.insert(gram.to_owned(), 1)),
            });
            for (gram, count) in own {
                let entry = counts.entry(gram).or_default();
                *entry = (entry.0 + 1, entry.1 + count);
            }
        }
        let range = config.min_df.of(messages.len()).max(least as f64)..=config.max_df.of(messages.len());
        let mut kept: Vec<(String, (usize, usize))> =
            counts.into_iter().filter(|(_, (documents, _))| range.contains(&(*documents as f64))).collect();
        if let Some(most) = config.max_features.filter(|most| *most < kept.len()) {
            kept.sort_by_key(|(_, (_, count))| std::cmp::Reverse(*count));
            kept.truncate(most);
            kept.sort();
        }
        if config.weighting == Weighting::TfIdf {
            ngrams.documents = kept.iter().map(|(_, (documents, _))| *documents).collect();
            ngrams.messages = messages.len();
        }
        let columns = Vocabulary::new(kept.iter().map(|(gram, _)| gram));
        Ok(Self::new(ngrams.config, columns, ngrams.documents, ngrams.messages))
    }

    fn new(config: NGramConfig, columns: Vocabulary, documents: Vec<usize>, messages: usize) -> Self {
        let share = |documents: usize| (1.0 + messages as f32) / (1.0 + documents as f32);
        let idf = |documents: &usize| 1.0 + share(*documents).ln();
        let idf = documents.iter().map(idf).collect();
        Self { config, columns, documents, messages, idf }
    }

    /// Whether each row is scaled to length one.
    pub(super) fn is_scaled(&self) -> bool {
        self.config.weighting == Weighting::TfIdf
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    /// For each column, the one of the same n-gram in an earlier featurizer.
    pub(super) fn origins(&self, earlier: &Self) -> Vec<Option<u32>> {
        self.columns.iter().map(|gram| earlier.columns.get(gram)).collect()
    }

    /// The n-grams of either, as if both had been fitted together: in so many messages more.
    pub(super) fn with_columns_of(self, earlier: &Self) -> Self {
        let mut documents: BTreeMap<&str, usize> = BTreeMap::new();
        for ngrams in [earlier, &self] {
            for (column, gram) in ngrams.columns.iter().enumerate() {
                let sum: &mut usize = documents.entry(gram).or_default();
                *sum = sum.saturating_add(*ngrams.documents.get(column).unwrap_or(&0));
            }
        }
        let columns = Vocabulary::new(documents.keys());
        let counted = self.config.weighting == Weighting::TfIdf;
        let documents = if counted { documents.into_values().collect() } else { Vec::new() };
        Self::new(self.config, columns, documents, earlier.messages.saturating_add(self.messages))
    }

    /// The words without a column of their own; `None` where n-grams are not made of words.
    pub(super) fn unknown_words(&self, message: Message<'_>) -> Option<Vec<String>> {
        let tokens = (0..message.tokens.len()).map(|at| self.config.fold(message.token(at)));
        let unknown = |token: String| {
            words_of(&token)
                .filter(|word| self.columns.get(word).is_none())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        (self.config.analyzer == Analyzer::Word).then(|| tokens.flat_map(unknown).collect())
    }

    pub(super) fn transform(&self, message: Message<'_>, rows: &mut Rows) {
        // One gram is looked up once, also where it counts for a token and for the message.
        let Space { grams, sentence, tokens, recognised } = &mut rows.space;
        sentence.clear();
        tokens.clear();
        recognised.clear();
        recognised.resize(message.tokens.len(), (0, 0));
        self.each_gram(message, &HashSet::new(), grams, &mut |covered, gram| {
            let column = self.columns.get(gram);
            for (all, known) in &mut recognised[covered.clone()] {
                *all += 1;
                *known += u32::from(column.is_some());
            }
            if let Some(column) = column {
                sentence.push(column);
                tokens.extend(covered.map(|token| (token as u64) << 32 | u64::from(column)));
            }
        });
        rows.recognised |= recognised.iter().any(|(all, known)| *known > 0 && 2 * known >= *all);
        tokens.sort_unstable();
        for run in tokens.chunk_by(|a, b| a >> 32 == b >> 32) {
            let columns = run.iter().map(|entry| *entry as u32);
            self.count(columns, rows.token_start, &mut rows.sequence[(run[0] >> 32) as usize]);
        }
        sentence.sort_unstable();
        self.count(sentence.iter().copied(), rows.message_start, &mut rows.sentence);
    }

    /// Appends an entry for each distinct of these columns, which are sorted.
    fn count(&self, columns: impl Iterator<Item = u32>, start: u32, row: &mut Vec<(u32, f32)>) {
        let first = row.len();
        for column in columns {
            match row[first..].last_mut() {
                Some((last, count)) if *last == start + column => *count += 1.0,
                _ => row.push((start + column, 1.0)),
            }
        }
        if self.config.weighting == Weighting::Count {
            return;
        }
        let row = &mut row[first..];
        for (column, value) in row.iter_mut() {
            let weight = if *value > 1.0 { 1.0 + value.ln() } else { 1.0 };
            *value = weight * self.idf[(*column - start) as usize];
        }
        let length = row.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
        row.iter_mut().for_each(|(_, value)| *value /= length.max(f32::MIN_POSITIVE));
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::Entries;
    use super::*;
    use crate::text::{Span, Tokenizer, WhitespaceTokenizer};

    fn tokens(texts: &[&str]) -> Vec<Vec<Span>> {
        texts.iter().map(|text| WhitespaceTokenizer::default().tokenize(text)).collect()
    }

    fn fit(config: &NGramConfig, texts: &[&str]) -> NGrams {
        let tokens = tokens(texts);
        let pairs = texts.iter().zip(&tokens);
        let messages: Vec<_> = pairs.map(|(text, tokens)| Message { text, tokens }).collect();
        NGrams::fit(config, &messages).unwrap()
    }

    fn transform(ngrams: &NGrams, text: &str) -> (Vec<Entries>, Entries) {
        let tokens = &tokens(&[text])[0];
        let mut rows = Rows::new(tokens.len());
        ngrams.transform(Message { text, tokens }, &mut rows);
        (rows.sequence, rows.sentence)
    }

    fn vocabulary(ngrams: &NGrams) -> Vec<String> {
        ngrams.columns.iter().map(str::to_owned).collect()
    }

    #[test]
    fn words_are_folded_cut_and_sorted() {
        let ngrams = fit(&NGramConfig::default(), &["Book 12 state-of-the-art rooms", "10'000.00 b2b"]);
        let expected = ["__number__", "art", "b2b", "book", "of", "rooms", "state", "the"];
        assert_eq!(vocabulary(&ngrams), expected);
        let (sequence, sentence) = transform(&ngrams, "the ART of the 7");
        assert_eq!(sequence[1], [(1, 1.0)]);
        assert_eq!(sentence, [(0, 1.0), (1, 1.0), (4, 1.0), (7, 2.0)]);
    }

    #[test]
    fn word_pairs_span_tokens_in_the_sentence_only() {
        let config = NGramConfig { max_ngram: 2, ..Default::default() };
        let ngrams = fit(&config, &["a b c"]);
        assert_eq!(vocabulary(&ngrams), ["a", "a b", "b", "b c", "c"]);
        let (sequence, sentence) = transform(&ngrams, "a b");
        assert_eq!(sequence, [vec![(0, 1.0)], vec![(2, 1.0)]]);
        assert_eq!(sentence, [(0, 1.0), (1, 1.0), (2, 1.0)]);
    }

    #[test]
    fn characters_in_words_follow_the_reference() {
        let config = NGramConfig { analyzer: Analyzer::CharWb, max_ngram: 4, ..Default::default() };
        let ngrams = fit(&config, &["ab"]);
        assert_eq!(vocabulary(&ngrams), [" ", " a", " ab", " ab ", "a", "ab", "ab ", "b", "b "]);
        assert_eq!(transform(&ngrams, "ab").1[0], (0, 2.0)); // both blanks
        assert_eq!(vocabulary(&fit(&config, &["a"])), [" ", " a", " a ", "a", "a "]);
    }

    #[test]
    fn without_blanks_a_gram_tells_of_every_token_it_lies_across() {
        let config =
            NGramConfig { analyzer: Analyzer::CharWb, min_ngram: 2, max_ngram: 2, ..Default::default() };
        let ngrams = fit(&config, &["明天"]);
        assert_eq!(vocabulary(&ngrams), [" 明", "天 ", "明天"]);
        let (sequence, sentence) = transform(&ngrams, "明天");
        assert_eq!(sequence, [vec![(0, 1.0), (2, 1.0)], vec![(1, 1.0), (2, 1.0)]]);
        assert_eq!(sentence, [(0, 1.0), (1, 1.0), (2, 1.0)]);
    }

    #[test]
    fn pairs_of_word_beginnings_have_no_order_and_no_token() {
        let config = NGramConfig { analyzer: Analyzer::WordPair, ..Default::default() };
        let ngrams = fit(&config, &["cards arrive when"]);
        assert_eq!(vocabulary(&ngrams), ["arri card", "arri when", "card when"]);
        let (sequence, sentence) = transform(&ngrams, "arrival of my card");
        assert_eq!(sequence, vec![vec![]; 4]);
        assert_eq!(sentence, [(0, 1.0)]);
    }

    #[test]
    fn unknown_words_become_the_unknown_word() {
        let config = NGramConfig {
            oov_token: Some("OOV".into()),
            oov_words: vec!["xyzzy".into()],
            ..Default::default()
        };
        let ngrams = fit(&config, &["go Xyzzy"]);
        assert_eq!(vocabulary(&ngrams), ["go", "oov"]);
        assert_eq!(transform(&ngrams, "go plugh").0, [vec![(0, 1.0)], vec![(1, 1.0)]]);
    }

    #[test]
    fn stop_words_are_left_out_in_any_case() {
        let config = NGramConfig { stop_words: Some(vec!["The".into(), "of".into()]), ..Default::default() };
        assert_eq!(vocabulary(&fit(&config, &["the end OF The story"])), ["end", "story"]);
    }

    #[test]
    fn limits_and_accents() {
        let texts = ["a b", "a c", "a b d"];
        let config = NGramConfig { min_df: DocumentLimit::Count(2), ..Default::default() };
        assert_eq!(vocabulary(&fit(&config, &texts)), ["a", "b"]);
        let config = NGramConfig { max_df: DocumentLimit::Share(0.9), ..Default::default() };
        assert_eq!(vocabulary(&fit(&config, &texts)), ["b", "c", "d"]);
        let config = NGramConfig { max_features: Some(1), ..Default::default() };
        assert_eq!(vocabulary(&fit(&config, &texts)), ["a"]);
        let config = NGramConfig { strip_accents: Some(StripAccents::Unicode), ..Default::default() };
        assert_eq!(vocabulary(&fit(&config, &["Zoë naïve"])), ["naive", "zoe"]);
    }

    #[test]
    fn what_few_messages_have_is_not_kept_whatever_the_settings_ask_for() {
        let texts = ["a b", "a c c", "a b d"];
        let tokens = tokens(&texts);
        let messages: Vec<_> =
            texts.iter().zip(&tokens).map(|(text, tokens)| Message { text, tokens }).collect();
        let kept = |config: &NGramConfig, least| {
            vocabulary(&NGrams::fit_frequent(config, &messages, least).unwrap())
        };
        let words = NGramConfig::default();
        assert_eq!([1, 2, 3].map(|least| kept(&words, least).join("")), ["abcd", "ab", "a"]);
        assert!(kept(&words, 4).is_empty());
        let config = NGramConfig { min_df: DocumentLimit::Count(3), ..Default::default() };
        assert_eq!(kept(&config, 2), ["a"]);
        for analyzer in [Analyzer::Char, Analyzer::CharWb, Analyzer::WordPair] {
            let config = NGramConfig { analyzer, max_ngram: 3, ..Default::default() };
            let (all, kept) = (kept(&config, 1), kept(&config, 2));
            assert!(kept.len() < all.len() && kept.iter().all(|gram| !gram.contains(['c', 'd'])), "{kept:?}");
        }
    }

    #[test]
    fn weighted_rows_have_length_one() {
        let config = NGramConfig { weighting: Weighting::TfIdf, ..Default::default() };
        let ngrams = fit(&config, &["a b", "a c"]);
        let (_, sentence) = transform(&ngrams, "a b");
        assert!((sentence.iter().map(|(_, value)| value * value).sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(sentence[1].1 > sentence[0].1, "the rarer word counts for more");
    }

    #[test]
    fn saved_counts_of_any_size_are_harmless() {
        let config = NGramConfig { weighting: Weighting::TfIdf, ..Default::default() };
        let saved = Saved {
            config,
            vocabulary: "01a01b".to_owned(),
            documents: vec![usize::MAX, 0],
            messages: usize::MAX,
        };
        let ngrams = NGrams::try_from(saved).unwrap();
        assert!(ngrams.idf.iter().all(|weight| weight.is_finite()));
        assert_eq!(ngrams.clone().with_columns_of(&ngrams).messages, usize::MAX);
    }

    #[test]
    fn saved_and_loaded_they_are_the_same() {
        let config = NGramConfig { weighting: Weighting::TfIdf, max_ngram: 2, ..Default::default() };
        let ngrams = fit(&config, &["money in the bank", "the bank of the river"]);
        let again: NGrams = serde_json::from_str(&serde_json::to_string(&ngrams).unwrap()).unwrap();
        let text = "the river bank";
        assert_eq!(transform(&again, text), transform(&ngrams, text));
    }
}
