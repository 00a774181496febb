//! Contextual embeddings: vectors of texts and tokens that depend on the context.
//!
//! An [`Embedder`] gives one vector for a text, and one for each token that differs with what stands around it: *bank* in
//! "money in the bank" and in "the bank of the river". Where the vectors come from is up to its [`TextEncoder`]:
//!
//! | encoder | context comes from |
//! | --- | --- |
//! | [`Pretrained`] | a BERT-style encoder in a local folder |
//! | [`PieceVectors`] | none: a small table of the pieces of words |
//! | [`StaticVectors`] | dot-product attention over [word vectors](vectors), without learned weights |
//! | [`Nlu`](crate::pipeline::Nlu) | a model trained by this crate |
//!
//! ```no_run
//! use talkformer::embed::Embedder;
//!
//! let embedder = Embedder::open("all-MiniLM-L6-v2", &Default::default())?;
//! let embeddings = embedder.embed(&["money in the bank", "the bank of the river"])?;
//! assert_eq!(embeddings.vectors.dim(), (2, 384));
//! # Ok::<(), talkformer::embed::EmbedError>(())
//! ```
//!
//! Read `embedder.rs` first, then `pretrained/mod.rs`.

mod embedder;
mod error;
mod fingerprint;
#[cfg(feature = "hub")]
pub mod hub;
mod named;
mod pieces;
mod pooling;
mod pretrained;
mod source;
mod static_vectors;
mod text_encoder;
pub mod vectors;

pub use crate::kernels::Precision;
pub use embedder::{EmbedOptions, Embedder, Embeddings, TokenEmbeddings, WordEmbeddings};
pub use error::EmbedError;
pub use fingerprint::fingerprint;
pub use named::EncoderCache;
pub(crate) use pieces::built_in;
pub use pieces::{Distilling, PieceVectors, distil};
pub(crate) use pooling::normalize;
pub use pooling::{Pooling, PoolingDefaults};
pub use pretrained::{FineTuning, FineTuningExample, Pretrained, Tuned, pretrained_block};
pub(crate) use source::Source;
pub use static_vectors::StaticVectors;
pub use text_encoder::{AttentionMaps, Encoded, LongTexts, TextEncoder, Work};
