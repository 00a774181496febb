//! The same encoder as blocks that learn, on candle.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::config::{Activation, Family, ModelConfig};
use super::folder::{self, Folder};
use super::parts::{Map, Parts};
use super::weights::WeightFiles;
use crate::embed::EmbedError;
use crate::kernels::LayerNorm;
use crate::nn::{Encoder, EncoderConfig, NormPlacement, TransformerConfig};

/// Opens a pretrained encoder as a block of [`nn`](crate::nn): to look inside, to learn on, to run on another device.
///
/// For embedding texts an [`Embedder`](crate::embed::Embedder) is several times faster.
///
/// # Errors
///
/// As [`Embedder::open`](crate::embed::Embedder::open), and if candle cannot make the tensors.
///
/// # Example
///
/// ```no_run
/// use candle_core::{DType, Device};
/// use talkformer::embed::pretrained_block;
/// use talkformer::nn::{Pass, Segments};
///
/// let encoder = pretrained_block("all-MiniLM-L6-v2".as_ref(), DType::F32, &Device::Cpu)?;
/// let rows = encoder.forward(&[101, 2924, 102], &Segments::from_lengths([3]), &Pass::inference())?;
/// assert_eq!(rows.dims(), [3, 384]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pretrained_block(path: &Path, dtype: DType, device: &Device) -> Result<Encoder, EmbedError> {
    let folder = Folder::read(path)?;
    let file = folder.encoder.join("config.json");
    let config = ModelConfig::parse(&folder::read_text(&file)?, &file)?;
    if config.activation != Activation::Gelu {
        return Err(EmbedError::file(file, "blocks know no other activation than gelu"));
    }
    let files = WeightFiles::open(&folder.encoder, &config.model_type, Family::WORDS)?;
    let parts = Parts { config: &config, files: &files };
    let relative = parts.relative_biases()?;
    let layers = TransformerConfig {
        model_dim: config.model_dim,
        heads: config.heads,
        layers: config.layers,
        ff_dim: config.ff_dim,
        norm_epsilon: config.norm_epsilon,
        relative_biases: relative.is_some(),
        relative_reach: relative.as_ref().map_or(0, |relative| relative.reach),
        projection_bias: true,
        norm: NormPlacement::After,
        ..Default::default()
    };
    let config = EncoderConfig { vocabulary: config.vocabulary, positions: config.longest(), layers };
    let mut tensors = Tensors { named: HashMap::new(), dtype, device };
    tensors.read(&parts, &config, relative.map(|relative| relative.biases)).map_err(|error| match error {
        Failure::Embed(error) => error,
        Failure::Tensor(error) => EmbedError::file(path, error),
    })?;
    let builder = VarBuilder::from_tensors(tensors.named, dtype, device);
    Encoder::new(&config, builder).map_err(|error| EmbedError::file(path, error))
}

/// What goes wrong on the way from a file to a tensor.
enum Failure {
    Embed(EmbedError),
    Tensor(candle_core::Error),
}

impl From<EmbedError> for Failure {
    fn from(error: EmbedError) -> Self {
        Self::Embed(error)
    }
}

impl From<candle_core::Error> for Failure {
    fn from(error: candle_core::Error) -> Self {
        Self::Tensor(error)
    }
}

/// Tensors under the names of our blocks.
struct Tensors<'d> {
    named: HashMap<String, Tensor>,
    dtype: DType,
    device: &'d Device,
}

impl Tensors<'_> {
    fn read(
        &mut self,
        parts: &Parts<'_>,
        config: &EncoderConfig,
        biases: Option<Vec<f32>>,
    ) -> Result<(), Failure> {
        let TransformerConfig { model_dim: dim, heads, ff_dim, layers, relative_reach: reach, .. } =
            config.layers;
        let mut words = vec![0.0; config.vocabulary * dim];
        parts.words()?.read(0, &mut words);
        self.add("words", words, &[config.vocabulary, dim])?;
        self.add("positions", parts.positions()?, &[config.positions, dim])?;
        self.norm("norm", parts.norm()?)?;
        for at in 0..layers {
            let layer = parts.layer(at)?;
            let name = |part: &str| format!("layers.{at}.{part}");
            let joined = Map {
                weight: layer.query_key_value.iter().flat_map(|map| map.weight.iter().copied()).collect(),
                bias: layer.query_key_value.iter().flat_map(|map| map.bias.iter().copied()).collect(),
            };
            self.map(&name("attention.query_key_value"), joined, dim)?;
            self.map(&name("attention.output"), layer.output, dim)?;
            self.norm(&name("attention_norm"), layer.attention_norm)?;
            self.map(&name("feed_forward.expand"), layer.expand, dim)?;
            self.map(&name("feed_forward.contract"), layer.contract, ff_dim)?;
            self.norm(&name("feed_forward_norm"), layer.feed_forward_norm)?;
            if let Some(biases) = &biases {
                self.add(&name("attention.relative_biases"), biases.clone(), &[heads, 2 * reach + 1])?;
            }
        }
        Ok(())
    }

    /// From `[out, in]` to our `[in, out]`.
    fn map(&mut self, name: &str, map: Map, input: usize) -> Result<(), Failure> {
        let output = map.bias.len();
        let weight = Tensor::from_vec(map.weight, (output, input), &Device::Cpu)?.t()?.contiguous()?;
        self.put(format!("{name}.weight"), &weight)?;
        self.add(&format!("{name}.bias"), map.bias, &[output])
    }

    fn norm(&mut self, name: &str, norm: LayerNorm) -> Result<(), Failure> {
        let dim = norm.weight.len();
        self.add(&format!("{name}.weight"), norm.weight, &[dim])?;
        self.add(&format!("{name}.bias"), norm.bias, &[dim])
    }

    fn add(&mut self, name: &str, values: Vec<f32>, shape: &[usize]) -> Result<(), Failure> {
        self.put(name.to_owned(), &Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    fn put(&mut self, name: String, tensor: &Tensor) -> Result<(), Failure> {
        self.named.insert(name, tensor.to_dtype(self.dtype)?.to_device(self.device)?);
        Ok(())
    }
}
