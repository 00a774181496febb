//! `config.json`: what a pretrained encoder looks like.

use std::path::Path;

use serde::Deserialize;

use super::parts::RelativeBiases;
use crate::embed::EmbedError;
use crate::nn::{Activation, NormPlacement, TransformerConfig};

/// The family of a BERT-style encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// BERT, `MiniLM`, and whatever else says `bert`.
    Bert,
    /// `DistilBERT`: no types of sentences, other names.
    DistilBert,
    /// `RoBERTa`, XLM-R, `CamemBERT`: positions are counted from after the padding token.
    Roberta,
    /// `MPNet`: the distance between tokens also counts.
    Mpnet,
}

impl Family {
    const NAMES: [(&'static str, Self); 6] = [
        ("bert", Self::Bert),
        ("distilbert", Self::DistilBert),
        ("roberta", Self::Roberta),
        ("xlm-roberta", Self::Roberta),
        ("camembert", Self::Roberta),
        ("mpnet", Self::Mpnet),
    ];
}

/// The sizes of a pretrained encoder.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ModelConfig {
    /// As the file says it.
    pub(super) model_type: String,
    pub(super) family: Family,
    pub(super) vocabulary: usize,
    pub(super) model_dim: usize,
    pub(super) heads: usize,
    pub(super) layers: usize,
    pub(super) ff_dim: usize,
    /// Rows of the table of positions.
    pub(super) position_rows: usize,
    /// The row of the first position.
    pub(super) first_position: usize,
    /// Types of sentences; without them the table does not exist.
    pub(super) types: usize,
    pub(super) norm_epsilon: f64,
    pub(super) activation: Activation,
    /// Learnt numbers for distances: buckets of `MPNet`.
    pub(super) relative_buckets: usize,
}

/// The activation functions by their names in transformers.
const ACTIVATIONS: [(&str, Activation); 17] = [
    ("gelu", Activation::Gelu),
    ("gelu_python", Activation::Gelu),
    ("gelu_new", Activation::GeluTanh),
    ("gelu_fast", Activation::GeluTanh),
    ("gelu_accurate", Activation::GeluTanh),
    ("gelu_pytorch_tanh", Activation::GeluTanh),
    ("gelu_python_tanh", Activation::GeluTanh),
    ("quick_gelu", Activation::QuickGelu),
    ("relu", Activation::Relu),
    ("leaky_relu", Activation::LeakyRelu),
    ("silu", Activation::Silu),
    ("swish", Activation::Silu),
    ("elu", Activation::Elu),
    ("tanh", Activation::Tanh),
    ("sigmoid", Activation::Sigmoid),
    ("linear", Activation::Identity),
    ("identity", Activation::Identity),
];

/// The file, under the names of all families.
#[derive(Deserialize)]
struct Raw {
    model_type: Option<String>,
    vocab_size: Option<usize>,
    #[serde(alias = "dim")]
    hidden_size: Option<usize>,
    #[serde(alias = "n_heads")]
    num_attention_heads: Option<usize>,
    #[serde(alias = "n_layers")]
    num_hidden_layers: Option<usize>,
    #[serde(alias = "hidden_dim")]
    intermediate_size: Option<usize>,
    max_position_embeddings: Option<usize>,
    type_vocab_size: Option<usize>,
    layer_norm_eps: Option<f64>,
    #[serde(alias = "activation")]
    hidden_act: Option<String>,
    pad_token_id: Option<usize>,
    relative_attention_num_buckets: Option<usize>,
    position_embedding_type: Option<String>,
}

impl ModelConfig {
    /// The settings of the layers.
    pub(super) fn layers(&self, relative: Option<&RelativeBiases>) -> TransformerConfig {
        TransformerConfig {
            model_dim: self.model_dim,
            heads: self.heads,
            layers: self.layers,
            ff_dim: self.ff_dim,
            activation: self.activation,
            norm_epsilon: self.norm_epsilon,
            relative_biases: relative.is_some(),
            relative_reach: relative.map_or(0, |relative| relative.reach),
            projection_bias: true,
            norm: NormPlacement::After,
            ..Default::default()
        }
    }

    /// The largest table that is accepted: no vocabulary or text is larger.
    const MOST: usize = 1 << 26;
    /// The widest rows that are accepted.
    const WIDEST: usize = 1 << 16;

    /// The most layers that are accepted.
    const DEEPEST: usize = 1 << 10;

