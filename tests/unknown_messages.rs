//! A message of which no word is known is out of scope, whatever the network makes of it.

mod common;

use talkformer::data::{TrainingData, Utterance};
use talkformer::pipeline::Nlu;

const UNKNOWN: [&str; 6] = ["...", "?!", "Здравствуйте", "γειά σου", "नमस्ते", "xyzzy"];

fn trained(data: &TrainingData) -> Nlu {
    common::train(&common::config(), data, 1)
}

#[test]
fn a_message_without_a_known_word_has_no_intent() {
    let model = trained(&common::data());
    for text in UNKNOWN {
        let answer = model.parse(text).unwrap();
        assert_eq!((answer.intent, answer.out_of_scope), (None, Some(1.0)), "{text}");
    }
    // Half of the parts of a word are enough to know it.
    for (text, intent) in [("please cancel", "cancel"), ("thankss", "thank")] {
        let answer = model.parse(text).unwrap();
        assert_eq!(answer.intent.unwrap().name, intent);
        assert!(answer.out_of_scope < Some(0.5), "{text}");
    }
}

#[test]
fn it_has_the_intent_that_means_out_of_scope_where_there_is_one() {
    let mut data = common::data();
    for text in ["what is the weather", "sing a song", "who won the match"] {
        data.push(Utterance::new(text, Some("out_of_scope")));
    }
    let model = trained(&data);
    for text in UNKNOWN {
        let answer = model.parse(text).unwrap();
        let intent = answer.intent.unwrap();
        assert_eq!((intent.name.as_str(), intent.confidence), ("out_of_scope", 1.0), "{text}");
        assert_eq!(answer.out_of_scope, Some(1.0));
    }
}
