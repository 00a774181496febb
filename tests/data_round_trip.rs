//! Tests that what was written reads back the same, on random data and on real files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

use talkformer::data::*;
use talkformer::text::Span;

/// The data without the places, which writing changes.
type Plain = (
    Vec<(String, Option<String>, Vec<Entity>)>,
    std::collections::BTreeMap<String, String>,
    Vec<(String, String)>,
    Vec<(String, Vec<String>)>,
    std::collections::BTreeMap<String, Vec<serde_json::Value>>,
);

fn plain(data: TrainingData) -> Plain {
    let TrainingData { utterances, synonyms, regexes, lookups, responses, .. } = data;
    let utterances = utterances.into_iter().map(|one| (one.text, one.intent, one.entities)).collect();
    let regexes = regexes.into_iter().map(|regex| (regex.name, regex.pattern)).collect();
    let lookups = lookups.into_iter().map(|lookup| (lookup.name, lookup.elements)).collect();
    (utterances, synonyms, regexes, lookups, responses)
}

/// As YAML orders it: intents by their first example.
fn grouped(mut data: TrainingData) -> TrainingData {
    let mut first: HashMap<Option<String>, usize> = HashMap::new();
    for (place, utterance) in data.utterances.iter().enumerate() {
        first.entry(utterance.intent.clone()).or_insert(place);
    }
    data.utterances.sort_by_key(|utterance| first[&utterance.intent]);
    data
}

fn assert_yaml_round_trip(data: TrainingData) -> Result<(), TestCaseError> {
    let yaml = to_yaml(&data).map_err(|error| TestCaseError::reject(error.to_string()))?;
    let back = read_str(Format::RasaYaml, &yaml, "written");
    let back = back.map_err(|error| TestCaseError::fail(format!("{error}\n{yaml}")))?;
    let odd = back.warnings.iter().find(|warning| !matches!(warning, Warning::SynonymConflict { .. }));
    prop_assert_eq!(odd, None, "{}", yaml);
    prop_assert_eq!(plain(back), plain(grouped(data)), "{}", yaml);
    Ok(())
}

fn assert_jsonl_round_trip(utterances: Vec<Utterance>) -> Result<(), TestCaseError> {
    let data: TrainingData = utterances.into_iter().collect();
    let lines = to_jsonl(&data.utterances).unwrap();
    if data.utterances.is_empty() {
        return Ok(());
    }
    let back = read_str(Format::JsonLines, &lines, "written").unwrap();
    prop_assert_eq!(plain(back), plain(data), "{}", lines);
    Ok(())
}

/// Texts from tame to wild, without the brackets that only JSON Lines can hold.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zäß日 ,.?'-]{0,12}",
        2 => "[ \t\r\n:#\"'\\\\{}()>|%@&*!-]{0,8}[a-é👍]{0,3}[ \t\n\u{85}\u{2028}]{0,2}",
        1 => any::<String>().prop_map(|text| text.replace(['[', ']'], "_")),
    ]
}

/// A text that is not blank.
fn said() -> impl Strategy<Value = String> {
    text().prop_filter("an example has a text", |text| !text.trim().is_empty())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a-d]", 1 => "[a-cé][ \":#{}\\[\\]()|,-]{0,4}[a-cß]", 1 => "yes|null|5|1.50|~|-"]
}

fn extra() -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(0.3, "[ \"\\\\}\\]é\n]{0,3}[a-c][ \n}]?")
}

/// A place (as two borders between characters), a type, and extras.
type Mark = ((Index, Index), String, [Option<String>; 3]);

fn intent() -> impl Strategy<Value = String> {
    prop_oneof![3 => name(), 1 => "[a-b]/[a-c](/[a-c])?"]
}

fn utterance() -> impl Strategy<Value = Utterance> {
    let mark = (any::<(Index, Index)>(), name(), [extra(), extra(), extra()]);
    (said(), intent(), prop::collection::vec(mark, 0..4)).prop_map(
        |(text, intent, marks): (_, _, Vec<Mark>)| {
            let borders: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let border = |index: Index| *index.get(&borders);
            let entity = |((a, b), entity, [value, role, group]): Mark| {
                let (a, b) = (border(a), border(b));
                let span = Span::new(a.min(b), a.max(b));
                let value = value.filter(|value| value != span.of(&text));
                Entity { entity, span, value, role, group }
            };
            let entities = marks.into_iter().map(entity).filter(|entity| !entity.span.is_empty()).collect();
            Utterance { entities, ..Utterance::new(text.clone(), Some(&intent)) }
        },
    )
}

fn training_data() -> impl Strategy<Value = TrainingData> {
    let utterances = prop::collection::vec(utterance(), 0..8);
    let synonyms = prop::collection::vec((text(), name()), 0..4);
    let regexes = prop::collection::vec((name(), said()), 0..4);
    let lookups = prop::collection::vec((name(), prop::collection::vec(said(), 1..4)), 0..3);
    let responses = prop::collection::vec((intent(), prop::collection::vec(any::<String>(), 0..3)), 0..3);
    (utterances, synonyms, regexes, lookups, responses).prop_map(
        |(utterances, synonyms, regexes, lookups, responses)| {
            let mut data: TrainingData = utterances.into_iter().collect();
            let source = Source::default();
            for (variant, value) in synonyms {
                data.add_synonym(&variant, &value, &source);
            }
            let pattern = |(name, pattern)| Pattern { name, pattern, source: source.clone() };
            data.regexes = regexes.into_iter().map(pattern).collect();
            let lookup = |(name, elements)| Lookup { name, elements, source: source.clone() };
            data.lookups = lookups.into_iter().map(lookup).collect();
            let responses = responses.into_iter().filter(|(intent, _)| intent.contains('/'));
            let variants = |texts: Vec<String>| {
                texts.into_iter().map(|text| serde_json::json!({"text": text})).collect()
            };
            data.responses =
                responses.map(|(intent, texts)| (format!("utter_{intent}"), variants(texts))).collect();
            data
        },
    )
}

