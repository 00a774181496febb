//! Rasa's YAML: examples by intent, then synonyms, expressions and word lists.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

use serde::Serialize;

use super::WriteError;
use super::jsonl::{outside, text};
use super::yaml_text::{fits_a_line, quoted, scalar};
use crate::data::read::annotation;
use crate::data::warning::excerpt;
use crate::data::{Entity, Lookup, Pattern, Source, TrainingData, Utterance, label};
use crate::text::lower_case;

/// Writes training data as Rasa 3.1 YAML, see [`to_yaml`].
///
/// # Errors
///
/// As [`to_yaml`], and when the destination refuses.
pub fn write_yaml(data: &TrainingData, mut out: impl Write) -> Result<(), WriteError> {
    write!(out, "version: \"3.1\"\n\nnlu:")?;
    let says = |text: &&String| !text.trim().is_empty();
    let regexes: Vec<&Pattern> = data.regexes.iter().filter(|regex| says(&&regex.pattern)).collect();
    let elements =
        |lookup: &'_ Lookup| -> Vec<String> { lookup.elements.iter().filter(says).cloned().collect() };
    let lookups = data.lookups.iter().map(|lookup| (lookup, elements(lookup)));
    let lookups: Vec<_> = lookups.filter(|(_, elements)| !elements.is_empty()).collect();
    let empty =
        data.utterances.is_empty() && data.synonyms.is_empty() && regexes.is_empty() && lookups.is_empty();
    out.write_all(if empty { b" []\n" } else { b"\n" })?;
    for (intent, utterances) in by_intent(&data.utterances)? {
        let examples = utterances.into_iter().map(markup).collect::<Result<Vec<_>, _>>()?;
        write_item(&mut out, "intent", intent, &examples)?;
    }
    for (value, variants) in by_value(&data.synonyms)? {
        write_item(&mut out, "synonym", value, &variants)?;
    }
    for patterns in regexes.chunk_by(|a, b| a.name == b.name) {
        check_name("regex", &patterns[0].name, &patterns[0].source)?;
        let examples: Vec<&str> = patterns.iter().map(|pattern| pattern.pattern.as_str()).collect();
        write_item(&mut out, "regex", &patterns[0].name, &examples)?;
    }
    for (lookup, elements) in lookups {
        check_name("lookup", &lookup.name, &lookup.source)?;
        write_item(&mut out, "lookup", &lookup.name, &elements)?;
    }
    if !data.responses.is_empty() {
        writeln!(out, "\nresponses:")?;
    }
    for (name, variants) in &data.responses {
        // What is JSON is YAML as well.
        writeln!(out, "  {}: {}", quoted(name), json(variants))?;
    }
    Ok(out.flush()?)
}

/// Training data as Rasa 3.1 YAML.
///
/// Examples are grouped by intent, intents in order of their first example; within an intent the order
/// stays. Texts that do not fit on a line of a block (line breaks, blanks at the ends) put their whole
/// item into the form of a list of maps. Expressions and elements of word lists
/// that are blank are left out, and so is a list without elements.
///
/// # Errors
///
/// [`WriteError`] names an example that Rasa's format cannot hold: one without intent, or with text like
/// `[x](y)` that would be read as an annotation and cannot be escaped, or without text.
///
/// # Example
///
/// ```
/// use talkformer::data::{TrainingData, Utterance, to_yaml};
///
/// let mut data = TrainingData::default();
/// data.push(Utterance::new("hello", Some("greet")));
/// assert_eq!(
///     to_yaml(&data)?,
///     "version: \"3.1\"\n\nnlu:\n- intent: greet\n  examples: |\n    - hello\n"
/// );
/// # Ok::<(), talkformer::data::WriteError>(())
/// ```
#[expect(clippy::missing_panics_doc, reason = "only whole strings are written")]
pub fn to_yaml(data: &TrainingData) -> Result<String, WriteError> {
    let mut bytes = Vec::new();
    write_yaml(data, &mut bytes)?;
    Ok(String::from_utf8(bytes).expect("only whole strings were written"))
}

