//! Word and character n-grams.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::featurizer::Entries;
use super::{FeatureError, Message};

/// What an n-gram is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Analyzer {
    /// Words.
    #[default]
    Word,
    /// Characters of the whole message, blanks included.
    Char,
    /// Characters inside each word, with one blank on either side.
    CharWb,
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
    fn of(self, documents: usize) -> f64 {
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
    /// Longest n-gram.
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
    fn validate(&self) -> Result<(), FeatureError> {
        let wrong = |option, problem: String| {
            Err(FeatureError::Option { component: "CountVectorsFeaturizer", option, problem })
        };
        if self.min_ngram == 0 || self.min_ngram > self.max_ngram {
            let (min, max) = (self.min_ngram, self.max_ngram);
            return wrong(
                "min_ngram",
                format!("n-grams of {min} to {max} make no sense; use 1 ≤ min_ngram ≤ max_ngram"),
            );
        }
        for (option, limit) in [("min_df", self.min_df), ("max_df", self.max_df)] {
            if let DocumentLimit::Share(share) = limit
                && !(0.0..=1.0).contains(&share)
            {
                return wrong(option, format!("a share must lie between 0.0 and 1.0, not {share}"));
            }
        }
        Ok(())
    }
}

/// N-grams of the training texts and their columns.
///
/// A token is first folded: a run of digits becomes `__number__`, case is ignored.
/// Words are then cut out of it again (letters, digits, marks and `_`), so that
/// `state-of-the-art` gives four. A token's row sees that token alone; the message's
/// row sees all of it, so word pairs span tokens there. Columns are in alphabetical order.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "Saved", into = "Saved")]
pub struct NGrams {
    config: NGramConfig,
    columns: HashMap<String, u32>,
    /// Weight of each column; empty where all count one.
    idf: Vec<f32>,
}

/// The form in which n-grams are saved.
#[derive(Serialize, Deserialize)]
struct Saved {
    config: NGramConfig,
    vocabulary: Vec<String>,
    #[serde(default)]
    idf: Vec<f32>,
}

impl From<Saved> for NGrams {
    fn from(saved: Saved) -> Self {
        let columns = saved.vocabulary.into_iter().enumerate().map(|(column, gram)| (gram, column as u32));
        Self { config: saved.config, columns: columns.collect(), idf: saved.idf }
    }
}

impl From<NGrams> for Saved {
    fn from(ngrams: NGrams) -> Self {
        let mut vocabulary = vec![String::new(); ngrams.columns.len()];
        for (gram, column) in ngrams.columns {
            vocabulary[column as usize] = gram;
        }
        Self { config: ngrams.config, vocabulary, idf: ngrams.idf }
    }
}

