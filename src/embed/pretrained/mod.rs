//! BERT-style encoders from a local folder.
//!
//! The layout is that of Hugging Face (`config.json`, `model.safetensors`, `tokenizer.json`) or of
//! sentence-transformers (`modules.json` beside it). Nothing is downloaded, and nothing in the folder can run code.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `folder` | which files there are, and how texts are pooled |
//! | `config` | the sizes |
//! | `weights` | tensors in one or several `.safetensors` files |
//! | `names` | the names of the tensors in each family |
//! | `parts` | the weights, in the same form for all families |
//! | `tokenizer` | from texts to pieces |
//! | `network` | from pieces to rows |
//! | `blocks` | the same on candle, for training |
//! | `device` | the same on a GPU |
//! | `fine_tuning` | training it |
//! | `tuned` | the trained weights |
//!
//! The tests compare `network` with [`nn::Encoder`](crate::nn::Encoder) for the same weights.

mod blocks;
mod config;
mod device;
mod fine_tuning;
mod folder;
mod names;
mod network;
mod parts;
#[cfg(test)]
mod tests;
mod tokenizer;
mod tuned;
mod weights;

use std::path::Path;

use ndarray::Array3;

use super::pooling::Step;
use super::{
    AttentionMaps, EmbedError, EmbedOptions, Encoded, LongTexts, PoolingDefaults, Precision, Source,
    TextEncoder, Work,
};
use crate::kernels::Affine;
use crate::nn::Device;
pub use blocks::pretrained_block;
use config::ModelConfig;
use device::DeviceNetwork;
pub use fine_tuning::{FineTuning, FineTuningExample};
#[cfg(feature = "hub")]
pub(super) use folder::SENTENCE_CONFIGS;
use folder::{Folder, Stage};
use network::{Network, Sequences};
use parts::Parts;
use tokenizer::{PieceTokenizer, Pieces};
pub use tuned::Tuned;

/// A BERT-style encoder with its tokenizer.
///
/// [`Embedder::open`](super::Embedder::open) is the way to use one.
#[derive(Debug)]
pub struct Pretrained {
    config: ModelConfig,
    tokenizer: PieceTokenizer,
    network: Computes,
    pooling_defaults: PoolingDefaults,
}

/// What computes the rows.
#[derive(Debug)]
enum Computes {
    Processor(Box<Network>),
    Gpu(DeviceNetwork),
}

impl Computes {
    fn new(parts: &Parts<'_>, options: &EmbedOptions) -> Result<Self, EmbedError> {
        Ok(match options.device {
            Device::Cpu => {
                Self::Processor(Box::new(Network::new(parts, options.precision, options.threads)?))
            }
            device => Self::Gpu(DeviceNetwork::new(parts, &device.open()?)?),
        })
    }

    /// The most tokens that go through the network at once, so that memory does not grow with the length of a text.
    fn at_once(&self) -> usize {
        match self {
            Self::Processor(_) => 4096,
            Self::Gpu(_) => 1 << 16,
        }
    }

    fn encode(&self, sequences: Sequences<'_>, threads: usize) -> Result<Vec<f32>, EmbedError> {
        match self {
            Self::Processor(network) => Ok(network.encode(sequences, threads)),
            Self::Gpu(network) => network.encode(sequences).map_err(EmbedError::computation),
        }
    }

    fn attention(&self, ids: &[u32]) -> Result<Vec<Vec<f32>>, EmbedError> {
        match self {
            Self::Processor(network) => Ok(network.attention(ids)),
            Self::Gpu(network) => network.attention(ids).map_err(EmbedError::computation),
        }
    }
}

impl Pretrained {
    /// Opens a folder.
    ///
    /// # Errors
    ///
    /// [`EmbedError`] names the file that is missing, damaged or does not fit the others.
    pub fn open(path: impl AsRef<Path>, options: &EmbedOptions) -> Result<Self, EmbedError> {
        Self::of(&Source::at(path.as_ref()), None, options)
    }

    /// Opens a folder, with fine-tuned weights in place of its own.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and if the fine-tuned weights belong to another encoder.
    pub fn open_tuned(
        path: impl AsRef<Path>,
        tuned: &Tuned,
        options: &EmbedOptions,
    ) -> Result<Self, EmbedError> {
        Self::of(&Source::at(path.as_ref()), Some(tuned), options)
    }

    pub(crate) fn of(
        source: &Source,
        tuned: Option<&Tuned>,
        options: &EmbedOptions,
    ) -> Result<Self, EmbedError> {
        let parts = Parts::open(source, tuned)?;
        Ok(Self {
            tokenizer: PieceTokenizer::open(&parts, parts.longest())?,
            network: Computes::new(&parts, options)?,
            pooling_defaults: pooling_defaults(&parts)?,
            config: parts.config,
        })
    }

    /// Whether a folder looks like that of an encoder.
    #[must_use]
    pub fn is_folder(path: impl AsRef<Path>) -> bool {
        Self::is_encoder(&Source::at(path.as_ref()))
    }

    pub(super) fn is_encoder(source: &Source) -> bool {
        Folder::is(source)
    }
}

impl Pretrained {
    /// The pieces of the vocabulary that belong to words, in its order, and their numbers.
    pub(super) fn pieces_of_words(&self) -> (Vec<String>, Vec<u32>) {
        self.tokenizer.pieces_of_words()
    }

