//! Small inputs that once came out wrong, in `../shared/cases`; where that folder is absent, the tests are skipped.

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use talkformer::data::{TrainingData, Warning, read};
use talkformer::embed::{EmbedOptions, Embedder};
use talkformer::pipeline::{Nlu, PipelineConfig, Recipe};
use talkformer::prediction::Prediction;
use talkformer::text::{Expression, Span};

/// The folder of a case, or `None` with a printed reason.
fn case(number: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/cases").join(number);
    if !folder.is_dir() {
        println!("skipped: {} is absent", folder.display());
        return None;
    }
    Some(folder)
}

/// The data of a case, and a small model that has learnt it.
fn learn(folder: &Path) -> (TrainingData, Nlu) {
    let data = read(folder.join("nlu.yml")).unwrap();
    let model = common::train(&common::config(), &data, 1);
    (data, model)
}

/// Types and words of the entities of an answer.
fn entities(answer: &Prediction) -> Vec<(&str, &str)> {
    answer.entities.iter().map(|entity| (&entity.entity[..], entity.span.of(&answer.text))).collect()
}

/// The share of the annotations of the training data that are found exactly.
fn f1(model: &Nlu, data: &TrainingData) -> f64 {
    model.evaluate(&data.utterances).unwrap().entity.exact_span.f1
}

#[test]
fn case_01_emoji_are_entities() {
    let Some(folder) = case("01") else { return };
    let (data, model) = learn(&folder);
    assert!(f1(&model, &data) >= 0.95);
    let answer = model.parse("give me 👞 now").unwrap();
    assert_eq!(entities(&answer), [("product", "👞")]);
    let answer = model.parse("send me 👞 please").unwrap();
    assert_eq!(entities(&answer), [("product", "👞")]);
    assert_eq!(answer.entities[0].value, "👞");
}

#[test]
fn case_02_signs_at_the_ends_of_entities_belong_to_them() {
    let Some(folder) = case("02") else { return };
    let (data, model) = learn(&folder);
    assert!(f1(&model, &data) >= 0.95);
    for (text, found) in [
        ("i know C++", ("language", "C++")),
        ("courses in .NET please", ("language", ".NET")),
        ("it was 50€ and", ("amount", "50€")),
        ("a rate of 5%?", ("rate", "5%")),
    ] {
        assert!(entities(&model.parse(text).unwrap()).contains(&found), "{text}");
    }
}

#[test]
fn case_03_two_entities_fit_into_one_token() {
    let Some(folder) = case("03") else { return };
    let (data, model) = learn(&folder);
    assert!(f1(&model, &data) >= 0.95);
    let answer = model.parse("on 11-05").unwrap();
    assert_eq!(entities(&answer), [("month", "11"), ("day", "05")]);
    let answer = model.parse("the flight LH2490 please").unwrap();
    assert_eq!(entities(&answer), [("airline", "LH"), ("number", "2490")]);
}

#[test]
fn case_04_annotations_are_trimmed_with_a_warning() {
    let Some(folder) = case("04") else { return };
    let (data, model) = learn(&folder);
    let words: Vec<&str> = data
        .utterances
        .iter()
        .flat_map(|one| one.entities.iter().map(|entity| entity.surface(&one.text)))
        .collect();
    assert_eq!(words, ["Oslo", "Rome", "Paris", "Bern", "Lima"]);
    let trimmed = data.warnings.iter().filter(|one| matches!(one, Warning::TrimmedAnnotation { .. }));
    assert_eq!(trimmed.count(), 5);
    assert!(f1(&model, &data) >= 0.95);
}

#[test]
fn case_13_what_nobody_knows_is_out_of_scope() {
    let Some(folder) = case("13") else { return };
    let data = read(folder.join("nlu.yml")).unwrap();
    let mut config = Recipe::accurate();
    config.change_diet(|diet| diet.training.set_epochs(20));
    let model = common::train(&config, &data, 1);
    let threshold = model.confidence().unwrap().threshold;
    for text in ["...", "?!", "Здравствуйте", "今日は天気がいい", "مرحبا بالعالم", "नमस्ते दुनिया", "สวัสดีชาวโลก"]
    {
        let answer = model.parse(text).unwrap();
        let sure = answer.intent.map_or(0.0, |intent| intent.confidence);
        assert!(sure < threshold && answer.out_of_scope > Some(0.9), "{text}: {sure}");
    }
    let known = model.parse("hello there").unwrap();
    assert_eq!(known.intent.unwrap().name, "greet");
    assert!(known.out_of_scope < Some(0.5));
}

#[test]
fn case_05_configurations_of_rasa_train() {
    let Some(folder) = case("05") else { return };
    let data = read(folder.join("nlu.yml")).unwrap();
    for (file, warning) in
        [("init.yml", "recipe `accurate`"), ("standard.yml", "ResponseSelector: `constrain_similarities`")]
    {
        let yaml = fs::read_to_string(folder.join(file)).unwrap();
        let mut config = PipelineConfig::from_yaml(&yaml, file).unwrap();
        assert!(config.warnings[0].to_string().contains(warning), "{file}: {:?}", config.warnings);
        config.change_diet(|diet| diet.training.set_epochs(60));
        let intent = common::train(&config, &data, 1).parse("fly to Oslo").unwrap().intent.unwrap();
        assert_eq!(intent.name, "trip", "{file}");
    }
}