proptest! {
    #[test]
    fn random_data_survives_yaml(data in training_data()) {
        assert_yaml_round_trip(data)?;
    }

    #[test]
    fn random_data_survives_json_lines(
        utterances in prop::collection::vec(utterance(), 0..8), wild in prop::collection::vec(any::<String>(), 0..3),
    ) {
        let wild = wild.into_iter().filter(|text| !text.trim().is_empty());
        let wild = wild.map(|text| Utterance::new(text, None));
        assert_jsonl_round_trip(utterances.into_iter().chain(wild).collect())?;
    }

    #[test]
    fn both_formats_say_the_same(utterances in prop::collection::vec(utterance(), 1..8)) {
        let data: TrainingData = utterances.into_iter().collect();
        let yaml = to_yaml(&data).map_err(|error| TestCaseError::reject(error.to_string()))?;
        let lines = to_jsonl(&data.utterances).unwrap();
        let yaml_data = read_str(Format::RasaYaml, &yaml, "written").unwrap();
        let lines_data = read_str(Format::JsonLines, &lines, "written").unwrap();
        prop_assert_eq!(plain(yaml_data), plain(grouped(lines_data)), "{}\n{}", yaml, lines);
    }

    #[test]
    fn no_file_makes_a_reader_panic(text in "(nlu:|- intent: a|  examples: [|>]?|- |\n|\n {0,4}| |[a-z\\[\\](){}\"':&*#%é\u{feff}])*") {
        let _ = read_str(Format::RasaYaml, &text, "x");
        let _ = read_str(Format::JsonLines, &text, "x");
    }
}

/// The folder of shared data, where this checkout has one.
fn shared() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    if !folder.is_dir() {
        eprintln!("skipped: there is no {}", folder.display());
        return None;
    }
    Some(folder)
}

/// All files below a folder whose name ends with `ending`.
fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
}

#[test]
fn real_files_survive_both_formats() {
    let Some(shared) = shared() else { return };
    let mut paths = Vec::new();
    files(&shared.join("nlu"), ".yml", &mut paths);
    files(&shared.join("dialogue"), "nlu.yml", &mut paths);
    assert!(paths.len() > 30);
    for path in paths {
        let data = read(&path).unwrap();
        assert!(data.warnings.is_empty(), "{:?}", data.warnings);
        assert_jsonl_round_trip(data.utterances.clone()).unwrap();
        assert_yaml_round_trip(data).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn both_formats_of_a_real_set_say_the_same() {
    let Some(shared) = shared() else { return };
    let mut paths = Vec::new();
    files(&shared.join("nlu"), ".jsonl", &mut paths);
    for lines in paths {
        let (yaml, lines) = (read(lines.with_extension("yml")).unwrap(), read(&lines).unwrap());
        let sorted = |data: TrainingData| {
            let (mut utterances, synonyms, ..) = plain(data);
            utterances.sort();
            (utterances, synonyms)
        };
        assert_eq!(sorted(yaml), sorted(lines));
    }
}

#[test]
fn real_projects_have_the_entities_counted_elsewhere() {
    let Some(shared) = shared() else { return };
    let mut lists = Vec::new();
    files(&shared.join("dialogue"), "nlu_all.jsonl", &mut lists);
    assert!(lists.len() > 10);
    for list in lists {
        let mut project = TrainingData::default();
        let mut paths = Vec::new();
        files(list.parent().unwrap(), "nlu.yml", &mut paths);
        for path in paths {
            project.extend(read(&path).unwrap());
        }
        let lines = read(&list).unwrap();
        assert_eq!(project.utterances.len(), lines.utterances.len(), "{}", list.display());
        assert_eq!(project.entity_types(), lines.entity_types(), "{}", list.display());
        assert_eq!(project.roles(), lines.roles(), "{}", list.display());
    }
}

#[test]
fn files_wrong_on_purpose_are_answered_clearly() {
    let Some(shared) = shared() else { return };
    let rasa = shared.join("formats/rasa_3.6.13");
    let message = read(rasa.join("data/test/incorrect_nlu_format.yml")).unwrap_err().to_string();
    assert!(
        message.ends_with(
            "incorrect_nlu_format.yml:2: `nlu` is empty; it must be a list of items such as `- intent: greet`"
        ),
        "{message}"
    );
    let dashless = read(rasa.join("data/rasa_yaml_examples/nlu.yml")).unwrap();
    assert!(dashless.utterances.is_empty() && dashless.warnings.len() == 3, "{:?}", dashless.warnings);
    assert!(read(rasa.join("examples")).unwrap().utterances.len() > 800);
}
