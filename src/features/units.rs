//! What n-grams are made of: words and characters in their order, and which tokens they belong to.

use std::ops::Range;

/// The units of a message, one behind the other with a blank between them: a run of units is a part of the text.
#[derive(Debug, Default)]
pub(super) struct Units {
    pub(super) text: String,
    /// Where each unit is, and of which token it is.
    pub(super) places: Vec<(Range<usize>, usize)>,
}

/// The token of a unit that belongs to none: the blank between two tokens.
const BETWEEN: usize = usize::MAX;

impl Units {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.places.clear();
    }

    pub(super) fn push(&mut self, unit: &str, token: usize) {
        if !self.places.is_empty() {
            self.text.push(' ');
        }
        let start = self.text.len();
        self.text.push_str(unit);
        self.places.push((start..self.text.len(), token));
    }

    /// Every run of so many units, and the token that it lies in, if it lies in one.
    pub(super) fn each_run(&self, lengths: Range<usize>, found: &mut impl FnMut(Range<usize>, &str)) {
        for n in lengths.take_while(|n| *n <= self.places.len()) {
            for run in self.places.windows(n) {
                let ((first, token), (last, other)) = (&run[0], &run[n - 1]);
                let inside = if token == other && *token != BETWEEN { *token..token + 1 } else { 0..0 };
                found(inside, &self.text[first.start..last.end]);
            }
        }
    }

    /// Appends the characters of the tokens, and the blanks between those.
    pub(super) fn push_characters<'t>(&mut self, tokens: impl Iterator<Item = &'t str>) {
        for (at, token) in tokens.enumerate() {
            if at > 0 {
                self.places.push((self.text.len()..self.text.len() + 1, BETWEEN));
                self.text.push(' ');
            }
            let start = self.text.len();
            self.text.push_str(token);
            let place = |(from, c): (usize, char)| (start + from..start + from + c.len_utf8(), at);
            self.places.extend(token.char_indices().map(place));
        }
    }
}

/// A word between two blanks, which may be several tokens without blanks between them.
#[derive(Debug, Default)]
pub(super) struct PaddedWord {
    text: String,
    /// Where each character begins, and the token it belongs to; blanks belong to the token beside them.
    characters: Vec<(usize, usize)>,
}

impl PaddedWord {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.characters.clear();
    }

    pub(super) fn push(&mut self, piece: &str, token: usize) {
        if self.text.is_empty() {
            self.text.push(' ');
            self.characters.push((0, token));
        }
        let start = self.text.len();
        self.text.push_str(piece);
        self.characters.extend(piece.char_indices().map(|(at, _)| (start + at, token)));
    }

    /// Its n-grams with the tokens that each covers. A short word counts once, however long the n-grams.
    pub(super) fn each_gram(&mut self, lengths: Range<usize>, found: &mut impl FnMut(Range<usize>, &str)) {
        let Some((_, token)) = self.characters.last().copied() else { return };
        self.characters.extend([(self.text.len(), token), (self.text.len() + 1, token)]);
        self.text.push(' ');
        for n in lengths {
            if self.characters.len() - 1 <= n {
                found(self.characters[0].1..token + 1, &self.text);
                break;
            }
            for run in self.characters.windows(n + 1) {
                found(run[0].1..run[n - 1].1 + 1, &self.text[run[0].0..run[n].0]);
            }
        }
    }
}