    /// Reads what a `config.json` says.
    pub(super) fn parse(text: &[u8], path: &Path) -> Result<Self, EmbedError> {
        let wrong = |problem: String| EmbedError::file(path, problem);
        let raw: Raw = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
        let model_type = raw.model_type.unwrap_or_default();
        let known = Family::NAMES.iter().find(|(name, _)| *name == model_type);
        let Some((_, family)) = known else {
            let names: Vec<&str> = Family::NAMES.iter().map(|(name, _)| *name).collect();
            return Err(wrong(format!("`model_type` is `{model_type}`; supported are {}", names.join(", "))));
        };
        let size = |value: Option<usize>, name: &str| match value {
            Some(value) if value > 0 && value <= Self::MOST => Ok(value),
            Some(value) => Err(wrong(format!("`{name}` is {value}, which cannot be"))),
            None => Err(wrong(format!("there is no `{name}`"))),
        };
        let named = raw.hidden_act.as_deref().unwrap_or("gelu");
        let Some((_, activation)) = ACTIVATIONS.iter().find(|(name, _)| *name == named) else {
            let names = ACTIVATIONS.map(|(name, _)| name);
            return Err(wrong(format!("`hidden_act` is `{named}`; supported are {}", names.join(", "))));
        };
        if let Some(other) = raw.position_embedding_type.filter(|kind| kind != "absolute") {
            return Err(wrong(format!("`position_embedding_type` is `{other}`; supported is absolute")));
        }
        let padded = matches!(family, Family::Roberta | Family::Mpnet);
        let config = Self {
            family: *family,
            vocabulary: size(raw.vocab_size, "vocab_size")?,
            model_dim: size(raw.hidden_size, "hidden_size")?,
            heads: size(raw.num_attention_heads, "num_attention_heads")?,
            layers: size(raw.num_hidden_layers, "num_hidden_layers")?,
            ff_dim: size(raw.intermediate_size, "intermediate_size")?,
            position_rows: size(raw.max_position_embeddings, "max_position_embeddings")?,
            first_position: if padded { raw.pad_token_id.unwrap_or(1).saturating_add(1) } else { 0 },
            types: match family {
                Family::Bert => raw.type_vocab_size.unwrap_or(2),
                Family::Roberta => raw.type_vocab_size.unwrap_or(1),
                _ => 0,
            },
            norm_epsilon: raw.layer_norm_eps.unwrap_or(1e-12),
            activation: *activation,
            relative_buckets: match family {
                Family::Mpnet => {
                    size(raw.relative_attention_num_buckets.or(Some(32)), "relative_attention_num_buckets")?
                }
                _ => 0,
            },
            model_type,
        };
        if config.layers > Self::DEEPEST {
            return Err(wrong(format!(
                "`num_hidden_layers` is {}, more than {}",
                config.layers,
                Self::DEEPEST
            )));
        }
        if config.model_dim > Self::WIDEST || config.ff_dim > 64 * Self::WIDEST {
            return Err(wrong(format!(
                "rows of {} and {} numbers cannot be",
                config.model_dim, config.ff_dim
            )));
        }
        if config.family == Family::Mpnet && config.relative_buckets < 4 {
            return Err(wrong("`relative_attention_num_buckets` must be 4 at least".to_owned()));
        }
        if !(0.0..1.0).contains(&config.norm_epsilon) {
            return Err(wrong(format!("`layer_norm_eps` is {}, which cannot be", config.norm_epsilon)));
        }
        if !config.model_dim.is_multiple_of(config.heads) {
            return Err(wrong(format!(
                "`hidden_size` {} cannot be divided among {} heads",
                config.model_dim, config.heads
            )));
        }
        if config.first_position >= config.position_rows {
            return Err(wrong("`pad_token_id` leaves no place for a token".to_owned()));
        }
        Ok(config)
    }

    /// The most tokens that a sequence may have.
    pub(super) fn longest(&self) -> usize {
        self.position_rows - self.first_position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ModelConfig, String> {
        ModelConfig::parse(text.as_bytes(), Path::new("m/config.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn each_family_has_its_own_names() {
        let bert = parse(
            r#"{"model_type": "bert", "vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2,
                "num_hidden_layers": 1, "intermediate_size": 16, "max_position_embeddings": 5, "pad_token_id": 0}"#,
        );
        let bert = bert.unwrap();
        assert_eq!((bert.family, bert.longest(), bert.types), (Family::Bert, 5, 2));
        let distil = parse(
            r#"{"model_type": "distilbert", "vocab_size": 9, "dim": 8, "n_heads": 2, "n_layers": 3,
                "hidden_dim": 16, "max_position_embeddings": 5, "activation": "relu"}"#,
        );
        let distil = distil.unwrap();
        assert_eq!((distil.layers, distil.types, distil.activation), (3, 0, Activation::Relu));
        let roberta = parse(
            r#"{"model_type": "xlm-roberta", "vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2,
                "num_hidden_layers": 1, "intermediate_size": 16, "max_position_embeddings": 514, "pad_token_id": 1}"#,
        );
        assert_eq!(roberta.unwrap().longest(), 512);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let with = |entry: &str| {
            let start = r#"{"model_type": "bert", "vocab_size": 9, "hidden_size": 8, "num_attention_heads": 2,
                "num_hidden_layers": 1, "intermediate_size": 16, "max_position_embeddings": 5"#;
            parse(&format!("{start}{entry}}}")).unwrap_err()
        };
        assert!(with(r#", "hidden_act": "mish""#).contains("`mish`; supported are gelu, gelu_python, "));
        assert!(with(r#", "position_embedding_type": "rotary""#).contains("`rotary`"));
        let error = parse(r#"{"model_type": "gpt2"}"#).unwrap_err();
        assert!(error.starts_with("m/config.json: `model_type` is `gpt2`; supported are bert, "), "{error}");
        assert!(parse("{").is_err());
        let heads = r#"{"model_type": "bert", "vocab_size": 9, "hidden_size": 8, "num_attention_heads": 3,
            "num_hidden_layers": 1, "intermediate_size": 16, "max_position_embeddings": 5}"#;
        assert!(parse(heads).unwrap_err().contains("cannot be divided among 3 heads"));
        let size = heads.replace("\"vocab_size\": 9", "\"vocab_size\": 0");
        assert!(parse(&size).unwrap_err().contains("`vocab_size` is 0"));
        let none = heads.replace("\"vocab_size\": 9,", "");
        assert!(parse(&none).unwrap_err().contains("there is no `vocab_size`"));
    }
}
