//! Errors of embedding.

use std::io;
use std::path::PathBuf;

use super::vectors::VectorsError;
use crate::nn::DeviceError;

/// Texts cannot be embedded. Every message names the file and says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// The operating system refuses a file or folder.
    #[error("{}: cannot be read", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The GPU cannot compute the rows.
    #[error("the rows of the encoder cannot be computed")]
    Computation(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Neither a folder of an encoder nor a file of word vectors.
    #[error(
        "{}: no model to embed with; give the folder of an encoder (config.json, model.safetensors, tokenizer.json) or a file of word vectors",
        path.display()
    )]
    Unknown {
        /// What was given.
        path: PathBuf,
    },
    /// A file that an encoder needs is not in its folder.
    #[error("{}: there is no {file}; {hint}", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The file.
        file: &'static str,
        /// Where to get it.
        hint: &'static str,
    },
    /// The weights are a pickle, which may run any code when it is loaded.
    #[error(
        "{}: a pickle can run code and is never opened; save the weights as model.safetensors, in Python: \
         `from transformers import AutoModel; AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER, safe_serialization=True)`",
        path.display()
    )]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// A file is invalid, or asks for something that is not supported.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to change.
        problem: String,
    },
    /// The weights lack a tensor that the configuration asks for.
    #[error("{}: there is no tensor `{tensor}`, which a model of the type `{model_type}` has; config.json and weights belong to different models, or the file is not complete", path.display())]
    NoTensor {
        /// The file of weights, or the index of several.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What config.json says.
        model_type: String,
    },
    /// A tensor of another size than the configuration says.
    #[error("{}: tensor `{tensor}` has the shape {found:?}, but config.json asks for {expected:?}: the two belong to different models", path.display())]
    Shape {
        /// The file of weights.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What it is.
        found: Vec<usize>,
        /// What it should be.
        expected: Vec<usize>,
    },
    /// Tokens without a vector.
    #[error("{}: the tokenizer knows {tokens} tokens, but the weights hold vectors for {vectors}: the two belong to different models", path.display())]
    Vocabulary {
        /// The file of the tokenizer.
        path: PathBuf,
        /// Tokens.
        tokens: usize,
        /// Vectors.
        vectors: usize,
    },
    /// The tokenizer fails on a text.
    #[error("the tokenizer failed: {problem}")]
    Tokenizer {
        /// What it says.
        problem: String,
    },
    /// A file of word vectors.
    #[error(transparent)]
    Vectors(#[from] VectorsError),
    /// The weights are damaged in a way that only shows when they are used.
    #[error("the encoder gives numbers that are not finite: its weights are damaged, download them again")]
    NotFinite,
    /// Fine-tuned weights do not fit the encoder in the folder.
    #[error("the fine-tuned weights do not belong to this encoder: {problem}")]
    Tuned {
        /// What does not fit.
        problem: String,
    },
    /// An encoder cannot learn from these texts.
    #[error("there is nothing to fine-tune an encoder on: give two intents at least, or annotated entities")]
    NothingToTune,
    /// A pooling that a layer of the encoder was not made for.
    #[error(
        "the pooling gives {found} numbers, but the layer behind it takes {expected}; leave the pooling to the encoder"
    )]
    Pooling {
        /// What the pooling gives.
        found: usize,
        /// What the layer takes.
        expected: usize,
    },
    /// The encoder has no attention to look at.
    #[error("{encoder} has no attention weights to show; use a pretrained encoder")]
    NoAttention {
        /// What it is.
        encoder: String,
    },
    /// A trained model of our own cannot embed.
    #[error("the model cannot embed")]
    Model {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl EmbedError {
    /// `error` about this file.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |error| Self::Io { path, error }
    }

    pub(crate) fn computation(error: candle_core::Error) -> Self {
        Self::Computation(Box::new(error))
    }

    /// A file is invalid. What the problem repeats of the file may be of any length, and is cut.
    pub(super) fn file(path: impl Into<PathBuf>, problem: impl ToString) -> Self {
        const LONGEST: usize = 1000;
        let mut problem = problem.to_string();
        if let Some((end, _)) = problem.char_indices().nth(LONGEST) {
            problem.truncate(end);
            problem.push('…');
        }
        Self::File { path: path.into(), problem }
    }
}
