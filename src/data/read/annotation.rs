//! The entity markup inside example texts: `[Rome](city)` and its longer forms.
//!
//! One scan from left to right. A `]` closes the surface begun by the first `[` since the last `]`; what
//! follows it decides whether the two brackets are an annotation or plain text.

use serde::Deserialize;

use super::scalar::Scalar;
use crate::data::Entity;
use crate::data::warning::excerpt;
use crate::text::Span;

/// An annotation that begins like one but is not complete.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnotationError {
    /// The closing bracket is missing.
    #[error(
        "the annotation of `{surface}` is not closed; add the missing `{missing}`, or put a blank behind \
         `]` if it is plain text"
    )]
    Unclosed {
        /// The annotated words.
        surface: String,
        /// What is missing.
        missing: char,
    },
    /// The part in braces is not JSON of the right shape.
    #[error(
        "the annotation of `{surface}` is not valid JSON ({reason}); write it like `{{\"entity\": \
         \"city\", \"value\": \"Rome\"}}`"
    )]
    Json {
        /// The annotated words.
        surface: String,
        /// What the parser says.
        reason: String,
    },
    /// The part in braces does not name a type.
    #[error("the annotation of `{surface}` has no \"entity\"; add `\"entity\": \"the type\"`")]
    NoEntity {
        /// The annotated words.
        surface: String,
    },
    /// The type is empty.
    #[error("the annotation of `{surface}` has an empty type; write it like `[{surface}](city)`")]
    EmptyType {
        /// The annotated words.
        surface: String,
    },
    /// The value behind the colon is empty.
    #[error("the annotation of `{surface}` has an empty value; write one behind `:` or remove the colon")]
    EmptyValue {
        /// The annotated words.
        surface: String,
    },
}

/// Text and entities of an annotated example; spans count in the text without markup.
///
/// Understood are `[surface](type)`, `[surface](type:value)`, `[surface]{"entity": …}` and
/// `[surface][{…}, {…}]`. Other brackets stay as they are.
pub(in crate::data) fn parse(markup: &str) -> Result<(String, Vec<Entity>), AnnotationError> {
    let mut text = String::with_capacity(markup.len());
    let mut entities = Vec::new();
    let (mut copied, mut at, mut open) = (0, 0, None);
    while let Some(found) = markup[at..].find(['[', ']']) {
        let bracket = at + found;
        at = bracket + 1;
        if markup.as_bytes()[bracket] == b'[' {
            open = open.or(Some(bracket));
            continue;
        }
        let Some(begin) = open.take().filter(|begin| begin + 1 < bracket) else { continue };
        let surface = &markup[begin + 1..bracket];
        let Some((attributes, length)) = attributes(surface, &markup[at..])? else { continue };
        text.push_str(&markup[copied..begin]);
        let span = Span::new(text.len(), text.len() + surface.len());
        text.push_str(surface);
        for attributes in attributes {
            entities.push(attributes.entity(surface, span)?);
        }
        at += length;
        copied = at;
    }
    text.push_str(&markup[copied..]);
    Ok((text, entities))
}

/// What an annotation says about its surface.
#[derive(Default, Deserialize)]
struct Attributes {
    #[serde(default)]
    entity: Scalar,
    #[serde(default)]
    value: Scalar,
    #[serde(default)]
    role: Scalar,
    #[serde(default)]
    group: Scalar,
}

impl Attributes {
    fn entity(self, surface: &str, span: Span) -> Result<Entity, AnnotationError> {
        let entity = self.entity.0.ok_or_else(|| AnnotationError::NoEntity { surface: excerpt(surface) })?;
        if entity.trim().is_empty() {
            return Err(AnnotationError::EmptyType { surface: excerpt(surface) });
        }
        Ok(Entity {
            entity,
            span,
            value: self.value.filled().filter(|value| value != surface),
            role: self.role.filled(),
            group: self.group.filled(),
        })
    }
}

/// What stands right behind `]`, with its length; `None` where that is no annotation.
fn attributes(surface: &str, rest: &str) -> Result<Option<(Vec<Attributes>, usize)>, AnnotationError> {
    match rest.as_bytes().first() {
        Some(b'(') => short_form(surface, rest).map(Some),
        Some(b'{') => json_form(surface, rest, '}').map(|(one, length)| Some((vec![one], length))),
        Some(b'[') if rest[1..].trim_start().starts_with('{') => json_form(surface, rest, ']').map(Some),
        _ => Ok(None),
    }
}

/// `(type)` or `(type:value)`.
fn short_form(surface: &str, rest: &str) -> Result<(Vec<Attributes>, usize), AnnotationError> {
    let unclosed = || AnnotationError::Unclosed { surface: excerpt(surface), missing: ')' };
    let type_end = 1 + rest[1..].find([':', ')', '(', '[', ']']).ok_or_else(unclosed)?;
    let (value, end) = match rest.as_bytes()[type_end] {
        b')' => (None, type_end),
        b':' => {
            let end = type_end + rest[type_end..].find(')').ok_or_else(unclosed)?;
            (Some(rest[type_end + 1..end].to_owned()), end)
        }
        _ => return Err(unclosed()),
    };
    if value.as_deref() == Some("") {
        return Err(AnnotationError::EmptyValue { surface: excerpt(surface) });
    }
    let entity = Scalar(Some(rest[1..type_end].to_owned()));
    Ok((vec![Attributes { entity, value: Scalar(value), ..Attributes::default() }], end + 1))
}

