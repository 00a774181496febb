//! A message on its way through the featurizers: its tokens go in, its rows come out.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use super::DenseFeatures;
use super::ngram::Space;
use crate::numbers::SparseRows;
use crate::text::Span;

/// A text and where its tokens are.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The whole text.
    pub text: &'a str,
    /// Its tokens in order.
    pub tokens: &'a [Span],
}

impl<'a> Message<'a> {
    /// The text of one token.
    ///
    /// # Panics
    ///
    /// If there is no such token, or the tokens are those of another text.
    #[must_use]
    pub fn token(&self, index: usize) -> &'a str {
        self.tokens[index].of(self.text)
    }
}

/// The non-zero columns of one row, with their values.
pub(super) type Entries = Vec<(u32, f32)>;

/// The rows of one message while featurizers fill them.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// One per token.
    pub(super) sequence: Vec<Entries>,
    /// That of the message.
    pub(super) sentence: Entries,
    /// First column of the current featurizer in the rows of the tokens.
    pub(super) token_start: u32,
    /// And in the row of the message.
    pub(super) message_start: u32,
    /// Whether a featurizer has recognised a word.
    pub(super) recognised: bool,
    /// Memory for n-grams.
    pub(super) space: Space,
    /// Memory for the rows of further tokens.
    spare: Vec<Entries>,
}

impl Rows {
    /// The memory of a message of more tokens is given back.
    const KEPT: usize = 256;

    /// Runs `work` with this thread's rows, which are empty, for so many tokens.
    pub(super) fn with<T>(tokens: usize, work: impl FnOnce(&mut Self) -> T) -> T {
        thread_local! {
            static ROWS: RefCell<Rows> = RefCell::default();
        }
        ROWS.with(|rows| {
            // A custom featurizer may ask for the features of another message.
            let Ok(mut rows) = rows.try_borrow_mut() else { return work(&mut Self::new(tokens)) };
            rows.clear(tokens);
            let result = work(&mut rows);
            if tokens > Self::KEPT {
                *rows = Self::default();
            }
            result
        })
    }

    pub(super) fn new(tokens: usize) -> Self {
        let mut rows = Self::default();
        rows.clear(tokens);
        rows
    }

    fn clear(&mut self, tokens: usize) {
        self.spare.append(&mut self.sequence);
        self.spare.iter_mut().for_each(Vec::clear);
        self.spare.resize_with(self.spare.len().max(tokens), || Vec::with_capacity(48));
        self.sequence.extend(self.spare.drain(..tokens));
        self.sentence.clear();
        (self.token_start, self.message_start, self.recognised) = (0, 0, false);
    }
}

/// The features of one message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// One row per token: `[token, sequence column]`.
    pub sequence: SparseRows,
    /// One row for the message: `[1, sentence column]`.
    pub sentence: SparseRows,
    /// What an encoder says, where there is one.
    pub dense: Option<Arc<DenseFeatures>>,
    /// Whether no word is recognised. There may be entries nonetheless: capital letters and the place in the message say
    /// nothing of what it is about, and two letters in a row are found in words of any language.
    pub unrecognised: bool,
}

impl AsRef<Self> for Features {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Features {
    /// Whether nothing is known of the message: only unknown words, say.
    pub(crate) fn are_none(&self) -> bool {
        let unrecognised =
            self.unrecognised || (self.sentence.entries() == 0 && self.sequence.entries() == 0);
        unrecognised && self.dense.as_ref().is_none_or(|dense| dense.are_none())
    }

    /// The row of the message with its dense numbers, as a row of this length, behind the `columns` sparse ones.
    pub(crate) fn joined(&self, columns: usize, length: f32) -> Cow<'_, SparseRows> {
        let Some(dense) = &self.dense else { return Cow::Borrowed(&self.sentence) };
        let mut joined = SparseRows::default();
        joined.push(
            self.sentence.row(0).chain((columns as u32..).zip(dense.message.iter().map(|x| x * length))),
        );
        Cow::Owned(joined)
    }
}

/// Columns that are scaled together to length one: a range for each featurizer that does so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitRanges {
    /// In the row of a token.
    pub sequence: Vec<Range<u32>>,
    /// In that of a message.
    pub sentence: Vec<Range<u32>>,
}
