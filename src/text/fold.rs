//! When two spellings count as one: the only place that changes the case of what users write.
//!
//! Features see [`lower_case`], as saved models learnt it. Whatever is looked up (synonyms, words of lookup tables, the
//! words of other examples) is compared by [`Folded`], which forgives more: two texts are the same if their capitals
//! are. So `STRASSE` is `Straße`, a sigma is the same at the end of a word, and `I`, `i`, `İ` and `ı` are one letter,
//! for nobody can tell a Turkish capital from an English one. Accents count, but not how they are written (`é` as one
//! character or as two), and any run of blanks is one blank.

use std::borrow::Cow;

use unicode_normalization::char::decompose_canonical;

use super::Span;

/// A text in lower case, by the rules of Unicode that need no language: `ß` stays, `Σ` at the end of a word becomes `ς`,
/// and `İ` an `i` with a dot above it.
///
/// # Example
///
/// ```
/// assert_eq!(talkformer::text::lower_case("ΟΔΟΣ Straße"), "οδος straße");
/// ```
#[must_use]
pub fn lower_case(text: &str) -> Cow<'_, str> {
    let is_low = if text.is_ascii() {
        !text.bytes().any(|byte| byte.is_ascii_uppercase())
    } else {
        let is_low = |c: char| c.is_lowercase() || c.to_lowercase().eq([c]);
        text.chars().all(is_low)
    };
    if is_low { Cow::Borrowed(text) } else { Cow::Owned(text.to_lowercase()) }
}

/// The same for the part of a text from `start` on; it asks for memory only where there is a `Σ`.
pub(crate) fn lower_case_from(text: &mut String, start: usize) {
    let end = text.len();
    if text[start..].is_ascii() {
        text[start..].make_ascii_lowercase();
    } else if text[start..].contains('Σ') {
        // Its small letter depends on those beside it.
        let low = text[start..].to_lowercase();
        text.replace_range(start.., &low);
    } else {
        let mut at = start;
        while let Some(c) = text[at..end].chars().next() {
            at += c.len_utf8();
            text.extend(c.to_lowercase());
        }
        text.drain(start..end);
    }
}

/// What a text is looked up by: equal for two texts that differ in case, in blanks or in how accents are written.
///
/// # Example
///
/// ```
/// use talkformer::text::fold;
///
/// assert_eq!(fold(" Big\n  APPLE"), fold("big apple"));
/// assert_eq!(fold("STRASSE"), fold("Straße"));
/// assert_ne!(fold("resume"), fold("résumé"));
/// ```
#[must_use]
pub fn fold(text: &str) -> String {
    Folded::new(text.trim(), true).text
}

/// A text with its blanks and accents, and perhaps its case, made equal, that remembers where each byte came from.
#[derive(Clone, Debug)]
pub(crate) struct Folded {
    text: String,
    /// For each byte of `text`, and for its end, the byte of the original where its character begins.
    origin: Vec<usize>,
}

impl Folded {
    /// The text with one blank for each run of them, accents as characters of their own and, unless case matters, as
    /// [`fold`] has it.
    pub(crate) fn new(text: &str, ignore_case: bool) -> Self {
        const DOT_ABOVE: char = '\u{307}';
        let mut folded =
            Self { text: String::with_capacity(text.len()), origin: Vec::with_capacity(text.len() + 1) };
        for (at, c) in text.char_indices() {
            if c.is_whitespace() {
                if !folded.text.ends_with(' ') {
                    folded.text.push(' ');
                }
            } else if c.is_ascii() {
                folded.text.push(if ignore_case { c.to_ascii_lowercase() } else { c });
            } else {
                decompose_canonical(c, |part| {
                    if !ignore_case {
                        folded.text.push(part);
                    } else if part != DOT_ABOVE || !folded.text.ends_with('i') {
                        // Twice, for `ẞ` has a small letter but is its own capital.
                        let capitals = part.to_lowercase().flat_map(char::to_uppercase);
                        folded.text.extend(capitals.flat_map(char::to_lowercase));
                    }
                });
            }
            folded.origin.resize(folded.text.len(), at);
        }
        folded.origin.push(text.len());
        folded
    }

    /// The folded text.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The part of the original that these bytes of the folded text stand for; `None` where they begin or end inside one
    /// of its characters.
    pub(crate) fn original(&self, span: Span) -> Option<Span> {
        let border = |at: usize| at == 0 || self.origin[at] != self.origin[at - 1];
        let whole = border(span.start) && border(span.end);
        whole.then(|| Span::new(self.origin[span.start], self.origin[span.end]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_the_same_if_their_capitals_are() {
        for (one, other) in [
            ("ΟΔΌΣ", "οδός"),
            ("οδόσ", "οδός"),
            ("STRASSE", "straße"),
            ("STRAẞE", "strasse"),
            ("İSTANBUL", "istanbul"),
            ("ISPARTA", "ısparta"),
            ("Zoe\u{308}", "ZOË"),
            ("ﬁn", "FIN"),
            ("a\u{a0}\t b", "A B"),
            (" a\r\nb ", "a b"),
            ("한국", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{116e}\u{11a8}"),
        ] {
            assert_eq!(fold(one), fold(other), "{one} {other}");
        }
        for (one, other) in [("a", "á"), ("ab", "a b"), ("o", "0"), ("ü", "ue")] {
            assert_ne!(fold(one), fold(other));
        }
    }

    #[test]
    fn a_place_leads_back_to_the_original() {
        let text = "Die  Straße\nİzmir";
        let folded = Folded::new(text, true);
        assert_eq!(folded.text(), "die strasse izmir");
        let original = |part: &str| {
            let start = folded.text().find(part).unwrap();
            folded.original(Span::new(start, start + part.len())).map(|span| span.of(text))
        };
        assert_eq!(original("die strasse"), Some("Die  Straße"));
        assert_eq!(original("izmir"), Some("İzmir"));
        assert_eq!(original("stras"), None, "half an ß is no place");
    }

    #[test]
    fn lower_case_is_that_of_unicode() {
        for text in ["abc", "ABC 1", "ΟΔΟΣ", "Straße", "İ", "ﬁ", "日本", ""] {
            assert_eq!(lower_case(text), text.to_lowercase());
        }
    }

    #[test]
    fn the_end_of_a_text_gets_the_same_small_letters() {
        let mut found = String::new();
        for c in '\0'..=char::MAX {
            found.clear();
            found.extend(['Ä', 'B', c]);
            lower_case_from(&mut found, 'Ä'.len_utf8());
            assert_eq!(found, format!("Ä{}", lower_case(&format!("B{c}"))), "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing_and_places_fit(text in "[ \\na-cIİıßẞΣςσée\u{301}\u{307}ﬁǰΐ한]{0,12}") {
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
            let folded = Folded::new(&text, true);
            for (start, _) in folded.text().char_indices() {
                for (at, c) in folded.text()[start..].char_indices() {
                    if let Some(span) = folded.original(Span::new(start, start + at + c.len_utf8())) {
                        prop_assert!(text.get(span.start..span.end).is_some());
                    }
                }
            }
        }
    }
}
