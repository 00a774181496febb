//! The groups of options that only DIET has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::nn::TransformerConfig;
use crate::settings::{ConfigError, Range, Rule, Settings, Tell, Visit};

/// One value for messages and one for labels; both must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerSide<T: Default> {
    /// For messages.
    pub text: T,
    /// For labels.
    pub label: T,
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

/// The layers between features and transformer, and those of labels.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LayersConfig {
    /// Widths of hidden layers before the transformer, and for labels. Rasa's `hidden_layers_sizes`.
    pub hidden_sizes: PerSide<Vec<usize>>,
    /// Whether messages and labels share those layers. Rasa's `share_hidden_layers`.
    pub share_hidden: bool,
    /// Width to which sparse features are mapped. Rasa's `dense_dimension`.
    pub dense_dimension: PerSide<usize>,
    /// Width of the space in which messages and labels meet. Rasa's `embedding_dimension`.
    pub embedding_dimension: usize,
    /// Whether dropout also hides sparse features. Rasa's `use_sparse_input_dropout`.
    pub sparse_dropout: bool,
    /// Whether it also hides parts of the dense rows made of them. Rasa's `use_dense_input_dropout`.
    pub dense_dropout: bool,
    /// Share of readings in `[0, 1]` in which features that no other message has (a word, a piece of one) are left out,
    /// as they would be for a user's message, where what is new has no column. Ours.
    ///
    /// With fewer than 10,000 messages this and [`r_drop`](crate::heads::SimilarityConfig::r_drop) are reduced in
    /// proportion, and with fewer than 2,000 they are zero: there they gained nothing or did harm.
    pub drop_rate_rare: f64,
}

impl Default for LayersConfig {
    fn default() -> Self {
        Self {
            hidden_sizes: PerSide::default(),
            share_hidden: false,
            dense_dimension: PerSide { text: 128, label: 20 },
            embedding_dimension: 20,
            sparse_dropout: true,
            dense_dropout: true,
            drop_rate_rare: 0.0,
        }
    }
}

impl Settings for LayersConfig {
    fn options(&mut self, visit: &mut Visit<'_>) {
        let width = Rule::Range(TransformerConfig::WIDTH);
        visit("hidden_layers_sizes", &mut self.hidden_sizes, width);
        visit("share_hidden_layers", &mut self.share_hidden, Rule::Any);
        visit("dense_dimension", &mut self.dense_dimension, width);
        visit("embedding_dimension", &mut self.embedding_dimension, width);
        visit("use_sparse_input_dropout", &mut self.sparse_dropout, Rule::Any);
        visit("use_dense_input_dropout", &mut self.dense_dropout, Rule::Any);
        visit("drop_rate_rare", &mut self.drop_rate_rare, Rule::Range(Range::between(0, 1)));
    }

    fn check_relations(&self) -> Result<(), ConfigError> {
        let (hidden, dense) = (&self.hidden_sizes, &self.dense_dimension);
        let few = hidden.text.len() <= 64 && hidden.label.len() <= 64;
        ConfigError::unless(few, "hidden_layers_sizes", "must have at most 64 layers on each side")?;
        ConfigError::unless(
            !self.share_hidden || hidden.text == hidden.label && dense.text == dense.label,
            "share_hidden_layers",
            "needs equal hidden_layers_sizes and dense_dimension on both sides",
        )
    }
}

/// Whether the network also learns to guess tokens that are hidden from it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct MaskingConfig {
    /// Whether it is on. Rasa's `use_masked_language_model`.
    pub enabled: bool,
    /// Tokens are hidden only in the first part of training, up to this share in `[0, 1]`; afterwards the network sees
    /// messages as users type them. Ours, `masked_until`.
    pub until: f64,
}

impl Default for MaskingConfig {
    fn default() -> Self {
        Self { enabled: false, until: 1.0 }
    }
}

impl Settings for MaskingConfig {
    fn options(&mut self, visit: &mut Visit<'_>) {
        visit("use_masked_language_model", &mut self.enabled, Rule::Any);
        visit("masked_until", &mut self.until, Rule::Range(Range::between(0, 1)));
    }

    fn idle(&self, tell: &mut Tell<'_>) {
        if !self.enabled {
            tell(&["masked_until"], "no tokens are hidden (`use_masked_language_model`)");
        }
    }
}