impl NGrams {
    /// Learns the n-grams of these messages.
    ///
    /// # Errors
    ///
    /// If the n-gram lengths or the shares make no sense.
    pub fn fit(config: &NGramConfig, messages: &[Message<'_>]) -> Result<Self, FeatureError> {
        config.validate()?;
        let mut ngrams = Self { config: config.clone(), columns: HashMap::new(), idf: Vec::new() };
        let rare: HashSet<String> =
            config.oov_words.iter().map(|word| ngrams.fold(word).into_owned()).collect();
        // In how many messages, and how often in all.
        let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for message in messages {
            let mut own: HashMap<String, usize> = HashMap::new();
            let words = ngrams.words(*message, &rare);
            ngrams.each_gram(&words.concat(), &mut |gram| *own.entry(gram.to_owned()).or_default() += 1);
            for (gram, count) in own {
                let entry = counts.entry(gram).or_default();
                *entry = (entry.0 + 1, entry.1 + count);
            }
        }
        let range = config.min_df.of(messages.len())..=config.max_df.of(messages.len());
        let mut kept: Vec<(String, (usize, usize))> =
            counts.into_iter().filter(|(_, (documents, _))| range.contains(&(*documents as f64))).collect();
        if let Some(most) = config.max_features.filter(|most| *most < kept.len()) {
            kept.sort_by_key(|(_, (_, count))| std::cmp::Reverse(*count));
            kept.truncate(most);
            kept.sort();
        }
        if config.weighting == Weighting::TfIdf {
            let idf = |documents: usize| 1.0 + ((1 + messages.len()) as f32 / (1 + documents) as f32).ln();
            ngrams.idf = kept.iter().map(|(_, (documents, _))| idf(*documents)).collect();
        }
        ngrams.columns = kept.into_iter().enumerate().map(|(at, (gram, _))| (gram, at as u32)).collect();
        Ok(ngrams)
    }

    pub(super) fn width(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn transform(&self, message: Message<'_>) -> (Vec<Entries>, Entries) {
        let words = self.words(message, &HashSet::new());
        let sequence = words.iter().map(|token| self.entries(token)).collect();
        (sequence, self.entries(&words.concat()))
    }

    /// The units of each token: its words, or its folded text.
    fn words(&self, message: Message<'_>, rare: &HashSet<String>) -> Vec<Vec<String>> {
        let tokens = (0..message.tokens.len()).map(|at| self.fold(message.token(at)));
        if self.config.analyzer != Analyzer::Word {
            return tokens.map(|token| vec![token.into_owned()]).collect();
        }
        let stop = self.config.stop_words.as_deref().unwrap_or_default();
        let oov = self.config.oov_token.as_deref().map(|token| self.fold(token).into_owned());
        let known = oov.as_ref().is_some_and(|oov| self.columns.contains_key(oov));
        let word = |word: &str| match &oov {
            Some(oov) if rare.contains(word) || (known && !self.columns.contains_key(word)) => oov.clone(),
            _ => word.to_owned(),
        };
        let split = |token: Cow<'_, str>| {
            let kept = words_of(&token).filter(|word| !stop.iter().any(|stop| stop == word));
            kept.map(word).collect()
        };
        tokens.map(split).collect()
    }

    /// Numbers, case and accents made equal.
    fn fold<'t>(&self, token: &'t str) -> Cow<'t, str> {
        let mut text = fold_numbers(token);
        if self.config.lowercase && text.chars().any(|c| !c.is_lowercase()) {
            text = Cow::Owned(text.to_lowercase());
        }
        match self.config.strip_accents {
            Some(_) if text.is_ascii() => text,
            Some(StripAccents::Unicode) => text.nfkd().filter(|c| !is_combining_mark(*c)).collect(),
            Some(StripAccents::Ascii) => text.nfkd().filter(char::is_ascii).collect(),
            None => text,
        }
    }

    fn each_gram(&self, units: &[String], found: &mut impl FnMut(&str)) {
        let lengths = self.config.min_ngram..=self.config.max_ngram;
        match self.config.analyzer {
            Analyzer::Word => {
                for window in lengths.take_while(|n| *n <= units.len()).flat_map(|n| units.windows(n)) {
                    match window {
                        [word] => found(word),
                        _ => found(&window.join(" ")),
                    }
                }
            }
            Analyzer::Char => {
                let text = units.join(" ");
                let borders: Vec<usize> = borders(&text);
                for n in lengths.take_while(|n| *n < borders.len()) {
                    for ends in borders.windows(n + 1) {
                        found(&text[ends[0]..ends[n]]);
                    }
                }
            }
            Analyzer::CharWb => {
                for word in units.iter().flat_map(|unit| unit.split_whitespace()) {
                    let padded = format!(" {word} ");
                    let borders = borders(&padded);
                    for n in lengths.clone() {
                        let last = borders.len() - 1;
                        if last <= n {
                            found(&padded); // a short word counts once, however long the n-grams
                            break;
                        }
                        borders.windows(n + 1).for_each(|ends| found(&padded[ends[0]..ends[n]]));
                    }
                }
            }
        }
    }

    fn entries(&self, units: &[String]) -> Entries {
        let mut columns = Vec::new();
        self.each_gram(units, &mut |gram| columns.extend(self.columns.get(gram)));
        columns.sort_unstable();
        let runs = columns.chunk_by(|a, b| a == b);
        let mut entries: Entries = runs.map(|run| (run[0], run.len() as f32)).collect();
        if self.config.weighting == Weighting::TfIdf {
            self.weigh(&mut entries);
        }
        entries
    }

    fn weigh(&self, entries: &mut [(u32, f32)]) {
        for (column, value) in entries.iter_mut() {
            *value = (1.0 + value.ln()) * self.idf[*column as usize];
        }
        let length = entries.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
        entries.iter_mut().for_each(|(_, value)| *value /= length.max(f32::MIN_POSITIVE));
    }
}

/// Where characters begin, then the length.
fn borders(text: &str) -> Vec<usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()]).collect()
}

fn is_word(c: char) -> bool {
    regex_syntax::try_is_word_character(c).unwrap_or_else(|_| c.is_alphanumeric())
}

/// Runs of letters, digits, marks and `_`.
pub(super) fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

/// Every word that is all ASCII digits becomes `__NUMBER__`.
fn fold_numbers(token: &str) -> Cow<'_, str> {
    if !token.bytes().any(|byte| byte.is_ascii_digit()) {
        return Cow::Borrowed(token);
    }
    let mut out = String::with_capacity(token.len());
    let mut rest = token;
    while !rest.is_empty() {
        let in_word = rest.starts_with(is_word);
        let end = rest.find(|c| is_word(c) != in_word).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        let number = in_word && part.bytes().all(|byte| byte.is_ascii_digit());
        out.push_str(if number { "__NUMBER__" } else { part });
        rest = after;
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
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
        ngrams.transform(Message { text, tokens: &tokens(&[text])[0] })
    }

    fn vocabulary(ngrams: &NGrams) -> Vec<String> {
        Saved::from(ngrams.clone()).vocabulary
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
    fn weighted_rows_have_length_one() {
        let config = NGramConfig { weighting: Weighting::TfIdf, ..Default::default() };
        let ngrams = fit(&config, &["a b", "a c"]);
        let (_, sentence) = transform(&ngrams, "a b");
        assert!((sentence.iter().map(|(_, value)| value * value).sum::<f32>() - 1.0).abs() < 1e-6);
        assert!(sentence[1].1 > sentence[0].1, "the rarer word counts for more");
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
