//! What an annotation means to mark: without the blanks, commas and quotation marks that were caught at its ends.

use super::Entity;
use crate::text::Span;

/// Quotation marks that belong together.
const QUOTES: [(char, char); 7] =
    [('"', '"'), ('\'', '\''), ('“', '”'), ('„', '“'), ('‘', '’'), ('«', '»'), ('「', '」')];

/// Takes blanks, commas and semicolons off the ends of the entity, and quotation marks where it has one at each end.
///
/// Other signs stay, for they can be part of a name (`dr.`, `C++`, `Yahoo!`), and so does what consists of such signs
/// alone. Says whether anything changed. Where nothing but blanks was annotated, the span is empty afterwards.
pub(super) fn trim(entity: &mut Entity, text: &str) -> bool {
    let Some(words) = text.get(entity.span.start..entity.span.end) else { return false };
    let trimmed = match without_margins(words) {
        "" => words.trim(),
        inner => inner,
    };
    if trimmed.len() == words.len() {
        return false;
    }
    let start = trimmed.as_ptr() as usize - text.as_ptr() as usize;
    entity.span = Span::new(start, start + trimmed.len());
    entity.value.take_if(|value| value == trimmed);
    true
}

fn without_margins(words: &str) -> &str {
    let margin = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '，' | '、' | '،' | '；' | '؛');
    let words = words.trim_matches(margin);
    let unquoted = QUOTES.iter().find_map(|(open, close)| words.strip_prefix(*open)?.strip_suffix(*close));
    unquoted.map_or(words, without_margins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trimmed(words: &str) -> String {
        let text = format!("x{words}y");
        let mut entity = Entity::new("t", Span::new(1, 1 + words.len()));
        let changed = trim(&mut entity, &text);
        assert_eq!(changed, entity.span != Span::new(1, 1 + words.len()));
        entity.surface(&text).to_owned()
    }

    #[test]
    fn blanks_commas_and_quotation_marks_come_off() {
        for (words, expected) in [
            (" Oslo", "Oslo"),
            ("Paris,\u{a0}", "Paris"),
            ("\"Lima\"", "Lima"),
            (" « Le Havre », ", "Le Havre"),
            ("、東京", "東京"),
            ("New York, NY", "New York, NY"),
        ] {
            assert_eq!(trimmed(words), expected, "{words}");
        }
    }

    #[test]
    fn signs_that_can_belong_to_a_name_stay() {
        for words in ["dr.", "C++", "Yahoo!", "5\"", "rockin'", "(555) 12", "#1"] {
            assert_eq!(trimmed(words), words);
        }
    }

    #[test]
    fn signs_alone_stay_and_blanks_alone_are_nothing() {
        for (words, expected) in [(",", ","), (" ; ", ";"), ("\"\"", "\"\""), (" \n", "")] {
            assert_eq!(trimmed(words), expected, "{words:?}");
        }
    }

    #[test]
    fn a_value_that_says_the_same_is_left_out() {
        let mut entity = Entity::new("city", Span::new(0, 5));
        entity.value = Some("Rome".into());
        assert!(trim(&mut entity, "Rome today"));
        assert_eq!(entity, Entity::new("city", Span::new(0, 4)));
    }
}
