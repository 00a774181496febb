//! The names of the tensors in each family.

use super::config::Family;

/// The names of one layer; `.weight` and `.bias` follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LayerNames {
    pub(super) query_key_value: [String; 3],
    pub(super) output: String,
    pub(super) attention_norm: String,
    pub(super) expand: String,
    pub(super) contract: String,
    pub(super) feed_forward_norm: String,
}

impl Family {
    pub(super) const WORDS: &'static str = "embeddings.word_embeddings.weight";
    pub(super) const POSITIONS: &'static str = "embeddings.position_embeddings.weight";
    pub(super) const TYPES: &'static str = "embeddings.token_type_embeddings.weight";
    pub(super) const NORM: &'static str = "embeddings.LayerNorm";
    /// `[bucket, heads]`
    pub(super) const RELATIVE_BIASES: &'static str = "encoder.relative_attention_bias.weight";

    pub(super) fn layer(self, at: usize) -> LayerNames {
        let stack = if self == Self::DistilBert { "transformer" } else { "encoder" };
        let name = |part: &str| format!("{stack}.layer.{at}.{part}");
        let names =
            |qkv: [&str; 3], [output, attention_norm, expand, contract, feed_forward_norm]: [&str; 5]| {
                LayerNames {
                    query_key_value: qkv.map(name),
                    output: name(output),
                    attention_norm: name(attention_norm),
                    expand: name(expand),
                    contract: name(contract),
                    feed_forward_norm: name(feed_forward_norm),
                }
            };
        match self {
            Self::Bert | Self::Roberta => names(
                ["attention.self.query", "attention.self.key", "attention.self.value"],
                [
                    "attention.output.dense",
                    "attention.output.LayerNorm",
                    "intermediate.dense",
                    "output.dense",
                    "output.LayerNorm",
                ],
            ),
            Self::DistilBert => names(
                ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
                ["attention.out_lin", "sa_layer_norm", "ffn.lin1", "ffn.lin2", "output_layer_norm"],
            ),
            Self::Mpnet => names(
                ["attention.attn.q", "attention.attn.k", "attention.attn.v"],
                [
                    "attention.attn.o", "attention.LayerNorm", "intermediate.dense", "output.dense",
                    "output.LayerNorm",
                ],
            ),
        }
    }
}
