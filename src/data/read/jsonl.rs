//! JSON Lines: one example a line, entities as character offsets.

use std::path::Path;

use serde::Deserialize;

use super::annotation::reason;
use super::scalar::Scalar;
use super::{Limits, ReadError};
use crate::data::{Entity, Source, TrainingData, Utterance, Warning, label};
use crate::text::CharOffsets;

/// A line as it should be, for messages.
pub(super) const EXAMPLE: &str =
    r#"{"text": "to Rome", "intent": "travel", "entities": [{"start": 3, "end": 7, "entity": "city"}]}"#;

/// Whether the first line that is not blank is a JSON object with a `text`.
pub(super) fn recognise(text: &str) -> bool {
    let first = lines(text).next();
    first.is_some_and(|(_, line)| line.starts_with('{') && serde_json::from_str::<Line>(line).is_ok())
}

/// Adds the examples of a file to `data`.
pub(super) fn read(text: &str, path: &Path, _: &Limits, data: &mut TrainingData) -> Result<(), ReadError> {
    let file = Source::new(path, 0);
    let mut is_empty = true;
    for (number, line) in lines(text) {
        is_empty = false;
        let at = file.at(number);
        let line = serde_json::from_str::<Line>(line).map_err(|error| ReadError::Json {
            at: at.clone(),
            column: error.column(),
            reason: reason(&error),
        })?;
        match line.utterance(at)? {
            Ok(utterance) => data.push(utterance),
            Err(warning) => data.warnings.push(warning),
        }
    }
    if is_empty {
        return Err(ReadError::Empty { path: path.to_owned() });
    }
    Ok(())
}

/// The lines that are not blank, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty())
}

/// One example as written.
#[derive(Deserialize)]
struct Line {
    /// A key that must be there, though it may be `null`.
    #[serde(deserialize_with = "Option::deserialize")]
    text: Option<String>,
    #[serde(default)]
    intent: Scalar,
    #[serde(default)]
    entities: Option<Vec<Annotation>>,
}

/// One entity as written; offsets count characters.
#[derive(Deserialize)]
struct Annotation {
    start: usize,
    end: usize,
    entity: Scalar,
    #[serde(default)]
    value: Scalar,
    #[serde(default)]
    role: Scalar,
    #[serde(default)]
    group: Scalar,
}

impl Line {
    /// The example, or that it has no text.
    fn utterance(self, at: Source) -> Result<Result<Utterance, Warning>, ReadError> {
        let text = self.text.unwrap_or_default();
        if text.trim().is_empty() {
            return Ok(Err(Warning::EmptyExample { at }));
        }
        let annotations = self.entities.unwrap_or_default();
        let mut entities = Vec::with_capacity(annotations.len());
        if !annotations.is_empty() {
            let offsets = CharOffsets::new(&text);
            for annotation in annotations {
                entities.push(annotation.entity(&text, &offsets, &at)?);
            }
        }
        let written = self.intent.0.filter(|intent| !intent.trim().is_empty());
        let name = |written: String| {
            label::intent(&written).ok_or_else(|| ReadError::EmptyName { at: at.clone(), what: "intent" })
        };
        let intent = written.map(name).transpose()?;
        Ok(Ok(Utterance { text, intent, entities, source: at }))
    }
}

