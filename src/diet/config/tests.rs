use super::*;
use crate::heads::SimilarityType;
use crate::train::BatchSize;

#[test]
fn the_defaults_make_sense_and_nonsense_is_named() {
    assert_eq!(DietConfig::default().validate(), Ok(()));
    let wrong = |change: fn(&mut DietConfig)| {
        DietConfig::default().with(change).validate().unwrap_err().option().to_owned()
    };
    assert_eq!(wrong(|c| c.training.epochs = 0), "epochs");
    assert_eq!(wrong(|c| c.transformer.dropout = 1.0), "drop_rate");
    assert_eq!(wrong(|c| c.transformer.heads = 7), "number_of_attention_heads");
    assert_eq!(wrong(|c| c.similarity.similarity_type = SimilarityType::Cosine), "similarity_type");
    assert_eq!(wrong(|c| c.intents.split_symbol.clear()), "intent_split_symbol");
    let multi_label =
        |c: &mut DietConfig| (c.intents.multi_label, c.similarity.loss_type) = (true, LossType::Margin);
    assert_eq!(wrong(multi_label), "multi_label_intents");
    assert_eq!(wrong(|c| c.training.batch_size = BatchSize::Growing([0, 4])), "batch_size");
    assert_eq!(wrong(|c| c.layers.hidden_sizes.label = vec![0]), "hidden_layers_sizes");
    assert_eq!(wrong(|c| c.layers.share_hidden = true), "share_hidden_layers");
    assert_eq!(wrong(|c| (c.intents.enabled, c.entities.enabled) = (false, false)), "intent_classification");
}

#[test]
fn without_layers_nothing_is_asked_of_the_transformer() {
    let none = DietConfig::default().with(|c| (c.transformer.layers, c.transformer.model_dim) = (0, 0));
    assert_eq!(none.validate(), Ok(()));
    assert_eq!(
        none.with(|c| c.masking.enabled = true).validate().unwrap_err().option(),
        "use_masked_language_model"
    );
}

#[test]
fn few_examples_are_read_once_and_as_they_are() {
    let config = DietConfig::default().with(|c| (c.similarity.r_drop, c.layers.drop_rate_rare) = (2.0, 0.5));
    let found = [500, 2500, 10_000, 50_000].map(|examples| {
        let own = config.clone().for_messages(examples);
        (own.similarity.r_drop, own.layers.drop_rate_rare)
    });
    assert_eq!(found, [(0.0, 0.0), (0.5, 0.125), (2.0, 0.5), (2.0, 0.5)]);
}

#[test]
fn rasa_options_are_read_and_typos_refused() {
    let read = serde_json::from_str::<DietConfig>;
    let json = r#"{"epochs": 5, "batch_size": [2, 8], "split_entities_by_comma": {"city": false}, "use_gpu": false}"#;
    let config = read(json).unwrap();
    assert_eq!((config.training.epochs, config.training.batch_size.first_and_last()), (5, (2, 8)));
    let split = &config.entities.split_by_comma;
    assert!(!split.splits("city") && split.splits("x"));
    let refused = |json| read(json).unwrap_err().to_string();
    let unknown = refused(r#"{"epoch": 5}"#);
    assert!(
        unknown.starts_with("unknown option `epoch`, did you mean `epochs`? known are epochs, "),
        "{unknown}"
    );
    assert!(refused(r#"{"use_gpu": 3}"#).starts_with("option `use_gpu`: invalid type"));
    assert!(refused(r#"{"model_confidence": "cosine"}"#).contains("expected `softmax`"));
}

#[test]
fn what_is_written_is_read_back() {
    let config = DietConfig::default().with(|c| {
        c.training.random_seed = Some(u64::MAX);
        c.training.learning_rate = 0.1 + 0.2;
        c.layers.hidden_sizes.text = vec![7, 5];
        c.transformer.precision = Precision::F32;
        c.similarity.loss_type = LossType::Margin;
    });
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<DietConfig>(&written).unwrap(), config);
}

/// What format 4 of bundles holds, with every option of that time.
#[test]
fn configurations_written_before_there_were_groups_still_open() {
    let old = include_str!("format_4.json");
    let read: DietConfig = serde_json::from_str(old).unwrap();
    assert_eq!(read, DietConfig::default());
    let mut old: serde_json::Map<String, serde_json::Value> = serde_json::from_str(old).unwrap();
    let without_effect = read.table().into_iter().filter(|one| matches!(one.rule, Rule::WithoutEffect(_)));
    for option in without_effect {
        assert_eq!(old.remove(option.name), Some(option.value), "{}", option.name);
    }
    assert_eq!(serde_json::Value::Object(old), serde_json::to_value(&read).unwrap());
}

#[test]
fn the_documentation_lists_all_options() {
    let list = settings::markdown(&DietConfig::default());
    assert_eq!(include_str!("options.md"), list, "options.md should be:\n{list}");
}
