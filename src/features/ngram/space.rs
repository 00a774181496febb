//! Memory that n-grams are found in, used again by the next message.

use super::super::units::{PaddedWord, Units};
use super::{Message, NGramConfig};

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
    pub(super) folded: String,
    /// Where each ends.
    pub(super) ends: Vec<usize>,
    pub(super) units: Units,
    pub(super) word: PaddedWord,
    pub(super) pair: String,
}

impl Grams {
    /// Folds the tokens of a message.
    pub(super) fn fold(&mut self, config: &NGramConfig, message: Message<'_>) {
        self.folded.clear();
        self.ends.clear();
        for token in 0..message.tokens.len() {
            config.fold_into(message.token(token), &mut self.folded);
            self.ends.push(self.folded.len());
        }
    }
}

/// The folded tokens, cut out of their text.
pub(super) fn tokens<'t>(folded: &'t str, ends: &'t [usize]) -> impl Iterator<Item = &'t str> {
    ends.iter().scan(0, |start, end| Some(&folded[std::mem::replace(start, *end)..*end]))
}
