//! From dense rows to the rows that the heads read.

use super::scratch::Scratch;
use super::source::{Source, WeightsError};
use crate::kernels::activation::gelu;
use crate::kernels::attention::{Attention, Relative};
use crate::kernels::{Affine, LayerNorm};
use crate::nn::{SinusoidalPositions, TransformerConfig};

/// Plain layers with GELU between the sparse layer and the transformer; usually none.
#[derive(Clone, Debug)]
pub(super) struct Hidden {
    layers: Vec<Affine>,
}

impl Hidden {
    pub(super) fn new(
        sizes: &[usize],
        input: usize,
        density: f64,
        source: &Source<'_>,
    ) -> Result<Self, WeightsError> {
        let inputs = [input].into_iter().chain(sizes.iter().copied());
        let layer =
            |(at, (input, output)): (usize, (usize, &usize))| source.at(at).affine(input, *output, density);
        Ok(Self { layers: inputs.zip(sizes).enumerate().map(layer).collect::<Result<_, _>>()? })
    }

    pub(super) fn output(&self, input: usize) -> usize {
        self.layers.last().map_or(input, Affine::output)
    }

    /// Replaces the rows in `x`; the others are room to work in.
    pub(super) fn forward(&self, rows: usize, x: &mut Vec<f32>, room: &mut Vec<f32>, wide: &mut Vec<f32>) {
        for layer in &self.layers {
            layer.forward(rows, x, wide);
            room.resize(wide.len(), 0.0);
            gelu(wide, room);
            std::mem::swap(x, room);
        }
    }
}

/// A transformer: input map, positions, layers, and a last layer norm.
#[derive(Clone, Debug)]
pub(super) struct Transformer {
    input: Affine,
    positions: SinusoidalPositions,
    layers: Vec<Layer>,
    norm: LayerNorm,
    config: TransformerConfig,
}

#[derive(Clone, Debug)]
struct Layer {
    attention_norm: LayerNorm,
    query_key_value: Affine,
    relative_keys: Vec<f32>,
    relative_values: Vec<f32>,
    output: Affine,
    feed_forward_norm: LayerNorm,
    expand: Affine,
    contract: Affine,
}

impl Layer {
    fn new(config: &TransformerConfig, source: &Source<'_>) -> Result<Self, WeightsError> {
        let (dim, density) = (config.model_dim, config.connection_density);
        let attention = source.at("attention");
        let relative = |wanted: bool, name| -> Result<Vec<f32>, WeightsError> {
            let shape = [config.heads, 2 * config.relative_reach + 1, dim / config.heads];
            Ok(if wanted { attention.values(name, &shape)?.into_owned() } else { Vec::new() })
        };
        let qkv = attention.at("query_key_value");
        let feed_forward = source.at("feed_forward");
        let norm = |name| source.at(name).layer_norm(dim, config.norm_epsilon);
        Ok(Self {
            attention_norm: norm("attention_norm")?,
            query_key_value: qkv.without_bias(dim, 3 * dim, density)?,
            relative_keys: relative(config.relative_keys, "relative_keys")?,
            relative_values: relative(config.relative_values, "relative_values")?,
            output: attention.at("output").affine(dim, dim, density)?,
            feed_forward_norm: norm("feed_forward_norm")?,
            expand: feed_forward.at("expand").affine(dim, config.ff_dim, density)?,
            contract: feed_forward.at("contract").affine(config.ff_dim, dim, density)?,
        })
    }

    /// `x += attention(norm(x))`, then `x += feed_forward(norm(x))`.
    fn forward(&self, config: &TransformerConfig, scratch: &mut Scratch) {
        let Scratch { offsets, x, normed, wide, inner, .. } = scratch;
        let rows = x.len() / config.model_dim;
        self.attention_norm.forward(x, normed);
        self.query_key_value.forward(rows, normed, inner); // [row, 3·model_dim]
        let attention = Attention {
            offsets,
            heads: config.heads,
            model_dim: config.model_dim,
            causal: config.causal,
            drop_rate: 0.0,
            seed: 0,
        };
        let relative = Relative {
            keys: &self.relative_keys[..],
            values: &self.relative_values,
            biases: &[],
            reach: config.relative_reach,
        };
        attention.forward(inner, relative, normed); // [row, model_dim]
        self.output.add(rows, normed, x);

        self.feed_forward_norm.forward(x, normed);
        self.expand.forward(rows, normed, wide); // [row, ff_dim]
        inner.resize(wide.len(), 0.0);
        gelu(wide, inner);
        self.contract.add(rows, inner, x);
    }
}

impl Transformer {
    pub(super) fn new(
        input_dim: usize,
        config: &TransformerConfig,
        source: &Source<'_>,
    ) -> Result<Self, WeightsError> {
        let layers = source.at("layers");
        Ok(Self {
            input: source.at("input").affine(input_dim, config.model_dim, config.connection_density)?,
            positions: SinusoidalPositions::new(config.model_dim),
            layers: (0..config.layers)
                .map(|at| Layer::new(config, &layers.at(at)))
                .collect::<Result<_, _>>()?,
            norm: source.at("norm").layer_norm(config.model_dim, config.norm_epsilon)?,
            config: config.clone(),
        })
    }

    /// Replaces the rows in `x`, of the messages in `offsets`.
    pub(super) fn forward(&self, scratch: &mut Scratch) {
        let dim = self.config.model_dim;
        let rows = scratch.offsets.last().copied().unwrap_or(0);
        self.input.forward(rows, &scratch.x, &mut scratch.normed);
        std::mem::swap(&mut scratch.x, &mut scratch.normed);
        let size = (dim as f32).sqrt();
        scratch.x.iter_mut().for_each(|x| *x *= size);
        for rows in scratch.offsets.windows(2) {
            self.positions.add_to_rows(&mut scratch.x[rows[0] * dim..rows[1] * dim]);
        }
        for layer in &self.layers {
            layer.forward(&self.config, scratch);
        }
        self.norm.forward(&scratch.x, &mut scratch.normed);
        std::mem::swap(&mut scratch.x, &mut scratch.normed);
    }
}
