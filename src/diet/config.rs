//! The options of DIET, under Rasa's names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::heads::{LossType, SimilarityConfig, SimilarityType};
use crate::nn::{Precision, TransformerConfig};
use crate::train::{AdamWConfig, BatchStrategy, Decay, Schedule, TrainerConfig};

/// One value for messages and one for labels; both must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerSide<T: Default> {
    /// For messages.
    pub text: T,
    /// For labels.
    pub label: T,
}

/// A fixed batch size, or one that grows in a straight line from the first to the last epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BatchSize {
    /// The same all the time.
    Fixed(usize),
    /// First and last.
    Growing([usize; 2]),
}

/// Whether a comma separates entities of one type: for all types, or by type (others: yes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SplitByComma {
    /// For all.
    All(bool),
    /// By type.
    ByType(BTreeMap<String, bool>),
}

impl SplitByComma {
    /// For this type.
    #[must_use]
    pub fn splits(&self, entity: &str) -> bool {
        match self {
            Self::All(split) => *split,
            Self::ByType(types) => types.get(entity).copied().unwrap_or(true),
        }
    }
}

/// Settings of DIET; names and defaults of Rasa's `DIETClassifier`, then ours.
///
/// `regularization_constant` is the share of the weights taken away per step and unit of
/// learning rate (decoupled decay, `AdamW`), not a term of the loss: Rasa's term reaches only those entries
/// whose gradient happens to be positive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "these are Rasa's options")]
pub struct DietConfig {
    /// Rounds through the data.
    pub epochs: usize,
    /// Examples per batch.
    pub batch_size: BatchSize,
    /// How an epoch is ordered.
    pub batch_strategy: BatchStrategy,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Widths of hidden layers before the transformer, and for labels.
    pub hidden_layers_sizes: PerSide<Vec<usize>>,
    /// Whether messages and labels share those layers.
    pub share_hidden_layers: bool,
    /// Width of the transformer.
    pub transformer_size: usize,
    /// Layers of the transformer; zero leaves it out.
    pub number_of_transformer_layers: usize,
    /// Heads of each layer.
    pub number_of_attention_heads: usize,
    /// Whether a token sees only what came before it.
    pub unidirectional_encoder: bool,
    /// Whether keys know the distance to the query.
    pub use_key_relative_attention: bool,
    /// Whether values do.
    pub use_value_relative_attention: bool,
    /// Distances beyond this count as this.
    pub max_relative_position: usize,
    /// Width of the space in which messages and labels meet.
    pub embedding_dimension: usize,
    /// Width into which sparse features are mapped.
    pub dense_dimension: PerSide<usize>,
    /// Width of rows where several kinds of features meet. Kept for compatibility: all features here are
    /// sparse and already agree.
    pub concat_dimension: PerSide<usize>,
    /// Wrong answers drawn per message; zero: every other label (ours).
    pub number_of_negative_examples: usize,
    /// How close two embeddings are.
    pub similarity_type: SimilarityType,
    /// How similarities become a loss.
    pub loss_type: LossType,
    /// Intents given out at most; zero: all.
    pub ranking_length: usize,
    /// Margin loss: close enough.
    pub maximum_positive_similarity: f64,
    /// Margin loss: far enough.
    pub maximum_negative_similarity: f64,
    /// Margin loss: only the closest wrong label counts.
    pub use_maximum_negative_similarity: bool,
    /// Margin loss: weight of pairs other than (message, label).
    pub negative_margin_scale: f64,
    /// Whether messages whose intent is learnt already count less.
    pub scale_loss: bool,
    /// Whether each similarity is also pushed to its side of zero.
    pub constrain_similarities: bool,
    /// How similarities become confidences; only `softmax`. With the margin loss it is the similarity itself, cut to
    /// `[0, 1]`.
    pub model_confidence: Confidence,
    /// Whether the confidences given out sum to one.
    pub renormalize_confidences: bool,
    /// Weight decay; see above.
    pub regularization_constant: f64,
    /// Share of activations dropped while training.
    pub drop_rate: f64,
    /// Share of attention scores hidden while training.
    pub drop_rate_attention: f64,
    /// Share of the weights that exist in hidden layers and the transformer.
    pub connection_density: f64,
    /// Whether sparse features are dropped as well.
    pub use_sparse_input_dropout: bool,
    /// Whether the dense rows made of them are.
    pub use_dense_input_dropout: bool,
    /// Whether hidden tokens are guessed as well.
    pub use_masked_language_model: bool,
    /// Whether tags tell the place of a token in its entity.
    #[serde(rename = "BILOU_flag")]
    pub bilou_flag: bool,
    /// Whether intents are learnt.
    pub intent_classification: bool,
    /// Whether entities are.
    pub entity_recognition: bool,
    /// Whether a comma separates entities.
    pub split_entities_by_comma: SplitByComma,
    /// Epochs between evaluations on held-out examples; −1: only at the end.
    pub evaluate_every_number_of_epochs: i64,
    /// Examples held out of training; zero: none.
    pub evaluate_on_number_of_examples: usize,
    /// Whether the weights with the best held-out score are kept.
    pub checkpoint_model: bool,
    /// Decides every random draw. Rasa takes the time of day where none is given; here it is 1.
    pub random_seed: Option<u64>,
    /// Ours: the numbers that the transformer multiplies while it learns; sums and weights are `f32` in either
    /// case. `bf16`, the default, is faster and scored within the spread of seeds (`models/accurate/README.md`); where the processor
    /// has no such products, `f32` is used.
    pub precision: Precision,
    /// Ours: small data gets more epochs, until there are about this many steps or 300 epochs; zero: as many as
    /// `epochs` says.
    pub minimum_steps: usize,
    /// Ours: share of training during which the learning rate rises.
    pub warm_up: f64,
    /// Ours: what the learning rate does afterwards.
    pub learning_rate_decay: Decay,
    /// Ours: longer gradients are scaled down to this length; zero: never.
    pub gradient_clipping: f64,
    /// Ours: share of the intent's target that is spread over all labels (with all labels as negatives).
    pub label_smoothing: f64,
    /// Ours: each message is read twice in a step, with other draws of dropout, and each reading also learns from what
    /// the other makes of it, this much ([R-Drop](https://arxiv.org/abs/2106.14448)). Better entities for twice the time;
    /// zero: each is read once. With fewer than 10,000 messages this and `drop_rate_rare` are less in proportion, and
    /// nothing with fewer than 2,000, where they gained nothing or cost something.
    pub r_drop: f64,
    /// Ours: share of readings in which features that no other message has (a word, a piece of one) are left out, as they
    /// would be for a user's message, where what is new has no column.
    pub drop_rate_rare: f64,
    /// Ours: tokens are hidden only in the first part of training, up to this share; afterwards the network sees
    /// messages as users type them.
    pub masked_until: f64,
    /// Ours: whether the intent is also read off the message's features directly, past the transformer, by linear
    /// classifiers ([`LinearClassifier`](crate::linear::LinearClassifier)).
    pub use_linear_path: bool,
    /// Ours: whether the name of an intent, cut into words, is one more example of it.
    pub learn_intent_names: bool,
    /// Ours: share of the examples that the network at first does not learn from, in order to fit on them what its
    /// opinion and that of the linear path weigh, so that a confidence is how often the answer is right. Afterwards it
    /// learns from them as well. Zero: nothing is fitted.
    pub calibration_share: f64,
    /// Ours: whether a message may have several intents, each with a confidence of its own: a sigmoid of its score.
    /// The answer names those above a threshold that is fitted in training.
    pub multi_label_intents: bool,
    /// Ours: what separates them in the names of the data, such as `thank+bye`, and in the answer.
    pub intent_split_symbol: String,
    /// Ours: evaluations without progress after which training stops; zero: never.
    pub early_stopping_patience: usize,
    /// Accepted, without effect.
    pub tensorboard_log_directory: Option<String>,
    /// Accepted, without effect.
    pub tensorboard_log_level: Option<String>,
    /// Accepted, without effect.
    pub drop_small_last_batch: bool,
    /// Accepted, without effect.
    pub run_eagerly: bool,
    /// Accepted, without effect.
    pub use_gpu: bool,
}

