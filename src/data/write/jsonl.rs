//! JSON Lines: one example a line, entities as character offsets.

use std::io::{self, Write};

use serde::Serialize;

use super::WriteError;
use crate::data::{Entity, Utterance};
use crate::text::CharOffsets;

/// Writes examples as JSON Lines, see [`to_jsonl`].
///
/// # Errors
///
/// As [`to_jsonl`], and when the destination refuses.
pub fn write_jsonl(utterances: &[Utterance], mut out: impl Write) -> Result<(), WriteError> {
    for utterance in utterances {
        serde_json::to_writer(&mut out, &line(utterance)?).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

/// Examples as JSON Lines, in their order: `text`, `intent` if there is one, and `entities` with offsets
/// that count characters and with the value spelled out. Any text that is not blank can be written. Synonyms, expressions,
/// word lists and responses have no place here, apart from the synonyms that annotations imply.
///
/// # Errors
///
/// [`WriteError`] when an entity belongs to another text, or an example has none.
///
/// # Example
///
/// ```
/// use talkformer::data::{Format, Utterance, read_str, to_jsonl};
///
/// let lines = to_jsonl(&[Utterance::new("hi", Some("greet"))])?;
/// assert_eq!(lines, "{\"text\":\"hi\",\"intent\":\"greet\",\"entities\":[]}\n");
/// assert_eq!(read_str(Format::JsonLines, &lines, "x")?.utterances[0].text, "hi");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[expect(clippy::missing_panics_doc, reason = "JSON is always UTF-8")]
pub fn to_jsonl(utterances: &[Utterance]) -> Result<String, WriteError> {
    let mut bytes = Vec::new();
    write_jsonl(utterances, &mut bytes)?;
    Ok(String::from_utf8(bytes).expect("JSON is UTF-8"))
}

#[derive(Serialize)]
struct Line<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    intent: Option<&'a str>,
    entities: Vec<Annotation<'a>>,
}

#[derive(Serialize)]
struct Annotation<'a> {
    start: usize,
    end: usize,
    entity: &'a str,
    value: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
}

fn line(utterance: &Utterance) -> Result<Line<'_>, WriteError> {
    let text = text(utterance)?;
    let mut entities = Vec::with_capacity(utterance.entities.len());
    if !utterance.entities.is_empty() {
        let offsets = CharOffsets::new(text);
        for entity in &utterance.entities {
            entities.push(annotation(entity, text, &offsets).ok_or_else(|| outside(entity, utterance))?);
        }
    }
    Ok(Line { text, intent: utterance.intent.as_deref(), entities })
}

fn annotation<'a>(entity: &'a Entity, text: &'a str, offsets: &CharOffsets) -> Option<Annotation<'a>> {
    let surface = text.get(entity.span.start..entity.span.end).filter(|surface| !surface.is_empty())?;
    let (start, end) = offsets.to_chars(entity.span);
    Some(Annotation {
        start,
        end,
        entity: &entity.entity,
        value: entity.value.as_deref().unwrap_or(surface),
        role: entity.role.as_deref(),
        group: entity.group.as_deref(),
    })
}

/// The text of an example, which readers skip where it is blank.
pub(super) fn text(utterance: &Utterance) -> Result<&str, WriteError> {
    let text = utterance.text.as_str();
    if text.trim().is_empty() { Err(WriteError::NoText { at: utterance.source.clone() }) } else { Ok(text) }
}

/// The error for an entity that does not belong to its utterance.
pub(super) fn outside(entity: &Entity, utterance: &Utterance) -> WriteError {
    WriteError::EntityOutsideText {
        at: utterance.source.clone(),
        entity: entity.entity.clone(),
        start: entity.span.start,
        end: entity.span.end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Span;

    #[test]
    fn offsets_count_characters() {
        let mut utterance = Utterance::new("über Köln", None);
        utterance
            .entities
            .push(Entity { value: Some("Cologne".into()), ..Entity::new("city", Span::new(6, 11)) });
        assert_eq!(
            to_jsonl(&[utterance]).unwrap(),
            "{\"text\":\"über Köln\",\"entities\":[{\"start\":5,\"end\":9,\"entity\":\"city\",\"value\":\"Cologne\"}]}\n"
        );
    }

    #[test]
    fn an_entity_of_another_text_is_refused() {
        for span in [Span::new(0, 9), Span::new(1, 2), Span::new(0, 0), Span::new(2, 0)] {
            let mut utterance = Utterance::new("éa", None);
            utterance.entities.push(Entity::new("x", span));
            assert!(matches!(to_jsonl(&[utterance]), Err(WriteError::EntityOutsideText { .. })));
        }
    }
}
