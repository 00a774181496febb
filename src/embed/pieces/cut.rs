//! From a text to the pieces of its words.
//!
//! What a word means is known where the table knows most of it. A word of which only scraps are known, as a name (`ko`, `##wal`,
//! `##ski`) or a slip of the keyboard, is left out: the mean of scraps is as good as noise, and a text of such words alone
//! must be known as one that is not understood.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::table::Table;
use crate::text::{Span, lower_case};

/// What stands before a piece that continues a word.
pub(super) const CONTINUES: &str = "##";

/// Finds pieces: of what is left of a word the longest that the table knows, again and again.
#[derive(Debug)]
pub(super) struct Cutter {
    /// Pieces that begin a word, and those that continue one.
    pieces: [HashMap<Box<str>, u32>; 2],
    /// Bytes of the longest piece.
    longest: usize,
}

impl Cutter {
    pub(super) fn new(table: &Table) -> Self {
        let mut pieces = [HashMap::with_capacity(table.len()), HashMap::new()];
        let mut longest = 0;
        for (number, name) in (0..).zip(table.names()) {
            let continued = name.strip_prefix(CONTINUES).filter(|rest| !rest.is_empty());
            let piece = continued.unwrap_or(name);
            longest = longest.max(piece.len());
            pieces[usize::from(continued.is_some())].insert(piece.into(), number);
        }
        Self { pieces, longest }
    }

    /// Tells of each piece where it is and which it is. A word whose first piece is not half of it at least is left out, and
    /// so is the rest of one of which no piece is known.
    pub(super) fn cut(&self, text: &str, mut found: impl FnMut(Span, usize)) {
        for word in words(text) {
            let (folded, places) = fold(word.of(text));
            let mut at = 0;
            while let Some((end, piece)) = self.longest_at(&folded, at) {
                if at == 0 && 2 * end < folded.len() {
                    break;
                }
                found(Span::new(word.start + places[at], word.start + places[end]), piece);
                at = end;
            }
        }
    }

    /// Where the longest piece ends that begins here, and its number.
    fn longest_at(&self, word: &str, at: usize) -> Option<(usize, usize)> {
        let pieces = &self.pieces[usize::from(at > 0)];
        let ends =
            (at + 1..=(at + self.longest).min(word.len())).rev().filter(|end| word.is_char_boundary(*end));
        ends.into_iter().find_map(|end| Some((end, *pieces.get(&word[at..end])? as usize)))
    }
}

/// Runs of letters and digits, and every other sign by itself.
fn words(text: &str) -> impl Iterator<Item = Span> + '_ {
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let is_part = |c: char| c.is_alphanumeric() || is_combining_mark(c);
        let (start, first) = chars.find(|(_, c)| !c.is_whitespace())?;
        let mut end = start + first.len_utf8();
        while is_part(first)
            && let Some((at, c)) = chars.next_if(|(_, c)| is_part(*c))
        {
            end = at + c.len_utf8();
        }
        Some(Span::new(start, end))
    })
}

/// A word in small letters without accents, and for each byte of it and its end, where it comes from in the word.
fn fold(word: &str) -> (String, Vec<usize>) {
    if word.bytes().all(|byte| byte.is_ascii()) {
        return (word.to_ascii_lowercase(), (0..=word.len()).collect());
    }
    let (mut folded, mut places) = (String::new(), Vec::new());
    for (at, c) in word.char_indices() {
        let mut buffer = [0; 4];
        let small = lower_case(c.encode_utf8(&mut buffer));
        folded.extend(small.nfd().filter(|c| !is_combining_mark(*c)));
        places.resize(folded.len(), at);
    }
    places.push(word.len());
    (folded, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(&str, usize)> {
        let names = ["play", "##ing", "##i", "cafe", "s", "##traße", "!", "##n"];
        let table = Table::of(names.map(str::to_owned).to_vec(), &[1.0; 16], 2);
        let mut found = Vec::new();
        Cutter::new(&table).cut(text, |span, piece| found.push((span.of(text), piece)));
        found
    }

    #[test]
    fn words_are_cut_into_the_longest_pieces() {
        assert_eq!(cut("Playing play!"), [("Play", 0), ("ing", 1), ("play", 0), ("!", 6)]);
        assert_eq!(cut("playin"), [("play", 0), ("i", 2), ("n", 7)]);
        assert_eq!(cut("playqing"), [("play", 0)]);
    }

    #[test]
    fn accents_and_unknown_letters_keep_their_places() {
        assert_eq!(cut("CAFÉ"), [("CAFÉ", 3)]);
        assert_eq!(cut("cafe\u{301} s"), [("cafe\u{301}", 3), ("s", 4)]);
        assert!(cut("qing ing splay").is_empty());
        assert!(cut("日本 \u{301}").is_empty());
    }
}
