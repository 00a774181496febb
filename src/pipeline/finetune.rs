//! Fine-tuning: a model takes in new examples, words, intents and entity types.
//!
//! A model remembers its examples. Fine-tuning it with new ones means: fit features and labels on all of them, old and
//! new; move every weight to where its column or label is now ([`Predecessor`](crate::diet::Predecessor)); and train
//! that for a fraction of the epochs. Nothing is appended to what was there, so it can be done any number of times. It takes less
//! time than training from scratch on all examples. In the one case measured, it was as accurate
//! (`docs/experiments.md`).

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::memory::Memory;
use super::{Nlu, PipelineConfig, PipelineError, Training, TrainingOptions};
use crate::data::{TrainingData, Updated};
use crate::diet::DietConfig;
use crate::error::Result;
use crate::features::{FeaturizerConfig, Message};
use crate::train::Event;

/// Options of DIET that decide what shape a network has, or what its weights mean.
const SHAPE: [&str; 15] = [
    "hidden_layers_sizes",
    "share_hidden_layers",
    "transformer_size",
    "number_of_transformer_layers",
    "number_of_attention_heads",
    "unidirectional_encoder",
    "use_key_relative_attention",
    "use_value_relative_attention",
    "max_relative_position",
    "embedding_dimension",
    "dense_dimension",
    "similarity_type",
    "loss_type",
    "connection_density",
    "BILOU_flag",
];

/// What fine-tuning with some examples will bring that the model does not know yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FinetunePreview {
    /// Examples that the model remembers, those that will be replaced among them; `None` where it was told to forget them.
    pub remembered: Option<usize>,
    /// Examples of texts that it did not remember.
    pub added: usize,
    /// Examples of texts that it remembered with other labels, or with further ones, which are forgotten.
    pub replaced: usize,
    /// Examples that it remembered just so.
    pub repeated: usize,
    /// Intents that it could not predict.
    pub intents: Vec<String>,
    /// Entity types that it could not find.
    pub entities: Vec<String>,
    /// Words that it had not seen.
    pub words: usize,
    /// Intents that it can predict and that have no example any more: it may unlearn them.
    #[serde(rename = "fading")]
    pub intents_without_examples: Vec<String>,
}

impl Nlu {
    /// Fine-tunes the model with new examples, together with those that the model remembers: the same text given again
    /// counts as given now.
    ///
    /// # Errors
    ///
    /// As [`Nlu::train`]; and if what the model remembers cannot be read.
    ///
    /// # Example
    ///
    /// ```
    /// use talkformer::data::{TrainingData, Utterance};
    /// use talkformer::pipeline::{Nlu, Recipe};
    ///
    /// let data = |pairs: &[(&str, &str)]| -> TrainingData {
    ///     pairs.iter().map(|(text, intent)| Utterance::new(*text, Some(intent))).collect()
    /// };
    /// let mut config = Recipe::accurate();
    /// config.change_diet(|diet| diet.training.set_epochs(30));
    /// let first = data(&[("hello", "greet"), ("good day", "greet"), ("so long", "bye"), ("see you", "bye")]);
    /// let nlu = Nlu::train(&config, &first)?;
    ///
    /// let new = data(&[("a table for two", "book"), ("book me a table", "book")]);
    /// assert_eq!(nlu.preview_finetuning(&new)?.intents, ["book"]);
    /// let grown = nlu.finetune(&new)?;
    /// assert_eq!(grown.labels().intents, ["book", "bye", "greet"]);
    /// # Ok::<(), talkformer::Error>(())
    /// ```
    pub fn finetune(&self, data: &TrainingData) -> Result<Self> {
        Ok(self.finetune_with(&self.parts.config, data, &TrainingOptions::default(), |_| {})?.0)
    }

    /// The same with options, and with another pipeline where it has the same network; tells how it went, and calls
    /// `observe` with every event of the training.
    ///
    /// # Errors
    ///
    /// As [`Nlu::finetune`]; and if the pipeline makes another network.
    pub fn finetune_with(
        &self,
        pipeline: &PipelineConfig,
        data: &TrainingData,
        options: &TrainingOptions,
        observe: impl FnMut(Event),
    ) -> Result<(Self, Training)> {
        check_shape(&self.parts.config, pipeline)?;
        let (all, _) = self.with_remembered(data)?;
        Self::learn(pipeline, &all, Some(self), options, observe)
    }

