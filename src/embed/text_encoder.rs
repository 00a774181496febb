//! The interface between an embedder and what computes the vectors.

use std::fmt::Debug;

use ndarray::Array3;
use serde::{Deserialize, Serialize};

use super::{EmbedError, PoolingDefaults};
use crate::text::Span;

/// Turns texts into one row per token.
pub trait TextEncoder: Debug + Send + Sync {
    /// Width of a row.
    fn dim(&self) -> usize;

    /// How the rows of a text become one vector, unless [`EmbedOptions`](super::EmbedOptions) say otherwise.
    fn pooling_defaults(&self) -> PoolingDefaults;

    /// How many threads can work on the same texts together.
    fn team(&self) -> usize {
        1
    }

    /// How many bytes of texts are encoded together, about: enough for large products.
    fn batch_bytes(&self) -> usize {
        // Few enough for their rows to stay in the cache of a processor.
        2048
    }

    /// Encodes some texts together.
    ///
    /// # Errors
    ///
    /// If a text cannot be read.
    fn encode(&self, texts: &[&str], work: Work) -> Result<Vec<Encoded>, EmbedError>;

    /// Which token attends to which.
    ///
    /// # Errors
    ///
    /// [`EmbedError::NoAttention`] if it has no attention, and as [`encode`](Self::encode).
    fn attention(&self, text: &str) -> Result<AttentionMaps, EmbedError>;
}

/// How texts are encoded.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// How many threads may work on these texts, the caller's among them.
    pub threads: usize,
    /// What happens to texts that are too long.
    pub long_texts: LongTexts,
}

/// What happens to a text with more tokens than the encoder takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LongTexts {
    /// The rest is left out, and the text is counted as truncated.
    #[default]
    Truncate,
    /// Its parts are encoded separately and pooled together.
    Split,
}

/// The rows of one text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Encoded {
    /// `[token, dim]`, row by row.
    pub rows: Vec<f32>,
    /// Where each token is in the text.
    pub spans: Vec<Span>,
    /// Which tokens stand for the text as a whole, as `[CLS]` does.
    pub special: Vec<bool>,
    /// The tokens whose rows stand for the text as a whole: one, or one for each part of a text that was split.
    pub sentences: Vec<usize>,
    /// Whether tokens were left out.
    pub truncated: bool,
}

/// Which token of a text attends to which.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttentionMaps {
    /// The tokens as the encoder names them.
    pub labels: Vec<String>,
    /// Where each is in the text.
    pub spans: Vec<Span>,
    /// For each layer `[heads, query, key]`; a query's weights add up to one.
    pub layers: Vec<Array3<f32>>,
}
