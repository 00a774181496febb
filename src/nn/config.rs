//! Settings of a transformer, and their names in Rasa.

use serde::{Deserialize, Serialize};

use super::{Activation, Precision};
use crate::settings::{ConfigError, Range, Rule, Settings, Tell, Visit};

/// Settings of one transformer stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct TransformerConfig {
    /// Width of the residual stream. DIET's is 256.
    pub model_dim: usize,
    /// Parallel attention heads; must divide `model_dim`.
    pub heads: usize,
    /// Stacked layers; with zero there are only the input map, the positions and the last norm.
    pub layers: usize,
    /// Width inside the feed-forward network, usually four times `model_dim`.
    pub ff_dim: usize,
    /// The function inside the feed-forward network.
    pub activation: Activation,
    /// Share of activations dropped while training, in `[0, 1)`.
    pub dropout: f64,
    /// Share of attention scores hidden while training, in `[0, 1)`.
    pub attention_dropout: f64,
    /// Whether a row sees only itself and what came before.
    pub causal: bool,
    /// Whether keys get a learnt vector for the distance to the query (Shaw et al. 2018).
    pub relative_keys: bool,
    /// Whether values do.
    pub relative_values: bool,
    /// Whether scores get a learnt number for it (Raffel et al. 2020).
    pub relative_biases: bool,
    /// Distances beyond this share one vector or number.
    pub relative_reach: usize,
    /// Whether queries, keys and values have a bias.
    pub projection_bias: bool,
    /// Where the layer norms are.
    pub norm: NormPlacement,
    /// Share of the weights that exist in each map, in `(0, 1]`; one is an ordinary transformer.
    pub connection_density: f64,
    /// Added to the variance in layer norms.
    pub norm_epsilon: f64,
    /// The number format of products in training with a [`GradientSink`](super::GradientSink).
    pub precision: Precision,
}

/// Where the layer norms of a layer are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormPlacement {
    /// Before attention and feed-forward network, inside the residual
    /// ([Xiong et al., 2020](https://arxiv.org/abs/2002.04745)), as in DIET.
    #[default]
    Before,
    /// After the residual, as in the original transformer and in BERT.
    After,
}

impl TransformerConfig {
    /// How wide layers may be: one of the largest width has a billion weights, and more is a typing error.
    pub(crate) const WIDTH: Range = Range::between(1, 8192);

    /// Whether the stack exists as one operation.
    pub(super) fn has_fused_form(&self) -> bool {
        let plain = self.norm == NormPlacement::Before && !self.projection_bias && !self.relative_biases;
        plain && self.ff_dim > 0 && self.activation == Activation::Gelu
    }
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            model_dim: 256,
            heads: 4,
            layers: 2,
            ff_dim: 1024,
            activation: Activation::Gelu,
            dropout: 0.0,
            attention_dropout: 0.0,
            causal: false,
            relative_keys: false,
            relative_values: false,
            relative_biases: false,
            relative_reach: 5,
            projection_bias: false,
            norm: NormPlacement::Before,
            connection_density: 1.0,
            norm_epsilon: 1e-6,
            precision: Precision::F32,
        }
    }
}

impl Settings for TransformerConfig {
    fn options(&mut self, visit: &mut Visit<'_>) {
        use Rule::{Any, Range as In};
        let width = if self.layers > 0 { In(Self::WIDTH) } else { Any };
        visit("transformer_size", &mut self.model_dim, width);
        visit("number_of_transformer_layers", &mut self.layers, In(Range::between(0, 64)));
        visit("number_of_attention_heads", &mut self.heads, Any);
        visit("unidirectional_encoder", &mut self.causal, Any);
        visit("use_key_relative_attention", &mut self.relative_keys, Any);
        visit("use_value_relative_attention", &mut self.relative_values, Any);
        visit("max_relative_position", &mut self.relative_reach, In(Range::between(0, 4096)));
        visit("drop_rate", &mut self.dropout, In(Range::SHARE));
        visit("drop_rate_attention", &mut self.attention_dropout, In(Range::SHARE));
        visit("connection_density", &mut self.connection_density, In(Range::above(0.0).at_most(1.0)));
        visit("precision", &mut self.precision, Any);
    }

    fn check_relations(&self) -> Result<(), ConfigError> {
        let fits = self.layers == 0 || self.heads > 0 && self.model_dim.is_multiple_of(self.heads);
        ConfigError::unless(fits, "number_of_attention_heads", "must divide transformer_size")?;
        let weights =
            self.layers.saturating_mul(12).saturating_mul(self.model_dim).saturating_mul(self.model_dim);
        let problem =
            "with this transformer_size has more than two billion weights; make one of them smaller";
        ConfigError::unless(weights <= 2_000_000_000, "number_of_transformer_layers", problem)
    }

    fn idle(&self, tell: &mut Tell<'_>) {
        if self.layers == 0 {
            tell(
                &[
                    "transformer_size",
                    "number_of_attention_heads",
                    "unidirectional_encoder",
                    "use_key_relative_attention",
                    "use_value_relative_attention",
                    "drop_rate_attention",
                    "precision",
                ],
                "there is no transformer (`number_of_transformer_layers`)",
            );
        }
        if self.layers == 0 || !(self.relative_keys || self.relative_values) {
            let why = "distances count neither for keys nor for values (`use_key_relative_attention`, \
                       `use_value_relative_attention`)";
            tell(&["max_relative_position"], why);
        }
    }
}
