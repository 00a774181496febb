//! The examples of an item in Rasa's YAML: a block of lines, or a list of maps.

use super::ReadError;
use super::rasa::FileReader;
use super::rasa_document::{Node, Placed, Value};
use crate::data::warning::excerpt;
use crate::data::{Source, Warning};

/// Characters around an example that do not belong to it.
const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// One example as written, with its line.
pub(super) type Written = (usize, String);

impl FileReader<'_> {
    /// The examples of an item, from a block of lines or a list of maps.
    pub(super) fn examples(
        &mut self,
        examples: Placed<Value>,
        what: &str,
        name: &str,
    ) -> Result<Vec<Written>, ReadError> {
        let line = examples.line;
        match &examples.value {
            Node::Null => return Ok(Vec::new()),
            Node::Text(text) => return Ok(self.block(text, examples.raw(self.text), line)),
            Node::Plain => {
                let raw = examples.raw(self.text);
                return Ok(self.block(raw, raw, line));
            }
            Node::List(_) | Node::Map(_) => {}
        }
        let wrong = |at: Source, what: String, found| ReadError::WrongShape {
            at,
            what,
            found,
            expected: "a block of lines `- …` behind `examples: |`, or a list of maps `- text: …`",
        };
        let Node::List(list) = examples.value else {
            return Err(wrong(self.file.at(line), format!("`examples` of {what} `{name}`"), "a map"));
        };
        let mut written = Vec::with_capacity(list.len());
        for element in list {
            let at = self.file.at(element.line);
            match element.value {
                Node::Map(example) => {
                    let Some(text) = example.text else {
                        return Err(wrong(
                            at,
                            format!("an example of {what} `{name}`"),
                            "a map without `text`",
                        ));
                    };
                    let (line, text) = (text.line, self.list_text(&text, what, name)?);
                    if text.trim().is_empty() {
                        self.data.warnings.push(Warning::EmptyExample { at: self.file.at(line) });
                    } else {
                        written.push((line, text));
                    }
                }
                Node::Null => self.data.warnings.push(Warning::EmptyExample { at }),
                Node::Text(_) | Node::Plain => {
                    return Err(wrong(at, format!("`examples` of {what} `{name}`"), "a list of plain texts"));
                }
                other @ Node::List(_) => {
                    return Err(wrong(at, format!("an example of {what} `{name}`"), other.kind()));
                }
            }
        }
        Ok(written)
    }

    /// The text of an example in list form, without the line break that ends a block.
    fn list_text(&self, text: &Placed<Node>, what: &str, name: &str) -> Result<String, ReadError> {
        let whole = self.scalar(text, &format!("the text of an example of {what} `{name}`"))?;
        let mut whole = whole.unwrap_or_default();
        if whole.ends_with('\n') {
            whole.pop();
        }
        Ok(whole)
    }

    /// The lines of a block, without their `-`.
    fn block(&mut self, text: &str, raw: &str, first_line: usize) -> Vec<Written> {
        let mut written = Vec::new();
        let mut places = LinePlaces::new(raw, first_line);
        for line in text.split('\n').map(|line| line.trim_matches(BLANKS)).filter(|line| !line.is_empty()) {
            let number = places.next(line);
            let at = || self.file.at(number);
            match line.strip_prefix('-').map(|example| example.trim_matches(BLANKS)) {
                Some("") => self.data.warnings.push(Warning::EmptyExample { at: at() }),
                Some(example) => written.push((number, example.to_owned())),
                None => self.data.warnings.push(Warning::LineSkipped { at: at(), text: excerpt(line) }),
            }
        }
        written
    }
}

/// Finds the lines of a block in the file, in one walk.
///
/// A literal block (`|`) has the same lines in the file as in its text, a folded one (`>`) joins some, a
/// quoted text may spell them differently. So each line is looked for where it could begin; once one is
/// not found, all further ones count as being where the block begins.
struct LinePlaces<'a> {
    rest: std::iter::Enumerate<std::str::Lines<'a>>,
    first: usize,
}

impl<'a> LinePlaces<'a> {
    fn new(raw: &'a str, first: usize) -> Self {
        Self { rest: raw.lines().enumerate(), first }
    }

    fn next(&mut self, line: &str) -> usize {
        let begins = |raw: &str| {
            let raw = raw.trim_matches(BLANKS);
            let unquoted = raw.trim_matches(['"', '\'']);
            raw == line || !unquoted.is_empty() && line.starts_with(unquoted)
        };
        self.rest.find(|(_, raw)| begins(raw)).map_or(self.first, |(index, _)| self.first + index)
    }
}

#[cfg(test)]
mod tests {
    use crate::data::{Format, TrainingData, read_str};

