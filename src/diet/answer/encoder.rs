//! From dense rows to the rows that the heads read.

use super::affine::Affine;
use super::scratch::Scratch;
use super::source::{Source, WeightsError};
use crate::kernels::activation::gelu;
use crate::kernels::attention::{Attention, Relative};
use crate::kernels::layer_norm::layer_norm;
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
        let layer = |(at, (input, output)): (usize, (usize, &usize))| {
            Affine::new(input, *output, density, &source.at(at))
        };
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
    norm: Norm,
    config: TransformerConfig,
}

#[derive(Clone, Debug)]
struct Layer {
    attention_norm: Norm,
    query_key_value: Affine,
    relative_keys: Vec<f32>,
    relative_values: Vec<f32>,
    output: Affine,
    feed_forward_norm: Norm,
    expand: Affine,
    contract: Affine,
}

#[derive(Clone, Debug)]
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
    epsilon: f32,
}

impl Norm {
    fn new(config: &TransformerConfig, source: &Source<'_>) -> Result<Self, WeightsError> {
        let vector = |name| Ok(source.values(name, &[config.model_dim])?.into_owned());
        Ok(Self { weight: vector("weight")?, bias: vector("bias")?, epsilon: config.norm_epsilon as f32 })
    }

    fn forward(&self, x: &[f32], out: &mut Vec<f32>) {
        out.resize(x.len(), 0.0);
        layer_norm(x, &self.weight, &self.bias, self.epsilon, out);
    }
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
        Ok(Self {
            attention_norm: Norm::new(config, &source.at("attention_norm"))?,
            query_key_value: Affine::without_bias(dim, 3 * dim, density, &qkv)?,
            relative_keys: relative(config.relative_keys, "relative_keys")?,
            relative_values: relative(config.relative_values, "relative_values")?,
            output: Affine::new(dim, dim, density, &attention.at("output"))?,
            feed_forward_norm: Norm::new(config, &source.at("feed_forward_norm"))?,
            expand: Affine::new(dim, config.ff_dim, density, &feed_forward.at("expand"))?,
            contract: Affine::new(config.ff_dim, dim, density, &feed_forward.at("contract"))?,
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
            input: Affine::new(input_dim, config.model_dim, config.connection_density, &source.at("input"))?,
            positions: SinusoidalPositions::new(config.model_dim),
            layers: (0..config.layers)
                .map(|at| Layer::new(config, &layers.at(at)))
                .collect::<Result<_, _>>()?,
            norm: Norm::new(config, &source.at("norm"))?,
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
