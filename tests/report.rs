//! The files that `test nlu` writes: those of Rasa, a complete page, and errors that name what is missing.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use common::{run, stderr, stdout, workplace};
use serde_json::Value;
use talkformer::pipeline::{Nlu, TrainingOptions};

fn names_of(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn read(folder: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(folder.join(name)).unwrap()).unwrap()
}

/// Labelled messages of which one has an intent that the model cannot guess, and one is out of scope.
const TEST: &str = r#"
nlu:
- intent: order_ride
  examples: |
    - take me to [Prague]{"entity": "city", "role": "to"} please
    - 来[东京]{"entity": "city", "role": "to"}的车
- intent: cancel
  examples: |
    - forget it
    - thank you
- intent: out_of_scope
  examples: |
    - <b>what</b> is the "meaning" of life & all
"#;

#[test]
fn a_tested_model_leaves_the_files_of_rasa() {
    let folder = workplace(true);
    let path = folder.path();
    fs::write(path.join("test.yml"), TEST).unwrap();
    let arguments =
        ["test", "nlu", "--model", "model", "--data", "test.yml", "--successes", "--compare", "model"];
    let output = run(path, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    for wanted in
        ["calibration error", "out of scope (1 messages", "AUROC", "compared with model", "p = 1.0000"]
    {
        assert!(stdout(&output).contains(wanted), "{wanted}: {}", stdout(&output));
    }
    let results = path.join("results");
    let wanted = [
        "DIETClassifier_confusion_matrix.png",
        "DIETClassifier_confusion_matrix.svg",
        "DIETClassifier_errors.json",
        "DIETClassifier_histogram.png",
        "DIETClassifier_histogram.svg",
        "DIETClassifier_report.json",
        "DIETClassifier_successes.json",
        "intent_confusion_matrix.png",
        "intent_confusion_matrix.svg",
        "intent_errors.json",
        "intent_histogram.png",
        "intent_histogram.svg",
        "intent_reliability.png",
        "intent_reliability.svg",
        "intent_report.json",
        "intent_successes.json",
        "report.html",
    ];
    assert_eq!(names_of(&results), wanted.map(str::to_owned).into());

    let report = read(&results, "intent_report.json");
    assert_eq!(report["cancel"]["support"], 2);
    assert_eq!(report["cancel"]["recall"], 0.5);
    assert!(report["cancel"]["f1-score"].as_f64().unwrap() >= 0.5);
    assert_eq!(report["cancel"]["confused_with"]["thank"], 1);
    assert_eq!(report["weighted avg"]["support"], 5);
    assert!(report["micro avg"]["precision"].is_number()); // `thank` is answered and is no row
    let error = &read(&results, "intent_errors.json")[0];
    assert_eq!((&error["text"], &error["intent"]), (&"thank you".into(), &"cancel".into()));
    assert_eq!(error["intent_prediction"]["name"], "thank");
    assert!(error["intent_prediction"]["confidence"].as_f64().unwrap() > 0.3);
    assert_eq!(read(&results, "intent_successes.json").as_array().unwrap().len(), 3);

    let entities = read(&results, "DIETClassifier_report.json");
    assert_eq!(entities["city.to"]["support"], 3); // 东京 are two tokens
    assert!(entities.get("no_entity").is_none());
    let successes = read(&results, "DIETClassifier_successes.json");
    let gold = &successes[1]["entities"][0];
    assert_eq!((&gold["start"], &gold["end"], &gold["role"]), (&1.into(), &3.into(), &"to".into()));
    assert_eq!(successes[1]["predicted_entities"][0]["extractor"], "DIETClassifier");
    assert!(read(&results, "DIETClassifier_errors.json").is_array());

    let page = fs::read_to_string(results.join("report.html")).unwrap();
    assert!(page.contains("&lt;b&gt;what&lt;/b&gt; is the &quot;meaning&quot;") && !page.contains("<b>what"));
    for outside in ["<script", "<link", "http://", "https://", "url("] {
        assert!(!page.contains(outside), "the page asks for {outside}");
    }
    let count = |what: &str| page.matches(what).count();
    assert_eq!((count("<svg"), count("<section")), (count("</svg>"), count("</section>")));
    for section in ["intents", "calibration", "scope", "entities", "errors", "comparison"] {
        assert!(page.contains(&format!("<section id=\"{section}\">")), "{section}");
    }
}

#[test]
fn entities_count_whichever_component_finds_them_and_each_component_has_its_files() {
    let folder = workplace(false);
    let path = folder.path();
    let data = format!(
        "{}- intent: order_ride\n  examples: |\n    - my code is [AB12](code)\n    - the code [CD34](code) please\n\
         - regex: code\n  examples: |\n    - [A-Z]{{2}}[0-9]{{2}}\n",
        common::DATA
    );
    let config = format!("{}- name: RegexEntityExtractor\n", common::CONFIG);
    fs::write(path.join("nlu.yml"), data).unwrap();
    fs::write(path.join("config.yml"), config).unwrap();
    let test = r#"nlu:
- intent: order_ride
  examples: |
    - take me to [Prague]{"entity": "city", "role": "to"} please
    - get me a taxi to [NYC]{"entity": "city", "role": "to", "value": "New York City"}
- intent: thank
  examples: |
    - thanks a lot [XQ97](code)
    - many thanks [ZJ68](code) cheers
"#;
    fs::write(path.join("test.yml"), test).unwrap();
    let train =
        ["train", "nlu", "--config", "config.yml", "--data", "nlu.yml", "--out", "model", "--threads", "1"];
    let output = run(path, &train);
    assert!(output.status.success(), "{}", stderr(&output));
    let arguments =
        ["test", "nlu", "--model", "model", "--data", "test.yml", "--json", "--out", "found", "--successes"];
    let output = run(path, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    // The expression finds both codes, and the network the cities: together they miss nothing.
    assert_eq!(
        (&json["entity"]["entities"], &json["entity"]["exact_span"]["recall"]),
        (&4.into(), &1.0.into())
    );
    assert_eq!(json["entity"]["exact_value"]["recall"], 1.0);
    let extractors = json["extractors"].as_array().unwrap();
    let names: Vec<&str> = extractors.iter().map(|one| one["extractor"].as_str().unwrap()).collect();
    assert_eq!(names, ["DIETClassifier", "RegexEntityExtractor"]);
    assert_eq!(extractors[1]["exact_span"]["recall"], 0.5);
    for extractor in ["DIETClassifier", "RegexEntityExtractor", "entity"] {
        for kind in ["report", "errors", "successes"] {
            assert!(
                names_of(&path.join("found")).contains(&format!("{extractor}_{kind}.json")),
                "{extractor}"
            );
        }
    }
    let alone = read(&path.join("found"), "RegexEntityExtractor_report.json");
    assert_eq!((&alone["code"]["recall"], &alone["city.to"]["recall"]), (&1.0.into(), &0.0.into()));
    let found = &read(&path.join("found"), "RegexEntityExtractor_successes.json")[0]["predicted_entities"];
    assert!(found.as_array().unwrap().iter().all(|one| one["extractor"] == "RegexEntityExtractor"));
    let page = fs::read_to_string(path.join("found/report.html")).unwrap();
    assert!(page.contains("Several components found entities"));
    let table = stdout(&run(path, &["test", "nlu", "--model", "model", "--data", "test.yml", "--no-report"]));
    assert!(table.contains("exact span and value") && table.contains("RegexEntityExtractor"), "{table}");
}

#[test]
fn messages_that_the_model_was_trained_on_are_counted_and_scored_apart() {
    let folder = workplace(true);
    let path = folder.path();
    let test = "nlu:\n- intent: cancel\n  examples: |\n    - Forget IT\n    - call it off\n    - cancel the car\n\
                - intent: thank\n  examples: |\n    - cancel my taxi\n";
    fs::write(path.join("test.yml"), test).unwrap();
    let run = |model: &str, data: &str, more: &[&str]| {
        let arguments = [&["test", "nlu", "--model", model, "--data", data], more].concat();
        let output = run(path, &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let json = |text: String| -> Value { serde_json::from_str(&text).unwrap() };
    let found = json(run("model", "test.yml", &["--json"]));
    assert_eq!(
        (&found["training_overlap"]["of"], &found["training_overlap"]["messages"]),
        (&4.into(), &2.into())
    );
    // Of the two others the one with a wrong label counts as wrong.
    let others = &found["training_overlap"]["others"];
    assert_eq!((&others["messages"], &others["intent"]["accuracy"]), (&2.into(), &0.5.into()));
    assert_eq!(found["intent"]["accuracy"], 0.75);
    let table = run("model", "test.yml", &["--compare", "model"]);
    let sentence = "2 of 4 messages are in the model's training data";
    assert_eq!(table.matches(sentence).count(), 2, "{table}");
    assert!(table.contains("on the other 2: intent accuracy 50.0 %"), "{table}");
    let page = fs::read_to_string(path.join("results/report.html")).unwrap();
    assert_eq!(page.matches("2 of 4 messages are in the model").count(), 2);

    let all = json(run("model", "nlu.yml", &["--json"]));
    assert_eq!(
        (&all["training_overlap"]["messages"], all["training_overlap"].get("others")),
        (&14.into(), None)
    );
    assert!(
        run("model", "nlu.yml", &["--no-report"])
            .contains("14 of 14 messages are in the model's training data")
    );

    let options = TrainingOptions::default().threads(1).remember_examples(false);
    let nlu = Nlu::train_with(&common::config(), &common::data(), &options, |_| {}).unwrap().0;
    nlu.save(path.join("forgetful")).unwrap();
    let found = json(run("forgetful", "test.yml", &["--json"]));
    assert!(found["training_overlap"]["messages"].is_null() && found["training_overlap"]["of"] == 4);
    let table = run("forgetful", "test.yml", &[]);
    assert!(table.contains("it cannot be known how many of the 4 messages are in it"), "{table}");
    assert!(fs::read_to_string(path.join("results/report.html")).unwrap().contains("it cannot be known"));
}

#[test]
fn files_are_written_where_and_when_asked_for() {
    let folder = workplace(true);
    let path = folder.path();
    let test = |more: &[&str]| {
        let arguments = [&["test", "nlu", "--model", "model", "--data", "nlu.yml"], more].concat();
        let output = run(path, &arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        stdout(&output)
    };
    let json: Value = serde_json::from_str(&test(&["--json"])).unwrap();
    assert!(
        json["intervals"]["accuracy"]["low"].as_f64().unwrap()
            <= json["intent"]["accuracy"].as_f64().unwrap()
    );
    assert_eq!(json["calibration"]["bins"].as_array().unwrap().len(), 10);
    assert!(
        json.get("out_of_scope").is_none()
            && (json["model"]["temperature"].is_null() || json["model"]["temperature"].is_number())
    );
    test(&["--no-report"]);
    assert!(!path.join("results").exists());
    test(&["--out", "here", "--json", "--no-errors", "--no-plot"]);
    let wanted = ["DIETClassifier_report.json", "intent_report.json", "report.html"];
    assert_eq!(names_of(&path.join("here")), wanted.map(str::to_owned).into());
    fs::write(path.join("file"), "").unwrap();
    let output = run(path, &["test", "nlu", "--model", "model", "--data", "nlu.yml", "--out", "file"]);
    assert!(!output.status.success() && stderr(&output).contains("file: cannot be created"));
}

#[test]
fn a_report_that_cannot_be_finished_says_so_and_leaves_no_page() {
    let folder = workplace(true);
    let path = folder.path();
    let arguments = ["test", "nlu", "--model", "model", "--data", "nlu.yml", "--no-plot"];
    assert!(run(path, &arguments).status.success());
    fs::remove_file(path.join("results/DIETClassifier_report.json")).unwrap();
    fs::create_dir(path.join("results/DIETClassifier_report.json")).unwrap(); // nothing can be moved there
    let output = run(path, &arguments);
    assert!(!output.status.success() && stderr(&output).contains("the report in results is incomplete"));
    assert!(!path.join("results/report.html").exists());
}

#[test]
fn a_cross_validation_reports_answers_to_unseen_messages() {
    let folder = workplace(false);
    let path = folder.path();
    let arguments = [
        "test", "nlu", "--data", "nlu.yml", "--cross-validation", "--folds", "2", "--config", "config.yml",
        "--epochs", "3", "--seed", "1", "--threads", "1", "--out", "found", "--json",
    ];
    let output = run(path, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("fold 2 of 2"));
    let json: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["messages"], 14);
    assert_eq!(json["cross_validation"]["scores"][0]["values"].as_array().unwrap().len(), 2);
    assert_eq!(stdout(&output), stdout(&run(path, &arguments)), "the same seed gives the same scores");
    assert!(fs::read_to_string(path.join("found/report.html")).unwrap().contains("<section id=\"folds\">"));
    for (more, wanted) in
        [(&["--folds", "20"][..], "20 folds need at least 20 examples"), (&["--folds", "1"], "at least 2")]
    {
        let start = ["test", "nlu", "--data", "nlu.yml", "--cross-validation", "--config", "config.yml"];
        let output = run(path, &[&start, more].concat());
        assert!(!output.status.success() && stderr(&output).contains(wanted), "{}", stderr(&output));
    }
}

#[test]
fn a_learning_curve_compares_pipelines() {
    let folder = workplace(false);
    let path = folder.path();
    fs::copy(path.join("config.yml"), path.join("other.yml")).unwrap();
    let arguments = [
        "test", "nlu", "--data", "nlu.yml", "--config", "config.yml", "other.yml", "--percentages", "0",
        "50", "--runs", "2", "--epochs", "3", "--threads", "1",
    ];
    let output = run(path, &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let results = path.join("results");
    let wanted = [
        "entity_model_comparison_graph.png",
        "entity_model_comparison_graph.svg",
        "nlu_model_comparison_graph.png",
        "nlu_model_comparison_graph.svg",
        "report.html",
        "results.json",
    ];
    assert_eq!(names_of(&results), wanted.map(str::to_owned).into());
    let scores = read(&results, "results.json");
    assert_eq!(scores["config.yml"].as_array().unwrap().len(), 2);
    assert_eq!(scores["other.yml"][1].as_array().unwrap().len(), 2);
    assert_eq!(scores["config.yml"], scores["other.yml"]);
}

#[test]
fn a_pipeline_without_a_training_is_a_mistake() {
    let folder = workplace(false);
    let output = run(folder.path(), &["test", "nlu", "--data", "nlu.yml", "--recipe", "small"]);
    assert!(!output.status.success() && stderr(&output).contains("add --cross-validation"));
}