/// The examples of each intent, intents in order of their first example.
fn by_intent(utterances: &[Utterance]) -> Result<Vec<(&str, Vec<&Utterance>)>, WriteError> {
    let mut groups: Vec<(&str, Vec<&Utterance>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for utterance in utterances {
        let at = || utterance.source.clone();
        let Some(intent) = utterance.intent.as_deref() else {
            return Err(WriteError::NoIntent { at: at(), text: excerpt(&utterance.text) });
        };
        let place = *places.entry(intent).or_insert(groups.len());
        if place == groups.len() {
            check_name("intent", intent, &utterance.source)?;
            groups.push((intent, Vec::new()));
        }
        groups[place].1.push(utterance);
    }
    Ok(groups)
}

/// The variants of each value. One that equals its value gets a capital: it stands for such spellings, as
/// a variant in the value's own would say nothing.
fn by_value(synonyms: &BTreeMap<String, String>) -> Result<BTreeMap<&str, Vec<String>>, WriteError> {
    let mut variants: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (variant, value) in synonyms {
        check_name("synonym", value, &Source::default())?;
        let variant = if variant == value { with_a_capital(variant) } else { variant.clone() };
        variants.entry(value).or_default().push(variant);
    }
    Ok(variants)
}

/// A text in lower case with one capital that leads back to it, as that of `ß` would not.
fn with_a_capital(text: &str) -> String {
    let capital = |(at, c): (usize, char)| {
        let (before, behind) = (&text[..at], &text[at + c.len_utf8()..]);
        let spelled = format!("{before}{}{behind}", c.to_uppercase());
        (spelled != text && lower_case(&spelled) == text).then_some(spelled)
    };
    text.char_indices().find_map(capital).unwrap_or_else(|| text.to_uppercase())
}

/// Refuses a name that the reader would change.
fn check_name(what: &'static str, name: &str, at: &Source) -> Result<(), WriteError> {
    let read = if what == "intent" { label::intent(name) } else { label::name(name) };
    if read.as_deref() != Some(name) {
        return Err(WriteError::Name { at: at.clone(), what, name: excerpt(name) });
    }
    Ok(())
}

fn write_item(
    out: &mut impl Write,
    what: &str,
    name: &str,
    examples: &[impl AsRef<str>],
) -> Result<(), WriteError> {
    writeln!(out, "- {what}: {}", scalar(name))?;
    if examples.iter().all(|example| fits_a_line(example.as_ref())) {
        writeln!(out, "  examples: |")?;
        for example in examples {
            writeln!(out, "    - {}", example.as_ref())?;
        }
        return Ok(());
    }
    writeln!(out, "  examples:")?;
    for example in examples {
        let example = example.as_ref();
        // The reader takes one line break off the end, since a block would add one.
        let ending = if example.ends_with('\n') { "\n" } else { "" };
        writeln!(out, "  - text: {}", quoted(&format!("{example}{ending}")))?;
    }
    Ok(())
}

/// What an annotation in braces says.
#[derive(Serialize)]
struct Attributes<'a> {
    entity: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    fn of(entity: &'a Entity) -> Self {
        let Entity { entity, value, role, group, .. } = entity;
        Self { entity, role: role.as_deref(), group: group.as_deref(), value: value.as_deref() }
    }
}

/// The text of an utterance with its annotations, checked to read back the same.
fn markup(utterance: &Utterance) -> Result<String, WriteError> {
    let text = text(utterance)?;
    if utterance.entities.is_empty() && !text.contains(']') {
        return Ok(text.to_owned());
    }
    let mut markup = String::with_capacity(text.len() + 32 * utterance.entities.len());
    let mut copied = 0;
    for same in utterance.entities.chunk_by(|a, b| a.span == b.span) {
        let span = same[0].span;
        let parts = text.get(copied..span.start).zip(text.get(span.start..span.end));
        let (before, surface) = parts.ok_or_else(|| outside(&same[0], utterance))?;
        markup.extend([before, "[", surface, "]"]);
        markup.push_str(&attributes(same));
        copied = span.end;
    }
    markup.push_str(&text[copied..]);
    match annotation::parse(&markup) {
        Ok((read, entities)) if read == text && entities == utterance.entities => Ok(markup),
        _ => Err(WriteError::Brackets { at: utterance.source.clone(), text: excerpt(text) }),
    }
}

