//! A model learns and answers also on processors with fewer instructions.

mod common;

use common::{command, run, stderr, stdout, workplace};
use serde_json::Value;

const MESSAGES: [&str; 4] = ["take me to Prague please", "forget it", "many thanks", "x"];

fn answers(folder: &std::path::Path, instructions: &str) -> Vec<Value> {
    let mut parse = command(folder, &["parse", "--model", "model"]);
    let output = parse.args(MESSAGES).env("TALKFORMER_INSTRUCTIONS", instructions).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The answer without its confidences.
fn decision(answer: &Value) -> Vec<&Value> {
    let entities = answer["entities"].as_array().into_iter().flatten();
    let parts =
        entities.flat_map(|entity| ["entity", "start", "end", "role", "value"].map(|part| &entity[part]));
    [&answer["intent"]["name"]].into_iter().chain(parts).collect()
}

#[test]
fn fewer_instructions_give_the_same_answers() {
    let folder = workplace(true);
    let best = answers(folder.path(), "");
    for instructions in ["portable", "avx2", "avx512", "avx512_bf16"] {
        for (found, expected) in answers(folder.path(), instructions).iter().zip(&best) {
            assert_eq!(decision(found), decision(expected), "{instructions}");
            let confidence = |answer: &Value| answer["intent"]["confidence"].as_f64().unwrap();
            assert!((confidence(found) - confidence(expected)).abs() < 0.02, "{instructions}");
        }
    }
}

#[test]
fn a_model_is_learnt_without_any_special_instruction_and_with_more_threads_than_cores() {
    let folder = workplace(false);
    let arguments = ["train", "nlu", "--data", "nlu.yml", "--config", "config.yml", "--out", "model"];
    let mut train = command(folder.path(), &arguments);
    let train = train.args(["--threads", "9", "--precision", "bf16"]);
    let output = train.env("TALKFORMER_INSTRUCTIONS", "portable").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let test = run(folder.path(), &["test", "nlu", "--model", "model", "--data", "nlu.yml", "--json"]);
    let scores: Value = serde_json::from_str(&stdout(&test)).unwrap();
    assert_eq!(scores["intent"]["accuracy"], 1.0);
}

#[test]
fn ten_thousand_words_are_answered() {
    let folder = workplace(true);
    let long = "please cancel the taxi ".repeat(2500);
    std::fs::write(folder.path().join("long.txt"), format!("{long}\n\nforget it\n")).unwrap();
    let output = run(folder.path(), &["parse", "--model", "model", "--input", "long.txt"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[2]["intent"]["name"]), (3, &"cancel".into()));
}
