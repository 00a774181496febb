//! Retrieval intents: `faq/ask_name` is reported as `faq`, with the right answer beside it, whichever file it came from.

mod common;

use std::fs;

use common::{run, stderr, stdout, workplace};
use serde_json::Value;
use talkformer::data::{Format, TrainingData, read_str, to_jsonl};
use talkformer::pipeline::{Nlu, PipelineConfig};

const DATA: &str = "
nlu:
- intent: faq/ask_name
  examples: |
    - who are you
    - tell me your name
    - what is your name
    - how are you called
- intent: faq/ask_age
  examples: |
    - how old are you
    - tell me your age
    - when were you born
    - what is your age
- intent: My/Intent/Name
  examples: |
    - something else
    - another thing
    - a different thing
- intent: greet
  examples: |
    - hello
    - good morning
    - hi
responses:
  utter_faq/ask_name:
  - text: I am Ann.
  - text: Ann, and you?
  utter_faq/ask_age:
  - text: No
  utter_greet:
  - text: Hello!
";

fn data() -> TrainingData {
    read_str(Format::RasaYaml, DATA, "nlu.yml").unwrap()
}

fn trained(data: &TrainingData) -> Nlu {
    let config = PipelineConfig::from_yaml(common::CONFIG, "config.yml").unwrap();
    Nlu::train(&config, data).unwrap()
}

#[test]
fn the_right_answer_is_found_and_survives_saving() {
    let (data, folder) = (data(), tempfile::tempdir().unwrap());
    trained(&data).save(folder.path().join("model")).unwrap();
    let nlu = Nlu::open(folder.path().join("model")).unwrap();
    let answer = nlu.parse("tell me your name").unwrap();
    assert_eq!(answer.intent.as_ref().unwrap().name, "faq");
    let names: Vec<&str> = answer.intent_ranking.iter().map(|scored| scored.name.as_str()).collect();
    assert_eq!((names.len(), names[0]), (3, "faq"));
    let sum: f32 = answer.intent_ranking.iter().map(|scored| scored.confidence).sum();
    assert!((sum - 1.0).abs() < 1e-3, "{sum}");

    let json = serde_json::to_value(&answer).unwrap();
    let found = &json["response_selector"];
    assert_eq!(found["all_retrieval_intents"], serde_json::json!(["My", "faq"]));
    let response = &found["default"]["response"];
    assert_eq!(response["intent_response_key"], "faq/ask_name");
    assert_eq!(response["utter_action"], "utter_faq/ask_name");
    assert_eq!(response["responses"][1]["text"], "Ann, and you?");
    assert_eq!(found["default"]["ranking"].as_array().map(Vec::len), Some(2));

    let age = nlu.parse("what is your age").unwrap().response_selector.unwrap();
    assert_eq!(age.selected["default"].response.responses[0]["text"], "No", "a text, not a truth value");
    let scores = nlu.evaluate(&data.utterances).unwrap();
    assert_eq!((scores.intent.accuracy, scores.responses.unwrap().accuracy), (1.0, 1.0));
    assert!(nlu.parse("").unwrap().response_selector.unwrap().selected.is_empty());
}

#[test]
fn both_formats_train_the_same_model() {
    let yaml = data();
    let mut lines = read_str(Format::JsonLines, &to_jsonl(&yaml.utterances).unwrap(), "d.jsonl").unwrap();
    assert_eq!(lines.intents(), yaml.intents());
    lines.responses = yaml.responses.clone();
    let [one, other] = [yaml, lines].map(|data| trained(&data).parse("how old are you").unwrap());
    assert_eq!(one, other);
}

#[test]
fn a_finetuned_model_keeps_its_answers() {
    let new = "nlu:\n- intent: faq/ask_town\n  examples: |\n    - where do you live\n    - what is your town\n\
               responses:\n  utter_faq/ask_town:\n  - text: Oslo\n";
    let grown = trained(&data()).finetune(&read_str(Format::RasaYaml, new, "new.yml").unwrap()).unwrap();
    let texts = |text: &str| {
        grown.parse(text).unwrap().response_selector.unwrap().selected["default"].response.clone()
    };
    assert_eq!(texts("tell me your name").responses[0]["text"], "I am Ann.");
    assert_eq!(texts("where do you live").utter_action, "utter_faq/ask_town");
}

#[test]
fn the_program_answers_and_scores() {
    let folder = workplace(false);
    fs::write(folder.path().join("faq.yml"), DATA.replace("  utter_faq/ask_age:\n  - text: No\n", ""))
        .unwrap();
    let trained =
        run(folder.path(), &["train", "nlu", "--data", "faq.yml", "--config", "config.yml", "--out", "m"]);
    assert!(trained.status.success(), "{}", stderr(&trained));
    assert!(
        stderr(&trained).contains("faq.yml:11: intent `faq/ask_age` has no response"),
        "{}",
        stderr(&trained)
    );
    let answer = stdout(&run(folder.path(), &["parse", "--model", "m", "who are you"]));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(answer["intent"]["name"], "faq");
    assert_eq!(answer["response_selector"]["default"]["response"]["intent_response_key"], "faq/ask_name");
    let scores = run(folder.path(), &["test", "nlu", "--model", "m", "--data", "faq.yml"]);
    assert!(stdout(&scores).contains("right answers"), "{}", stdout(&scores));
    let errors = fs::read_to_string(folder.path().join("results/intent_errors.json")).unwrap();
    assert_eq!(errors.trim(), "[]");
}

#[test]
fn an_explanation_speaks_of_intents_even_those_that_no_answer_reports() {
    let trained = |ranking_length| {
        let mut config = PipelineConfig::from_yaml(common::CONFIG, "config.yml").unwrap();
        config.change_diet(|diet| diet.intents.ranking_length = ranking_length);
        Nlu::train(&config, &data()).unwrap()
    };
    let (short, whole) = (trained(1), trained(0));
    let text = "tell me your age";
    let why = short.explain(text).unwrap().unwrap();
    assert_eq!(why, whole.explain(text).unwrap().unwrap());
    assert_eq!(why.intent.name, "faq");
    let margin = |text: &str| {
        let ranking = whole.parse(text).unwrap().intent_ranking;
        let confidence = |name: &str| ranking.iter().find(|one| one.name == name).unwrap().confidence;
        (confidence(&why.intent.name) / confidence(&why.next.name)).ln()
    };
    for (word, rest) in [("tell", "me your age"), ("your", "tell me age"), ("age", "tell me your")] {
        let found = why.evidence.iter().find(|one| one.span.of(text) == word).unwrap();
        let expected = margin(text) - margin(rest);
        assert!((found.weight - expected).abs() < 1e-3, "{word}: {} {expected}", found.weight);
    }
}
