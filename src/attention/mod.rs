//! The idea, without anything to learn: each word becomes a weighted mean of the words it may see.
//!
//! A word vector from a dictionary is the same in every sentence, so *bank* is half money and half
//! river wherever it stands. Attention lets its neighbours settle the matter. Every word asks a
//! question (its *query*), every word offers a *key* to match against and a *value* to hand over:
//!
//! ```text
//! scores  = q · kᵀ / √key_dim      how well does each query match each key?
//! weights = softmax(scores)        each row becomes shares that sum to one
//! context = weights · v            each query leaves with a mean of the values
//! ```
//!
//! In come matrices of `f32` or `f64`, one row per word, and [`Visible`], which says who may see whom.
//! Out come new vectors and the weights that made them, because the weights are the explanation.
//! Weighing the parts of a sentence while reading it goes back to
//! [Bahdanau et al., 2014](https://arxiv.org/abs/1409.0473), scoring by a plain dot product to
//! [Luong et al., 2015](https://arxiv.org/abs/1508.04025), the division and the heads to
//! [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762).
//!
//! ```
//! use ndarray::array;
//! use talkformer::attention::{Scale, contextualize};
//!
//! let phrase = array![[3.0, 0.0], [1.0, 1.0]]; // money, bank: [seq, model_dim]
//! let bank = contextualize(phrase.view(), Scale::InverseSqrt).context.row(1).to_owned();
//! assert!(bank[0] > bank[1]); // it was undecided, and now leans the way money points
//! ```
//!
//! Read next: `softmax.rs`, `mask.rs`, `dot_product.rs`, `multi_head.rs`, in that order, and
//! `examples/attention.rs` for the story of *bank*. The same mechanism with parameters to learn lives
//! in `nn`, written apart from this one so that each can be the other's test.

mod dot_product;
mod error;
mod mask;
mod multi_head;
mod softmax;
#[cfg(test)]
mod yardstick;

pub use dot_product::{Attention, Scale, contextualize, dot_product_attention};
pub use error::AttentionError;
pub use mask::Visible;
pub use multi_head::{MultiHeadAttention, multi_head_attention};
pub use softmax::{masked_softmax, softmax};
