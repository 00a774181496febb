//! A place in a text: a byte range, and the character offsets that users see.

use serde::{Deserialize, Serialize};

/// A half-open byte range `start..end` of a text.
///
/// Rust indexes strings by byte, people and Rasa count characters (Unicode code
/// points). Inside the crate every place is a `Span`; [`CharOffsets`] translates
/// at the border.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl Span {
    /// The span `start..end`.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Number of bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Whether no byte is inside.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The part of `text` that this span covers.
    ///
    /// # Panics
    ///
    /// If the span does not lie on character borders of `text`: it came from another text. [`Span::get`] does not panic.
    #[must_use]
    pub fn of(self, text: &str) -> &str {
        &text[self.start..self.end]
    }

    /// The part of `text` that this span covers, or `None` where it has no such part.
    #[must_use]
    pub fn get(self, text: &str) -> Option<&str> {
        text.get(self.start..self.end)
    }

    /// Whether the two share at least one byte.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether `other` lies wholly inside.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// Translates between byte offsets and character offsets of one text.
///
/// # Example
///
/// ```
/// use talkformer::text::{CharOffsets, Span};
///
/// let text = "über 5€";
/// let offsets = CharOffsets::new(text);
/// assert_eq!(offsets.to_chars(Span::new(6, 10)), (5, 7)); // "5€"
/// assert_eq!(offsets.to_bytes(5, 7), Some(Span::new(6, 10)));
/// assert_eq!(offsets.to_bytes(5, 8), None); // past the end
/// ```
#[derive(Clone, Debug)]
pub struct CharOffsets {
    /// Byte offset of each character, then the length; empty for pure ASCII, where both agree.
    bytes: Vec<usize>,
    len: usize,
}

impl CharOffsets {
    /// Walks `text` once.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).collect()
        };
        Self { bytes, len: text.len() }
    }

    /// Character offsets `(start, end)` of a span.
    #[must_use]
    pub fn to_chars(&self, span: Span) -> (usize, usize) {
        (self.char_at(span.start), self.char_at(span.end))
    }

    /// The span of characters `start..end`, or `None` where the text has no such characters.
    #[must_use]
    pub fn to_bytes(&self, start: usize, end: usize) -> Option<Span> {
        if start > end {
            return None;
        }
        if self.bytes.is_empty() {
            return (end <= self.len).then(|| Span::new(start, end));
        }
        Some(Span::new(*self.bytes.get(start)?, *self.bytes.get(end)?))
    }

    fn char_at(&self, byte: usize) -> usize {
        if self.bytes.is_empty() { byte } else { self.bytes.partition_point(|&at| at < byte) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_go_there_and_back_in_any_script() {
        for text in ["", "plain", "naïve", "日本語", "e\u{301} 👩‍🚀!", "नमस्ते"] {
            let offsets = CharOffsets::new(text);
            let chars = text.chars().count();
            for start in 0..=chars {
                for end in start..=chars {
                    let span = offsets.to_bytes(start, end).unwrap();
                    assert_eq!(span.of(text), text.chars().skip(start).take(end - start).collect::<String>());
                    assert_eq!(offsets.to_chars(span), (start, end));
                }
            }
            assert_eq!(offsets.to_bytes(0, chars + 1), None);
            assert_eq!(offsets.to_bytes(chars + 1, chars + 1), None);
        }
    }
}
