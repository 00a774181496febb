//! A custom tokenizer, featurizer and post-processor in a pipeline: a parcel service that knows its codes.
//!
//! ```text
//! cargo run --release --example custom_components
//! ```
//!
//! Takes some seconds and prints something like
//!
//! ```text
//! where is nt-4711?
//!   track
//!   code: NT-4711 (ParcelCodes)
//! please stop DE-2077, I changed my mind
//!   cancel
//!   code: DE-2077 (ParcelCodes)
//!
//! without the components: the tokenizer `BlankTokenizer`, which is not known here; …
//! ```
//!
//! A component's fields are its options and what it learns; the saved model keeps them as JSON. Code is not saved, so whoever
//! opens the model gives the components again.

use std::error::Error;

use serde::{Deserialize, Serialize};
use talkformer::data::{Format, TrainingData, read_str};
use talkformer::features::{CustomFeaturizer, Message};
use talkformer::pipeline::{Components, Nlu, OpeningOptions, PostProcessor, Recipe, TrainingOptions};
use talkformer::prediction::{PredictedEntity, Prediction};
use talkformer::text::{Span, Tokenizer};

const DATA: &str = "
nlu:
- intent: track
  examples: |
    - where is NT-1201
    - has my parcel NT-3322 left yet
    - when does it arrive
    - track DE-9000 please
    - I am still waiting for DE-1010
- intent: cancel
  examples: |
    - stop DE-4141
    - I do not want it any more
    - please cancel NT-1000
    - I changed my mind
    - send NT-5005 back
";

/// Cuts at blanks alone, so that `NT-4711?` is one token.
#[derive(Debug, Deserialize)]
struct BlankTokenizer;

impl Tokenizer for BlankTokenizer {
    fn tokenize(&self, text: &str) -> Vec<Span> {
        let place = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
        text.split_whitespace().map(|word| Span::new(place(word), place(word) + word.len())).collect()
    }
}

/// Tells words that look like a code, and those that end a question.
#[derive(Debug, Serialize, Deserialize)]
struct CodeShape;

impl CustomFeaturizer for CodeShape {
    fn columns(&self) -> Vec<String> {
        vec!["has digits".to_owned(), "ends a question".to_owned()]
    }

    fn token(&self, message: Message<'_>, token: usize) -> Vec<(usize, f32)> {
        let word = message.token(token);
        let found = [word.contains(|c: char| c.is_ascii_digit()), word.ends_with('?')];
        found.into_iter().enumerate().filter(|(_, found)| *found).map(|(column, _)| (column, 1.0)).collect()
    }
}

/// Finds codes whose country occurs in the training data, and writes them in capitals.
#[derive(Debug, Default, Serialize, Deserialize)]
struct ParcelCodes {
    #[serde(default)]
    countries: Vec<String>,
}

impl PostProcessor for ParcelCodes {
    fn fit(&mut self, data: &TrainingData) -> Result<(), Box<dyn Error + Send + Sync>> {
        let words = data.utterances.iter().flat_map(|utterance| utterance.text.split_whitespace());
        self.countries = words.filter_map(|word| Some(word.split_once('-')?.0.to_owned())).collect();
        self.countries.sort();
        self.countries.dedup();
        Ok(())
    }

    fn process(&self, answer: &mut Prediction) {
        for token in answer.tokens.clone() {
            let word = token.of(&answer.text).trim_end_matches(|c: char| c.is_ascii_punctuation());
            let span = Span::new(token.start, token.start + word.len());
            let code = word.to_uppercase();
            if code
                .split_once('-')
                .is_some_and(|(country, _)| self.countries.iter().any(|own| own == country))
            {
                let mut entity = PredictedEntity::new("ParcelCodes", "code", span, &answer.text);
                entity.value = code;
                answer.entities.push(entity);
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let components = Components::default()
        .tokenizer::<BlankTokenizer>("BlankTokenizer")
        .featurizer::<CodeShape>("CodeShape")
        .post_processor::<ParcelCodes>("ParcelCodes");
    let mut config = Recipe::small()
        .with_tokenizer("BlankTokenizer")
        .with_featurizer("CodeShape")
        .with_post_processor("ParcelCodes");
    config.change_diet(|diet| diet.training.set_epochs(100));

    let data = read_str(Format::RasaYaml, DATA, "the data above")?;
    let options = TrainingOptions::default().components(components.clone());
    let (nlu, _) = Nlu::train_with(&config, &data, &options, |_| {})?;
    let model = std::env::temp_dir().join(format!("custom-components-{}", std::process::id()));
    nlu.save(&model)?;

    let nlu = Nlu::open_with(&model, &OpeningOptions::default().components(components))?;
    for answer in nlu.parse_batch(&["where is nt-4711?", "please stop DE-2077, I changed my mind"])? {
        println!("{}", answer.text);
        println!("  {}", answer.intent.map_or_else(|| "?".to_owned(), |intent| intent.name));
        for entity in &answer.entities {
            println!("  {}: {} ({})", entity.entity, entity.value, entity.extractor);
        }
    }
    if let Err(error) = Nlu::open(&model) {
        println!("\nwithout the components: {error}");
    }
    std::fs::remove_dir_all(model)?;
    Ok(())
}
