//! Fine-tuning: new examples, words, intents and entity types join the old ones, any number of times.

mod common;

use std::fs;
use std::path::Path;

use common::{config, data, run, stderr, stdout, train, workplace};
use talkformer::bundle::{Bundle, BundleWriter};
use talkformer::data::{Format, TrainingData, Utterance, read_str};
use talkformer::features::{FeatureSet, Message};
use talkformer::pipeline::{Nlu, PipelineConfig, TrainingOptions};
use talkformer::text::Span;

/// A new intent, a new entity type and new words, three times.
const NEW: [&str; 3] = [
    "- intent: complain\n  examples: |\n    - the driver was rude\n    - this is awful\n    - my driver was late again\n",
    "- intent: pay\n  examples: |\n    - pay with [Visa](card)\n    - charge my [Amex](card)\n    - may I pay with [Amex](card)\n",
    "- intent: tip\n  examples: |\n    - tip him [5 euros](amount)\n    - leave [3 euros](amount) for her\n    - give the man [4 euros](amount)\n",
];

fn new(items: &str) -> TrainingData {
    read_str(Format::RasaYaml, &format!("nlu:\n{items}"), "new.yml").unwrap()
}

fn options(epoch_fraction: f64) -> TrainingOptions {
    TrainingOptions::default().threads(1).epoch_fraction(epoch_fraction)
}

fn finetune(nlu: &Nlu, data: &TrainingData, options: &TrainingOptions) -> Nlu {
    nlu.finetune_with(nlu.config(), data, options, |_| {}).unwrap().0
}

#[test]
fn moved_to_the_same_words_and_labels_a_model_answers_as_before() {
    let nlu = train(&config(), &data(), 1);
    let same = finetune(&nlu, &data(), &options(0.0));
    let grown = finetune(&nlu, &new(NEW[1]), &options(0.0));
    for text in data().utterances.iter().map(|one| one.text.as_str()).chain(["from Prague to Oslo", "cancel"])
    {
        let (before, after) = (nlu.parse(text).unwrap(), same.parse(text).unwrap());
        assert_eq!(before.entities.len(), after.entities.len(), "{text}");
        for (before, after) in before.intent_ranking.iter().zip(&after.intent_ranking) {
            assert_eq!(before.name, after.name, "{text}");
            assert!((before.confidence - after.confidence).abs() < 0.02, "{text}: {before:?} {after:?}");
        }
        for (before, after) in before.entities.iter().zip(&after.entities) {
            assert_eq!((&before.entity, before.span), (&after.entity, after.span), "{text}");
        }
    }
    // New columns and labels move the old ones to other places, and what was known is still there.
    let right = |nlu: &Nlu| nlu.evaluate(&data().utterances).unwrap();
    assert!(
        right(&grown).intent.accuracy > 0.8 && right(&grown).entity.exact_span.f1 > 0.6,
        "{:?}",
        right(&grown)
    );
    assert!(right(&same).intent.accuracy > 0.99);
}

#[test]
fn three_times_in_a_row_nothing_is_lost_and_all_is_learnt() {
    let mut nlu = train(&config(), &data(), 1);
    let mut all = data();
    for (round, items) in NEW.iter().enumerate() {
        let given = new(items);
        let news = nlu.preview_finetuning(&given).unwrap();
        assert_eq!((news.remembered, news.added, news.replaced), (Some(14 + 3 * round), 3, 0));
        assert_eq!((news.intents.len(), news.entities.len()), (1, usize::from(round > 0)));
        assert!(news.words > 2 && news.intents_without_examples.is_empty());
        nlu = finetune(&nlu, &given, &options(0.5));
        all.extend(given);
    }
    assert_eq!(nlu.labels().intents, ["cancel", "complain", "order_ride", "pay", "thank", "tip"]);
    assert_eq!(nlu.labels().entities.as_ref().unwrap().types(), ["amount", "card", "city"]);
    let found = nlu.evaluate(&all.utterances).unwrap();
    assert!(found.intent.accuracy > 0.99, "{found:?}");
    assert!(found.entity.exact_span.f1 > 0.9, "{found:?}");
    let synonym = nlu.parse("get me a taxi to NYC").unwrap();
    assert_eq!(synonym.entities[0].value, "New York City");
}

