//! The settings of DIET.

mod groups;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use groups::{EntityConfig, IntentConfig, LayersConfig, MaskingConfig, PerSide, SplitByComma};

use crate::heads::{LossType, SimilarityConfig};
use crate::nn::{Activation, NormPlacement, Precision, TransformerConfig};
use crate::settings::{self, ConfigError, Rule, Settings, Tell, Visit};
use crate::train::TrainingConfig;

/// Settings of DIET, in groups. In files they are flat, under the names of Rasa's `DIETClassifier`, with its defaults;
/// options that Rasa does not have change nothing by default.
///
/// ```
/// use talkformer::diet::DietConfig;
///
/// let config = DietConfig::default().with(|diet| {
///     diet.training.epochs = 30;
///     diet.transformer.layers = 1;
/// });
/// assert!(config.validate().is_ok());
/// ```
#[doc = include_str!("options.md")]
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct DietConfig {
    /// How it is trained.
    pub training: TrainingConfig,
    /// The layers between features and transformer, and those of labels.
    pub layers: LayersConfig,
    /// The transformer; without layers there is none. Its `dropout` and `connection_density` are those of hidden layers
    /// as well. What has no option is fixed: `ff_dim` is four times `model_dim`, and layer norms come first.
    ///
    /// The numbers that it multiplies while it learns are of 16 bits by default (`precision`; sums and weights are of
    /// 32): that is faster and scored within the spread of seeds (`models/accurate/README.md`). Where the processor
    /// has no such products, 32 bits are used.
    pub transformer: TransformerConfig,
    /// How similarities of messages and labels become a loss. With
    /// [`r_drop`](crate::heads::SimilarityConfig::r_drop) each message is read twice in a step, which gave better
    /// entities for twice the time; entities take part as well.
    pub similarity: SimilarityConfig,
    /// Whether hidden tokens are guessed as well.
    pub masking: MaskingConfig,
    /// How intents are learnt and given out.
    pub intents: IntentConfig,
    /// How entities are learnt and given out.
    pub entities: EntityConfig,
}

impl Default for DietConfig {
    fn default() -> Self {
        let transformer = TransformerConfig {
            dropout: 0.2,
            connection_density: 0.2,
            precision: Precision::Bf16,
            ..Default::default()
        };
        Self {
            training: TrainingConfig::default(),
            layers: LayersConfig::default(),
            transformer,
            similarity: SimilarityConfig::default(),
            masking: MaskingConfig::default(),
            intents: IntentConfig::default(),
            entities: EntityConfig::default(),
        }
    }
}

/// How Rasa makes confidences of similarities.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Confidence {
    #[default]
    Softmax,
}

impl Settings for DietConfig {
    fn options(&mut self, visit: &mut Visit<'_>) {
        self.training.options(visit);
        self.layers.options(visit);
        self.transformer.options(visit);
        self.similarity.options(visit);
        self.masking.options(visit);
        self.intents.options(visit);
        self.entities.options(visit);
        let mut without_effect = |name, default: &mut dyn settings::OptionField, why| {
            visit(name, default, Rule::WithoutEffect(why));
        };
        let concat = &mut PerSide { text: 128_usize, label: 20 };
        without_effect("concat_dimension", concat, "all features already have one width where they meet");
        without_effect("model_confidence", &mut Confidence::Softmax, "`softmax` is the only one");
        without_effect("tensorboard_log_directory", &mut None::<String>, "training reports events instead");
        without_effect("tensorboard_log_level", &mut None::<String>, "training reports events instead");
        without_effect("drop_small_last_batch", &mut false, "every example is learnt from");
        without_effect("run_eagerly", &mut false, "there is no graph to compile");
        without_effect("use_gpu", &mut true, "`--device` says what computes");
    }

    fn check_relations(&self) -> Result<(), ConfigError> {
        self.training.check_relations()?;
        self.layers.check_relations()?;
        self.transformer.check_relations()?;
        self.similarity.check_relations()?;
        self.intents.check_relations()?;
        let layered = self.transformer.layers > 0;
        ConfigError::unless(
            layered || !self.masking.enabled,
            "use_masked_language_model",
            "needs at least one transformer layer",
        )?;
        ConfigError::unless(
            !self.intents.multi_label || self.similarity.loss_type == LossType::CrossEntropy,
            "multi_label_intents",
            "needs loss_type: cross_entropy",
        )?;
        ConfigError::unless(
            self.intents.enabled || self.entities.enabled,
            "intent_classification",
            "or entity_recognition must be on: there is nothing to learn",
        )
    }

    fn idle(&self, tell: &mut Tell<'_>) {
        self.training.idle(tell);
        self.transformer.idle(tell);
        self.similarity.idle(tell);
        self.masking.idle(tell);
        self.intents.idle(tell);
        self.entities.idle(tell);
        // Hidden tokens are guessed with the same loss, but without these two.
        let of_intents = ["scale_loss", "label_smoothing"];
        let of_both = ["number_of_negative_examples", "constrain_similarities"];
        let sets = "each of several intents has a loss of its own (`multi_label_intents`)";
        let nothing = "no intents are learnt (`intent_classification`)";
        let (intents, hidden) = (self.intents.enabled, self.masking.enabled);
        match (intents, intents && self.intents.multi_label) {
            (true, false) => {}
            (_, several) => tell(&of_intents, if several { sets } else { nothing }),
        }
        if !hidden && intents && self.intents.multi_label {
            tell(&of_both, sets);
        }
        if !hidden && !intents {
            tell(&of_both, nothing);
            tell(&["similarity_type", "loss_type", "embedding_dimension"], nothing);
        }
    }
}

impl Serialize for DietConfig {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        settings::serialize(self, to)
    }
}

impl<'de> Deserialize<'de> for DietConfig {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        settings::deserialize(from)
    }
}

impl DietConfig {
    /// These settings, changed.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    ///
    /// The first option that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        Settings::validate(self)
    }

    pub(super) fn transformer(&self) -> TransformerConfig {
        TransformerConfig {
            ff_dim: 4 * self.transformer.model_dim,
            activation: Activation::Gelu,
            relative_biases: false,
            projection_bias: false,
            norm: NormPlacement::Before,
            norm_epsilon: 1e-6,
            ..self.transformer.clone()
        }
    }

    /// With fewer messages than this, `r_drop` and `drop_rate_rare` are off; see [`LayersConfig::drop_rate_rare`].
    const FEW: usize = 2000;

    /// With at least this many they count in full.
    const ENOUGH: usize = 10_000;

    /// These settings with `r_drop` and `drop_rate_rare` scaled for so many messages.
    pub(super) fn for_messages(mut self, messages: usize) -> Self {
        let share = if messages < Self::FEW { 0.0 } else { (messages as f64 / Self::ENOUGH as f64).min(1.0) };
        self.similarity.r_drop *= share;
        self.layers.drop_rate_rare *= share;
        self
    }
}

#[cfg(test)]
mod tests;