    /// The vectors of texts that are given as pieces: `[text, dim]`.
    pub(super) fn vectors_of(&self, texts: &[Vec<u32>], threads: usize) -> Result<Vec<f32>, EmbedError> {
        let work = Work { threads, long_texts: LongTexts::Truncate };
        let mut vectors = Vec::new();
        for texts in texts.chunks(256) {
            let texts = texts.iter().map(|ids| Ok((vec![self.tokenizer.text_of(ids)?], false)));
            for encoded in self.encode_pieces(texts.collect::<Result<_, EmbedError>>()?, work)? {
                let (rows, sentences) = (&encoded.rows, &encoded.sentences);
                vectors.extend(self.pooling_defaults.vector(rows, sentences, self.dim())?);
            }
        }
        Ok(vectors)
    }

    /// Encodes texts that are cut already: of each its parts, and whether some of it was left out.
    fn encode_pieces(&self, read: Vec<(Vec<Pieces>, bool)>, work: Work) -> Result<Vec<Encoded>, EmbedError> {
        let parts: Vec<&Pieces> = read.iter().flat_map(|(parts, _)| parts).collect();
        let mut rows = Vec::new();
        for group in groups(&parts, self.network.at_once()) {
            let ids: Vec<u32> = group.iter().flat_map(|part| part.ids.iter().copied()).collect();
            let ends = group.iter().scan(0, |end, part| {
                *end += part.ids.len();
                Some(*end)
            });
            let offsets: Vec<usize> = [0].into_iter().chain(ends).collect();
            rows.extend(self.network.encode(Sequences { ids: &ids, offsets: &offsets }, work.threads)?);
        }
        if rows.iter().any(|x| !x.is_finite()) {
            return Err(EmbedError::NotFinite);
        }
        let mut rows = rows.chunks_exact(self.dim());
        let encoded = |(parts, truncated): (Vec<Pieces>, bool)| {
            let begins = parts.iter().scan(0, |begin, part| {
                *begin += part.ids.len();
                Some(*begin - part.ids.len())
            });
            let sentences: Vec<usize> = begins.collect();
            let count = parts.iter().map(|part| part.ids.len()).sum();
            Encoded {
                rows: rows.by_ref().take(count).flatten().copied().collect(),
                special: parts.iter().flat_map(|part| part.special.iter().copied()).collect(),
                spans: parts.into_iter().flat_map(|part| part.spans).collect(),
                sentences,
                truncated,
            }
        };
        Ok(read.into_iter().map(encoded).collect())
    }
}

/// What a folder says about the vector of a text.
fn pooling_defaults(parts: &Parts<'_>) -> Result<PoolingDefaults, EmbedError> {
    let folder = &parts.folder;
    let mut width = folder.poolings.len() * parts.config.model_dim;
    let mut steps = Vec::new();
    for stage in &folder.stages {
        steps.push(match stage {
            Stage::Normalize => Step::Normalize,
            Stage::Dense { map, activation } => {
                let weights = map.weights();
                let (input, output) = weights.weight.dims();
                if input != width {
                    let problem = format!("a Dense module takes {input} numbers, and {width} come before it");
                    return Err(EmbedError::file(parts.source.file("modules.json"), problem));
                }
                width = output;
                let map = Affine::new(weights.weight, map.bias.clone(), Precision::F32);
                Step::Dense(map, *activation)
            }
        });
    }
    Ok(PoolingDefaults::with_steps(folder.poolings.clone(), steps, folder.normalize))
}

/// Consecutive parts that go through the network at once.
fn groups<'p>(parts: &[&'p Pieces], at_once: usize) -> Vec<Vec<&'p Pieces>> {
    let mut groups: Vec<Vec<&Pieces>> = Vec::new();
    let mut tokens = at_once;
    for part in parts {
        if tokens + part.ids.len() > at_once {
            groups.push(Vec::new());
            tokens = 0;
        }
        tokens += part.ids.len();
        groups.last_mut().into_iter().for_each(|group| group.push(*part));
    }
    groups
}

impl TextEncoder for Pretrained {
    fn dim(&self) -> usize {
        self.config.model_dim
    }

    fn pooling_defaults(&self) -> PoolingDefaults {
        self.pooling_defaults.clone()
    }

    fn team(&self) -> usize {
        match &self.network {
            Computes::Processor(network) => network.shards(),
            Computes::Gpu(_) => 1,
        }
    }

    fn batch_bytes(&self) -> usize {
        match &self.network {
            Computes::Processor(_) => 2048,
            Computes::Gpu(_) => 1 << 18,
        }
    }

    fn encode(&self, texts: &[&str], work: Work) -> Result<Vec<Encoded>, EmbedError> {
        let read = |text: &&str| self.tokenizer.read(text, work.long_texts);
        self.encode_pieces(texts.iter().map(read).collect::<Result<_, _>>()?, work)
    }

    fn attention(&self, text: &str) -> Result<AttentionMaps, EmbedError> {
        let (parts, _) = self.tokenizer.read(text, LongTexts::Truncate)?;
        let Some(pieces) = parts.into_iter().next() else { return Ok(AttentionMaps::default()) };
        let (heads, len) = (self.config.heads, pieces.ids.len());
        let map = |weights| Array3::from_shape_vec((heads, len, len), weights).unwrap_or_default();
        Ok(AttentionMaps {
            labels: self.tokenizer.labels(&pieces.ids),
            spans: pieces.spans,
            layers: self.network.attention(&pieces.ids)?.into_iter().map(map).collect(),
        })
    }
}
