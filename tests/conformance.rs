//! What every model must do, whatever it has learnt.

mod common;

use std::sync::OnceLock;

use talkformer::data::{TrainingData, Utterance};
use talkformer::pipeline::Nlu;

fn model() -> &'static Nlu {
    static MODEL: OnceLock<Nlu> = OnceLock::new();
    MODEL.get_or_init(|| common::train(&common::config(), &common::data(), 2))
}

#[test]
fn learns_a_few_examples_by_heart() {
    let scores = model().evaluate(&common::data().utterances).unwrap();
    assert!(scores.intent.accuracy > 0.999 && scores.entity.exact_span.f1 > 0.999, "{scores:?}");
    let answer = model().parse("a ride from Vienna to Prague").unwrap();
    let roles: Vec<_> =
        answer.entities.iter().map(|e| (e.value.as_str(), e.role.as_ref().unwrap().name.as_str())).collect();
    assert_eq!(roles, [("Vienna", "from"), ("Prague", "to")]);
}

#[test]
fn synonyms_are_mapped_and_leave_a_trace() {
    let answer = model().parse("get me a taxi to NYC").unwrap();
    assert_eq!(answer.entities[0].value, "New York City");
    assert_eq!(answer.entities[0].processors, ["EntitySynonymMapper"]);
}

#[test]
fn saved_and_opened_it_answers_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("model");
    model().save(&place).unwrap();
    let again = Nlu::open(&place).unwrap();
    for utterance in common::data().utterances {
        assert_eq!(again.parse(&utterance.text).unwrap(), model().parse(&utterance.text).unwrap());
    }
}

