//! A transformer over the rows of a model of ours.

use super::crew::Crew;
use super::layers::{Activation, Buffers, LayerWeights, Layers};
use super::source::{MapValues, Source, WeightsError};
use crate::kernels::attention::Relative;
use crate::kernels::{Affine, LayerNorm};
use crate::nn::{SinusoidalPositions, TransformerConfig};

/// A transformer: input map, positions, layers, and a last layer norm, as [`nn::Transformer`](crate::nn::Transformer).
#[derive(Clone, Debug)]
pub(crate) struct Transformer {
    input: Affine,
    positions: SinusoidalPositions,
    layers: Layers,
    norm: LayerNorm,
    model_dim: usize,
}

impl Transformer {
    /// Reads and packs the weights.
    pub(crate) fn new(
        input_dim: usize,
        config: &TransformerConfig,
        source: &Source<'_>,
    ) -> Result<Self, WeightsError> {
        let mut layers = Layers::new(config, Activation::Gelu, source.precision, 1);
        for at in 0..config.layers {
            LayerValues::read(config, &source.at("layers").at(at))?.push_to(&mut layers);
        }
        Ok(Self {
            input: source.at("input").affine(input_dim, config.model_dim, config.connection_density)?,
            positions: SinusoidalPositions::new(config.model_dim),
            layers,
            norm: source.at("norm").layer_norm(config.model_dim, config.norm_epsilon)?,
            model_dim: config.model_dim,
        })
    }

    /// Replaces the rows in `buffers.x`, from `[row, input_dim]` to `[row, model_dim]`; `offsets` says where each
    /// sequence begins and the last one ends.
    pub(crate) fn forward(&self, offsets: &[usize], buffers: &mut Buffers) {
        let dim = self.model_dim;
        let rows = offsets.last().copied().unwrap_or(0);
        self.input.forward(rows, &buffers.x, &mut buffers.other);
        std::mem::swap(&mut buffers.x, &mut buffers.other);
        let scale = (dim as f32).sqrt();
        buffers.x.iter_mut().for_each(|x| *x *= scale);
        for rows in offsets.windows(2) {
            self.positions.add_to_rows(&mut buffers.x[rows[0] * dim..rows[1] * dim]);
        }
        self.layers.forward(offsets, &mut Crew::Alone, buffers);
        self.norm.forward(&buffers.x, &mut buffers.other);
        std::mem::swap(&mut buffers.x, &mut buffers.other);
    }
}

/// The weights of a layer under the names of [`nn::TransformerLayer`](crate::nn::TransformerLayer).
struct LayerValues<'w> {
    attention_norm: LayerNorm,
    query_key_value: MapValues<'w>,
    relative_keys: Vec<f32>,
    relative_values: Vec<f32>,
    reach: usize,
    output: MapValues<'w>,
    feed_forward_norm: LayerNorm,
    expand: MapValues<'w>,
    contract: MapValues<'w>,
}

impl<'w> LayerValues<'w> {
    fn read(config: &TransformerConfig, source: &Source<'w>) -> Result<Self, WeightsError> {
        let (dim, density) = (config.model_dim, config.connection_density);
        let (attention, feed_forward) = (source.at("attention"), source.at("feed_forward"));
        let relative = |wanted: bool, name| -> Result<Vec<f32>, WeightsError> {
            let shape = [config.heads, 2 * config.relative_reach + 1, dim / config.heads];
            Ok(if wanted { attention.values(name, &shape)?.into_owned() } else { Vec::new() })
        };
        let norm = |name| source.at(name).layer_norm(dim, config.norm_epsilon);
        Ok(Self {
            attention_norm: norm("attention_norm")?,
            query_key_value: attention.at("query_key_value").map_without_bias(dim, 3 * dim, density)?,
            relative_keys: relative(config.relative_keys, "relative_keys")?,
            relative_values: relative(config.relative_values, "relative_values")?,
            reach: config.relative_reach,
            output: attention.at("output").map(dim, dim, density)?,
            feed_forward_norm: norm("feed_forward_norm")?,
            expand: feed_forward.at("expand").map(dim, config.ff_dim, density)?,
            contract: feed_forward.at("contract").map(config.ff_dim, dim, density)?,
        })
    }

    fn push_to(self, layers: &mut Layers) {
        let relative = Relative {
            keys: &self.relative_keys[..],
            values: &self.relative_values,
            biases: &[],
            reach: self.reach,
        };
        layers.push(LayerWeights {
            attention_norm: self.attention_norm,
            query_key_value: self.query_key_value.weights(),
            relative,
            output: self.output.weights(),
            feed_forward_norm: self.feed_forward_norm,
            expand: self.expand.weights(),
            contract: self.contract.weights(),
        });
    }
}