#[test]
fn a_text_given_again_counts_as_given_now_and_a_label_may_go() {
    let nlu = train(&config(), &data(), 1);
    let cancel: Vec<String> = data()
        .utterances
        .into_iter()
        .filter(|one| one.intent.as_deref() == Some("cancel"))
        .map(|one| one.text)
        .collect();
    let renamed = new(&format!("- intent: stop\n  examples: |\n    - {}\n", cancel.join("\n    - ")));
    let news = nlu.preview_finetuning(&renamed).unwrap();
    // All that it remembers, those that give way among them.
    assert_eq!((news.remembered, news.replaced, news.added), (Some(14), 4, 0));
    assert_eq!(news.intents_without_examples, ["cancel"]);
    let nlu = finetune(&nlu, &renamed, &options(0.5));
    assert_eq!(nlu.labels().intents, ["order_ride", "stop", "thank"]);
    assert_eq!(nlu.parse("forget it").unwrap().intent.unwrap().name, "stop");
}

#[test]
fn the_same_finetuning_gives_the_same_bytes() {
    let nlu = train(&config(), &data(), 1);
    let folder = tempfile::tempdir().unwrap();
    let bytes = |name: &str| {
        let place = folder.path().join(name);
        finetune(&nlu, &new(NEW[1]), &options(0.1)).save(&place).unwrap();
        ["model.safetensors", "features.json", "labels.json", "examples.jsonl"]
            .map(|part| fs::read(place.join(part)).unwrap())
    };
    assert!(bytes("a") == bytes("b"));
}

#[test]
fn told_to_forget_a_model_has_no_examples_and_learns_on_from_the_given_ones_alone() {
    let folder = workplace(false);
    fs::write(folder.path().join("new.yml"), format!("nlu:\n{}", NEW[0])).unwrap();
    let run = |arguments: &[&str]| {
        let output = run(folder.path(), arguments);
        assert!(output.status.success(), "{}", stderr(&output));
        output
    };
    let train =
        ["train", "nlu", "--config", "config.yml", "--threads", "1", "--data", "nlu.yml", "--out", "old"];
    run(&[&train[..], &["--forget-examples"]].concat());
    let parts = || fs::read_dir(folder.path().join("old")).unwrap();
    for part in parts() {
        let text = String::from_utf8_lossy(&fs::read(part.unwrap().path()).unwrap()).into_owned();
        assert!(!text.contains("please cancel the taxi"));
    }
    let output = run(&[
        "train", "nlu", "--finetune", "old", "--data", "new.yml", "--out", "new", "--epoch-fraction", "0.5",
    ]);
    let talk = stderr(&output);
    for part in ["new are 3 examples", "1 intents (complain)", "does not remember", "3 intents of the model"]
    {
        assert!(talk.contains(part), "{part}: {talk}");
    }
    let nlu = Nlu::open(folder.path().join("new")).unwrap();
    assert_eq!(nlu.labels().intents, ["cancel", "complain", "order_ride", "thank"]);
    assert!(nlu.labels().roles.is_some());
    // What the tables knew of the old words has not been wiped out.
    let old = nlu.evaluate(&data().utterances).unwrap();
    assert!(old.entity.exact_span.f1 > 0.3, "{old:?}");
    assert_eq!(nlu.parse("the driver was rude").unwrap().intent.unwrap().name, "complain");
    // Three examples are not what it was trained on: a memory of them would be taken for the whole.
    assert!(talk.contains("will not remember these either") && !nlu.remembers(), "{talk}");
}

#[test]
fn the_program_says_what_is_new_and_the_model_can_be_replaced_in_place() {
    let folder = workplace(true);
    fs::write(folder.path().join("new.yml"), format!("nlu:\n{}", NEW[1])).unwrap();
    let arguments =
        ["train", "nlu", "--finetune", "model", "--data", "new.yml", "--out", "model", "--threads", "1"];
    let output = run(folder.path(), &arguments);
    let talk = stderr(&output);
    assert!(output.status.success(), "{talk}");
    for part in ["new are 3 examples", "1 intents (pay)", "1 entity types (card)", "remembers 14 examples"] {
        assert!(talk.contains(part), "{part}: {talk}");
    }
    assert!(talk.contains("learning from 17 examples, 15 epochs"), "{talk}");
    let again = run(folder.path(), &[&arguments[..], &["--json"]].concat());
    let first: serde_json::Value = serde_json::from_str(stdout(&again).lines().next().unwrap()).unwrap();
    assert_eq!((&first["event"], &first["news"]["repeated"]), (&"finetuning".into(), &3.into()));
    assert!(fs::read_to_string(folder.path().join("model/README.md")).unwrap().contains("| intents | 4 |"));
}

