//! Dense features of an encoder in training and in saved models, which refuse another encoder.

mod common;

use std::fs;

use common::{CONFIG, add_dense_module, copy_encoder, data};
use talkformer::data::{TrainingData, Utterance};
use talkformer::embed::fingerprint;
use talkformer::pipeline::{
    Component, DenseConfig, Nlu, OpeningOptions, PipelineConfig, Recipe, TrainingOptions,
};
use talkformer::train::Event;

fn with_featurizers(featurizers: &str) -> String {
    CONFIG.replace(
        "- name: DIETClassifier",
        &format!("{featurizers}- name: DIETClassifier\n  use_linear_path: true"),
    )
}

fn config(featurizers: &str) -> PipelineConfig {
    PipelineConfig::from_yaml(&with_featurizers(featurizers), "config.yml").unwrap()
}

#[test]
fn a_model_learns_with_encoders_and_answers_the_same_when_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = folder.path().join("encoder");
    copy_encoder("bert", &encoder);
    let words = folder.path().join("words.txt");
    fs::write(&words, "cancel 1 0\nride 0 1\nthanks 1 1\n").unwrap();
    let config = config(&format!(
        "- name: LanguageModelFeaturizer\n  model_weights: {}\n- name: WordVectorsFeaturizer\n  file: {}\n",
        encoder.display(),
        words.display()
    ));
    let nlu = Nlu::train(&config, &data()).unwrap();
    let texts = ["take me to Prague please", "forget it", "many thanks", "", "from Rome to Vienna", "¿qué?"];
    let together = nlu.parse_batch(&texts).unwrap();
    for (text, expected) in texts.iter().zip(&together) {
        let alone = nlu.clone().with_threads(1).parse(text).unwrap();
        assert_eq!(
            alone.intent.as_ref().map(|intent| &intent.name),
            expected.intent.as_ref().map(|i| &i.name)
        );
        let confidence = |answer: &talkformer::prediction::Prediction| {
            answer.intent.as_ref().map_or(0.0, |i| i.confidence)
        };
        assert!((confidence(&alone) - confidence(expected)).abs() < 1e-3, "{text}");
    }
    assert_eq!(together[1].intent.as_ref().unwrap().name, "cancel");

    let place = nlu.save(folder.path().join("model")).unwrap();
    let opened = Nlu::open(&place).unwrap();
    assert_eq!(opened.parse_batch(&texts).unwrap(), together);
    let grown = opened.finetune(&data()).unwrap();
    assert_eq!(grown.parse("forget it").unwrap().intent.unwrap().name, "cancel");

    let tokenizer = fs::read_to_string(encoder.join("tokenizer.json")).unwrap();
    fs::write(encoder.join("tokenizer.json"), tokenizer + " ").unwrap();
    let error = Nlu::open(&place).unwrap_err().to_string();
    assert!(error.contains("as it is now; put the old one back, say with `--encoder PATH`"), "{error}");
    fs::remove_dir_all(&encoder).unwrap();
    let error = Nlu::open(&place).unwrap_err().to_string();
    assert!(error.contains("which is not there; say with `--encoder PATH`"), "{error}");
}

/// Messages have vectors of another width than their tokens.
#[test]
fn an_encoder_with_a_dense_module_gives_features_and_learns() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = folder.path().join("encoder");
    copy_encoder("bert", &encoder);
    add_dense_module(&encoder);
    let featurizer = format!("- name: LanguageModelFeaturizer\n  model_weights: {}\n", encoder.display());
    for tuning in ["", "  fine_tune: true\n  fine_tune_learning_rate: 0.003\n"] {
        let nlu = Nlu::train(&config(&format!("{featurizer}{tuning}")), &data()).unwrap();
        let texts = ["take me to Prague please", "forget it", "many thanks", ""];
        let answers = nlu.parse_batch(&texts).unwrap();
        assert_eq!(answers[1].intent.as_ref().unwrap().name, "cancel");
        let place = nlu.save(folder.path().join("model")).unwrap();
        assert_eq!(Nlu::open(&place).unwrap().parse_batch(&texts).unwrap(), answers);
        // The fingerprint covers the module.
        let weights = encoder.join("2_Dense/model.safetensors");
        let whole = fs::read(&weights).unwrap();
        fs::write(&weights, [&whole[..whole.len() - 1], &[1]].concat()).unwrap();
        let error = Nlu::open(&place).unwrap_err().to_string();
        assert!(error.contains("was not trained with the encoder"), "{error}");
        fs::write(&weights, whole).unwrap();
    }
}

