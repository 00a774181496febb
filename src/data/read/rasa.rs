//! Rasa's YAML: intents, synonyms, expressions and word lists below `nlu`, and the answers to retrieval intents below
//! `responses`, which may also stand in a domain.

use std::path::Path;

use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};
use serde_saphyr::Error as YamlError;

use super::annotation;
use super::rasa_document::{Document, Item, Node, Placed, Value};
use super::rasa_examples::Written;
use super::{Limits, ReadError};
use crate::data::warning::excerpt;
use crate::data::{Lookup, Pattern, Source, TrainingData, Utterance, Warning, label};

/// The latest version of the format, as (major, minor).
const LATEST: (u32, u32) = (3, 1);

/// What an item can be.
const HEADS: [&str; 4] = ["intent", "synonym", "regex", "lookup"];

/// Whether the file may hold `nlu` items, or responses to retrieval intents: a cheap look that spares parsing other
/// domains, and stories.
pub(super) fn recognise(text: &str) -> bool {
    let is_response =
        |line: &str| line.trim_start_matches([' ', '"', '\'']).starts_with("utter_") && line.contains('/');
    text.contains("nlu") || text.contains("responses") && text.lines().any(is_response)
}

/// Adds the items of a file to `data`.
pub(super) fn read(
    text: &str,
    path: &Path,
    limits: &Limits,
    data: &mut TrainingData,
) -> Result<(), ReadError> {
    let file = Source::new(path, 0);
    let top = serde_saphyr::from_str_with_options::<Node<IgnoredAny, Document>>(text, limits.options());
    let document = match top.map_err(|error| yaml_error(&error, &file))? {
        Node::Map(document) => document,
        Node::Null => return Err(ReadError::Empty { path: path.to_owned() }),
        other => return Err(ReadError::NoNlu { path: path.to_owned(), found: other.kind().to_owned() }),
    };
    FileReader { text, file, data }.document(document)
}

/// One file on its way into the data.
pub(super) struct FileReader<'a> {
    /// The whole file.
    pub(super) text: &'a str,
    /// Its path.
    pub(super) file: Source,
    /// Where the examples go.
    pub(super) data: &'a mut TrainingData,
}