#[test]
fn case_06_retrieval_intents_are_alike_in_both_formats() {
    let Some(folder) = case("06") else { return };
    let (data, model) = learn(&folder);
    let lines = read(folder.join("same.jsonl")).unwrap();
    let labels = |data: &TrainingData| -> Vec<(String, Option<String>)> {
        data.utterances.iter().map(|one| (one.text.clone(), one.intent.clone())).collect()
    };
    assert_eq!(labels(&data)[..4], labels(&lines));
    assert!(data.intents().contains_key("My/Intent/Name"));
    let answer = serde_json::to_value(model.parse("tell me your age").unwrap()).unwrap();
    assert_eq!(answer["intent"]["name"], "faq");
    let response = &answer["response_selector"]["default"]["response"];
    assert_eq!(response["intent_response_key"], "faq/ask_age");
}

#[test]
fn cases_07_to_09_encoders_open_in_every_layout() {
    let Some(cases) = case("07").and_then(|folder| folder.parent().map(Path::to_owned)) else { return };
    let embed = |number: &str, texts: &[&str]| {
        let embedder = Embedder::open(cases.join(number).join("encoder"), &EmbedOptions::default()).unwrap();
        embedder.embed(texts).unwrap().vectors
    };
    // The mean, then length one.
    let mean = embed("07", &["the bank", "the river"]);
    assert_eq!(mean.dim(), (2, 16));
    assert!(mean.rows().into_iter().all(|row| (row.dot(&row) - 1.0).abs() < 1e-5));
    let lower = embed("08", &["THE Bank", "the bank"]);
    assert_eq!(lower.row(0), lower.row(1));
    let dense = embed("09", &["the bank"]);
    // Hyperbolic tangents of a map to eight numbers, behind the layer that makes the length one.
    assert_eq!(dense.dim(), (1, 8));
    assert!(dense.iter().all(|x| x.abs() < 1.0));
}

#[test]
fn case_10_a_model_with_word_vectors_may_be_moved() {
    let Some(folder) = case("10") else { return };
    let place = tempfile::tempdir().unwrap();
    let (here, there) = (place.path().join("here"), place.path().join("there"));
    fs::create_dir(&here).unwrap();
    for file in ["config.yml", "nlu.yml", "words.txt"] {
        fs::write(here.join(file), fs::read(folder.join(file)).unwrap()).unwrap();
    }
    let train = ["train", "nlu", "--config", "config.yml", "--data", "nlu.yml", "--out", "model"];
    let trained = common::run(&here, &train);
    assert!(trained.status.success(), "{}", common::stderr(&trained));
    fs::rename(&here, &there).unwrap();
    let parse = |arguments: &[&str]| {
        common::run(place.path(), &[&["parse", "--model", "there/model", "fly to Oslo"], arguments].concat())
    };
    let beside = parse(&[]);
    assert!(beside.status.success(), "{}", common::stderr(&beside));
    fs::rename(there.join("words.txt"), place.path().join("vectors.txt")).unwrap();
    let lost = common::stderr(&parse(&[]));
    assert!(lost.contains("--encoder"), "{lost}");
    let given = parse(&["--encoder", "vectors.txt"]);
    assert_eq!(common::stdout(&given), common::stdout(&beside), "{}", common::stderr(&given));
}

#[test]
fn cases_11_and_19_synonyms_are_found_in_any_spelling() {
    for number in ["11", "19"] {
        let Some(folder) = case(number) else { return };
        let (_, model) = learn(&folder);
        for text in ["to NEW YORK CITY", "go to the big  apple now", "go to the big\napple now", "fly to NYC"]
        {
            let answer = model.parse(text).unwrap();
            let values: Vec<&str> = answer.entities.iter().map(|entity| &entity.value[..]).collect();
            assert_eq!(values, ["New York City"], "{number}: {text:?}");
        }
    }
}

#[test]
fn case_15_expressions_of_python_are_read() {
    let Some(folder) = case("15") else { return };
    let yaml = fs::read_to_string(folder.join("config.yml")).unwrap();
    let config = PipelineConfig::from_yaml(&yaml, "config.yml").unwrap();
    for file in ["nlu1.yml", "nlu2.yml", "nlu3.yml"] {
        let data = read(folder.join(file)).unwrap();
        Expression::new(&data.regexes[0].pattern, false).unwrap();
        common::train(&config, &data, 1).parse("code EF56").unwrap();
    }
    let code = Expression::new(r"\b[A-Z]{2}(?!\d{3})\d{2}\b", false).unwrap();
    assert_eq!(code.find("AB12 CD345"), [Span::new(0, 4)]);
}

#[test]
fn case_18_examples_without_text_are_not_learnt() {
    let Some(folder) = case("18") else { return };
    let data = read(folder.join("nlu.yml")).unwrap();
    let texts: Vec<&str> = data.utterances.iter().map(|one| &one.text[..]).collect();
    assert_eq!(texts, ["no", "off", "yes", "on"]);
    let lines: Vec<usize> = data.warnings.iter().map(|warning| warning.at().line).collect();
    assert_eq!(lines, [6, 7, 8]);
}