/// One JSON value at the beginning of `rest`, with its length.
fn json_form<'a, T: Deserialize<'a>>(
    surface: &str,
    rest: &'a str,
    close: char,
) -> Result<(T, usize), AnnotationError> {
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<T>();
    match values.next() {
        Some(Ok(value)) => Ok((value, values.byte_offset())),
        Some(Err(error)) if !error.is_eof() => {
            Err(AnnotationError::Json { surface: excerpt(surface), reason: reason(&error) })
        }
        _ => Err(AnnotationError::Unclosed { surface: excerpt(surface), missing: close }),
    }
}

/// What a JSON error says, without the place it would name.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.as_str(), |(reason, _)| reason).to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    /// The text, and each entity as `type start..end`, with value, role and group where there are any.
    fn shown(markup: &str) -> (String, Vec<String>) {
        let (text, entities) = parse(markup).unwrap_or_else(|error| panic!("{markup}: {error}"));
        let show = |entity: &Entity| {
            let extras = [("=", &entity.value), ("@", &entity.role), ("#", &entity.group)];
            let extras: String = extras
                .iter()
                .filter_map(|(mark, extra)| extra.as_ref().map(|extra| format!(" {mark}{extra}")))
                .collect();
            format!("{} {}..{}{extras}", entity.entity, entity.span.start, entity.span.end)
        };
        let shown = entities.iter().map(show).collect();
        (text, shown)
    }

    fn check(markup: &str, text: &str, entities: &[&str]) {
        assert_eq!(shown(markup), (text.to_owned(), entities.iter().map(ToString::to_string).collect()));
    }

    #[test]
    fn each_form_is_understood() {
        check("to [Rome](city) now", "to Rome now", &["city 3..7"]);
        check("[NYC](city:New York City)", "NYC", &["city 0..3 =New York City"]);
        check("[NYC](city:NYC)", "NYC", &["city 0..3"]);
        check(
            r#"from [Köln]{"entity": "city", "role": "from", "group": "1", "value": "Cologne", "x": [1]} on"#,
            "from Köln on",
            &["city 5..10 =Cologne @from #1"],
        );
        check(
            r#"[Rome][{"entity": "city"}, { "entity": "start", "group": 2 }]!"#,
            "Rome!",
            &["city 0..4", "start 0..4 #2"],
        );
        check(r#"[a][ {"entity": "t"} ]"#, "a", &["t 0..1"]);
        check(r#"[x] [y]{"entity":"t","value":"a}b]"}"#, "[x] y", &["t 4..5 =a}b]"]);
        check("[a](x)[b](y)", "ab", &["x 0..1", "y 1..2"]);
        check(r#"[a]{"entity": 5, "role": 1.5, "group": true}"#, "a", &["5 0..1 @1.5 #true"]);
    }

    #[test]
    fn other_brackets_stay() {
        for text in
            ["a [b] c", "a[0][1]", "[]", "[](city)", "[", "]", "](x)", "[x] (y)", "[[[", "]]]{", "[a]:(b)"]
        {
            check(text, text, &[]);
        }
        check("[a] [b](t)", "[a] b", &["t 4..5"]);
        check("see [a [b](t)", "see a [b", &["t 4..8"]); // the first `[` counts, as in Rasa
    }

    #[test]
    fn incomplete_annotations_name_the_words_and_the_fix() {
        for (markup, expected) in [
            (r#"to [Rome]{"entity": "city""#, "`Rome` is not closed; add the missing `}`"),
            (r#"to [Rome]{"entity": "city"#, "add the missing `}`"),
            (r#"to [Rome][{"entity": "city"}"#, "add the missing `]`"),
            ("to [Rome](city", "add the missing `)`"),
            ("to [Rome](city and [Paris](city)", "`Rome` is not closed"),
            ("to [Rome](city:x", "add the missing `)`"),
            ("[Rome]{'entity': 'city'}", "not valid JSON (key must be a string)"),
            (r#"[Rome]{"entity": [5]}"#, "not valid JSON (invalid type: sequence, expected a text)"),
            (r#"[Rome]{"entity": "a", "entity": "b"}"#, "duplicate field"),
            (r#"[Rome]{"role": "from"}"#, "has no \"entity\""),
            ("[Rome]{}", "has no \"entity\""),
            (r#"[Rome]{"entity": ""}"#, "empty type"),
            ("[Rome]()", "empty type"),
            ("[Rome](:x)", "empty type"),
            ("[Rome](city:)", "empty value"),
        ] {
            let message = parse(markup).unwrap_err().to_string();
            assert!(message.contains(expected), "{markup}: {message}");
        }
    }

    #[test]
    fn long_lines_take_linear_time() {
        let start = Instant::now();
        for part in ["[", "]", "[a]", "[a", "[a] {", "[a][", "[a](t)", r#"[a]{"entity":"t"}"#] {
            let _ = parse(&part.repeat(1_000_000 / part.len()));
        }
        assert!(parse(&format!("[a]({}", "(".repeat(1_000_000))).is_err());
        assert!(parse(&format!("[a]{{{}", "{\"a\":".repeat(200_000))).is_err());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"(\[|\]|\(|\)|\{|\}|:|"|entity|é|[a-c ]){0,40}"#) {
            if let Ok((plain, entities)) = parse(&text) {
                for entity in entities {
                    prop_assert!(!entity.surface(&plain).is_empty());
                }
            }
        }
    }
}
