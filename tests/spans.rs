//! Entities are places in the text that the user typed, in every script.

mod common;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use talkformer::data::{Format, TrainingData, Utterance, read_str};
use talkformer::pipeline::{Nlu, TrainingOptions};
use talkformer::text::CharOffsets;

/// Entities that begin or end inside of what is a token elsewhere, in several scripts.
const DATA: &str = "
nlu:
- intent: buy
  examples: |
    - i want [👞](product) for [50€](price)
    - send [👗](product) on [10](month)-[05](day)
    - fly [BA](airline)[2490](number) to [서울](city)에
    - the [C++](language) course in [부산](city)에 please
    - 来[东京](city)的车，[5%](price)！
    - [ไทย](city)นะ [नमस्ते](city)!
- intent: greet
  examples: |
    - hello
    - hi there
    - good morning
";

#[test]
fn entities_are_places_in_the_text_whatever_the_text() {
    let data = read_str(Format::RasaYaml, DATA, "nlu.yml").unwrap();
    let model = common::train(&common::config(), &data, 1);
    let found = model.evaluate(&data.utterances).unwrap();
    assert!(found.entity.exact_span.f1 > 0.95, "{:?}", found.entity.exact_span);

    let parts = "(👞|👩\u{200d}🚀|€|%|에|서울|C\\+\\+|[A-C0-9 \n.!+-]|东|京|的|e\u{301}|ไท|นะ|नम|\u{200d}|\\PC){0,24}";
    let check = |text: String| {
        let answer = model.parse(&text).unwrap();
        let offsets = CharOffsets::new(&text);
        let mut end = 0;
        for entity in &answer.entities {
            prop_assert!(end <= entity.span.start && !entity.span.is_empty(), "{text:?}: {entity:?}");
            end = entity.span.end;
            prop_assert_eq!(text.get(entity.span.start..end), Some(&entity.value[..]));
            let (start, end) = offsets.to_chars(entity.span);
            let characters: String = text.chars().skip(start).take(end - start).collect();
            prop_assert_eq!(&characters, &entity.value);
        }
        Ok(())
    };
    let mut runner = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() });
    runner.run(&parts, check).unwrap();
}

#[test]
fn cuts_stay_with_a_model_that_is_saved_or_learns_on_without_its_examples() {
    let data = read_str(Format::RasaYaml, DATA, "nlu.yml").unwrap();
    let options = TrainingOptions::default().threads(1).remember_examples(false);
    let (model, _) = Nlu::train_with(&common::config(), &data, &options, |_| {}).unwrap();
    let tokens = |model: &Nlu| -> Vec<String> {
        let text = "from 12-24 BA7, 대구에 C++!";
        model.parse(text).unwrap().tokens.iter().map(|token| token.of(text).to_owned()).collect()
    };
    assert_eq!(tokens(&model), ["from", "12", "-", "24", "BA", "7", "대구", "에", "C", "++"]);

    let folder = tempfile::tempdir().unwrap();
    model.save(folder.path().join("model")).unwrap();
    let opened = Nlu::open(folder.path().join("model")).unwrap();
    assert_eq!(tokens(&opened), tokens(&model));

    let mut more = TrainingData::default();
    more.push(Utterance::new("good evening", Some("greet")));
    more.push(Utterance::new("so long", Some("bye")));
    let tuned = opened.finetune(&more).unwrap();
    assert_eq!(tokens(&tuned), tokens(&model));
}