#[test]
fn another_network_is_refused_by_the_options_that_differ() {
    let folder = workplace(true);
    let other = common::CONFIG
        .replace("transformer_size: 32", "transformer_size: 64")
        .replace("epochs: 60", "epochs: 9");
    fs::write(folder.path().join("other.yml"), other).unwrap();
    let finetune = |pipeline: [&str; 2]| {
        let output = run(
            folder.path(),
            &[&["train", "nlu", "--finetune", "model", "--data", "nlu.yml", "--out", "x"][..], &pipeline]
                .concat(),
        );
        assert_eq!(output.status.code(), Some(1));
        stderr(&output)
    };
    let talk = finetune(["--config", "other.yml"]);
    assert!(talk.contains("transformer_size is 64, not 32") && !talk.contains("epochs is"), "{talk}");
    let talk = finetune(["--recipe", "rasa"]);
    assert!(talk.contains("connection_density") && talk.contains("featurizers are others"), "{talk}");
    assert!(!folder.path().join("x").exists());
}

/// Saves the model again, with other examples.
fn with_examples(from: &Path, to: &Path, examples: &str) {
    let bundle = Bundle::open(from).unwrap();
    let mut writer = BundleWriter::new("nlu", &bundle.config::<serde_json::Value>().unwrap()).unwrap();
    for part in bundle.parts().filter(|part| !["model.safetensors", "examples.jsonl"].contains(part)) {
        writer = writer.text(part, bundle.text(part).unwrap()).unwrap();
    }
    writer
        .text("examples.jsonl", examples)
        .unwrap()
        .weights(&bundle.weights().unwrap())
        .unwrap()
        .save(to)
        .unwrap();
}

#[test]
fn examples_that_make_no_sense_are_named_with_their_line() {
    let folder = workplace(true);
    let place = |name: &str| folder.path().join(name);
    for (examples, expected) in [
        ("{\"text\": \"a\", \"intent\": \"b\"}\n{\"text\": 5}\n", "examples.jsonl:2"),
        (
            "{\"text\": \"a\", \"entities\": [{\"start\": 0, \"end\": 9, \"entity\": \"x\"}]}\n",
            "examples.jsonl:1",
        ),
        ("", "examples.jsonl"),
    ] {
        with_examples(&place("model"), &place("odd"), examples);
        let answer = run(folder.path(), &["parse", "--model", "odd", "thanks"]);
        assert!(answer.status.success(), "answers need no examples: {}", stderr(&answer));
        let output =
            run(folder.path(), &["train", "nlu", "--finetune", "odd", "--data", "nlu.yml", "--out", "x"]);
        let talk = stderr(&output);
        assert!(output.status.code() == Some(1) && talk.contains(expected), "{talk}");
    }
}

/// What the default recipe does for intents, on top of the small pipeline.
fn with_linear_path(multi_label_intents: bool) -> PipelineConfig {
    let mut config = config();
    config.change_diet(|diet| {
        (diet.intents.linear_path, diet.intents.calibration_share, diet.similarity.negatives) =
            (true, 0.2, 0);
        diet.intents.multi_label = multi_label_intents;
    });
    config
}

#[test]
fn a_model_that_forgets_drops_weights_that_were_fitted_beside_the_linear_path() {
    let train = |options: &TrainingOptions| {
        Nlu::train_with(&with_linear_path(false), &data(), options, |_| {}).unwrap().0
    };
    let options = options(0.5).remember_examples(false);
    let old = train(&options);
    let fitted = old.confidence().unwrap();
    assert!(fitted.softmax + fitted.hinge > 0.0);
    assert_eq!(finetune(&old, &new(NEW[0]), &options).confidence(), None);
    let options = options.remember_examples(true);
    let old = train(&options);
    assert_eq!(finetune(&old, &data(), &options).confidence(), old.confidence());
}

