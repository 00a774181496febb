//! Cuts that a tokenizer's own rules do not make, learnt from where annotations begin and end.
//!
//! An entity is a span of characters; a tagger labels tokens. Where an annotation begins or ends inside a token
//! (`[10](month)-[05](day)`) or at a sign that belongs to no token (`[C++](language)`), the tokens have to change, in
//! training and in answers alike. [`Cuts::learn`] looks for the most general rule that the annotations support:
//!
//! 1. a kind of sign becomes a token (`%`, or every emoji), and words are cut between two kinds of characters (a letter
//!    and a digit, a digit and `-`), if an annotation begins or ends in at least one in twenty of these places;
//! 2. a word loses an ending or a beginning that annotations leave out (`서울|에`, `부산|에`), if that was so for two
//!    different words and for a third of the words that have it;
//! 3. the same word is always cut in the same places.
//!
//! Rules 1 and 2 hold for words that training never saw. Rule 3 makes sure that every annotation can be learnt.

mod kind;
mod learn;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Span;
use kind::{Kind, each_border, each_sign, is_signs};
pub(crate) use learn::Annotated;

/// Where tokens are cut, and which signs are tokens, beyond the rules of a tokenizer. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cuts {
    /// Kinds of signs that are tokens.
    signs: BTreeSet<Kind>,
    /// Kinds between which words are cut.
    borders: BTreeSet<(Kind, Kind)>,
    /// Beginnings that are cut off words.
    beginnings: BTreeSet<String>,
    /// Endings that are cut off words.
    endings: BTreeSet<String>,
    /// Where the tokens are in words that no other rule cuts in the right places. A word is a token, or, where it matters
    /// which signs are beside it, everything between two blanks.
    words: BTreeMap<String, Vec<(usize, usize)>>,
}

impl Cuts {
    /// Whether nothing was learnt.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The tokens of `text`, given those by the tokenizer's own rules.
    pub(crate) fn apply(&self, text: &str, tokens: Vec<Span>) -> Vec<Span> {
        if self.is_empty() {
            return tokens;
        }
        let mut cut = Vec::with_capacity(tokens.len() + 4);
        let mut end = 0;
        for token in tokens {
            self.add_signs(text, Span::new(end, token.start), &mut cut);
            self.add_pieces(text, token, &mut cut);
            end = token.end;
        }
        self.add_signs(text, Span::new(end, text.len()), &mut cut);
        if self.words.is_empty() { cut } else { self.replace_words(text, cut) }
    }

    /// Appends the signs of `gap` that are tokens.
    fn add_signs(&self, text: &str, gap: Span, tokens: &mut Vec<Span>) {
        if !self.signs.is_empty() && !gap.of(text).trim_ascii().is_empty() {
            each_sign(text, gap, |kind, span| {
                if self.signs.contains(&kind) {
                    tokens.push(span);
                }
            });
        }
    }

    /// Appends what becomes of a token.
    fn add_pieces(&self, text: &str, token: Span, pieces: &mut Vec<Span>) {
        let word = token.of(text);
        if let Some(parts) = self.words.get(word) {
            return pieces.extend(places(parts, token, text));
        }
        if is_signs(word) {
            let before = pieces.len();
            self.add_signs(text, token, pieces);
            if pieces.len() == before {
                pieces.push(token);
            }
            return;
        }
        let mut rest = token;
        if !self.borders.is_empty() {
            each_border(text, token, |at, kinds| {
                if self.borders.contains(&kinds) {
                    self.add_stem(text, Span::new(rest.start, at), pieces);
                    rest.start = at;
                }
            });
        }
        self.add_stem(text, rest, pieces);
    }

    /// Appends a piece of a word, with its beginning and its ending cut off where they are known; the longest ones count.
    fn add_stem(&self, text: &str, piece: Span, pieces: &mut Vec<Span>) {
        let word = piece.of(text);
        let inner = || word.char_indices().map(|(at, _)| at).skip(1);
        let known = |affixes: &BTreeSet<String>, affix: &str| affixes.contains(affix);
        let mut end = word.len();
        if !self.endings.is_empty() {
            end = inner().find(|at| known(&self.endings, &word[*at..])).unwrap_or(end);
        }
        let mut start = 0;
        if !self.beginnings.is_empty() {
            start =
                inner().filter(|at| *at < end && known(&self.beginnings, &word[..*at])).last().unwrap_or(0);
        }
        let parts = [(0, start), (start, end), (end, word.len())];
        let parts = parts.into_iter().filter(|(from, to)| from < to);
        pieces.extend(parts.map(|(from, to)| Span::new(piece.start + from, piece.start + to)));
    }

    /// Puts the tokens of a word between two blanks, where they are known, in the place of those that are there.
    fn replace_words(&self, text: &str, tokens: Vec<Span>) -> Vec<Span> {
        let mut found = Vec::with_capacity(tokens.len());
        let mut rest = &tokens[..];
        for chunk in chunks(text) {
            let Some(parts) = self.words.get(chunk.of(text)) else { continue };
            let first = rest.partition_point(|token| token.end <= chunk.start);
            let end = first + rest[first..].partition_point(|token| token.start < chunk.end);
            if rest[first..end].iter().all(|token| chunk.contains(*token)) {
                found.extend_from_slice(&rest[..first]);
                found.extend(places(parts, chunk, text));
                rest = &rest[end..];
            }
        }
        found.extend_from_slice(rest);
        found
    }
}

/// What stands between blanks.
fn chunks(text: &str) -> impl Iterator<Item = Span> {
    text.split_whitespace().map(|chunk| {
        let start = chunk.as_ptr() as usize - text.as_ptr() as usize;
        Span::new(start, start + chunk.len())
    })
}

/// The places of `parts` of a part of a text, as far as they are in order and on borders of characters.
fn places(parts: &[(usize, usize)], within: Span, text: &str) -> impl Iterator<Item = Span> {
    let mut last = 0;
    parts.iter().map_while(move |&(start, end)| {
        let valid = last <= start && start < end && within.of(text).get(start..end).is_some();
        last = end;
        valid.then(|| Span::new(within.start + start, within.start + end))
    })
}