#[test]
fn an_encoder_learns_with_the_model_and_is_saved_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let encoder = folder.path().join("encoder");
    copy_encoder("bert", &encoder);
    let before = fingerprint(&encoder).unwrap();
    let featurizer = format!("- name: LanguageModelFeaturizer\n  model_weights: {}\n", encoder.display());
    let frozen = config(&featurizer);
    let tuned = config(&(featurizer + "  fine_tune: true\n  fine_tune_learning_rate: 0.003\n"));
    let mut epochs = 0;
    let (nlu, _) = Nlu::train_with(&tuned, &data(), &TrainingOptions::default(), |event| {
        if let Event::Encoder(event) = event {
            epochs += usize::from(matches!(*event, Event::Epoch(_)));
        }
    })
    .unwrap();
    assert!(epochs > 100, "few examples are gone through often: {epochs}");
    assert_eq!(fingerprint(&encoder).unwrap(), before, "its folder stays as it was");
    let texts = ["take me to Prague please", "forget it", "many thanks", ""];
    let answers = nlu.parse_batch(&texts).unwrap();
    assert_eq!(answers[1].intent.as_ref().unwrap().name, "cancel");

    let place = nlu.save(folder.path().join("model")).unwrap();
    let opened = Nlu::open(&place).unwrap();
    assert_eq!(opened.parse_batch(&texts).unwrap(), answers);
    let again = opened.save(folder.path().join("again")).unwrap();
    for part in ["encoders.json", "encoders.safetensors"] {
        assert_eq!(fs::read(place.join(part)).unwrap(), fs::read(again.join(part)).unwrap());
    }
    // Learning on, the encoder stays as it is by now.
    let (grown, _) = opened
        .finetune_with(opened.config(), &data(), &TrainingOptions::default(), |event| {
            assert!(!matches!(event, Event::Encoder(_)));
        })
        .unwrap();
    assert_eq!(grown.parse("forget it").unwrap().intent.unwrap().name, "cancel");
    let error =
        opened.finetune_with(&frozen, &data(), &TrainingOptions::default(), |_| {}).unwrap_err().to_string();
    assert!(error.contains("the encoders of its dense features are others"), "{error}");
}

/// A folder with a pipeline of these featurizers, messages, word vectors and an encoder, and a model of that trained there.
fn project(featurizers: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join("first").join(name);
    fs::create_dir(folder.path().join("first")).unwrap();
    fs::write(path("words.txt"), "cancel 1 0\nride 0 1\nthanks 1 1\n").unwrap();
    copy_encoder("bert", &path("encoder"));
    let config = with_featurizers(featurizers).replace("epochs: 60", "epochs: 1");
    fs::write(path("config.yml"), config).unwrap();
    fs::write(path("nlu.yml"), common::DATA).unwrap();
    // From another folder, so that the files are found beside the configuration alone.
    let arguments =
        ["train", "nlu", "--data", "first/nlu.yml", "--config", "first/config.yml", "--out", "first/model"];
    let output = common::run(folder.path(), &arguments);
    assert!(output.status.success(), "{}", common::stderr(&output));
    folder
}

const BOTH: &str = "- name: WordVectorsFeaturizer\n  file: words.txt\n- name: LanguageModelFeaturizer\n  model_weights: encoder\n";