/// What follows the annotated words: the short form where it says everything.
fn attributes(same: &[Entity]) -> String {
    match same {
        [Entity { entity, value: None, role: None, group: None, .. }]
            if !entity.contains([':', '(', ')', '[', ']']) =>
        {
            format!("({entity})")
        }
        [one] => json(&Attributes::of(one)),
        all => json(&all.iter().map(Attributes::of).collect::<Vec<_>>()),
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts always make JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Format, read_str};
    use crate::text::Span;

    fn data(utterances: Vec<Utterance>) -> TrainingData {
        TrainingData { utterances, ..TrainingData::default() }
    }

    fn annotated(text: &str, entities: Vec<Entity>) -> Utterance {
        Utterance { entities, ..Utterance::new(text, Some("x")) }
    }

    fn refused(utterance: Utterance) -> String {
        to_yaml(&data(vec![utterance])).unwrap_err().to_string()
    }

    #[test]
    fn each_annotation_takes_its_simplest_form() {
        let city = Entity::new("city", Span::new(3, 7));
        let with_role = Entity { role: Some("to".into()), ..city.clone() };
        let with_value = Entity { value: Some("Roma \"}".into()), ..city.clone() };
        let odd = Entity::new("a:b", Span::new(3, 7));
        for (entities, expected) in [
            (vec![city.clone()], "to [Rome](city)"),
            (vec![with_role.clone()], r#"to [Rome]{"entity":"city","role":"to"}"#),
            (vec![with_value], r#"to [Rome]{"entity":"city","value":"Roma \"}"}"#),
            (vec![odd], r#"to [Rome]{"entity":"a:b"}"#),
            (vec![city, with_role], r#"to [Rome][{"entity":"city"},{"entity":"city","role":"to"}]"#),
        ] {
            assert_eq!(markup(&annotated("to Rome", entities)).unwrap(), expected);
        }
    }

    #[test]
    fn difficult_texts_take_the_list_form_and_come_back() {
        for text in
            ["a\nb", "a\n", "\na\n\n", " a", "a ", "- a", "-", "a\u{85}", "a\r\nb", "tab\t", "[b] [", "{}"]
        {
            let data = data(vec![Utterance::new("easy", Some("x")), Utterance::new(text, Some("x"))]);
            let yaml = to_yaml(&data).unwrap();
            let back = read_str(Format::RasaYaml, &yaml, "x").unwrap();
            assert_eq!(back.utterances[1].text, text, "{yaml}");
        }
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused_by_name() {
        assert!(refused(Utterance::new("see [x](y)", Some("x"))).contains("`see [x](y)` has brackets"));
        assert!(refused(Utterance::new("[x]{", Some("x"))).contains("has brackets"));
        assert!(refused(annotated("a]b", vec![Entity::new("t", Span::new(0, 3))])).contains("has brackets"));
        assert!(refused(Utterance::new("a", None)).contains("`a` has no intent"));
        assert!(refused(Utterance::new("a", Some("faq /ask"))).contains("intent name `faq /ask`"));
        assert!(refused(Utterance::new(" ", Some("x"))).contains("has no text"));
        assert!(refused(Utterance::new("a", Some(" "))).contains("intent name ` `"));
        assert!(refused(Utterance::new("a", Some("b "))).contains("intent name `b `"));
        let twice = vec![Entity::new("t", Span::new(0, 2)), Entity::new("u", Span::new(1, 3))];
        assert!(refused(annotated("abc", twice)).contains("entity `u` at bytes 1..3"));
        assert!(refused(annotated("é", vec![Entity::new("t", Span::new(1, 2))])).contains("does not lie"));
    }

    #[test]
    fn a_synonym_of_itself_in_another_case_comes_back() {
        for value in ["straße", "ßa", "οδος"] {
            let mut data = TrainingData::default();
            data.add_synonym(&with_a_capital(value), value, &Source::default());
            assert_eq!(data.synonyms[value], value);
            let yaml = to_yaml(&data).unwrap();
            assert_eq!(read_str(Format::RasaYaml, &yaml, "x").unwrap().synonyms, data.synonyms, "{yaml}");
        }
    }

    #[test]
    fn nothing_at_all_is_an_empty_list() {
        assert_eq!(to_yaml(&TrainingData::default()).unwrap(), "version: \"3.1\"\n\nnlu: []\n");
    }
}