#[test]
fn a_message_alone_equals_the_same_message_in_a_batch() {
    let texts: Vec<String> =
        common::data().utterances.iter().map(|one| format!("{} {}", one.text, one.text)).collect();
    for (together, text) in model().parse_batch(&texts).unwrap().iter().zip(&texts) {
        let alone = model().parse(text).unwrap();
        assert_eq!(together.entities.len(), alone.entities.len());
        for (a, b) in together.intent_ranking.iter().zip(&alone.intent_ranking) {
            assert!(a.name == b.name && (a.confidence - b.confidence).abs() < 1e-5, "{text}");
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_answer() {
    let texts: Vec<String> =
        common::data().utterances.iter().cycle().take(100).map(|one| one.text.clone()).collect();
    let alone = model().clone().with_threads(1).parse_batch(&texts).unwrap();
    for threads in [0, 2, 7, 64] {
        assert_eq!(model().clone().with_threads(threads).parse_batch(&texts).unwrap(), alone);
    }
    assert!(model().parse_batch(&[""; 0]).unwrap().is_empty());
}

#[test]
fn confidences_are_probabilities() {
    for utterance in common::data().utterances {
        let answer = model().parse(&utterance.text).unwrap();
        let sum: f32 = answer.intent_ranking.iter().map(|scored| scored.confidence).sum();
        assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        for entity in answer.entities {
            let roles = entity.role.map_or(1.0, |role| role.confidence);
            assert!([entity.confidence.unwrap(), roles].iter().all(|share| (0.0..=1.0).contains(share)));
        }
    }
}

#[test]
fn blank_messages_have_no_intent() {
    for text in ["", " ", "\t\n", "\u{a0}\u{3000}"] {
        let answer = model().parse(text).unwrap();
        assert!(answer.intent.is_none() && answer.entities.is_empty() && answer.tokens.is_empty());
        assert_eq!(answer.text, text);
    }
}

#[test]
fn odd_messages_get_an_answer() {
    let long_word = "x".repeat(1_000_000);
    let many_words = "to Vienna ".repeat(100_000);
    for text in [
        "👍",
        "!!!",
        "qwz xxv",
        "\u{301}\u{200d}",
        "a\u{0}b",
        "\u{feff}hi",
        long_word.as_str(),
        many_words.as_str(),
    ] {
        let answer = model().parse(text).unwrap();
        assert!(!answer.tokens.is_empty() && answer.tokens.len() <= Nlu::MAX_TOKENS);
    }
}

#[test]
fn offsets_count_characters_in_any_script() {
    let answer = model().parse("👩‍🚀 来东京的车").unwrap();
    let json = serde_json::to_value(&answer).unwrap();
    let text: Vec<char> = "👩‍🚀 来东京的车".chars().collect();
    let tokens = json["text_tokens"].as_array().unwrap();
    assert!(tokens.len() >= 5);
    for token in tokens {
        let (start, end) = (token[0].as_u64().unwrap() as usize, token[1].as_u64().unwrap() as usize);
        assert!(start < end && end <= text.len());
    }
    for entity in json["entities"].as_array().unwrap() {
        let (start, end) =
            (entity["start"].as_u64().unwrap() as usize, entity["end"].as_u64().unwrap() as usize);
        assert_eq!(text[start..end].iter().collect::<String>(), entity["value"]);
    }
}

#[test]
fn with_the_margin_loss_confidences_are_similarities() {
    let mut config = common::config();
    config.change_diet(|diet| diet.similarity.loss_type = talkformer::heads::LossType::Margin);
    let nlu = common::train(&config, &common::data(), 1);
    let answer = nlu.parse("cancel my ride").unwrap();
    assert_eq!(answer.intent_ranking[0].name, "cancel");
    assert!(answer.intent_ranking[0].confidence > 0.6, "{:?}", answer.intent_ranking);
}

#[test]
fn entities_alone_and_intents_alone_are_enough() {
    for entities in [true, false] {
        let mut config = common::config();
        config.change_diet(|diet| {
            (diet.intents.enabled, diet.entities.enabled) = (!entities, entities);
        });
        let answer = common::train(&config, &common::data(), 1).parse("take me to Prague please").unwrap();
        assert_eq!((answer.intent.is_none(), answer.entities.is_empty()), (entities, !entities));
    }
}

/// The small data and every thanks with every cancellation, labelled in either order.
fn data_with_several_intents() -> TrainingData {
    let mut data = common::data();
    let texts = |intent: &str| -> Vec<String> {
        let own = data.utterances.iter().filter(|one| one.intent.as_deref() == Some(intent));
        own.map(|one| one.text.clone()).collect()
    };
    let (thanks, cancellations) = (texts("thank"), texts("cancel"));
    for (at, thank) in thanks.iter().enumerate() {
        for cancel in &cancellations {
            let label = ["thank+cancel", "cancel+thank"][at % 2];
            data.push(Utterance::new(format!("{thank}, {cancel}"), Some(label)));
        }
    }
    data
}

#[test]
fn a_message_may_have_several_intents() {
    let mut config = common::config();
    config.change_diet(|diet| (diet.intents.multi_label, diet.similarity.negatives) = (true, 0));
    let data = data_with_several_intents();
    let nlu = common::train(&config, &data, 1);
    assert_eq!(nlu.labels().intents, ["cancel", "order_ride", "thank"]);

    let answer = nlu.parse("please call it off, many thanks").unwrap();
    let mut names: Vec<&str> = answer.intents.iter().map(|intent| intent.name.as_str()).collect();
    assert!(answer.intents.is_sorted_by(|a, b| a.confidence >= b.confidence));
    let joined = answer.intent.as_ref().unwrap();
    assert_eq!(joined.name, names.join("+"));
    assert_eq!(joined.confidence.to_bits(), answer.intents[1].confidence.to_bits());
    names.sort_unstable();
    assert_eq!(names, ["cancel", "thank"]);
    // The ranking begins with the answer, as in Rasa; behind it are all intents, none of them a share of the others.
    assert_eq!(&answer.intent_ranking[0], joined);
    assert_eq!(answer.intent_ranking.len(), 4);
    assert!(answer.intent_ranking.iter().all(|intent| (0.0..=1.0).contains(&intent.confidence)));
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["intents"].as_array().unwrap().len(), 2);
    assert_eq!(json["intents"][1]["confidence"], json["intent"]["confidence"]);

    let one = nlu.parse("from Rome to Milan").unwrap();
    assert_eq!((one.intent.as_ref(), one.intents.len()), (one.intents.first(), 1));
    assert_eq!(one.intents[0].name, "order_ride");
    // Nothing that it knows: the best guess, however unsure, and never more than the data had.
    assert_eq!(
        nlu.parse("qwz xxv 7").unwrap().intents.len().min(1),
        usize::from(nlu.parse("qwz xxv 7").unwrap().intent.is_some())
    );
    assert!(nlu.parse(" ").unwrap().intents.is_empty());

    let scores = nlu.evaluate(&data.utterances).unwrap();
    let sets = scores.intent_sets.expect("the data has several intents in one message");
    assert!(sets.micro_average.f1 > 0.98 && sets.exact_match > 0.95, "{sets:?}");
    // The order of a set makes no difference to accuracy.
    assert!((scores.intent.accuracy - sets.exact_match).abs() < 1e-12);

    let folder = tempfile::tempdir().unwrap();
    nlu.save(folder.path().join("model")).unwrap();
    let again = Nlu::open(folder.path().join("model")).unwrap();
    for utterance in &data.utterances {
        assert_eq!(again.parse(&utterance.text).unwrap(), nlu.parse(&utterance.text).unwrap());
    }
}

#[test]
fn without_the_option_a_set_of_intents_is_one_class() {
    let nlu = common::train(&common::config(), &data_with_several_intents(), 1);
    assert_eq!(nlu.labels().intents.len(), 5);
    let answer = nlu.parse("thank you, cancel my ride").unwrap();
    assert_eq!(answer.intent.as_ref().unwrap().name, "thank+cancel");
    assert!(answer.intents.is_empty());
    assert!(serde_json::to_value(&answer).unwrap().get("intents").is_none());
}
