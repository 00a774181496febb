//! The same encoder as trainable blocks, on candle.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::Tuned;
use super::config::ModelConfig;
use super::parts::{LayerParts, Map, Parts, RelativeBiases};
use crate::embed::{EmbedError, Source};
use crate::kernels::{LayerNorm, Matrix};
use crate::nn::{Encoder, EncoderConfig};

// What the block calls its parts.
pub(super) const LAYERS: &str = "layers";
const QUERY_KEY_VALUE: &str = "attention.query_key_value";
const OUTPUT: &str = "attention.output";
pub(super) const RELATIVE_BIASES: &str = "attention.relative_biases";
const ATTENTION_NORM: &str = "attention_norm";
const EXPAND: &str = "feed_forward.expand";
const CONTRACT: &str = "feed_forward.contract";
const FEED_FORWARD_NORM: &str = "feed_forward_norm";

/// Opens a pretrained encoder as a block of [`nn`](crate::nn): to inspect it, to train it, or to run it on another
/// device.
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
/// let encoder = pretrained_block("all-MiniLM-L6-v2", DType::F32, &Device::Cpu)?;
/// let rows = encoder.forward(&[101, 2924, 102], &Segments::from_lengths([3]), &Pass::inference())?;
/// assert_eq!(rows.dims(), [3, 384]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pretrained_block(
    path: impl AsRef<Path>,
    dtype: DType,
    device: &Device,
) -> Result<Encoder, EmbedError> {
    let path = path.as_ref();
    let parts = Parts::open(&Source::at(path), None)?;
    let config = block_config(&parts)?;
    let tensors = block_tensors(&parts, dtype, device)?;
    let wrong = |error| EmbedError::file(path, error);
    Encoder::new(&config, VarBuilder::from_tensors(tensors, dtype, device)).map_err(wrong)
}

/// The settings of the block.
pub(super) fn block_config(parts: &Parts<'_>) -> Result<EncoderConfig, EmbedError> {
    let config = &parts.config;
    let relative = parts.relative_biases()?;
    let layers = config.layers(relative.as_ref());
    Ok(EncoderConfig { vocabulary: config.vocabulary, positions: config.longest(), layers })
}

/// All weights under the names of the block.
pub(super) fn block_tensors(
    parts: &Parts<'_>,
    dtype: DType,
    device: &Device,
) -> Result<HashMap<String, Tensor>, EmbedError> {
    let mut tensors = Tensors { named: HashMap::new(), dtype, device };
    tensors.read(parts).map_err(|error| match error {
        Failure::Embed(error) => error,
        Failure::Tensor(error) => EmbedError::file(parts.source.file(&parts.folder.encoder), error),
    })?;
    Ok(tensors.named)
}

/// The weights of one layer from tensors with the names of the block.
pub(super) fn layer_parts(tuned: &Tuned, at: usize, config: &ModelConfig) -> Result<LayerParts, EmbedError> {
    let ModelConfig { model_dim: dim, ff_dim, .. } = *config;
    let values = |name: &str, shape: &[usize]| tuned.values(&format!("{LAYERS}.{at}.{name}"), shape);
    let map = |name: &str, input: usize, output: usize| -> Result<Map, EmbedError> {
        let weight = Matrix::new(values(&format!("{name}.weight"), &[input, output])?, input, output);
        let weight = (0..output * input).map(|at| weight.at(at % input, at / input)).collect();
        Ok(Map { weight, bias: values(&format!("{name}.bias"), &[output])?.to_vec() })
    };
    let norm = |name: &str| -> Result<LayerNorm, EmbedError> {
        let [weight, bias] = ["weight", "bias"].map(|part| values(&format!("{name}.{part}"), &[dim]));
        Ok(LayerNorm { weight: weight?.to_vec(), bias: bias?.to_vec(), epsilon: config.norm_epsilon as f32 })
    };
    Ok(LayerParts {
        query_key_value: map(QUERY_KEY_VALUE, dim, 3 * dim)?,
        output: map(OUTPUT, dim, dim)?,
        attention_norm: norm(ATTENTION_NORM)?,
        expand: map(EXPAND, dim, ff_dim)?,
        contract: map(CONTRACT, ff_dim, dim)?,
        feed_forward_norm: norm(FEED_FORWARD_NORM)?,
    })
}

/// An error of reading weights or of making tensors.
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
    fn read(&mut self, parts: &Parts<'_>) -> Result<(), Failure> {
        let ModelConfig { model_dim: dim, heads, ff_dim, layers, vocabulary, .. } = parts.config;
        let relative = parts.relative_biases()?;
        let stored = parts.words()?; // which are as many as the configuration says
        let mut words = vec![0.0; vocabulary * dim];
        stored.read(0, &mut words);
        self.add("words", words, &[vocabulary, dim])?;
        self.add("positions", parts.positions()?, &[parts.config.longest(), dim])?;
        self.norm("norm", parts.norm()?)?;
        for at in 0..layers {
            let layer = parts.layer(at)?;
            let name = |part: &str| format!("{LAYERS}.{at}.{part}");
            self.map(&name(QUERY_KEY_VALUE), layer.query_key_value, dim)?;
            self.map(&name(OUTPUT), layer.output, dim)?;
            self.norm(&name(ATTENTION_NORM), layer.attention_norm)?;
            self.map(&name(EXPAND), layer.expand, dim)?;
            self.map(&name(CONTRACT), layer.contract, ff_dim)?;
            self.norm(&name(FEED_FORWARD_NORM), layer.feed_forward_norm)?;
            if let Some(RelativeBiases { biases, reach }) = &relative {
                self.add(&name(RELATIVE_BIASES), biases.clone(), &[heads, 2 * reach + 1])?;
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
