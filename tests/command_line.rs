//! What the program promises to people and to other programs.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use common::{command, run, stderr, stdout, workplace};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn from_a_training_file_to_scores_and_answers() {
    let folder = workplace(false);
    let run = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        output
    };
    let output =
        run(&["train", "nlu", "--data", "nlu.yml", "--config", "config.yml", "--out", "models", "--json"]);
    let events: Vec<Value> = stdout(&output).lines().map(json).collect();
    let count = |kind: &str| events.iter().filter(|event| event["event"] == kind).count();
    assert_eq!((count("started"), count("epoch"), count("saved")), (1, 60, 1));
    let card = fs::read_to_string(folder.path().join("models/README.md")).unwrap();
    assert!(
        card.contains("talkformer train nlu") && card.contains("not what to expect of new messages"),
        "{card}"
    );

    let scores = json(&stdout(&run(&["test", "nlu", "--model", "models", "--data", "nlu.yml", "--json"])));
    assert_eq!(scores["messages"], 14);
    for path in ["/intent/accuracy", "/intent/macro_f1", "/intent/weighted_f1"] {
        assert_eq!(scores.pointer(path), Some(&Value::from(1.0)), "{path}");
    }
    for rule in ["exact_span", "overlap"] {
        for part in ["precision", "recall", "f1"] {
            assert_eq!(scores["entity"][rule][part], 1.0, "{rule} {part}");
        }
    }
    let table = stdout(&run(&["test", "nlu", "--model", "models", "--data", "nlu.yml"]));
    assert!(
        table.contains("exact span") && table.contains("overlap") && table.contains("100.00 %"),
        "{table}"
    );

    let answer = json(&stdout(&run(&["parse", "--model", "models", "take me to Prague please"])));
    assert_eq!(answer["intent"]["name"], "order_ride");
    let entity = &answer["entities"][0];
    assert_eq!((&entity["start"], &entity["end"]), (&Value::from(11), &Value::from(17)));
    assert_eq!((&entity["role"], &entity["extractor"]), (&"to".into(), &"DIETClassifier".into()));
    assert_eq!(answer["text_tokens"][3], serde_json::json!([11, 17]));
    assert_eq!(answer["intent_ranking"][0], answer["intent"]);

    let why = json(&stdout(&run(&["parse", "--model", "models", "--explain", "take me to Prague please"])));
    assert_eq!((&why["intent"], &why["entities"]), (&answer["intent"], &answer["entities"]));
    let why = &why["explanation"];
    let said = why["evidence"].as_array().unwrap();
    let weight = |one: &Value| one["weight"].as_f64().unwrap();
    assert_eq!((&why["intent"], said.len()), (&answer["intent"], 5));
    assert_eq!(why["next"], answer["intent_ranking"][1]);
    let confidence = |of: &Value| of["confidence"].as_f64().unwrap();
    let margin = (confidence(&why["intent"]) / confidence(&why["next"])).ln();
    assert!((why["margin"].as_f64().unwrap() - margin).abs() < 1e-4, "{why}");
    assert!(said.windows(2).all(|pair| weight(&pair[0]) >= weight(&pair[1])), "{why}");
    // No example has this word.
    assert_ne!(said[0]["text"], "please");
    let blank = json(&stdout(&run(&["parse", "--model", "models", "--explain", " "])));
    assert!(blank.get("explanation").is_none(), "{blank}");

    let stats = json(&stdout(&run(&["data", "stats", "--data", "nlu.yml", "--json"])));
    assert_eq!((&stats["examples"], &stats["roles"]["to"]), (&Value::from(14), &Value::from(5)));
}

#[test]
fn a_folder_of_models_holds_them_all_and_the_newest_answers() {
    let folder = workplace(false);
    fs::create_dir(folder.path().join("models")).unwrap();
    for _ in 0..2 {
        let arguments = [
            "train", "nlu", "--data", "nlu.yml", "--config", "config.yml", "--epochs", "1", "--out", "models",
        ];
        assert!(run(folder.path(), &arguments).status.success());
    }
    assert_eq!(fs::read_dir(folder.path().join("models")).unwrap().count(), 2);
    assert!(run(folder.path(), &["parse", "--model", "models", "hi"]).status.success());
}

#[test]
fn each_line_is_answered_by_one_line_and_at_once() {
    let folder = workplace(true);
    let mut child = command(folder.path(), &["parse", "--model", "model"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for text in ["cancel my ride", "", "cheers 🎉\r"] {
        writeln!(input, "{text}").unwrap();
        input.flush().unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap(); // hangs if lines are held back
        assert_eq!(json(&line)["text"], text.trim_end());
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    let blank = json(&stdout(&run(folder.path(), &["parse", "--model", "model", ""])));
    assert_eq!((&blank["intent"]["name"], &blank["intent"]["confidence"]), (&Value::Null, &Value::from(0.0)));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = workplace(true);
    let lines = "cancel my ride\n".repeat(20_000);
    fs::write(folder.path().join("in.txt"), lines).unwrap();
    let mut child = command(folder.path(), &["parse", "--model", "model", "--input", "in.txt"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", stderr(&output));
}

#[test]
fn a_reader_of_events_who_goes_away_does_not_cost_the_model() {
    let folder = workplace(false);
    let arguments = [
        "train", "nlu", "--data", "nlu.yml", "--config", "config.yml", "--epochs", "400", "--out", "model",
        "--json",
    ];
    let mut child =
        command(folder.path(), &arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(run(folder.path(), &["parse", "--model", "model", "hi"]).status.success());
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_after_a_step_and_keeps_only_what_it_should() {
    for keep in [false, true] {
        let folder = workplace(false);
        let mut arguments = vec![
            "train", "nlu", "--data", "nlu.yml", "--config", "config.yml", "--epochs", "1000000", "--out",
            "model",
        ];
        arguments.extend(keep.then_some("--keep-interrupted"));
        let mut child = command(folder.path(), &arguments).stderr(Stdio::piped()).spawn().unwrap();
        let mut talk = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("epoch 2") {
            line.clear();
            assert!(talk.read_line(&mut line).unwrap() > 0, "training ended by itself");
        }
        assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
        let rest = std::thread::spawn(move || talk.lines().map_while(Result::ok).count());
        assert_eq!(child.wait().unwrap().code(), Some(130));
        rest.join().unwrap();
        assert_eq!(run(folder.path(), &["parse", "--model", "model", "hi"]).status.success(), keep);
    }
}

#[test]
fn a_look_at_the_machine_gives_rates_and_their_share_of_the_ceiling() {
    let folder = tempfile::tempdir().unwrap();
    let measures = json(&stdout(&run(folder.path(), &["bench", "--quick", "--json"])));
    assert_eq!(measures["machine"]["instructions"][0], "portable");
    let positive =
        ["/ceilings/0/f32", "/products/7/per_second", "/attention/5/share", "/training/0/step", "/parse/p99"];
    for path in positive {
        assert!(measures.pointer(path).and_then(Value::as_f64).is_some_and(|value| value > 0.0), "{path}");
    }
}

#[test]
fn help_has_examples_and_the_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["--help"][..],
        &["train", "nlu", "--help"],
        &["test", "nlu", "--help"],
        &["parse", "--help"],
        &["data", "review", "--help"],
        &["data", "suggest", "--help"],
    ] {
        let output = run(folder.path(), arguments);
        assert!(
            output.status.success() && stdout(&output).contains("Examples:\n  talkformer"),
            "{arguments:?}"
        );
    }
    assert!(stdout(&run(folder.path(), &["--help"])).contains("Exit codes"));
}
