//! What characters are, as far as cuts depend on it.

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::text::Span;
use crate::text::scan::is_word_character;

/// What a cluster of characters is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) enum Kind {
    Letter,
    Digit,
    Emoji,
    Sign(char),
}

impl Kind {
    /// The kind of a grapheme cluster, `None` for a blank.
    pub(super) fn of(cluster: &str) -> Option<Self> {
        let c = cluster.chars().next().filter(|c| !c.is_whitespace())?;
        Some(if c.is_numeric() {
            Self::Digit
        } else if c.is_alphabetic() {
            Self::Letter
        } else if is_emoji(c) {
            Self::Emoji
        } else if c != '_' && is_word_character(c) {
            Self::Letter // a mark that leans on nothing
        } else {
            Self::Sign(c)
        })
    }

    pub(super) const fn is_sign(self) -> bool {
        matches!(self, Self::Emoji | Self::Sign(_))
    }
}

impl From<Kind> for String {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Letter => "letter".to_owned(),
            Kind::Digit => "digit".to_owned(),
            Kind::Emoji => "emoji".to_owned(),
            Kind::Sign(sign) => sign.to_string(),
        }
    }
}

impl TryFrom<String> for Kind {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let mut characters = name.chars();
        Ok(match (name.as_str(), characters.next(), characters.next()) {
            ("letter", ..) => Self::Letter,
            ("digit", ..) => Self::Digit,
            ("emoji", ..) => Self::Emoji,
            (_, Some(sign), None) => Self::Sign(sign),
            _ => return Err(format!("`{name}` is no kind of character: letter, digit, emoji or one sign")),
        })
    }
}

/// The blocks of arrows, technical symbols, shapes, dingbats and pictographs.
const fn is_emoji(c: char) -> bool {
    matches!(c,
        '\u{2190}'..='\u{21ff}'
        | '\u{2300}'..='\u{23ff}'
        | '\u{25a0}'..='\u{27bf}'
        | '\u{2900}'..='\u{297f}'
        | '\u{2b00}'..='\u{2bff}'
        | '\u{3030}'
        | '\u{303d}'
        | '\u{3297}'
        | '\u{3299}'
        | '\u{1f000}'..='\u{1faff}')
}

/// Whether there is no letter and no digit.
pub(super) fn is_signs(word: &str) -> bool {
    if word.is_ascii() {
        return !word.bytes().any(|byte| byte.is_ascii_alphanumeric());
    }
    word.graphemes(true).all(|cluster| Kind::of(cluster).is_none_or(Kind::is_sign))
}

/// The signs of a part of a text: neighbours of one kind together, emoji one by one.
pub(super) fn each_sign(text: &str, gap: Span, mut found: impl FnMut(Kind, Span)) {
    let mut open: Option<(Kind, Span)> = None;
    for (at, cluster) in gap.of(text).grapheme_indices(true) {
        let span = Span::new(gap.start + at, gap.start + at + cluster.len());
        let kind = Kind::of(cluster).filter(|kind| kind.is_sign());
        match (&mut open, kind) {
            (Some((same, run)), Some(kind)) if *same == kind && kind != Kind::Emoji => run.end = span.end,
            (before, kind) => {
                if let Some((kind, run)) = before.take() {
                    found(kind, run);
                }
                open = kind.map(|kind| (kind, span));
            }
        }
    }
    if let Some((kind, run)) = open {
        found(kind, run);
    }
}

/// The places inside a word between two clusters, with their kinds.
pub(super) fn each_border(text: &str, word: Span, mut found: impl FnMut(usize, (Kind, Kind))) {
    let mut last = None;
    for (at, cluster) in word.of(text).grapheme_indices(true) {
        let kind = Kind::of(cluster);
        if let (Some(last), Some(kind)) = (last, kind) {
            found(word.start + at, (last, kind));
        }
        last = kind;
    }
}
