//! Wrong input is an error that names file, line and the fix, or has a defined answer; never a panic.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{command, run, stderr, stdout, workplace};
use serde_json::Value;
use talkformer::prediction::Prediction;

/// Fails in the ordinary way: exit code 1 and one line that contains all of these.
fn assert_refused(output: &Output, parts: &[&str]) {
    let talk = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{talk}");
    let line = talk.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    assert!(parts.iter().all(|part| line.contains(part)), "expected {parts:?} in: {talk}");
    assert!(!talk.contains("panicked"), "{talk}");
}

/// Trains on this text as `file`; nothing may be left behind when it fails.
fn train(file: &str, text: &[u8]) -> Output {
    let folder = workplace(false);
    fs::write(folder.path().join(file), text).unwrap();
    let arguments =
        ["train", "nlu", "--data", file, "--config", "config.yml", "--epochs", "1", "--out", "model"];
    let output = run(folder.path(), &arguments);
    if !output.status.success() {
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(!left.iter().any(|name| name.to_string_lossy().contains("model")), "{left:?}");
    }
    output
}

fn nlu(items: &str) -> Vec<u8> {
    format!("version: \"3.1\"\nnlu:\n{items}").into_bytes()
}

#[test]
fn data_without_anything_to_learn() {
    assert_refused(&train("x.yml", b""), &["x.yml"]);
    assert_refused(&train("x.jsonl", b""), &["x.jsonl", "empty"]);
    assert_refused(
        &train("x.yml", &nlu("- lookup: city\n  examples: |\n    - Rome\n")),
        &["nothing to learn"],
    );
    let single = nlu("- intent: greet\n  examples: |\n    - hello\n    - good day\n");
    assert_refused(&train("x.yml", &single), &["nothing to learn", "`greet`", "at least two intents"]);
}

#[test]
fn a_single_intent_with_entities_learns_the_entities() {
    let text = nlu("- intent: go\n  examples: |\n    - to [Rome](city)\n    - to [Paris](city) now\n");
    assert!(train("x.yml", &text).status.success());
}

#[test]
fn a_task_that_is_switched_off_is_nothing_to_learn() {
    let folder = workplace(false);
    let data = "nlu:\n- intent: a\n  examples: |\n    - x\n- intent: b\n  examples: |\n    - y\n";
    fs::write(folder.path().join("x.yml"), data).unwrap();
    let config = common::CONFIG.replace("  epochs: 60", "  intent_classification: false");
    fs::write(folder.path().join("config.yml"), config).unwrap();
    let output = run(folder.path(), &["train", "nlu", "--data", "x.yml", "--config", "config.yml"]);
    assert_refused(&output, &["nothing to learn"]);
}

#[test]
fn sizes_beyond_reason_are_refused() {
    let folder = workplace(false);
    for (given, wrong) in [
        ("transformer_size: 32", "transformer_size: 0"),
        ("transformer_size: 32", "transformer_size: 4000000000"),
        ("learning_rate: 0.005", "learning_rate: 0"),
        ("batch_size: 8", "batch_size: 0"),
    ] {
        fs::write(folder.path().join("config.yml"), common::CONFIG.replace(given, wrong)).unwrap();
        let output = run(folder.path(), &["train", "nlu", "--data", "nlu.yml", "--config", "config.yml"]);
        assert_refused(&output, &["config.yml", given.split(':').next().unwrap()]);
    }
}

#[test]
fn odd_but_usable_data_is_warned_of_with_file_and_line() {
    let items = "- intent: a\n  examples: |\n    - same words\n    - more\n- intent: b\n  examples: |\n    - same words\n    - else\n- intent: empty\n  examples: |\n";
    let output = train("x.yml", &nlu(items));
    let talk = stderr(&output);
    assert!(output.status.success(), "{talk}");
    assert!(talk.contains("x.yml:5") && talk.contains("x.yml:9"), "both places of the same text: {talk}");
    assert!(talk.contains("empty"), "the intent without examples: {talk}");
}

#[test]
fn malformed_files_are_named_with_the_line() {
    let unclosed = nlu("- intent: a\n  examples: |\n    - fine\n    - to [Rome]{\"entity\": \"city\"\n");
    assert_refused(&train("x.yml", &unclosed), &["x.yml:6"]);
    assert_refused(&train("x.yml", b"nlu:\n- intent: [a\n"), &["x.yml:"]);
    assert_refused(
        &train("x.yml", b"nlu:\n- intent: a\n  examples: |\n    - caf\xe9\n"),
        &["x.yml:4", "UTF-8"],
    );
    assert_refused(&train("x.jsonl", b"{\"text\": \"a\", \"intent\": \"x\"}\n{\"text\": \n"), &["x.jsonl:2"]);
    let past =
        br#"{"text": "to Rome", "intent": "x", "entities": [{"start": 3, "end": 9, "entity": "city"}]}"#;
    assert_refused(&train("x.jsonl", past), &["x.jsonl:1"]);
    assert_refused(&train("x.txt", b"hello"), &["x.txt", "yml"]);
}

#[test]
fn overlapping_annotations_are_warned_of() {
    let line = r#"{"text": "to New York City", "intent": "x", "entities": [{"start": 3, "end": 11, "entity": "city"}, {"start": 7, "end": 16, "entity": "city"}]}"#;
    let text =
        format!("{line}\n{{\"text\": \"hi\", \"intent\": \"y\"}}\n{{\"text\": \"ho\", \"intent\": \"y\"}}\n");
    let output = train("x.jsonl", text.as_bytes());
    assert!(output.status.success() && stderr(&output).contains("x.jsonl:1"), "{}", stderr(&output));
}

