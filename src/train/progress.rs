//! What happens while training; the caller decides what to print.

use std::time::Duration;

use super::loss::Score;

/// The state of an epoch, in progress or finished.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochReport {
    /// Counted from one.
    pub epoch: usize,
    /// How many epochs there are.
    pub epochs: usize,
    /// Examples seen in this epoch.
    pub examples: usize,
    /// Mean loss.
    pub loss: f64,
    /// Mean of each objective.
    pub parts: Vec<(&'static str, f64)>,
    /// Share of right answers on the training examples, by name.
    pub shares: Vec<(&'static str, f64)>,
    /// Time since the epoch began.
    pub elapsed: Duration,
}

/// An event of training.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Training begins.
    Started {
        /// Training examples.
        examples: usize,
        /// Epochs to go.
        epochs: usize,
        /// Learnable numbers.
        parameters: usize,
        /// Worker threads.
        threads: usize,
    },
    /// The memory of the device did not suffice: from now on batches go through the network in parts of so many rows at most.
    /// What is learnt from a batch stays the same, but for dropout and for what its messages are compared with.
    OutOfMemory {
        /// Rows that go together at most.
        rows: usize,
    },
    /// A step was made.
    Step {
        /// The epoch so far.
        report: EpochReport,
        /// Share of all work that is done, in `[0, 1]`.
        done: f64,
    },
    /// An epoch ended.
    Epoch(EpochReport),
    /// The held-out examples were scored.
    Evaluated {
        /// The epoch after which they were scored.
        epoch: usize,
        /// The score.
        score: Score,
        /// Whether it is the best so far.
        best: bool,
    },
    /// An event of fine-tuning an encoder, which comes before the training of the model that uses it.
    Encoder(Box<Event>),
}