/// How similarities become confidences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Softmax over all labels.
    #[default]
    Softmax,
}

impl Default for DietConfig {
    fn default() -> Self {
        Self {
            epochs: 300,
            batch_size: BatchSize::Growing([64, 256]),
            batch_strategy: BatchStrategy::Balanced,
            learning_rate: 0.001,
            hidden_layers_sizes: PerSide::default(),
            share_hidden_layers: false,
            transformer_size: 256,
            number_of_transformer_layers: 2,
            number_of_attention_heads: 4,
            unidirectional_encoder: false,
            use_key_relative_attention: false,
            use_value_relative_attention: false,
            max_relative_position: 5,
            embedding_dimension: 20,
            dense_dimension: PerSide { text: 128, label: 20 },
            concat_dimension: PerSide { text: 128, label: 20 },
            number_of_negative_examples: 20,
            similarity_type: SimilarityType::Auto,
            loss_type: LossType::CrossEntropy,
            ranking_length: 10,
            maximum_positive_similarity: 0.8,
            maximum_negative_similarity: -0.4,
            use_maximum_negative_similarity: true,
            negative_margin_scale: 0.8,
            scale_loss: false,
            constrain_similarities: false,
            model_confidence: Confidence::Softmax,
            renormalize_confidences: false,
            regularization_constant: 0.002,
            drop_rate: 0.2,
            drop_rate_attention: 0.0,
            connection_density: 0.2,
            use_sparse_input_dropout: true,
            use_dense_input_dropout: true,
            use_masked_language_model: false,
            bilou_flag: true,
            intent_classification: true,
            entity_recognition: true,
            split_entities_by_comma: SplitByComma::All(true),
            evaluate_every_number_of_epochs: 20,
            evaluate_on_number_of_examples: 0,
            checkpoint_model: false,
            random_seed: None,
            precision: Precision::Bf16,
            minimum_steps: 0,
            warm_up: 0.0,
            learning_rate_decay: Decay::Constant,
            gradient_clipping: 0.0,
            label_smoothing: 0.0,
            r_drop: 0.0,
            drop_rate_rare: 0.0,
            masked_until: 1.0,
            use_linear_path: false,
            learn_intent_names: false,
            calibration_share: 0.0,
            multi_label_intents: false,
            intent_split_symbol: "+".to_owned(),
            early_stopping_patience: 0,
            tensorboard_log_directory: None,
            tensorboard_log_level: None,
            drop_small_last_batch: false,
            run_eagerly: false,
            use_gpu: true,
        }
    }
}

