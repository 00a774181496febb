//! Layers that answer: the same arithmetic as [`nn`](crate::nn), without graph and tensors.
//!
//! When the weights of a model no longer change, its matrices are packed for the product kernel, once. The rows between
//! the layers lie in [`Buffers`] that are used again by the next batch; only attention allocates memory of its own in each
//! call. DIET's answers and the pretrained encoders of [`embed`](crate::embed) are made of the same layers; the tests of
//! both compare them with the blocks of `nn` on the same weights.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `source` | weights by name, with their shapes checked |
//! | `bag` | sparse features to dense rows |
//! | `dense` | plain layers with GELU between them |
//! | `transformer` | input map, positions, layers and a last norm |
//! | `layers` | a stack of transformer layers, norms before or after the residual |
//! | `shard` | how a layer is divided among threads |
//! | `threads` | one thread on all shards, or one thread for each |
//!
//! Read `layers` first.

mod bag;
mod dense;
mod layers;
mod shard;
mod source;
mod threads;
mod transformer;

pub(crate) use bag::Bag;
pub(crate) use dense::DenseLayers;
pub(crate) use layers::{Buffers, Layers};
pub(crate) use shard::{AffineWeights, LayerWeights};
pub(crate) use source::Source;
pub use source::WeightsError;
pub(crate) use threads::Threads;
pub(crate) use transformer::Transformer;
