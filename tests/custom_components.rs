//! The promise that a pipeline takes custom components, saves them, and names those that are missing.

use std::error::Error;

use serde::{Deserialize, Serialize};
use talkformer::data::{Entity, TrainingData, Utterance};
use talkformer::features::{CustomFeaturizer, Message};
use talkformer::pipeline::{
    Components, Nlu, OpeningOptions, PipelineConfig, PostProcessor, Recipe, TrainingOptions,
};
use talkformer::prediction::{PredictedEntity, Prediction};
use talkformer::text::{Span, Tokenizer};

/// Every character is a token.
#[derive(Debug, Deserialize)]
struct Characters;

impl Tokenizer for Characters {
    fn tokenize(&self, text: &str) -> Vec<Span> {
        let characters = text.char_indices().filter(|(_, c)| !c.is_whitespace());
        characters.map(|(at, c)| Span::new(at, at + c.len_utf8())).collect()
    }
}

/// Vowels of the training data.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Vowels {
    also: String,
    seen: String,
}

impl CustomFeaturizer for Vowels {
    fn fit(
        &mut self,
        messages: &[Message<'_>],
        _: &TrainingData,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let texts: String = messages.iter().map(|message| message.text).collect();
        self.seen = "aeiou".chars().chain(self.also.chars()).filter(|vowel| texts.contains(*vowel)).collect();
        Ok(())
    }

    fn columns(&self) -> Vec<String> {
        self.seen.chars().map(String::from).collect()
    }

    fn token(&self, message: Message<'_>, token: usize) -> Vec<(usize, f32)> {
        let found = self.seen.chars().position(|vowel| message.token(token).contains(vowel));
        found.map(|column| (column, 1.0)).into_iter().collect()
    }
}

/// Marks the first token with the name of the longest intent of the training data.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct First {
    name: String,
}

impl PostProcessor for First {
    fn fit(&mut self, data: &TrainingData) -> Result<(), Box<dyn Error + Send + Sync>> {
        let longest = data.intents().into_keys().max_by_key(|name| name.len());
        longest.ok_or("no intents")?.clone_into(&mut self.name);
        Ok(())
    }

    fn process(&self, answer: &mut Prediction) {
        let Some(first) = answer.tokens.first().copied() else { return };
        answer.entities.push(PredictedEntity::new("First", &self.name, first, &answer.text));
    }
}

/// Finds an entity in every place that the text does not have.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Wild {}

impl PostProcessor for Wild {
    fn process(&self, answer: &mut Prediction) {
        for (start, end) in [(0, 99), (1, 2), (2, 0)] {
            let mut entity = PredictedEntity::new("Wild", "odd", Span::new(0, 0), &answer.text);
            entity.span = Span::new(start, end);
            answer.entities.push(entity);
        }
    }
}

fn components() -> Components {
    Components::default()
        .tokenizer::<Characters>("Characters")
        .featurizer::<Vowels>("Vowels")
        .post_processor::<First>("First")
        .post_processor::<Wild>("Wild")
}

fn data() -> TrainingData {
    let pairs = [("aa ba", "long"), ("ab aa", "long"), ("ii bi", "tall"), ("bi ii", "tall"), ("zi", "tall")];
    pairs.map(|(text, intent)| Utterance::new(text, Some(intent))).into_iter().collect()
}

fn train(mut config: PipelineConfig) -> Nlu {
    config.change_diet(|diet| diet.training.set_epochs(20));
    let options = TrainingOptions::default().threads(1).components(components());
    Nlu::train_with(&config, &data(), &options, |_| {}).unwrap().0
}

#[test]
fn custom_components_are_trained_saved_and_opened() {
    let config = Recipe::small().with_tokenizer("Characters").with_featurizer("Vowels");
    let nlu = train(config.with_post_processor("First"));
    let answer = nlu.parse("ab b").unwrap();
    assert_eq!(answer.tokens.len(), 3);
    let own = answer.entities.last().unwrap();
    assert_eq!((own.extractor.as_ref(), own.value.as_str()), ("First", "a"));

    let folder = tempfile::tempdir().unwrap();
    let place = nlu.save(folder.path().join("model")).unwrap();
    let opened = Nlu::open_with(&place, &OpeningOptions::default().components(components())).unwrap();
    assert_eq!(opened.parse("ab b").unwrap(), answer);
    let grown = opened.finetune(&data()).unwrap();
    assert_eq!(grown.parse("ab b").unwrap().tokens.len(), 3);

    let error = Nlu::open(&place).unwrap_err().to_string();
    assert!(error.contains("which is not known here; register it with `Components`"), "{error}");
    let error = Nlu::train(nlu.config(), &data()).unwrap_err().to_string();
    assert!(error.contains("tokenizer `Characters`"), "{error}");
}