#[test]
fn a_very_long_message_is_learnt_from() {
    let text = format!(
        "{{\"text\": \"{}\", \"intent\": \"x\"}}\n{{\"text\": \"hi\", \"intent\": \"y\"}}\n",
        "word ".repeat(200_000)
    );
    assert!(train("x.jsonl", text.as_bytes()).status.success());
}

#[test]
fn missing_files_and_wrong_configurations_are_named() {
    let folder = workplace(false);
    let run = |arguments: &[&str]| run(folder.path(), arguments);
    assert_refused(&run(&["train", "nlu", "--data", "none.yml"]), &["none.yml"]);
    assert_refused(&run(&["train", "nlu", "--data", "nlu.yml", "--config", "none.yml"]), &["none.yml"]);
    assert_refused(&run(&["train", "nlu", "--data", "nlu.yml", "--recipe", "best"]), &["`best`", "accurate"]);
    assert_refused(&run(&["parse", "--model", "none", "hi"]), &["none"]);
    assert_refused(&run(&["test", "nlu", "--model", ".", "--data", "nlu.yml"]), &["."]);
    fs::write(folder.path().join("odd.yml"), "pipeline:\n- name: BERTFeaturizer\n").unwrap();
    let output = run(&["train", "nlu", "--data", "nlu.yml", "--config", "odd.yml"]);
    assert_refused(&output, &["odd.yml", "BERTFeaturizer", "CountVectorsFeaturizer"]);
    assert_eq!(run(&["train", "nlu", "--epochs", "0"]).status.code(), Some(2));
}

#[test]
fn a_place_that_cannot_be_written_is_noticed_before_training() {
    let folder = workplace(false);
    fs::write(folder.path().join("file"), "").unwrap();
    for out in ["file", "file/model", "/proc/model"] {
        if out.starts_with("/proc") && !Path::new("/proc/self").exists() {
            continue;
        }
        let output = run(
            folder.path(),
            &["train", "nlu", "--data", "nlu.yml", "--config", "config.yml", "--out", out],
        );
        assert_refused(&output, &[out.trim_end_matches("/model")]);
        assert!(!stderr(&output).contains("epoch 1/"), "it was noticed only after training");
    }
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"");
}

#[test]
fn a_damaged_model_is_refused() {
    let folder = workplace(true);
    let model = folder.path().join("model");
    for name in ["config.json", "model.safetensors", "features.json", "labels.json", "examples.jsonl"] {
        let whole = fs::read(model.join(name)).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 4;
        for damaged in [&flipped[..], &whole[..whole.len() / 2], &[]] {
            fs::write(model.join(name), damaged).unwrap();
            assert_refused(&run(folder.path(), &["parse", "--model", "model", "hi"]), &[name]);
        }
        fs::remove_file(model.join(name)).unwrap();
        assert_refused(&run(folder.path(), &["parse", "--model", "model", "hi"]), &["model"]);
        fs::write(model.join(name), whole).unwrap();
    }
    assert!(run(folder.path(), &["parse", "--model", "model", "hi"]).status.success());
}

#[test]
fn a_line_that_cannot_be_read_is_answered_by_an_error_and_the_others_as_ever() {
    let folder = workplace(true);
    let long = "x".repeat((1 << 20) + 1);
    let text = [b"\xef\xbb\xbfthanks\r\n\nca\xe9\n", long.as_bytes(), b"\n\0\nforget it"].concat();
    fs::write(folder.path().join("in.txt"), text).unwrap();
    let parse = |arguments: &[&str], input: Stdio| {
        let mut command = command(folder.path(), &[&["parse", "--model", "model"], arguments].concat());
        command.stdin(input).output().unwrap()
    };
    let from_file = parse(&["--input", "in.txt"], Stdio::null());
    assert_refused(&from_file, &["in.txt:3", "UTF-8", "2 lines could not be read"]);
    let piped = parse(&[], fs::File::open(folder.path().join("in.txt")).unwrap().into());
    assert_refused(&piped, &["standard input:3"]);
    assert_eq!(stdout(&piped), stdout(&from_file));

    let answers: Vec<Value> =
        stdout(&piped).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<&str> = answers.iter().map(|answer| answer["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["thanks", "", "", "", "\0", "forget it"]);
    assert_eq!(answers[5]["intent"]["name"], "cancel");
    for (at, problem) in [(2, "UTF-8"), (3, "1048576 bytes")] {
        let error = &answers[at]["error"];
        assert_eq!(error["line"], at + 1);
        assert!(error["message"].as_str().unwrap().contains(problem), "{error}");
        // It reads as an answer, so that a program that knows nothing of errors does not fall over it.
        let answer: Prediction = serde_json::from_value(answers[at].clone()).unwrap();
        assert_eq!(answer, Prediction::default());
    }
    assert!([0, 1, 4, 5].iter().all(|at| answers[*at].get("error").is_none()));
    let suggested =
        run(folder.path(), &["data", "suggest", "--model", "model", "--input", "in.txt", "--json"]);
    assert_refused(&suggested, &["in.txt:3"]);
}
