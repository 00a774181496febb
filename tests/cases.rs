//! Small inputs that once came out wrong, in `../shared/cases`; where that folder is absent, the tests are skipped.

mod common;

use std::path::{Path, PathBuf};

use talkformer::data::{TrainingData, Warning, read};
use talkformer::pipeline::{Nlu, Recipe};
use talkformer::prediction::Prediction;

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
    let answer = model.parse("give me [👞] now".replace(['[', ']'], "").as_str()).unwrap();
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
