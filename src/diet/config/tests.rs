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

/// Asserts that each of these options, with another value than by default, is named and not written.
fn assert_idle(config: &DietConfig, options: &[&str]) {
    for option in options {
        let mut config = config.clone();
        config.options(&mut |name, field, _| {
            let other = match field.get() {
                serde_json::Value::Bool(on) => (!on).into(),
                serde_json::Value::String(_) => "f32".into(),
                number => (number.as_f64().unwrap_or_default() as i64 + 8).into(),
            };
            if name == *option {
                field.set(other).unwrap();
            }
        });
        let told: Vec<&str> = config.without_effect().iter().map(|(option, _)| *option).collect();
        assert!(told.contains(option), "{option} is not among {told:?}");
        let written = serde_json::to_value(&config).unwrap();
        assert!(written.get(*option).is_none(), "{option} is written");
    }
}

#[test]
fn options_that_others_switch_off_are_named_and_not_written() {
    let idle = |change: fn(&mut DietConfig), options: &[&str]| {
        assert_idle(&DietConfig::default().with(change), options);
    };
    idle(|_| (), &["checkpoint_model", "max_relative_position", "label_smoothing", "negative_margin_scale"]);
    idle(|c| c.similarity.loss_type = LossType::Margin, &["constrain_similarities", "label_smoothing"]);
    idle(|c| c.similarity.negatives = 0, &["constrain_similarities", "maximum_positive_similarity"]);
    idle(|c| c.transformer.layers = 0, &["transformer_size", "drop_rate_attention", "precision"]);
    idle(
        |c| c.intents.multi_label = true,
        &["scale_loss", "label_smoothing", "number_of_negative_examples", "renormalize_confidences"],
    );
    idle(
        |c| c.intents.enabled = false,
        &["ranking_length", "learn_intent_names", "number_of_negative_examples", "embedding_dimension"],
    );
    idle(|c| c.entities.enabled = false, &["BILOU_flag", "split_entities_by_comma"]);
    idle(|_| (), &["early_stopping_patience", "evaluate_every_number_of_epochs"]);
    idle(
        |c| (c.training.held_out_examples, c.training.evaluate_every) = (9, -1),
        &["checkpoint_model", "early_stopping_patience"],
    );
}

#[test]
fn what_has_an_effect_is_not_called_idle() {
    let none = |change: fn(&mut DietConfig)| {
        let told = DietConfig::default().with(change).without_effect();
        assert!(told.is_empty(), "{told:?}");
    };
    none(|_| ());
    none(|c| c.similarity.constrain = true);
    none(|c| (c.similarity.label_smoothing, c.similarity.negatives) = (0.1, 0));
    none(|c| (c.similarity.loss_type, c.similarity.maximum_positive) = (LossType::Margin, 0.9));
    none(|c| (c.masking.enabled, c.masking.until) = (true, 0.5));
    none(|c| (c.intents.enabled, c.masking.enabled, c.similarity.negatives) = (false, true, 7));
    none(|c| (c.training.held_out_examples, c.training.keep_best, c.training.patience) = (9, true, 2));
    none(|c| (c.transformer.layers, c.transformer.connection_density) = (0, 0.5));
    none(|c| (c.intents.multi_label, c.intents.split_symbol) = (true, "/".to_owned()));
}

/// What format 4 of bundles holds, with every option of that time.
#[test]
fn configurations_written_before_there_were_groups_still_open() {
    let old = include_str!("format_4.json");
    let read: DietConfig = serde_json::from_str(old).unwrap();
    assert_eq!(read, DietConfig::default());
    let mut old: serde_json::Map<String, serde_json::Value> = serde_json::from_str(old).unwrap();
    let mut idle = Vec::new();
    read.idle(&mut |options, _| idle.extend_from_slice(options));
    let without_effect =
        |one: &settings::OptionEntry| matches!(one.rule, Rule::WithoutEffect(_)) || idle.contains(&one.name);
    for option in read.table().into_iter().filter(without_effect) {
        assert_eq!(old.remove(option.name), Some(option.value), "{}", option.name);
    }
    assert_eq!(serde_json::Value::Object(old), serde_json::to_value(&read).unwrap());
}

#[test]
fn the_documentation_lists_all_options() {
    let list = settings::markdown(&DietConfig::default());
    assert_eq!(include_str!("options.md"), list, "options.md should be:\n{list}");
}