    fn data(examples: &str) -> TrainingData {
        let text = format!("nlu:\n- intent: x\n  examples: {examples}");
        read_str(Format::RasaYaml, &text, "nlu.yml").unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// Texts with their lines.
    fn shown(data: &TrainingData) -> Vec<(&str, usize)> {
        data.utterances.iter().map(|utterance| (utterance.text.as_str(), utterance.source.line)).collect()
    }

    #[test]
    fn lines_of_a_block_know_their_place() {
        for (block, expected) in [
            ("|\n    - a\n\n    -b\n      -  c \n", vec![("a", 4), ("b", 6), ("c", 7)]),
            ("|2-\n\n\n    - a\n    - b\n\n", vec![("a", 6), ("b", 7)]),
            ("|+ # remark\r\n    - a\r\n    - b\r\n\r\n", vec![("a", 4), ("b", 5)]),
            (
                "|\n    - # no remark\n    - - a\n    - a: b\n",
                vec![("# no remark", 4), ("- a", 5), ("a: b", 6)],
            ),
            (">\n    - a\n\n    - b\n", vec![("a", 4), ("b", 6)]),
            (">\n    - a\n      more\n    - b\n", vec![("a", 4), ("b", 6)]),
            ("\"- a\\n- b\"\n", vec![("a", 3), ("b", 3)]),
            ("\"- a\n\n    - b\"\n", vec![("a", 3), ("b", 5)]),
            ("'- a'\n", vec![("a", 3)]),
            ("|\n    - a\n    \"\n    - b\n", vec![("a", 4), ("b", 6)]),
            ("|\n    - same\n    - same\n", vec![("same", 4), ("same", 5)]),
        ] {
            let data = data(block);
            let shown: Vec<_> = shown(&data).into_iter().filter(|(text, _)| *text != "more").collect();
            assert_eq!(shown, expected, "{block:?}");
        }
    }

    #[test]
    fn a_list_of_maps_gives_whole_texts() {
        let data = data(
            "\n  - text: |\n      Hello,\n      I am [Ann](name)\n    metadata:\n      a: 1\n  - text: \" [x] \"\n  - {text: 'it''s'}\n  - text: - no mark\n"
                .replace("- no mark", "\"- kept\"")
                .as_str(),
        );
        assert_eq!(shown(&data), [("Hello,\nI am Ann", 5), (" [x] ", 9), ("it's", 10), ("- kept", 11)]);
    }

    #[test]
    fn odd_lines_are_skipped_with_a_warning() {
        let data = data("|\n    - a\n    b\n    -\n    - c\n");
        assert_eq!(shown(&data), [("a", 4), ("c", 7)]);
        let messages: Vec<_> = data.warnings.iter().map(ToString::to_string).collect();
        assert!(
            messages[0].starts_with("nlu.yml:5: skipped `b`, which does not begin with `-`"),
            "{messages:?}"
        );
        assert!(messages[1].starts_with("nlu.yml:6: skipped an empty example"), "{messages:?}");
    }

    #[test]
    fn examples_without_text_are_skipped_with_a_warning_in_either_form() {
        let data = data(
            "\n  - text: no\n  - text: off\n  - text: null\n  - text:\n  - text: \"\"\n  - text: ' '\n  - text: |\n\n  - text: yes\n",
        );
        assert_eq!(shown(&data), [("no", 4), ("off", 5), ("yes", 12)]);
        let lines: Vec<usize> = data.warnings.iter().map(|warning| warning.at().line).collect();
        assert_eq!(lines[..4], [6, 7, 8, 9], "{:?}", data.warnings);
        assert!(
            data.warnings.iter().all(|warning| matches!(warning, crate::data::Warning::EmptyExample { .. }))
        );
        assert_eq!(data.warnings.len(), 5);
    }

    #[test]
    fn items_without_examples_are_left_out_with_a_warning() {
        for examples in ["", "|\n", "[]", "''", "\n  -\n"] {
            let data = data(examples);
            let message = data.warnings.last().unwrap().to_string();
            assert!(data.utterances.is_empty());
            assert_eq!(
                message,
                "nlu.yml:2: intent `x` has no examples and was left out; add some below `examples: |`"
            );
        }
    }

    #[test]
    fn examples_of_the_wrong_shape_are_named() {
        for (examples, expected) in [
            (
                "\n  - a\n  - b\n",
                "nlu.yml:4: `examples` of intent `x` is a list of plain texts; it must be a block",
            ),
            ("\n  - text: a\n  - [b]\n", "nlu.yml:5: an example of intent `x` is a list"),
            ("\n  - txt: a\n", "nlu.yml:4: an example of intent `x` is a map without `text`"),
            ("\n    text: a\n", "nlu.yml:4: `examples` of intent `x` is a map"),
            (
                "\n  - text: [a]\n",
                "nlu.yml:4: the text of an example of intent `x` is a list; it must be a text; put",
            ),
            ("\n  - text: [Rome](city)\n", "nlu.yml:4: not valid YAML"),
        ] {
            let text = format!("nlu:\n- intent: x\n  examples: {examples}");
            let message = read_str(Format::RasaYaml, &text, "nlu.yml").unwrap_err().to_string();
            assert!(message.starts_with(expected), "{text}\n{message}");
        }
    }

    #[test]
    fn a_message_of_a_megabyte_loads() {
        let long = "word [Rome](city) ".repeat(60_000);
        for examples in [format!("|\n    - {long}\n"), format!("\n  - text: \"{long}\"\n")] {
            assert_eq!(data(&examples).utterances[0].entities.len(), 60_000);
        }
    }
}
