pub mod attention;
mod kernels;
pub mod metrics;
pub mod nn;
pub mod sparse;
pub mod text;
