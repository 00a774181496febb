pub mod attention;
pub mod data;
pub mod features;
pub mod heads;
mod kernels;
pub mod metrics;
pub mod nn;
pub mod sparse;
pub mod text;