#[test]
fn a_config_file_lists_them_with_options() {
    let yaml =
        "pipeline:\n- name: Characters\n- name: Vowels\n  also: z\n- name: DIETClassifier\n- name: First\n";
    let config = PipelineConfig::from_yaml_with(yaml, "config.yml", &components()).unwrap();
    let nlu = train(config);
    assert_eq!(nlu.parse("z").unwrap().entities.last().unwrap().extractor, "First");
    let error = PipelineConfig::from_yaml(yaml, "config.yml").unwrap_err().to_string();
    assert!(error.contains("unknown component `Characters`"), "{error}");
    let read = |yaml: &str| PipelineConfig::from_yaml_with(yaml, "config.yml", &components());
    let without = read(&yaml.replace("  also: z\n", "")).unwrap();
    assert_eq!(read(&yaml.replace("also: z", "also:\n  alias:")).unwrap(), without);
    let error = read(&yaml.replace("also: z", "alias: [1]")).unwrap_err().to_string();
    assert!(error.starts_with("config.yml: component Vowels: option `alias`: invalid type"), "{error}");
    let wrong = yaml.replace("also: z", "also: [1]");
    let config = PipelineConfig::from_yaml_with(&wrong, "config.yml", &components()).unwrap();
    let options = TrainingOptions::default().components(components());
    let error = Nlu::train_with(&config, &data(), &options, |_| {}).unwrap_err().to_string();
    assert!(error.contains("featurizer `Vowels` cannot be built from its options"), "{error}");
}

#[test]
fn a_model_that_forgot_its_examples_keeps_what_its_components_learnt() {
    let mut config = Recipe::small().with_featurizer("Vowels").with_post_processor("First");
    config.change_diet(|diet| diet.training.set_epochs(20));
    let options = TrainingOptions::default().threads(1).components(components()).remember_examples(false);
    let nlu = Nlu::train_with(&config, &data(), &options, |_| {}).unwrap().0;
    let new = [("oo bo", "enormous"), ("bo oo", "enormous")];
    let new: TrainingData =
        new.map(|(text, intent)| Utterance::new(text, Some(intent))).into_iter().collect();
    let grown = nlu.finetune_with(&config, &new, &options, |_| {}).unwrap().0;
    assert_eq!(grown.labels().intents, ["enormous", "long", "tall"]);
    let marked = |nlu: &Nlu| nlu.parse("ab").unwrap().entities.last().unwrap().entity.clone();
    assert_eq!((marked(&nlu), marked(&grown)), ("tall".to_owned(), "tall".to_owned()));
    // Of the new examples alone, the featurizer would know `o` and nothing else.
    let folder = tempfile::tempdir().unwrap();
    let place = grown.save(folder.path().join("model")).unwrap();
    let features = std::fs::read_to_string(place.join("features.json")).unwrap();
    assert!(features.contains(r#""columns":["a","i"]"#), "{features}");

    let other = Recipe::small().with_featurizer("Other vowels").with_post_processor("First");
    let error = nlu.finetune_with(&other, &new, &options, |_| {}).unwrap_err().to_string();
    assert!(error.contains("the featurizers are others"), "{error}");
}

#[test]
fn an_entity_elsewhere_than_in_the_text_is_left_out() {
    let nlu = train(Recipe::small().with_post_processor("Wild").with_post_processor("First"));
    let answer = nlu.parse("éa ba").unwrap();
    assert_eq!(answer.entities.iter().map(|one| one.extractor.as_ref()).collect::<Vec<_>>(), ["First"]);
}

#[test]
fn an_example_with_an_entity_elsewhere_than_in_its_text_is_no_training_data() {
    for (start, end) in [(0, 99), (1, 2), (2, 0)] {
        let mut data = data();
        data.utterances.push(Utterance::new("éa", Some("long")));
        data.utterances.last_mut().unwrap().entities.push(Entity::new("odd", Span::new(start, end)));
        let error = Nlu::train(&Recipe::small(), &data).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("<memory>: entity `odd` over the bytes {start}..{end}")),
            "{error}"
        );
    }
}