#[test]
fn a_model_finds_its_encoders_when_all_of_it_was_moved() {
    let folder = project(BOTH);
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    let answer = Nlu::open(first.join("model")).unwrap().parse("forget it").unwrap();
    fs::rename(&first, &second).unwrap();
    let moved = Nlu::open(second.join("model")).unwrap();
    assert_eq!(moved.parse("forget it").unwrap(), answer);
    // In a folder of models as well, and saved anew it knows the new place.
    let again = moved.save(second.join("models/nlu-1")).unwrap();
    assert_eq!(Nlu::open(second.join("models")).unwrap().parse("forget it").unwrap(), answer);
    fs::rename(&again, folder.path().join("far")).unwrap();
    assert_eq!(Nlu::open(folder.path().join("far")).unwrap().parse("forget it").unwrap(), answer);
    // Something else beside the model is not taken for it.
    fs::write(second.join("words.txt"), "cancel 1 0\n").unwrap();
    let error = Nlu::open(second.join("model")).unwrap_err().to_string();
    assert!(error.contains("second/words.txt as it is now") && error.contains("`--encoder PATH`"), "{error}");
}

#[test]
fn every_command_that_opens_a_model_takes_another_place_of_an_encoder() {
    let folder = project(BOTH);
    let far = folder.path().join("far");
    fs::create_dir(&far).unwrap();
    for name in ["words.txt", "encoder"] {
        fs::rename(folder.path().join("first").join(name), far.join(name)).unwrap();
    }
    fs::write(folder.path().join("other.txt"), "cancel 1 0\n").unwrap();
    let run = |arguments: &[&str], encoders: &[&str]| {
        let flags = encoders.iter().flat_map(|path| ["--encoder", path]);
        common::run(folder.path(), &arguments.iter().copied().chain(flags).collect::<Vec<_>>())
    };
    let commands: [&[&str]; 7] = [
        &["parse", "--model", "first/model", "forget it"],
        &[
            "test", "nlu", "--model", "first/model", "--compare", "first/model", "--data", "first/nlu.yml",
            "--no-report",
        ],
        &["data", "suggest", "--model", "first/model", "--input", "first/nlu.yml"],
        &["train", "nlu", "--finetune", "first/model", "--data", "first/nlu.yml", "--out", "new"],
        &["embed", "--model", "first/model", "forget it"],
        &["similar", "--model", "first/model", "--input", "first/nlu.yml", "forget it"],
        &["parse", "--model", "new", "forget it"],
    ];
    for command in commands {
        let output = run(command, &["far/words.txt", "far/encoder"]);
        assert!(output.status.success(), "{command:?}: {}", common::stderr(&output));
    }
    let parse = |encoders: &[&str]| common::stderr(&run(commands[0], encoders));
    assert_eq!(parse(&["far"]), "", "the folder they lie in will do");
    assert_eq!(parse(&["far/encoder", "nowhere", "far/words.txt"]), "", "in any order");
    assert!(
        parse(&["far/encoder"]).contains("first/words.txt, which is not there; say with `--encoder PATH`")
    );
    assert!(parse(&["far/encoder", "other.txt"]).contains("not trained with the encoder other.txt"));
    let options = OpeningOptions::default().encoders(vec![far]);
    assert!(Nlu::open_with(folder.path().join("first/model"), &options).is_ok());
}

