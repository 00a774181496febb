//! Layers that answer: the same arithmetic as [`nn`](crate::nn), without graph and tensors.
//!
//! When the weights of a model no longer change, its matrices are packed for the product kernel, once. What a batch
//! needs on its way lies in [`Buffers`] that are used again, so that in the long run nothing is allocated. DIET's
//! answers and the pretrained encoders of [`embed`](crate::embed) are made of the same layers; the tests of both hold
//! them against the blocks of `nn` with the same weights.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `source` | weights by name, with their shapes checked |
//! | `bag` | sparse features to dense rows |
//! | `dense` | plain layers with GELU between them |
//! | `transformer` | input map, positions, layers and a last norm |
//! | `layers` | a stack of transformer layers, norms before or after the residual |
//! | `shard` | how a layer is divided among threads |
//! | `crew` | one thread on all shards, or one thread for each |
//!
//! Read `layers` first.

mod bag;
mod crew;
mod dense;
mod layers;
mod shard;
mod source;
mod transformer;

pub(crate) use bag::Bag;
pub(crate) use crew::Crew;
pub(crate) use dense::DenseLayers;
pub(crate) use layers::{Activation, Buffers, LayerWeights, Layers};
pub(crate) use shard::AffineWeights;
pub(crate) use source::Source;
pub use source::WeightsError;
pub(crate) use transformer::Transformer;
