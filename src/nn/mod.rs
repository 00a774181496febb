//! The blocks that learn, on candle.
//!
//! The idea of [`attention`](crate::attention) with learnable weights: projections
//! around it make [`SelfAttention`], a network per row and residuals make a
//! [`TransformerLayer`], a stack of those a [`Transformer`]. Each block is built from a
//! candle [`VarBuilder`](candle_nn::VarBuilder) (drawn by [`Parameters`], or a file of
//! weights) and works on the device of its weights.
//!
//! - A batch is **packed**: `[row, model_dim]`, sequences one after the other, with their
//!   boundaries in [`Segments`]. Nothing is padded, so no padding can leak.
//! - Randomness comes from the seed of the [`Pass`]; without one nothing is random.
//! - On the CPU the costly steps run on this crate's own kernels, forward and backward;
//!   elsewhere on candle's operations. The tests compare one with the other.
//!
//! [`attention()`] is separate: attention alone, between queries, keys and values of any length.
//!
//! Blocks know tensors, never words. Read `linear.rs` first, then `self_attention/mod.rs`.

mod activation;
mod attention;
mod config;
mod dense_layers;
mod device;
mod dropout;
mod encoder;
mod feed_forward;
mod fused;
mod gradient_sink;
mod layer_norm;
mod linear;
pub(crate) mod op;
mod parameters;
mod pass;
mod position;
mod segments;
mod self_attention;
mod sparse_linear;
mod sparse_product;
#[cfg(test)]
pub(crate) mod testing;
mod transformer;
mod transformer_layer;
mod unit_rows;
mod workspace;

pub use activation::{activate, gelu};
pub use attention::{AttentionConfig, attention};
pub use config::{NormPlacement, TransformerConfig};
pub use dense_layers::DenseLayers;
pub use device::{Device, DeviceError};
pub use dropout::Dropout;
pub use encoder::{Encoder, EncoderConfig};
pub use feed_forward::FeedForward;
pub(crate) use gradient_sink::GradientValues;
pub use gradient_sink::{GradientSink, HandedGradient};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub(crate) use linear::connections;
pub use parameters::{Parameters, glorot_uniform};
pub use pass::Pass;
pub use position::SinusoidalPositions;
pub use segments::Segments;
pub use self_attention::SelfAttention;
pub use sparse_linear::SparseLinear;
pub(crate) use sparse_product::{select_rows, sum_rows};
pub use transformer::Transformer;
pub use transformer_layer::TransformerLayer;
pub(crate) use unit_rows::unit_rows;
pub(crate) use workspace::Buffer;
pub use workspace::Workspace;

pub use crate::kernels::{Activation, Precision};