impl FileReader<'_> {
    fn document(&mut self, document: Document) -> Result<(), ReadError> {
        self.responses(document.responses);
        let Some(nlu) = document.nlu else {
            let path = self.file.path.to_path_buf();
            return Err(ReadError::NoNlu { path, found: document.keys.join(", ") });
        };
        if let Some(version) = &document.version
            && !self.version_is_known(version)?
        {
            return Ok(());
        }
        let at = self.file.at(nlu.line);
        let Node::List(items) = nlu.value else {
            let expected = "a list of items such as `- intent: greet`";
            return Err(ReadError::WrongShape {
                at,
                what: "`nlu`".into(),
                found: nlu.value.kind(),
                expected,
            });
        };
        for item in items {
            let at = self.file.at(item.line);
            let Node::Map(entries) = item.value else {
                let (what, expected) = ("an item of `nlu`".into(), "a map such as `- intent: greet`");
                return Err(ReadError::WrongShape { at, what, found: item.value.kind(), expected });
            };
            self.item(entries, at)?;
        }
        Ok(())
    }

    /// Keeps the responses to retrieval intents; others are about dialogue.
    fn responses(&mut self, responses: Option<Json>) {
        let Some(Json::Object(all)) = responses else { return };
        for (name, variants) in
            all.into_iter().filter(|(name, _)| name.starts_with("utter_") && name.contains('/'))
        {
            let variants = match variants {
                Json::Array(variants) => variants,
                Json::Null => Vec::new(),
                one => vec![one],
            };
            // A text alone is short for `{"text": …}`.
            let whole =
                |variant| if let Json::Object(_) = variant { variant } else { json!({"text": variant}) };
            self.data.responses.insert(name, variants.into_iter().map(whole).collect());
        }
    }

    /// Whether the file is in a version we understand; a warning if not quite.
    fn version_is_known(&mut self, version: &Placed<Node>) -> Result<bool, ReadError> {
        let at = self.file.at(version.line);
        let Some(text) = self.scalar(version, "`version`")? else { return Ok(true) };
        let mut parts = text.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) if (major, minor) <= LATEST => return Ok(true),
            (Some(Ok(major)), None) if major <= LATEST.0 => return Ok(true),
            (Some(Ok(_)), None | Some(Ok(_))) => {
                self.data.warnings.push(Warning::NewerVersion { at, version: excerpt(&text) });
                return Ok(false);
            }
            _ => {}
        }
        self.data.warnings.push(Warning::OddVersion { at, version: excerpt(&text) });
        Ok(true)
    }

    fn item(&mut self, item: Item, at: Source) -> Result<(), ReadError> {
        let mut head: Option<(&'static str, Placed<Value>)> = None;
        let mut examples = None;
        for (key, value) in item.entries {
            let known = HEADS.into_iter().find(|head| *head == key.value);
            match (known, &head) {
                (Some(second), Some((first, _))) => {
                    return Err(ReadError::TwofoldItem { at: self.file.at(key.line), first, second });
                }
                (Some(known), None) => head = Some((known, value)),
                (None, _) if key.value == "examples" => examples = Some(value),
                (None, _) => {
                    return Err(ReadError::UnknownKey { at: self.file.at(key.line), key: key.value });
                }
            }
        }
        let Some((what, name)) = head else { return Err(ReadError::NamelessItem { at }) };
        let name = self.name(&name, what)?;
        let examples = match examples {
            Some(examples) => self.examples(examples, what, &name)?,
            None => Vec::new(),
        };
        if examples.is_empty() {
            self.data.warnings.push(Warning::NoExamples { at, item: format!("{what} `{name}`") });
            return Ok(());
        }
        match what {
            "intent" => return self.intent(&name, examples),
            "synonym" => self.synonym(&name, &examples),
            "regex" => self.regex(&name, examples),
            _ => self.data.lookups.push(Lookup {
                name,
                elements: examples.into_iter().map(|(_, element)| element).collect(),
                source: at,
            }),
        }
        Ok(())
    }

    /// The name of an item.
    fn name(&self, name: &Placed<Value>, what: &'static str) -> Result<String, ReadError> {
        let written = self.scalar(name, &format!("`{what}`"))?.unwrap_or_default();
        let found = if what == "intent" { label::intent(&written) } else { label::name(&written) };
        found.ok_or_else(|| ReadError::EmptyName { at: self.file.at(name.line), what })
    }

    fn intent(&mut self, intent: &str, examples: Vec<Written>) -> Result<(), ReadError> {
        self.data.utterances.reserve(examples.len());
        for (line, markup) in examples {
            let source = self.file.at(line);
            let (text, entities) = match annotation::parse(&markup) {
                Ok(parsed) => parsed,
                Err(problem) => return Err(ReadError::Annotation { at: source, problem }),
            };
            self.data.push(Utterance { text, intent: Some(intent.to_owned()), entities, source });
        }
        Ok(())
    }

    fn synonym(&mut self, value: &str, variants: &[Written]) {
        for (line, variant) in variants {
            self.data.add_synonym(variant, value, &self.file.at(*line));
        }
    }

    fn regex(&mut self, name: &str, patterns: Vec<Written>) {
        self.data.regexes.extend(patterns.into_iter().map(|(line, pattern)| Pattern {
            name: name.to_owned(),
            pattern,
            source: self.file.at(line),
        }));
    }

    /// A single value as the text it was written as; `None` for nothing.
    pub(super) fn scalar<L, M>(
        &self,
        node: &Placed<Node<L, M>>,
        what: &str,
    ) -> Result<Option<String>, ReadError> {
        match &node.value {
            Node::Null => Ok(None),
            Node::Text(text) => Ok(Some(text.clone())),
            Node::Plain => Ok(Some(node.raw(self.text).to_owned())),
            other => Err(ReadError::WrongShape {
                at: self.file.at(node.line),
                what: what.to_owned(),
                found: other.kind(),
                expected: "a text; put it in quotes if it begins with `[` or `{`",
            }),
        }
    }
}