impl Annotation {
    fn entity(self, text: &str, offsets: &CharOffsets, at: &Source) -> Result<Entity, ReadError> {
        let span = offsets.to_bytes(self.start, self.end).filter(|span| !span.is_empty());
        let span = span.ok_or_else(|| ReadError::EntityOutsideText {
            at: at.clone(),
            start: self.start,
            end: self.end,
            len: text.chars().count(),
        })?;
        let entity = self.entity.0.as_deref().and_then(label::name);
        let entity = entity.ok_or_else(|| ReadError::EmptyName { at: at.clone(), what: "entity" })?;
        let value = self.value.filled().filter(|value| value != span.of(text));
        Ok(Entity { entity, span, value, role: self.role.filled(), group: self.group.filled() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_lines(text: &str) -> Result<TrainingData, ReadError> {
        let mut data = TrainingData::default();
        read(text, Path::new("d.jsonl"), &Limits::default(), &mut data).map(|()| data)
    }

    #[test]
    fn a_line_is_an_example_with_character_offsets() {
        let text = "\n{\"text\": \"über Köln\", \"intent\": \"go\", \"id\": 7, \"entities\": [{\"start\": 5, \
                    \"end\": 9, \"entity\": \"city\", \"value\": \"Cologne\", \"role\": \"to\", \"extra\": {}}]}\r\n\
                    {\"text\": \"x\", \"intent\": null}\n  \n{\"text\": \"y\", \"intent\": \" \"}";
        let data = read_lines(text).unwrap();
        let first = &data.utterances[0];
        assert_eq!(first.entities[0].surface(&first.text), "Köln");
        assert_eq!(first.entities[0].value.as_deref(), Some("Cologne"));
        assert_eq!(first.entities[0].role.as_deref(), Some("to"));
        assert_eq!(data.synonyms["köln"], "Cologne");
        assert_eq!(first.source.to_string(), "d.jsonl:2");
        assert_eq!(data.utterances[2].source.to_string(), "d.jsonl:5");
        assert!(data.utterances[1..].iter().all(|utterance| utterance.intent.is_none()));
    }

    #[test]
    fn a_value_equal_to_the_words_is_none() {
        let data = read_lines(
            r#"{"text": "5 to", "entities": [{"start": 0, "end": 1, "entity": "n", "value": 5, "role": ""}]}"#,
        );
        let data = data.unwrap();
        assert_eq!(data.utterances[0].entities[0], Entity::new("n", crate::text::Span::new(0, 1)));
        assert!(data.synonyms.is_empty());
    }

    #[test]
    fn numbers_and_truth_values_are_names_and_blank_texts_are_skipped() {
        let text = r#"{"text": "7", "intent": 7, "entities": [{"start": 0, "end": 1, "entity": true, "role": 1, "group": 2.0}]}
            {"text": "a", "intent": " faq / b "}
            {"text": "", "intent": "x"}
            {"text": null}
            {"text": " "}"#;
        let data = read_lines(text).unwrap();
        assert_eq!(data.intents().into_keys().collect::<Vec<_>>(), ["7", "faq/b"]);
        let entity = &data.utterances[0].entities[0];
        assert_eq!(
            (entity.entity.as_str(), entity.role.as_deref(), entity.group.as_deref()),
            ("true", Some("1"), Some("2.0"))
        );
        let lines: Vec<usize> = data.warnings.iter().map(|warning| warning.at().line).collect();
        assert_eq!((data.utterances[0].text.as_str(), lines), ("7", vec![3, 4, 5]));
    }

    #[test]
    fn bad_lines_are_named() {
        for (line, expected) in [
            (r#"{"text": "a", }"#, "d.jsonl:2: not a JSON example (column 15): trailing comma"),
            (r#"{"intent": "a"}"#, "missing field `text`"),
            (r#"{"text": 5}"#, "invalid type: integer `5`, expected a string"),
            (r#"{"text": "a", "intent": "/x"}"#, "name of this intent"),
            (r#"{"text": "a"} x"#, "trailing characters"),
            (r#"{"text": "a", "text": "b"}"#, "duplicate field `text`"),
            ("hello", "d.jsonl:2: not a JSON example (column 1)"),
            (
                r#"{"text": "é", "entities": [{"start": 0, "end": 2, "entity": "x"}]}"#,
                "entity 0..2 does not lie",
            ),
            (
                r#"{"text": "abc", "entities": [{"start": 2, "end": 2, "entity": "x"}]}"#,
                "text of 3 characters",
            ),
            (r#"{"text": "abc", "entities": [{"start": 2, "end": 1, "entity": "x"}]}"#, "entity 2..1"),
            (r#"{"text": "abc", "entities": [{"start": -1, "end": 1, "entity": "x"}]}"#, "integer `-1`"),
            (
                r#"{"text": "abc", "entities": [{"start": 0, "end": 1, "entity": " "}]}"#,
                "name of this entity",
            ),
        ] {
            let message = read_lines(&format!("{{\"text\": \"fine\"}}\n{line}\n")).unwrap_err().to_string();
            assert!(message.starts_with("d.jsonl:2: ") && message.contains(expected), "{line}: {message}");
        }
        assert!(matches!(read_lines(" \n\n"), Err(ReadError::Empty { .. })));
    }

    #[test]
    fn overlapping_annotations_leave_the_longest_and_a_warning() {
        let data = read_lines(
            r#"{"text": "New York", "entities": [{"start": 4, "end": 8, "entity": "b"}, {"start": 0, "end": 8, "entity": "a"}]}"#,
        )
        .unwrap();
        assert_eq!(data.utterances[0].entities.len(), 1);
        assert!(data.warnings[0].to_string().starts_with("d.jsonl:1: entity `b`"), "{}", data.warnings[0]);
    }

    #[test]
    fn recognised_by_its_first_line() {
        assert!(recognise("\n {\"text\": \"a\"}\nrubbish"));
        assert!(!recognise("{\n\"rasa_nlu_data\": {}}"));
        assert!(!recognise(r#"{"name": "package"}"#));
        assert!(!recognise(r#"["text"]"#));
        assert!(!recognise(""));
    }
}