/// How intents are learnt and given out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct IntentConfig {
    /// Whether they are learnt. Rasa's `intent_classification`.
    pub enabled: bool,
    /// Intents given out at most; zero: all. Rasa's `ranking_length`.
    pub ranking_length: usize,
    /// Whether the confidences given out sum to one. Rasa's `renormalize_confidences`.
    pub renormalize: bool,
    /// Whether the intent is also read off the message's features directly, past the transformer, by linear
    /// classifiers ([`LinearClassifier`](crate::linear::LinearClassifier)). Ours, `use_linear_path`.
    pub linear_path: bool,
    /// Whether the name of an intent, cut into words, is one more example of it. Ours, `learn_intent_names`.
    pub learn_names: bool,
    /// Share of the examples, in `[0, 0.5]` and 600 at most, that the network does not learn from, in order to fit the
    /// ensemble weights on them, so that a confidence is how often the answer is right. Zero: nothing is fitted. Ours.
    pub calibration_share: f64,
    /// Whether a message may have several intents, each with a confidence of its own: a sigmoid of its score. The
    /// answer names those above a threshold that is fitted in training. Ours, `multi_label_intents`.
    pub multi_label: bool,
    /// What separates several intents in the names of the data, such as `thank+bye`, and in the answer. Ours,
    /// `intent_split_symbol`.
    pub split_symbol: String,
}

impl Default for IntentConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            ranking_length: 10,
            renormalize: false,
            linear_path: false,
            learn_names: false,
            calibration_share: 0.0,
            multi_label: false,
            split_symbol: "+".to_owned(),
        }
    }
}

impl IntentConfig {
    /// What separates the intents of a message in its label; `None` where a message has only one.
    #[must_use]
    pub fn separator(&self) -> Option<&str> {
        self.multi_label.then_some(self.split_symbol.as_str())
    }
}

impl Settings for IntentConfig {
    fn options(&mut self, visit: &mut Visit<'_>) {
        visit("intent_classification", &mut self.enabled, Rule::Any);
        visit("ranking_length", &mut self.ranking_length, Rule::Any);
        visit("renormalize_confidences", &mut self.renormalize, Rule::Any);
        visit("use_linear_path", &mut self.linear_path, Rule::Any);
        visit("learn_intent_names", &mut self.learn_names, Rule::Any);
        let up_to_half = Rule::Range(Range::at_least(0.0).at_most(0.5));
        visit("calibration_share", &mut self.calibration_share, up_to_half);
        visit("multi_label_intents", &mut self.multi_label, Rule::Any);
        visit("intent_split_symbol", &mut self.split_symbol, Rule::Any);
    }

    fn check_relations(&self) -> Result<(), ConfigError> {
        let holds = !self.split_symbol.is_empty();
        ConfigError::unless(holds, "intent_split_symbol", "must have at least one character")
    }

    fn idle(&self, tell: &mut Tell<'_>) {
        if !self.enabled {
            tell(
                &[
                    "ranking_length",
                    "renormalize_confidences",
                    "use_linear_path",
                    "learn_intent_names",
                    "calibration_share",
                    "multi_label_intents",
                    "intent_split_symbol",
                ],
                "no intents are learnt (`intent_classification`)",
            );
        } else if self.multi_label {
            tell(
                &["renormalize_confidences"],
                "the confidence of each of several intents stands for itself (`multi_label_intents`)",
            );
        } else {
            tell(&["intent_split_symbol"], "a message has one intent (`multi_label_intents`)");
        }
    }
}

/// How entities are learnt and given out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct EntityConfig {
    /// Whether they are learnt. Rasa's `entity_recognition`.
    pub enabled: bool,
    /// Whether tags tell the place of a token in its entity. Rasa's `BILOU_flag`.
    pub bilou: bool,
    /// Whether a comma separates entities. Rasa's `split_entities_by_comma`.
    pub split_by_comma: SplitByComma,
}

impl Default for EntityConfig {
    fn default() -> Self {
        Self { enabled: true, bilou: true, split_by_comma: SplitByComma::All(true) }
    }
}

impl Settings for EntityConfig {
    fn options(&mut self, visit: &mut Visit<'_>) {
        visit("entity_recognition", &mut self.enabled, Rule::Any);
        visit("BILOU_flag", &mut self.bilou, Rule::Any);
        visit("split_entities_by_comma", &mut self.split_by_comma, Rule::Any);
    }

    fn idle(&self, tell: &mut Tell<'_>) {
        if !self.enabled {
            tell(&["BILOU_flag", "split_entities_by_comma"], "no entities are learnt (`entity_recognition`)");
        }
    }
}
