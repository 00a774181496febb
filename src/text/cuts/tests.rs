use proptest::prelude::*;

use super::*;
use crate::text::{Tokenizer, WhitespaceTokenizer};

fn tokenize(text: &str) -> Vec<Span> {
    WhitespaceTokenizer::default().tokenize(text)
}

/// Messages with their annotations in brackets.
fn learn(marked: &[&str]) -> Cuts {
    let texts: Vec<(String, Vec<Span>)> = marked.iter().map(|text| plain(text)).collect();
    let messages = texts.iter().map(|(text, spans)| annotated(text, spans.clone()));
    Cuts::default().learn(&messages.collect::<Vec<_>>(), 1)
}

fn annotated(text: &str, spans: Vec<Span>) -> Annotated<'_> {
    Annotated { text, tokens: tokenize(text), spans }
}

fn plain(marked: &str) -> (String, Vec<Span>) {
    let (mut text, mut spans) = (String::new(), Vec::new());
    for c in marked.chars() {
        match c {
            '[' => spans.push(Span::new(text.len(), text.len())),
            ']' => spans.last_mut().unwrap().end = text.len(),
            c => text.push(c),
        }
    }
    (text, spans)
}

fn cut<'t>(cuts: &Cuts, text: &'t str) -> Vec<&'t str> {
    cuts.apply(text, tokenize(text)).into_iter().map(|token| token.of(text)).collect()
}

#[test]
fn annotations_that_fit_the_tokens_change_nothing() {
    let cuts = learn(&["to [New York] now", "[me@mail.org], please!", "[ Rome ]"]);
    assert!(cuts.is_empty(), "{cuts:?}");
}

#[test]
fn signs_at_the_ends_of_entities_become_tokens() {
    let cuts =
        learn(&["ring [dr.] [Miller]", "i know [C++]", "courses in [.NET]", "a rate of [5%]", "was [50€]"]);
    assert_eq!(cut(&cuts, "Prof. Brook, 70% or 9€!"), ["Prof", ".", "Brook", "70", "%", "or", "9", "€"]);
    assert_eq!(cut(&cuts, "learn D++ and .ORG"), ["learn", "D", "++", "and", ".", "ORG"]);
}

#[test]
fn every_emoji_is_a_token_once_one_is_annotated() {
    let cuts = learn(&["i want [👞]", "one [👗] please", "[🧢]"]);
    assert_eq!(cut(&cuts, "give me 👟🏻👩\u{200d}🚀!"), ["give", "me", "👟🏻", "👩\u{200d}🚀"]);
    assert_eq!(cut(&cuts, "🎩 👒"), ["🎩", "👒"]);
    assert_eq!(cut(&cuts, "!!!"), ["!!!"]);
}

#[test]
fn words_are_cut_between_kinds_of_characters() {
    let cuts = learn(&["on [10]-[05]", "the flight [BA][2490] please"]);
    assert_eq!(cut(&cuts, "on 12-24 by LH7"), ["on", "12", "-", "24", "by", "LH", "7"]);
    assert_eq!(cut(&cuts, "at 7pm"), ["at", "7pm"]);
}

#[test]
fn endings_are_cut_off_words_that_training_did_not_see() {
    let cuts = learn(&["[서울]에 가자", "[부산]에 가자", "[부산]에서 왔어"]);
    assert_eq!(cut(&cuts, "대구에 가자"), ["대구", "에", "가자"]);
    assert_eq!(cut(&cuts, "부산에서 에"), ["부산", "에서", "에"]);
    let cuts =
        learn(&["wait for the [hotel]s", "two hotels", "dogs and cats", "[cat]s and cars", "yes, buses"]);
    assert_eq!(cut(&cuts, "birds, cats, hotels!"), ["birds", "cat", "s", "hotel", "s"]);
}

#[test]
fn a_rare_need_changes_no_other_word() {
    let mut all = vec!["see you on [tues.]"];
    all.extend(vec!["that is all."; 30]);
    let cuts = learn(&all);
    assert_eq!(cut(&cuts, "that is all on tues. ok."), ["that", "is", "all", "on", "tues", ".", "ok"]);
}

#[test]
fn what_few_messages_have_is_forgotten_where_that_is_asked_for() {
    let texts = ["[hotel]s", "two hotels", "[Rita]x car", "[10]-[05]"].map(plain);
    let messages: Vec<_> = texts.iter().map(|(text, spans)| annotated(text, spans.clone())).collect();
    let kept = |least| Cuts::default().learn(&messages, least);
    assert_eq!(kept(1).words.keys().collect::<Vec<_>>(), ["Ritax", "hotels"]);
    assert_eq!(kept(2).words.keys().collect::<Vec<_>>(), ["hotels"]);
    assert_eq!(kept(3).words.len(), 0);
    assert_eq!(cut(&kept(3), "11-12"), ["11", "-", "12"]);
}

#[test]
fn what_was_learnt_survives_being_saved() {
    let cuts =
        learn(&["on [10]-[05]", "[서울]에 가자", "[부산]에 가자", "[hotel]s", "i want [👞]", "[5%] off"]);
    let json = serde_json::to_string(&cuts).unwrap();
    assert_eq!(serde_json::from_str::<Cuts>(&json).unwrap(), cuts, "{json}");
}

#[test]
fn a_damaged_list_of_words_cannot_leave_the_text() {
    let json = r#"{"words": {"dr.": [[0, 2], [2, 9]], "ab": [[1, 2], [0, 1]], "é": [[0, 1]]}}"#;
    let cuts: Cuts = serde_json::from_str(json).unwrap();
    assert_eq!(cut(&cuts, "dr. ab é c"), ["dr", "b", "c"]);
    let error = serde_json::from_str::<Cuts>(r#"{"signs": ["%%"]}"#).unwrap_err().to_string();
    assert!(error.contains("`%%` is no kind of character"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Whatever is annotated, its ends are ends of tokens afterwards, in every script.
    #[test]
    fn all_annotations_fit(
        texts in prop::collection::vec("[a-c0-9 !.%'+\n\u{301}\u{200d}\u{fe0f}👍🏻🇩语のカー。ก-ฮำ서울에-]{1,16}", 1..4),
        places in prop::collection::vec((0usize..16, 1usize..8), 1..4),
    ) {
        let messages: Vec<Annotated<'_>> = texts.iter().zip(places.iter().cycle()).map(|(text, (start, len))| {
            let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let start = start % (starts.len() - 1);
            let end = (start + len).min(starts.len() - 1);
            annotated(text, vec![Span::new(starts[start], starts[end])])
        }).collect();
        let cuts = Cuts::default().learn(&messages, 1);
        for message in &messages {
            let tokens = cuts.apply(message.text, message.tokens.clone());
            let mut end = 0;
            for token in &tokens {
                prop_assert!(end <= token.start && token.start < token.end, "{tokens:?}");
                prop_assert!(message.text.get(token.start..token.end).is_some());
                end = token.end;
            }
            // Signs alone are one token with the blanks between them, which no word is.
            let spans_blanks = message.tokens.iter().any(|token| token.of(message.text).contains(char::is_whitespace));
            prop_assert!(spans_blanks || cuts.missing(message).is_empty(), "{:?} {tokens:?} {cuts:?}", message);
        }
    }
}
