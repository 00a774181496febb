//! The options of a transformer, under Rasa's names.

use super::TransformerConfig;
use crate::settings::{ConfigError, Range, Rule, Settings, Visit};

/// A transformer of this width has a billion weights in each layer: wider ones are a typing error.
const MOST_WIDTH: u32 = 8192;

impl TransformerConfig {
    /// How wide layers may be.
    pub(crate) const WIDTH: Range = Range::between(1, MOST_WIDTH);
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
        ConfigError::unless(fits, "number_of_attention_heads", "must divide transformer_size")
    }
}
