//! The transformer of our own models.

use std::borrow::Cow;

use super::layers::{Buffers, Layers};
use super::shard::LayerWeights;
use super::source::{Source, WeightsError};
use super::threads::Threads;
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
        let mut layers = Layers::new(config, source.precision, 1);
        for at in 0..config.layers {
            push_layer(&mut layers, config, &source.at("layers").at(at))?;
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
        self.input.forward(rows, &buffers.x, &mut buffers.spare);
        std::mem::swap(&mut buffers.x, &mut buffers.spare);
        let scale = (dim as f32).sqrt();
        buffers.x.iter_mut().for_each(|x| *x *= scale);
        for rows in offsets.windows(2) {
            self.positions.add_to_rows(&mut buffers.x[rows[0] * dim..rows[1] * dim]);
        }
        self.layers.forward(offsets, &mut Threads::One, buffers);
        self.norm.forward(&buffers.x, &mut buffers.spare);
        std::mem::swap(&mut buffers.x, &mut buffers.spare);
    }
}

/// Reads a layer under the names of [`nn::TransformerLayer`](crate::nn::TransformerLayer) and packs it.
fn push_layer(
    layers: &mut Layers,
    config: &TransformerConfig,
    source: &Source<'_>,
) -> Result<(), WeightsError> {
    let (dim, density) = (config.model_dim, config.connection_density);
    let (attention, feed_forward) = (source.at("attention"), source.at("feed_forward"));
    let norm = |name| source.at(name).layer_norm(dim, config.norm_epsilon);
    let table = |wanted: bool, name| {
        let shape = [config.heads, 2 * config.relative_reach + 1, dim / config.heads];
        if wanted { attention.values(name, &shape) } else { Ok(Cow::Borrowed(&[][..])) }
    };
    let query_key_value = attention.at("query_key_value").map_without_bias(dim, 3 * dim, density)?;
    let keys = table(config.relative_keys, "relative_keys")?;
    let values = table(config.relative_values, "relative_values")?;
    let output = attention.at("output").map(dim, dim, density)?;
    let expand = feed_forward.at("expand").map(dim, config.ff_dim, density)?;
    let contract = feed_forward.at("contract").map(config.ff_dim, dim, density)?;
    layers.push(LayerWeights {
        attention_norm: norm("attention_norm")?,
        query_key_value: query_key_value.weights(),
        relative: Relative { keys: &keys[..], values: &values, biases: &[], reach: config.relative_reach },
        output: output.weights(),
        feed_forward_norm: norm("feed_forward_norm")?,
        expand: expand.weights(),
        contract: contract.weights(),
    });
    Ok(())
}
