pub mod attention;
pub mod batch;
pub mod bundle;
pub mod data;
pub mod diet;
mod error;
pub mod features;
pub mod heads;
mod kernels;
pub mod metrics;
pub mod nn;
pub mod pipeline;
pub mod prediction;
pub mod sparse;
pub mod text;
pub mod train;

pub use error::{Error, Result};
