//! The inner loops: slices in, slices out.
//!
//! Everything here but `cuda`, which needs candle's memory, works on plain contiguous slices of `f32` or `f64`, knows no
//! tensor library and no word, and allocates little. Every kernel is tested against
//! a slow and obvious implementation.
//!
//! | file | what it computes |
//! | --- | --- |
//! | `real` | the two number types, with exponential and GELU that vectorize |
//! | `processor` | which instructions this processor has, with proofs; `TALKFORMER_INSTRUCTIONS` limits them |
//! | `vector` | one loop compiled for several widths, chosen at run time |
//! | `matmul` | products of (transposed, strided) matrices |
//! | `small`, `rows` | products of a few rows |
//! | `product` | products with a right-hand side that was packed beforehand, in `f32` or `bf16` |
//! | `affine` | a product with a bias: layers that no longer learn |
//! | `activation`, `layer_norm`, `dropout`, `sums` | what stands between the products |
//! | `attention` | softmax attention inside each sequence of a packed batch; long ones through `flash` |
//! | `flash` | softmax attention for dense `[batch, heads, seq, head_dim]`, block by block |
//! | `bag` | weighted sums of table rows: the sparse input layer |
//! | `lanes` | the inner loops of the softmax solver, sixteen classes at a time |
//! | `crf` | linear-chain likelihood, gradient, marginals and best path |
//! | `adamw` | one optimizer step, in place |
//! | `cuda` | the same for NVIDIA GPUs, where candle has none or slow ones |
//! | `scratch` | memory that is used again |
//! | `ceiling` | multiply-adds and reads with nothing in their way, to compare the others with |
//!
//! Besides `files`, this is the only place in the crate with `unsafe`.

#![allow(clippy::inline_always, reason = "a loop turns into vector code only where all of it is in view")]
#![allow(unsafe_code, reason = "each block says why it is sound")]

#[macro_use]
mod vector;

pub(crate) mod activation;
pub(crate) mod adamw;
mod affine;
pub(crate) mod attention;
pub(crate) mod bag;
pub(crate) mod ceiling;
pub(crate) mod crf;
#[cfg(any(feature = "cuda", test))]
pub(crate) mod cuda;
pub(crate) mod dropout;
pub(crate) mod flash;
pub(crate) mod lanes;
pub(crate) mod layer_norm;
pub(crate) mod matmul;
pub(crate) mod processor;
pub(crate) mod product;
mod real;
pub(crate) mod rows;
pub(crate) mod scratch;
pub(crate) mod small;
pub(crate) mod sums;

pub use activation::Activation;
pub(crate) use affine::Affine;
pub(crate) use layer_norm::LayerNorm;
pub(crate) use matmul::{Matrix, MatrixMut, matmul};
pub(crate) use processor::Instructions;
pub use product::Precision;
pub(crate) use product::{PANEL, Packed, product};
pub(crate) use real::Real;