#[test]
fn messages_with_several_intents_are_understood_with_the_linear_path_and_after_learning_on() {
    let mut both = data();
    for (thank, cancel) in
        [("thanks a lot", "call it off"), ("cheers", "forget it"), ("thank you", "cancel it")]
    {
        both.push(Utterance::new(format!("{cancel}, {thank}"), Some("cancel+thank")));
        both.push(Utterance::new(format!("{thank}, {cancel}"), Some("cancel+thank")));
    }
    let names = |nlu: &Nlu, text: &str| -> Vec<String> {
        let mut names: Vec<String> =
            nlu.parse(text).unwrap().intents.into_iter().map(|intent| intent.name).collect();
        names.sort();
        names
    };
    for remember_examples in [true, false] {
        let options = options(0.5).remember_examples(remember_examples);
        let mut nlu = Nlu::train_with(&with_linear_path(true), &both, &options, |_| {}).unwrap().0;
        for _ in 0..2 {
            assert_eq!(names(&nlu, "many thanks, please cancel the taxi"), ["cancel", "thank"]);
            assert_eq!(names(&nlu, "from Rome to Milan"), ["order_ride"]);
            nlu = finetune(&nlu, &both, &options);
        }
    }
}

/// Whether a model has a column for a word.
fn knows(nlu: &Path, word: &str) -> bool {
    let text = Bundle::open(nlu).unwrap().text("features.json").unwrap().to_owned();
    let features: FeatureSet = serde_json::from_str(&text).unwrap();
    let tokens = [Span::new(0, word.len())];
    features.unknown_words(Message { text: word, tokens: &tokens }).is_empty()
}

#[test]
fn what_few_examples_have_is_not_in_a_model_that_forgot_them() {
    let folder = workplace(false);
    let path = folder.path();
    let run = |arguments: &[&str]| {
        let output = run(path, arguments);
        (output.status.code(), stderr(&output))
    };
    let train = |out: &str, more: &[&str]| {
        let arguments = ["train", "nlu", "--config", "config.yml", "--threads", "1", "--out", out];
        run(&[&arguments[..], more].concat())
    };
    let forgetful = |out: &str, count: &str| {
        train(out, &["--data", "nlu.yml", "--forget-examples", "--min-count", count])
    };
    assert_eq!(forgetful("all", "1").0, Some(0));
    assert_eq!(forgetful("cut", "2").0, Some(0));
    let (all, cut) = (path.join("all"), path.join("cut"));
    // `taxi` and `Vienna` are in two examples, `awful` in none, the others in one.
    for (word, kept) in [
        ("taxi", true),
        ("vienna", true),
        ("prague", false),
        ("forget", false),
        ("nyc", false),
        ("cheers", false),
    ] {
        assert!(knows(&all, word), "{word}");
        assert_eq!(knows(&cut, word), kept, "{word}");
    }
    let synonyms = |model: &Path| Bundle::open(model).unwrap().text("synonyms.json").unwrap().to_owned();
    assert!(synonyms(&all).contains("nyc") && !synonyms(&cut).contains("nyc"));
    let card = |model: &Path| fs::read_to_string(model.join("README.md")).unwrap();
    assert!(card(&cut).contains("at least 2 of the examples") && !card(&cut).contains("examples.jsonl"));
    assert!(card(&all).contains("annotations define among them"));

    // It still answers, and learns on: the new words come to the old ones as far as they are frequent.
    let nlu = Nlu::open(&cut).unwrap();
    assert_eq!(nlu.parse("please cancel the taxi").unwrap().intent.unwrap().name, "cancel");
    fs::write(path.join("new.yml"), format!("nlu:\n{}", NEW[0])).unwrap();
    let more = [
        "--finetune", "cut", "--data", "new.yml", "--forget-examples", "--min-count", "2",
        "--epoch-fraction", "0.5",
    ];
    assert_eq!(train("grown", &more).0, Some(0));
    for (word, kept) in [("taxi", true), ("driver", true), ("awful", false), ("prague", false)] {
        assert_eq!(knows(&path.join("grown"), word), kept, "{word}");
    }
    assert_eq!(Nlu::open(path.join("grown")).unwrap().labels().intents.len(), 4);

    let (code, talk) = forgetful("none", "1000");
    assert!(code == Some(1) && talk.contains("no n-gram occurs in 1000 examples"), "{talk}");
    assert!(!path.join("none").exists());
    assert_eq!(
        train("x", &["--data", "nlu.yml", "--min-count", "2"]).0,
        Some(2),
        "the examples would show it all"
    );
}
