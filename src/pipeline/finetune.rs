//! Learning on: a model that takes in new examples, words, intents and entity types.
//!
//! A model remembers its examples. Learning on from new ones means: fit features and labels on all of them, old and
//! new; move every weight to where its column or label is now ([`Predecessor`]); and train that for a fraction of
//! the epochs. Nothing is appended to what was there, so it can be done any number of times. It takes less
//! time than training from scratch on all examples. In the one case measured, it was as accurate
//! (`docs/experiments.md`).

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use super::{Nlu, PipelineConfig, PipelineError, Training, TrainingOptions};
use crate::data::{TrainingData, Updated};
use crate::diet::{DietConfig, Labels, Learner, Predecessor};
use crate::error::Result;
use crate::features::{FeatureSet, LabelFeatures, Message};
use crate::train::{Event, TrainerConfig};

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

/// What examples bring that a model did not know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct News {
    /// Examples that the model remembers; `None` where it was told to forget them.
    pub remembered: Option<usize>,
    /// Examples of texts that it did not remember.
    pub added: usize,
    /// Examples of texts that it remembered with other labels.
    pub replaced: usize,
    /// Examples that it remembered just so.
    pub repeated: usize,
    /// Intents that it could not predict.
    pub intents: Vec<String>,
    /// Entity types that it could not find.
    pub entities: Vec<String>,
    /// Words that it had not seen.
    pub words: usize,
    /// Intents that it can predict and that no example is there for: they may fade.
    pub fading: Vec<String>,
}

impl Nlu {
    /// Learns on from new examples, together with those that the model remembers: the same text given again
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
    /// assert_eq!(nlu.news(&new)?.intents, ["book"]);
    /// let grown = nlu.finetune(&new)?;
    /// assert_eq!(grown.labels().intents, ["book", "bye", "greet"]);
    /// # Ok::<(), talkformer::Error>(())
    /// ```
    pub fn finetune(&self, data: &TrainingData) -> Result<Self> {
        Ok(self.finetune_with(&self.config, data, &TrainingOptions::default(), |_| {})?.0)
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
        check_shape(&self.config, pipeline)?;
        let (all, _) = self.with_remembered(data)?;
        Self::learn(pipeline, &all, Some(self), options, observe)
    }

    /// The examples that finetuning with these learns from: what the model remembers, and these.
    ///
    /// # Errors
    ///
    /// If what the model remembers cannot be read.
    pub fn with_remembered(&self, data: &TrainingData) -> Result<(TrainingData, Updated)> {
        let mut all = TrainingData { synonyms: self.synonyms.clone(), ..Default::default() };
        if let Some(memory) = &self.memory {
            all.utterances = memory.examples()?;
        }
        let (regexes, lookups) = self.features.patterns();
        (all.regexes, all.lookups) = (regexes, lookups);
        if let Some(extractor) = &self.extractor {
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
    pub fn news(&self, data: &TrainingData) -> Result<News> {
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
            let (tokens, _) = self.tokenizer.tokenize(&utterance.text);
            words.extend(self.features.unknown_words(Message { text: &utterance.text, tokens: &tokens }));
        }
        Ok(News {
            remembered: self.remembers().then(|| all.utterances.len() - updated.added - updated.replaced),
            added: updated.added,
            replaced: updated.replaced,
            repeated: updated.repeated,
            entities: new(names(all.entity_types()), types),
            words: words.len(),
            fading: known.intents.iter().filter(|intent| !intents.contains(*intent)).cloned().collect(),
            intents: new(intents, &known.intents),
        })
    }

    /// Whether the model still has the examples that it was trained on.
    #[must_use]
    pub fn remembers(&self) -> bool {
        self.memory.is_some()
    }

    /// The features of some examples, and, where those of before are forgotten, the earlier features too.
    pub(super) fn grow_features(&self, features: FeatureSet) -> FeatureSet {
        if self.remembers() { features } else { features.with_columns_of(&self.features) }
    }

    /// The labels of some examples, and, where those of before are forgotten, the earlier labels too.
    pub(super) fn grow_labels(&self, labels: Labels, data: &TrainingData, config: &DietConfig) -> Labels {
        if self.remembers() { labels } else { self.labels().and_those_of(&data.utterances, config) }
    }

    /// Options for learning on: hidden tokens are for the beginning of learning, the weights of the ensemble are known,
    /// and without the earlier examples the linear path would lose their intents.
    pub(super) fn prepare(&self, diet: &mut DietConfig) {
        diet.masking.until = 0.0;
        diet.intents.calibration_share = 0.0;
        if !self.remembers() {
            // What is rare among new examples may be well known.
            (diet.intents.linear_path, diet.layers.drop_rate_rare) = (false, 0.0);
        }
    }

    /// Lets a fresh network begin with what this model has learnt.
    pub(super) fn warm_start(&self, learner: &mut Learner<'_>, features: &FeatureSet) -> Result<()> {
        let predecessor = Predecessor {
            weights: &self.weights,
            columns: &features.origins(&self.features),
            labels: self.labels(),
            label_features: &LabelFeatures::new(&self.labels().intents, self.tokenizer.of_labels()),
            confidence: self.confidence.as_ref(),
        };
        Ok(learner.warm_start(&predecessor).map_err(PipelineError::from)?)
    }
}

/// Settings of the loop after a warm start: few epochs, and a learning rate that rises as high as it did at first; with
/// half of it less was learnt.
pub(super) fn shorten(trainer: &mut TrainerConfig, fraction: f64) {
    trainer.epochs = (trainer.epochs as f64 * fraction.clamp(0.0, 1.0)).ceil() as usize;
    trainer.schedule.peak *= PEAK;
    trainer.schedule.warm_up = WARM_UP;
}

/// The highest learning rate, as a share of that of training from scratch.
const PEAK: f64 = 1.0;
/// The share of training during which the learning rate rises.
const WARM_UP: f64 = 0.1;

/// Refuses a pipeline whose network is another than that of the model.
fn check_shape(model: &PipelineConfig, pipeline: &PipelineConfig) -> Result<(), PipelineError> {
    let ((old, old_features), (new, new_features)) = (model.diet(), pipeline.diet());
    let options = |config: &DietConfig| serde_json::to_value(config).unwrap_or(Value::Null);
    let (old, new) = (options(&old), options(&new));
    let other = SHAPE.iter().filter(|option| old[**option] != new[**option]);
    let mut differences: Vec<String> =
        other.map(|option| format!("{option} is {}, not {}", new[*option], old[*option])).collect();
    let kinds = |featurizers: &[crate::features::FeaturizerConfig]| -> Vec<_> {
        featurizers.iter().map(std::mem::discriminant).collect()
    };
    if kinds(&old_features) != kinds(&new_features) {
        differences.push("the featurizers are others".to_owned());
    }
    if differences.is_empty() { Ok(()) } else { Err(PipelineError::OtherNetwork { differences }) }
}
