//! What models say about data: labels that were swapped on purpose are found, and what to annotate next.

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{run, stderr, stdout, workplace};
use serde_json::Value;
use talkformer::data::{Format, TrainingData, read_str};
use talkformer::pipeline::{CrossValidation, IntentDoubt, TrainingOptions, review};

const CONFERENCE: &str = include_str!("../examples/conference/train.yml");
const INTENTS: [&str; 6] =
    ["find_talk", "ask_food", "ask_wifi", "add_to_agenda", "report_lost_item", "book_meeting_room"];

/// Some intents of the conference data, every twentieth example under the name of the next intent.
fn with_swapped_labels() -> (TrainingData, BTreeSet<String>) {
    let mut data = read_str(Format::RasaYaml, CONFERENCE, "train.yml").unwrap();
    data.utterances.retain(|one| INTENTS.contains(&one.intent.as_deref().unwrap_or_default()));
    let mut swapped = BTreeSet::new();
    for utterance in data.utterances.iter_mut().step_by(20) {
        let own = INTENTS.iter().position(|name| Some(*name) == utterance.intent.as_deref()).unwrap();
        utterance.intent = Some(INTENTS[(own + 1) % INTENTS.len()].to_owned());
        swapped.insert(utterance.text.clone());
    }
    (data, swapped)
}

#[test]
fn swapped_labels_come_first() {
    let (data, swapped) = with_swapped_labels();
    assert!(swapped.len() > 8, "{} of {}", swapped.len(), data.utterances.len());
    let mut config = common::config();
    // Confidences that say something, as in the default recipe.
    config.change_diet(|diet| {
        (diet.training.epochs, diet.intents.ranking_length, diet.similarity.negatives) = (20, 0, 0);
        (diet.similarity.label_smoothing, diet.intents.linear_path) = (0.1, true);
    });
    let options = TrainingOptions::default().threads(1);
    let cut = CrossValidation::default().folds(3).seed(1);
    let answers = cut.run(&config, &data, &options, |_, _| {}).unwrap();
    let review = review(&data.utterances, &answers.predictions);
    let is_swapped = |doubt: &&IntentDoubt<'_>| swapped.contains(&doubt.utterance.text);
    // By chance one in twenty would be; some are too hard for so small a model, but the surest doubts are right.
    let surest = review.intents.iter().take(5).filter(is_swapped).count();
    let (found, others): (Vec<_>, Vec<_>) = review.intents.iter().take(swapped.len()).partition(is_swapped);
    let told = |doubt: &IntentDoubt<'_>| {
        format!("{}: {} → {}, {:.2}", doubt.utterance.text, doubt.given, doubt.suggested, doubt.margin())
    };
    assert!(
        surest >= 4 && found.len() * 2 > swapped.len(),
        "{surest} of the surest five, {} of {} first; beside them {:#?}",
        found.len(),
        swapped.len(),
        others.into_iter().map(told).collect::<Vec<_>>()
    );
    // The suggestion is the intent it had before.
    let undone = found.iter().filter(|doubt| {
        let own = INTENTS.iter().position(|name| *name == doubt.given).unwrap();
        doubt.suggested == INTENTS[(own + INTENTS.len() - 1) % INTENTS.len()]
    });
    assert!(undone.count() * 10 >= found.len() * 9);
}

#[test]
fn a_review_names_places_and_gives_the_same_to_programs() {
    let folder = workplace(false);
    // A thank-you among the cancellations, and an annotation that was forgotten.
    let wrong = common::DATA.replace("    - forget it\n", "    - forget it\n    - thank you a lot\n");
    let wrong =
        wrong.replace("    - please cancel", "    - a ride from Vienna to Prague\n    - please cancel");
    fs::write(folder.path().join("nlu.yml"), wrong).unwrap();
    let arguments =
        ["data", "review", "--data", "nlu.yml", "--config", "config.yml", "--folds", "3", "--most", "3"];
    let output = run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let table = stdout(&output);
    assert!(
        table.contains("nlu.yml:18: thank you a lot") || table.contains("nlu.yml:19: thank you a lot"),
        "{table}"
    );
    assert!(table.contains("is `cancel` (") && table.contains("looks like `thank` ("), "{table}");
    assert!(table.contains("`cancel` are taken for `thank`"), "{table}");

    let output = run(folder.path(), &[&arguments[..], &["--json"]].concat());
    let review: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(review["examples"], 16);
    let doubts = review["intents"].as_array().unwrap();
    assert!(doubts.len() <= 3 && doubts.len() as u64 <= review["mislabelled"].as_u64().unwrap());
    let doubt = doubts.iter().find(|doubt| doubt["text"] == "thank you a lot").unwrap();
    assert_eq!((&doubt["suggested"]["name"], &doubt["file"]), (&"thank".into(), &"nlu.yml".into()));
    assert!(review["confused"][0][0]["examples"].as_array().is_some_and(|examples| !examples.is_empty()));
    assert!(review["entities"].is_array());
}

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