#[test]
fn an_encoder_is_found_by_its_name_in_the_cache_of_the_user() {
    let folder = project(BOTH);
    let train = |name: &str| {
        let mut command = common::command(
            folder.path(),
            &[
                "train", "nlu", "--data", "first/nlu.yml", "--out", "named", "--epochs", "2", "--encoder",
                name,
            ],
        );
        command.env("HF_HUB_CACHE", folder.path().join("hub")).env("XDG_CACHE_HOME", folder.path());
        command.output().unwrap()
    };
    let cached = folder.path().join("hub/models--owner--tiny");
    fs::create_dir_all(cached.join("refs")).unwrap();
    fs::create_dir_all(cached.join("snapshots")).unwrap();
    fs::write(cached.join("refs/main"), "abc").unwrap();
    fs::rename(folder.path().join("first/encoder"), cached.join("snapshots/abc")).unwrap();
    let trained = train("owner/tiny");
    assert!(trained.status.success(), "{}", common::stderr(&trained));
    assert!(common::stderr(&trained).contains("snapshots/abc"));
    let answer = common::run(folder.path(), &["parse", "--model", "named", "forget it"]);
    assert!(answer.status.success(), "{}", common::stderr(&answer));

    let path = common::stderr(&train("./tiny"));
    assert!(path.contains("/tiny: cannot be read"), "{path}");
    if cfg!(not(feature = "hub")) {
        let unknown = common::stderr(&train("tiny"));
        assert!(unknown.contains("sentence-transformers/tiny is not on this machine"), "{unknown}");
    }
}

#[test]
fn a_model_may_carry_its_encoders() {
    let keep = "  keep_in_model: true\n";
    for tuned in ["", "  fine_tune: true\n  fine_tune_epochs: 1\n"] {
        let featurizers = BOTH.replace("words.txt\n", &format!("words.txt\n{keep}")) + keep + tuned;
        let folder = project(&featurizers);
        let texts = ["take me to Prague please", "forget it", ""];
        let answers = Nlu::open(folder.path().join("first/model")).unwrap().parse_batch(&texts).unwrap();
        fs::rename(folder.path().join("first/model"), folder.path().join("model")).unwrap();
        fs::remove_dir_all(folder.path().join("first")).unwrap();
        let alone = Nlu::open(folder.path().join("model")).unwrap();
        assert_eq!(alone.parse_batch(&texts).unwrap(), answers);
        let again = alone.finetune(&data()).unwrap().save(folder.path().join("again")).unwrap();
        assert!(Nlu::open(again).unwrap().parse("forget it").unwrap().intent.is_some());
    }
}

/// Words that nobody has learnt from are understood by their vectors, which are all that the pipeline has.
#[test]
fn what_the_vectors_say_decides() {
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words.txt");
    let animals = ["dog", "cat", "horse", "cow", "wolf", "lynx"];
    let cities = ["rome", "paris", "berlin", "vienna", "oslo", "prague"];
    let line = |at: usize, word: &str, [x, y]: [f32; 2]| format!("{word} {} {} {}\n", x, y, 0.1 * at as f32);
    let table: String = animals.iter().enumerate().map(|(at, word)| line(at, word, [1.0, 0.1])).collect();
    let table =
        table + &cities.iter().enumerate().map(|(at, word)| line(at, word, [0.1, 1.0])).collect::<String>();
    fs::write(&words, table).unwrap();
    let yaml = format!(
        "pipeline:\n- name: WhitespaceTokenizer\n- name: WordVectorsFeaturizer\n  file: {}\n- name: DIETClassifier\n  epochs: 60\n  batch_size: 4\n  transformer_size: 32\n  use_linear_path: true\n",
        words.display()
    );
    let config = PipelineConfig::from_yaml(&yaml, "config.yml").unwrap();
    let examples =
        animals[..4].iter().map(|word| (word, "animal")).chain(cities[..4].iter().map(|word| (word, "city")));
    let data: TrainingData = examples.map(|(word, intent)| Utterance::new(*word, Some(intent))).collect();
    let nlu = Nlu::train(&config, &data).unwrap();
    for (words, intent) in [(&animals[4..], "animal"), (&cities[4..], "city")] {
        for word in words {
            assert_eq!(nlu.parse(word).unwrap().intent.unwrap().name, intent, "{word}");
        }
    }
    // Learning on with other vectors would give the old weights another meaning.
    let others = fs::read_to_string(&words).unwrap().replace("dog", "fox");
    fs::write(folder.path().join("others.txt"), others).unwrap();
    let other = PipelineConfig::from_yaml(&yaml.replace("words.txt", "others.txt"), "config.yml").unwrap();
    let error =
        nlu.finetune_with(&other, &data, &TrainingOptions::default(), |_| {}).unwrap_err().to_string();
    assert!(error.contains("the encoders of its dense features are others"), "{error}");
}