    /// The examples that finetuning with these learns from: what the model remembers, and these.
    ///
    /// # Errors
    ///
    /// If what the model remembers cannot be read.
    pub fn with_remembered(&self, data: &TrainingData) -> Result<(TrainingData, Updated)> {
        let parts = &self.parts;
        let mut all = TrainingData { synonyms: parts.synonyms.table.clone(), ..Default::default() };
        if let Some(responses) = &parts.responses {
            all.responses = responses.texts.texts.clone();
        }
        if let Some(memory) = &parts.memory {
            all.utterances = memory.examples()?.to_vec();
        }
        let (regexes, lookups) = parts.features.patterns();
        (all.regexes, all.lookups) = (regexes, lookups);
        if let Some(extractor) = &parts.extractor {
            let (regexes, lookups) = extractor.lists();
            all.update(TrainingData { regexes, lookups, ..Default::default() });
        }
        let updated = all.update(data.clone());
        Ok((all, updated))
    }

    /// What these examples bring that the model does not know.
    ///
    /// # Errors
    ///
    /// If what the model remembers cannot be read.
    pub fn preview_finetuning(&self, data: &TrainingData) -> Result<FinetunePreview> {
        let remembered = self.parts.memory.as_ref().map(Memory::examples).transpose()?;
        let (all, updated) = self.with_remembered(data)?;
        let new = |names: BTreeSet<String>, known: &[String]| -> Vec<String> {
            names.into_iter().filter(|name| known.binary_search(name).is_err()).collect()
        };
        let names = |counts: std::collections::BTreeMap<&str, usize>| -> BTreeSet<String> {
            counts.into_keys().map(str::to_owned).collect()
        };
        let (intents, known) = (names(all.intents()), self.labels());
        let types = known.entities.as_ref().map_or(&[][..], |tags| tags.types());
        let mut words: BTreeSet<String> = BTreeSet::new();
        for utterance in &data.utterances {
            let (tokens, _) = self.parts.tokenizer.tokenize(&utterance.text);
            let message = Message { text: &utterance.text, tokens: &tokens };
            words.extend(self.parts.features.unknown_words(message));
        }
        Ok(FinetunePreview {
            remembered: remembered.map(<[_]>::len),
            added: updated.added,
            replaced: updated.replaced,
            repeated: updated.repeated,
            entities: new(names(all.entity_types()), types),
            words: words.len(),
            intents_without_examples: known
                .intents
                .iter()
                .filter(|intent| !intents.contains(*intent))
                .cloned()
                .collect(),
            intents: new(intents, &known.intents),
        })
    }

    /// Whether the model still has the examples that it was trained on.
    #[must_use]
    pub fn remembers(&self) -> bool {
        self.parts.memory.is_some()
    }
}

/// Refuses a pipeline whose network is another than that of the model.
fn check_shape(model: &PipelineConfig, pipeline: &PipelineConfig) -> Result<(), PipelineError> {
    let options = |config: &DietConfig| serde_json::to_value(config).unwrap_or(Value::Null);
    let (old, new) = (options(&model.diet()), options(&pipeline.diet()));
    // An option that is not there has no effect in one of the two.
    let idle = |option: &&&str| old[**option].is_null() || new[**option].is_null();
    let other = SHAPE.iter().filter(|option| !idle(option) && old[**option] != new[**option]);
    let mut differences: Vec<String> =
        other.map(|option| format!("{option} is {}, not {}", new[*option], old[*option])).collect();
    let same = |(old, new): (&FeaturizerConfig, &FeaturizerConfig)| match (old, new) {
        (FeaturizerConfig::Custom(old), FeaturizerConfig::Custom(new)) => old.name == new.name,
        _ => std::mem::discriminant(old) == std::mem::discriminant(new),
    };
    let (old, new) = (model.featurizers(), pipeline.featurizers());
    if old.len() != new.len() || !old.iter().zip(&new).all(same) {
        differences.push("the featurizers are others".to_owned());
    }
    if differences.is_empty() { Ok(()) } else { Err(PipelineError::OtherNetwork { differences }) }
}
