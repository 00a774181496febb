//! What models say about data: what to annotate next.

mod common;

use std::fs;

use common::{run, stderr, stdout, workplace};
use serde_json::Value;
use talkformer::data::{Format, read_str};

#[test]
fn suggestions_are_new_lines_that_can_be_learnt_from() {
    let folder = workplace(true);
    let lines = "\u{feff}thank you\n\n  \ntaxi or cancel, please?\r\nTaxi or cancel please\n\
                 from Vienna to Zürich thanks\nthank you\n";
    fs::write(folder.path().join("in.txt"), lines).unwrap();
    let arguments = ["data", "suggest", "--model", "model", "--input", "in.txt"];
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("of 4 different messages"), "{}", stderr(&output));
    let table = stdout(&output);
    assert_eq!(
        table.lines().filter(|line| line.to_lowercase().contains("taxi or cancel")).count(),
        1,
        "{table}"
    );

    let output = run(folder.path(), &[&arguments[..], &["--json", "--most", "2"]].concat());
    let json = stdout(&output);
    let found: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|one| [4, 5, 6].contains(&one["line"].as_u64().unwrap())), "{json}");
    assert!(
        found.iter().all(|one| one["guesses"].as_array().unwrap().len() == 2 && one["unsure"].is_string())
    );
    // What was printed is read as data, entities included.
    let data = read_str(Format::JsonLines, &json, "to-correct.jsonl").unwrap();
    assert_eq!(data.utterances.len(), 2);
    assert_eq!(data.utterances[0].intent.as_deref(), found[0]["guesses"][0]["name"].as_str());
    let entities = |one: &Value| one["entities"].as_array().unwrap().len();
    assert!(data.utterances.iter().zip(&found).all(|(one, line)| one.entities.len() == entities(line)));
}

#[test]
fn lines_that_are_not_text_are_named() {
    let folder = workplace(true);
    fs::write(folder.path().join("in.txt"), b"hello\n\xff\n").unwrap();
    let output = run(folder.path(), &["data", "suggest", "--model", "model", "--input", "in.txt"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("in.txt:2: not valid UTF-8"), "{}", stderr(&output));
    let output = run(folder.path(), &["data", "suggest", "--model", "model", "--input", "none.txt"]);
    assert!(stderr(&output).contains("none.txt: cannot be opened"), "{}", stderr(&output));
}