/// Wider layers than this are a typing error: a transformer of this width has a billion weights a layer.
const MOST_WIDTH: usize = 8192;

/// An option whose value makes no sense, and what would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("option `{option}` of DIETClassifier: {problem}")]
pub struct ConfigError {
    /// The option.
    pub option: &'static str,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl DietConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    ///
    /// The first option that makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |holds: bool, option, problem: &str| {
            if holds { Ok(()) } else { Err(ConfigError { option, problem: problem.to_owned() }) }
        };
        let share = |value: f64| (0.0..1.0).contains(&value);
        let heads = self.number_of_attention_heads;
        let (first, last) = self.batch_sizes();
        check(self.epochs > 0, "epochs", "must be at least 1")?;
        check(first > 0 && last > 0, "batch_size", "must be at least 1")?;
        check(
            self.learning_rate.is_finite() && self.learning_rate > 0.0,
            "learning_rate",
            "must be above 0",
        )?;
        check(share(self.drop_rate), "drop_rate", "must be at least 0 and below 1")?;
        check(share(self.drop_rate_attention), "drop_rate_attention", "must be at least 0 and below 1")?;
        check(
            (0.0..=1.0).contains(&self.drop_rate_rare),
            "drop_rate_rare",
            "must be at least 0 and at most 1",
        )?;
        check((0.0..=100.0).contains(&self.r_drop), "r_drop", "must be at least 0 and at most 100")?;
        check(share(self.warm_up), "warm_up", "must be at least 0 and below 1")?;
        check((0.0..=1.0).contains(&self.masked_until), "masked_until", "must be at least 0 and at most 1")?;
        check(
            (0.0..=0.5).contains(&self.calibration_share),
            "calibration_share",
            "must be at least 0 and at most 0.5",
        )?;
        check(share(self.label_smoothing), "label_smoothing", "must be at least 0 and below 1")?;
        let density = self.connection_density;
        check(density > 0.0 && density <= 1.0, "connection_density", "must be above 0 and at most 1")?;
        let decay = self.regularization_constant;
        check(decay.is_finite() && decay >= 0.0, "regularization_constant", "must be at least 0")?;
        check(self.gradient_clipping >= 0.0, "gradient_clipping", "must be at least 0")?;
        let step = self.learning_rate * decay;
        check(step < 1.0, "regularization_constant", "times learning_rate must be below 1")?;
        let width = |size: usize| (1..=MOST_WIDTH).contains(&size);
        check(width(self.embedding_dimension), "embedding_dimension", "must be between 1 and 8192")?;
        let dense = &self.dense_dimension;
        check(width(dense.text) && width(dense.label), "dense_dimension", "must be between 1 and 8192")?;
        let hidden = &self.hidden_layers_sizes;
        let sizes = || hidden.text.iter().chain(&hidden.label);
        check(sizes().all(|size| width(*size)), "hidden_layers_sizes", "each must be between 1 and 8192")?;
        if self.share_hidden_layers {
            let same = hidden.text == hidden.label && dense.text == dense.label;
            check(
                same,
                "share_hidden_layers",
                "needs equal hidden_layers_sizes and dense_dimension on both sides",
            )?;
        }
        if self.number_of_transformer_layers > 0 {
            let fits = heads > 0 && self.transformer_size > 0 && self.transformer_size.is_multiple_of(heads);
            check(width(self.transformer_size), "transformer_size", "must be between 1 and 8192")?;
            check(fits, "number_of_attention_heads", "must divide transformer_size")?;
        } else {
            let masked = self.use_masked_language_model;
            check(!masked, "use_masked_language_model", "needs at least one transformer layer")?;
        }
        let inner =
            self.loss_type == LossType::CrossEntropy && self.similarity_type != SimilarityType::Cosine;
        check(
            inner || self.loss_type == LossType::Margin,
            "similarity_type",
            "must be `inner` with the cross-entropy loss: cosines are too close together for a softmax",
        )?;
        check(
            !self.multi_label_intents || self.loss_type == LossType::CrossEntropy,
            "multi_label_intents",
            "needs loss_type: cross_entropy",
        )?;
        check(
            !self.intent_split_symbol.is_empty(),
            "intent_split_symbol",
            "must have at least one character",
        )?;
        let layers = self.number_of_transformer_layers;
        check(layers <= 64, "number_of_transformer_layers", "must be at most 64")?;
        check(self.max_relative_position <= 4096, "max_relative_position", "must be at most 4096")?;
        check(
            self.number_of_negative_examples <= 10_000,
            "number_of_negative_examples",
            "must be at most 10000",
        )?;
        let every = self.evaluate_every_number_of_epochs;
        check(every == -1 || every > 0, "evaluate_every_number_of_epochs", "must be −1 or at least 1")?;
        let tasks = self.intent_classification || self.entity_recognition;
        check(
            tasks,
            "intent_classification",
            "switch on this or entity_recognition: there is nothing to learn",
        )
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.random_seed.unwrap_or(1)
    }

    fn batch_sizes(&self) -> (usize, usize) {
        match self.batch_size {
            BatchSize::Fixed(size) => (size, size),
            BatchSize::Growing([first, last]) => (first, last),
        }
    }

    pub(super) fn transformer(&self) -> TransformerConfig {
        TransformerConfig {
            model_dim: self.transformer_size,
            heads: self.number_of_attention_heads,
            layers: self.number_of_transformer_layers,
            ff_dim: 4 * self.transformer_size,
            dropout: self.drop_rate,
            attention_dropout: self.drop_rate_attention,
            causal: self.unidirectional_encoder,
            relative_keys: self.use_key_relative_attention,
            relative_values: self.use_value_relative_attention,
            relative_reach: self.max_relative_position,
            connection_density: self.connection_density,
            norm_epsilon: 1e-6,
            precision: self.precision,
            ..Default::default()
        }
    }

    pub(super) fn similarity(&self) -> SimilarityConfig {
        SimilarityConfig {
            loss_type: self.loss_type,
            similarity_type: self.similarity_type,
            negatives: self.number_of_negative_examples,
            constrain: self.constrain_similarities,
            scale_loss: self.scale_loss,
            maximum_positive: self.maximum_positive_similarity,
            maximum_negative: self.maximum_negative_similarity,
            use_maximum_negative: self.use_maximum_negative_similarity,
            negative_margin_scale: self.negative_margin_scale,
            label_smoothing: self.label_smoothing,
            r_drop: self.r_drop,
        }
    }

    /// With fewer messages than this, readings are single and whole; see [`DietConfig::r_drop`].
    const FEW: usize = 2000;

    /// And with so many their options count in full.
    const ENOUGH: usize = 10_000;

    /// These options with [`DietConfig::r_drop`] and [`DietConfig::drop_rate_rare`] as they are for so many messages.
    pub(super) fn for_messages(self, messages: usize) -> Self {
        let share = if messages < Self::FEW { 0.0 } else { (messages as f64 / Self::ENOUGH as f64).min(1.0) };
        Self { r_drop: share * self.r_drop, drop_rate_rare: share * self.drop_rate_rare, ..self }
    }

    /// Epochs for so many examples.
    fn epochs_for(&self, examples: usize) -> usize {
        const MOST: usize = 300;
        let (first, last) = self.batch_sizes();
        let steps = examples.div_ceil(usize::midpoint(first, last)).max(1);
        self.minimum_steps.div_ceil(steps).min(MOST).max(self.epochs)
    }

    /// Settings of the training loop for so many examples.
    #[must_use]
    pub fn trainer(&self, examples: usize, threads: usize) -> TrainerConfig {
        TrainerConfig {
            epochs: self.epochs_for(examples),
            batch_size: self.batch_sizes(),
            batch_strategy: self.batch_strategy,
            schedule: Schedule {
                peak: self.learning_rate,
                warm_up: self.warm_up,
                decay: self.learning_rate_decay,
            },
            optimizer: AdamWConfig {
                weight_decay: self.regularization_constant,
                clip_norm: self.gradient_clipping,
                ..Default::default()
            },
            seed: self.seed(),
            threads,
            evaluate_every: usize::try_from(self.evaluate_every_number_of_epochs).unwrap_or(0),
            patience: self.early_stopping_patience,
            keep_best: self.checkpoint_model,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense_and_nonsense_is_named() {
        assert_eq!(DietConfig::default().validate(), Ok(()));
        let wrong = |change: fn(&mut DietConfig)| {
            let mut config = DietConfig::default();
            change(&mut config);
            config.validate().unwrap_err().option
        };
        assert_eq!(wrong(|c| c.epochs = 0), "epochs");
        assert_eq!(wrong(|c| c.drop_rate = 1.0), "drop_rate");
        assert_eq!(wrong(|c| c.number_of_attention_heads = 7), "number_of_attention_heads");
        assert_eq!(wrong(|c| c.similarity_type = SimilarityType::Cosine), "similarity_type");
        assert_eq!(wrong(|c| c.intent_split_symbol.clear()), "intent_split_symbol");
        let several = |c: &mut DietConfig| (c.multi_label_intents, c.loss_type) = (true, LossType::Margin);
        assert_eq!(wrong(several), "multi_label_intents");
        assert_eq!(wrong(|c| c.batch_size = BatchSize::Growing([0, 4])), "batch_size");
    }

    #[test]
    fn small_data_gets_more_epochs() {
        let config = DietConfig {
            epochs: 20,
            batch_size: BatchSize::Fixed(50),
            minimum_steps: 1000,
            ..Default::default()
        };
        let epochs = [10_000, 1000, 100, 1].map(|examples| config.epochs_for(examples));
        assert_eq!(epochs, [20, 50, 300, 300]);
        assert_eq!(DietConfig { minimum_steps: 0, ..config }.epochs_for(100), 20);
    }

    #[test]
    fn few_examples_are_read_once_and_as_they_are() {
        let config = DietConfig { r_drop: 2.0, drop_rate_rare: 0.5, ..Default::default() };
        let found = [500, 2500, 10_000, 50_000].map(|examples| {
            let own = config.clone().for_messages(examples);
            (own.r_drop, own.drop_rate_rare)
        });
        assert_eq!(found, [(0.0, 0.0), (0.5, 0.125), (2.0, 0.5), (2.0, 0.5)]);
    }

    #[test]
    fn rasa_options_are_read_and_typos_refused() {
        let read = serde_json::from_str::<DietConfig>;
        let json = r#"{"epochs": 5, "batch_size": [2, 8], "split_entities_by_comma": {"city": false}}"#;
        let config = read(json).unwrap();
        assert_eq!(config.batch_sizes(), (2, 8));
        assert!(!config.split_entities_by_comma.splits("city") && config.split_entities_by_comma.splits("x"));
        assert!(read(r#"{"epoch": 5}"#).unwrap_err().to_string().contains("expected one of `epochs`"));
    }
}