/// The library's error in our words, with its place.
fn yaml_error(error: &YamlError, file: &Source) -> ReadError {
    let place = error.location();
    let line = place.and_then(|place| usize::try_from(place.line()).ok()).unwrap_or(0);
    let at = file.at(line);
    let message = error.to_string();
    let reason = message.split(" at line ").next().unwrap_or_default().to_owned();
    match error.without_snippet() {
        YamlError::MultipleDocuments { .. } => ReadError::SeveralDocuments { at },
        YamlError::DuplicateMappingKey { key, .. } => {
            ReadError::DuplicateKey { at, key: key.clone().unwrap_or_default() }
        }
        YamlError::Budget { .. } => ReadError::TooLarge { at, reason },
        _ => ReadError::Yaml { at, column: place.map_or(0, |place| place.column()), reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Format, read_str};

    fn data(text: &str) -> TrainingData {
        read_str(Format::RasaYaml, text, "nlu.yml").unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn each_kind_of_item_is_read() {
        let data = data(
            "version: 3.1\nresponses:\n  utter_x:\n  - text: hi\nnlu:\n- intent: ' book '\n  metadata: {a: [1]}\n  examples: |\n    \
             - a table in [Rome](city)\n    - [NYC](city:New York)\n- synonym: New York\n  examples: |\n    - Big Apple\n\
             - regex: zip\n  examples: |\n    - '[0-9]{5}'\n    - \\d\\d\n- lookup: fruit\n  examples: |\n    - apple [x](y)\n    - pear\n",
        );
        assert_eq!(data.intents().into_iter().collect::<Vec<_>>(), [("book", 2)]);
        assert_eq!(data.synonyms["nyc"], "New York");
        assert_eq!(data.synonyms["big apple"], "New York");
        let patterns: Vec<_> = data.regexes.iter().map(|regex| regex.pattern.as_str()).collect();
        assert_eq!(patterns, ["'[0-9]{5}'", "\\d\\d"]);
        assert_eq!(data.regexes[1].source.to_string(), "nlu.yml:17");
        assert_eq!(data.lookups[0].elements, ["apple [x](y)", "pear"]);
        assert_eq!(data.lookups[0].source.to_string(), "nlu.yml:18");
        assert!(data.warnings.is_empty(), "{:?}", data.warnings);
    }

    #[test]
    fn a_retrieval_intent_keeps_both_of_its_parts() {
        for (written, read) in
            [("faq/ask_name", "faq/ask_name"), ("' faq / ask '", "faq/ask"), ("A/B/C", "A/B/C")]
        {
            let data = data(&format!("nlu:\n- intent: {written}\n  examples: |\n    - who are you\n"));
            assert_eq!(data.utterances[0].intent.as_deref(), Some(read));
        }
    }

    #[test]
    fn responses_to_retrieval_intents_are_kept() {
        let responses = "responses:\n  utter_greet:\n  - text: Hi\n  utter_faq/ask/x:\n  - text: No\n  - text: no\n    image: i.png\n  utter_faq/b: Yes\n";
        let whole = data(&format!("{responses}nlu:\n- intent: faq/b\n  examples: |\n    - x\n"));
        assert_eq!(whole.responses.keys().collect::<Vec<_>>(), ["utter_faq/ask/x", "utter_faq/b"]);
        assert_eq!(whole.responses["utter_faq/ask/x"][1], json!({"text": "no", "image": "i.png"}));
        assert_eq!(whole.responses["utter_faq/b"], [json!({"text": "Yes"})]);
        assert!(recognise(responses) && !recognise("responses:\n  utter_x:\n  - text: a/b\n"));
    }

    #[test]
    fn names_are_texts_whatever_yaml_makes_of_them() {
        for (written, read) in [("7", "7"), ("no", "no"), ("True", "True"), ("1.50", "1.50"), ("' a '", "a")]
        {
            for what in ["regex", "lookup", "synonym", "intent"] {
                let data = data(&format!("nlu:\n- {what}: {written}\n  examples: |\n    - x\n"));
                let names =
                    data.regexes.iter().map(|one| &one.name).chain(data.lookups.iter().map(|one| &one.name));
                let mut names = names
                    .chain(data.synonyms.values())
                    .chain(data.utterances.iter().flat_map(|one| &one.intent));
                assert_eq!(names.next().map(String::as_str), Some(read), "{what}");
            }
        }
    }

    #[test]
    fn plain_values_are_texts() {
        let data = data(
            "nlu:\n- intent: yes\n  examples:\n  - text: no\n  - text: 007\n  - text: 1.50\n  - text: .inf\n  - text: 0x1F\n  - text: 99999999999999999999\n",
        );
        assert_eq!(data.utterances[0].intent.as_deref(), Some("yes"));
        let texts: Vec<_> = data.utterances.iter().map(|utterance| utterance.text.as_str()).collect();
        assert_eq!(texts, ["no", "007", "1.50", ".inf", "0x1F", "99999999999999999999"]);
    }

    #[test]
    fn versions_up_to_now_are_read_and_later_ones_left_out() {
        let with =
            |version: &str| data(&format!("version: {version}\nnlu:\n- intent: a\n  examples: |\n    - b\n"));
        for known in ["\"2.0\"", "3.1", "'3.0'", "3", "1.0", "null"] {
            let data = with(known);
            assert_eq!((data.utterances.len(), data.warnings.len()), (1, 0), "{known}");
        }
        for newer in ["\"4.0\"", "3.2", "\"3.10\"", "4"] {
            let data = with(newer);
            assert!(data.utterances.is_empty());
            let message = data.warnings[0].to_string();
            assert!(message.starts_with("nlu.yml:1: left out: format version"), "{message}");
        }
        let odd = with("latest");
        assert_eq!(odd.utterances.len(), 1);
        assert!(odd.warnings[0].to_string().contains("`latest` is no version"));
    }

    #[test]
    fn every_mistake_names_its_line_and_the_fix() {
        let good = "nlu:\n- intent: a\n  examples: |\n    - b\n";
        for (text, expected) in [
            ("", "nlu.yml: the file is empty"),
            ("# only a remark\n", "nlu.yml: the file is empty"),
            ("just text", "nlu.yml: no `nlu:` at the top (found: a text)"),
            ("- intent: a\n", "nlu.yml: no `nlu:` at the top (found: a list)"),
            ("version: 1\nstories: []\n", "(found: version, stories); list the examples below `nlu:`"),
            ("version: \"3.1\"\nnlu:\n", "nlu.yml:2: `nlu` is empty; it must be a list"),
            ("nlu:\n  intent: a\n", "nlu.yml:2: `nlu` is a map"),
            ("nlu: yes\n", "nlu.yml:1: `nlu` is a text"),
            ("nlu:\n- a\n", "nlu.yml:2: an item of `nlu` is a text; it must be a map such as"),
            (
                "nlu:\n- intent: a\n  example: |\n    - b\n",
                "nlu.yml:3: unknown key `example`; an item has one of",
            ),
            ("nlu:\n\n- examples: |\n    - b\n", "nlu.yml:3: this item has no `intent`"),
            ("nlu:\n- intent: a\n  regex: b\n", "nlu.yml:3: this item is both `intent` and `regex`"),
            ("nlu:\n- intent:\n  examples: |\n    - b\n", "nlu.yml:2: the name of this intent is empty"),
            ("nlu:\n- intent: /x\n", "nlu.yml:2: the name of this intent is empty"),
            ("nlu:\n- lookup: ' '\n", "nlu.yml:2: the name of this lookup is empty"),
            ("nlu:\n- intent: [a]\n", "nlu.yml:2: `intent` is a list; it must be a text"),
            ("nlu:\n- intent: a\n  intent: b\n", "nlu.yml:3: the key `intent` is there twice"),
            ("nlu: []\nnlu: []\n", "nlu.yml:2: the key `nlu` is there twice"),
            ("version: [1]\nnlu: []\n", "nlu.yml:1: `version` is a list"),
            ("nlu:\n- intent: a\n  examples: \"b\n", "nlu.yml:3: not valid YAML (column 13): unclosed quote"),
            ("nlu:\n\t- intent: a\n", "nlu.yml:2: not valid YAML (column 2): tabs"),
            ("nlu:\n- intent: a: b\n", "nlu.yml:2: not valid YAML"),
            (
                "nlu:\n- intent: *a\n",
                "nlu.yml:2: not valid YAML (column 11): alias references unknown anchor",
            ),
            ("nlu: []\n---\nnlu: []\n", "nlu.yml:3: a second document begins here"),
            (&format!("{good}    - [x](y\n"), "nlu.yml:5: the annotation of `x` is not closed"),
            (
                &format!("{good}    - [x]{{\"entity\": \"y\"\n"),
                "nlu.yml:5: the annotation of `x` is not closed",
            ),
        ] {
            let message = match read_str(Format::RasaYaml, text, "nlu.yml") {
                Ok(data) => panic!("{text} was read as {data:?}"),
                Err(error) => error.to_string(),
            };
            assert!(message.contains(expected) && message.starts_with("nlu.yml"), "{text}\n{message}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_aliases_do_not_explode() {
        let deep = format!("nlu:\n- intent: a\n  metadata: {}{}\n", "[".repeat(100), "]".repeat(100));
        let message = read_str(Format::RasaYaml, &deep, "x").unwrap_err().to_string();
        assert!(message.contains("over the limit"), "{message}");
        let level = |n: u32| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1);
        let bomb: String = std::iter::once("a0: &a0 [nlu]\n".to_owned()).chain((1..30).map(level)).collect();
        assert!(read_str(Format::RasaYaml, &bomb, "x").is_err());
    }

    #[test]
    fn an_alias_is_read_where_it_is_defined() {
        let data =
            data("nlu:\n- intent: a\n  examples: &e |\n    - one\n    - two\n- intent: b\n  examples: *e\n");
        assert_eq!(data.utterances.len(), 4);
        assert_eq!(data.utterances[3].source.to_string(), "nlu.yml:5");
    }
}
