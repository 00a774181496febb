//! Kernels for NVIDIA GPUs: `kernels.cu`, compiled by the driver's compiler when they are first needed.
//!
//! Each has a twin among the kernels of the processor. The tests compare the two without a GPU, for which the kernels are
//! compiled as C++ (`emulated.cpp`).

#[cfg(feature = "cuda")]
mod gpu;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
pub(crate) use gpu::{CrfBatch, Gpu, Moved, Numbers, Sequences, TouchedRows, tensor, with_numbers};