#[test]
fn a_pipeline_that_names_no_encoder_does_without_and_says_so() {
    let without = config("- name: LanguageModelFeaturizer\n  model_name: bert\n");
    assert!(without.warnings[0].to_string().contains("no `model_weights`"), "{}", without.warnings[0]);
    for (featurizers, word) in [
        ("- name: WordVectorsFeaturizer\n  file: a\n  size: 3\n", "size"),
        ("- name: WordVectorsFeaturizer\n  file: a\n  fine_tune: true\n", "`fine_tune`"),
        ("- name: LanguageModelFeaturizer\n  file: a\n  fine_tune_epochs: 0\n", "`fine_tune_epochs`"),
    ] {
        let error =
            PipelineConfig::from_yaml(&with_featurizers(featurizers), "config.yml").unwrap_err().to_string();
        assert!(error.starts_with("config.yml: component ") && error.contains(word), "{error}");
    }
    let missing = config("- name: LanguageModelFeaturizer\n  model_weights: rasa/LaBSE\n");
    let error = Nlu::train(&missing, &data()).unwrap_err().to_string();
    assert!(error.contains("rasa/LaBSE: cannot be read"), "{error}");
}

/// A few English messages, and as many German ones.
fn in_two_languages() -> [TrainingData; 2] {
    let english = [
        ("please give me my money back", "refund"),
        ("i would like to return what i bought", "refund"),
        ("what is the weather going to be like tomorrow", "weather"),
        ("is it going to rain in the afternoon", "weather"),
    ];
    let german = [
        ("bitte geben sie mir mein geld zurück", "refund"),
        ("ich möchte zurückgeben was ich gekauft habe", "refund"),
        ("wie wird morgen das wetter bei uns sein", "weather"),
        ("wird es am nachmittag noch regnen", "weather"),
    ];
    [english, german].map(|examples| {
        let mut data = TrainingData::default();
        examples.iter().for_each(|(text, intent)| data.push(Utterance::new(*text, Some(intent))));
        data
    })
}

#[test]
fn the_words_of_the_program_are_for_english_and_stay_with_a_model() {
    let mut config = Recipe::accurate();
    config.change_diet(|diet| diet.training.set_epochs(30));
    let [english, german] = in_two_languages();
    let train =
        |data| Nlu::train_with(&config, data, &TrainingOptions::default().threads(1), |_| {}).unwrap();
    let (nlu, training) = train(&english);
    assert!(training.choices[0].ends_with("are used"), "{:?}", training.choices);
    // No example has any of these words.
    let sure = |nlu: &Nlu| nlu.parse("forecast sunshine").unwrap();
    assert_eq!(sure(&nlu).intent.unwrap().name, "weather");

    let folder = tempfile::tempdir().unwrap();
    let place = nlu.save(folder.path().join("model")).unwrap();
    let parts = std::fs::read_dir(&place).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    let bytes: u64 = parts.sum();
    assert!(bytes < 2 << 20, "the table is not in the model: {bytes}");
    assert_eq!(sure(&Nlu::open(&place).unwrap()), sure(&nlu));

    let (nlu, training) = train(&german);
    assert!(training.choices[0].ends_with("are left out"), "{:?}", training.choices);
    assert_eq!(sure(&nlu).intent, None);
    nlu.save(&place).unwrap();
    Nlu::open(&place).unwrap();
}

#[test]
fn an_encoder_takes_the_place_of_the_words_of_the_program() {
    let config = Recipe::accurate().with_encoder(DenseConfig::new("somewhere".into()));
    let own = |component: &Component| match component {
        Component::DenseFeaturizer { config, .. } => Some(config.path.clone()),
        _ => None,
    };
    let paths: Vec<_> = config.components.iter().filter_map(own).collect();
    assert_eq!(paths, [std::path::Path::new("somewhere")]);
}
