//! Finds the n-grams of a message, in memory that the next message uses again.

use std::collections::HashSet;
use std::ops::Range;

use super::super::units::{PaddedWord, Units};
use super::super::words::words_of;
use super::{Analyzer, Message, NGramConfig, NGrams};

/// Letters of each word that make a pair.
const PAIR_PREFIX: usize = 4;

/// How many words behind the first the second word of a pair may be.
const PAIR_REACH: usize = 10;

/// Memory that n-grams are found in.
#[derive(Debug, Default)]
pub(in crate::features) struct Space {
    pub(super) grams: Grams,
    /// Columns of the message.
    pub(super) sentence: Vec<u32>,
    /// Each column of a token, below the number of the token.
    pub(super) tokens: Vec<u64>,
    /// Of each token, how many grams it has, and how many of them have a column.
    pub(super) recognised: Vec<(u32, u32)>,
}

/// What n-grams are made of.
#[derive(Debug, Default)]
pub(super) struct Grams {
    /// The folded tokens, one behind the other.
    folded: String,
    /// Where each ends.
    ends: Vec<usize>,
    units: Units,
    word: PaddedWord,
    pair: String,
}

impl Grams {
    /// Folds the tokens of a message.
    fn fold(&mut self, config: &NGramConfig, message: Message<'_>) {
        self.folded.clear();
        self.ends.clear();
        for token in 0..message.tokens.len() {
            config.fold_into(message.token(token), &mut self.folded);
            self.ends.push(self.folded.len());
        }
    }
}

/// The folded tokens, cut out of their text.
fn tokens<'t>(folded: &'t str, ends: &'t [usize]) -> impl Iterator<Item = &'t str> {
    ends.iter().scan(0, |start, end| Some(&folded[std::mem::replace(start, *end)..*end]))
}

impl NGrams {
    /// Every n-gram of the message, and the tokens that it tells something of: the one it lies in or, in a writing
    /// without blanks, those it lies across. All are grams of the message as well.
    pub(super) fn each_gram(
        &self,
        message: Message<'_>,
        rare: &HashSet<String>,
        grams: &mut Grams,
        found: &mut impl FnMut(Range<usize>, &str),
    ) {
        let lengths = self.config.min_ngram..self.config.max_ngram.saturating_add(1);
        grams.fold(&self.config, message);
        let Grams { folded, ends, units, word, pair } = grams;
        let tokens = tokens(folded, ends);
        units.clear();
        match self.config.analyzer {
            Analyzer::Word => {
                self.push_words(tokens, rare, units);
                units.each_run(lengths, found);
            }
            Analyzer::Char => {
                units.push_characters(tokens);
                units.each_run(lengths, found);
            }
            Analyzer::CharWb => {
                word.clear();
                for (at, token) in tokens.enumerate() {
                    let joined = at > 0 && message.tokens[at - 1].end == message.tokens[at].start;
                    for (part, piece) in token.split_whitespace().enumerate() {
                        if !(joined && part == 0) {
                            word.each_gram(lengths.clone(), found);
                            word.clear();
                        }
                        word.push(piece, at);
                    }
                }
                word.each_gram(lengths, found);
            }
            Analyzer::WordPair => {
                self.push_words(tokens, rare, units);
                let Units { text, places } = &*units;
                for (at, (first, _)) in places.iter().enumerate() {
                    let first = beginning(&text[first.clone()]);
                    for (second, _) in places[at + 1..].iter().take(PAIR_REACH) {
                        let second = beginning(&text[second.clone()]);
                        pair.clear();
                        pair.extend([first.min(second), " ", first.max(second)]);
                        found(0..0, pair);
                    }
                }
            }
        }
    }

    /// Appends the words of each token; unknown ones, where they have a name, under that name.
    fn push_words<'t>(
        &self,
        tokens: impl Iterator<Item = &'t str>,
        rare: &HashSet<String>,
        units: &mut Units,
    ) {
        let stop = self.config.stop_words.as_deref().unwrap_or_default();
        let oov = self.config.oov_token.as_deref().map(|token| self.config.fold(token));
        let known = oov.as_ref().is_some_and(|oov| self.columns.get(oov).is_some());
        for (at, token) in tokens.enumerate() {
            for word in words_of(token).filter(|word| !stop.iter().any(|stop| stop == word)) {
                let unit = match &oov {
                    Some(oov) if rare.contains(word) || (known && self.columns.get(word).is_none()) => oov,
                    _ => word,
                };
                units.push(unit, at);
            }
        }
    }
}

/// The first letters of a word.
fn beginning(word: &str) -> &str {
    word.char_indices().nth(PAIR_PREFIX).map_or(word, |(end, _)| &word[..end])
}
