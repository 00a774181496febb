//! The training loop. It knows what a model must offer ([`Trainable`]), never which model it is.
//!
//! Each epoch the [`Sampler`] orders the examples and cuts them into batches. Each batch is
//! divided among the worker threads; every worker runs its share forward and backward
//! through a graph of its own, and the gradients are added in the order of the workers.
//! So the same seed, data and thread count give the same bytes. [`AdamW`] then updates every
//! parameter, and of large tables only the rows that the batch has read.

mod config;
mod device_optimizer;
mod epoch;
mod gradients;
mod loss;
mod optimizer;
mod progress;
mod sampler;
mod schedule;
mod step;
mod trainable;
mod trainer;
mod workers;

pub use config::{BatchSize, TrainingConfig};
pub use gradients::Gradients;
pub use loss::{BatchLoss, Ratio, Score};
pub use optimizer::AdamW;
pub use progress::{EpochReport, Event};
pub use sampler::{BatchStrategy, Sampler};
pub use schedule::{Decay, Schedule};
pub use step::AdamWConfig;
pub use trainable::Trainable;
pub use trainer::{Outcome, Stopped, Trainer, TrainerConfig};
