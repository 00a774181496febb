//! The buffers of one thread.

use std::cell::RefCell;

use super::tags::HeadSpace;
use crate::infer::Buffers;

/// Memory that the next call uses again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Where the rows of each message begin: `[message + 1]`.
    pub(super) offsets: Vec<usize>,
    /// The rows on their way through the layers.
    pub(super) rows: Buffers,
    /// Similarities of all messages to the intents: `[message, label]`.
    pub(super) similarities: Vec<f32>,
    /// The tags of the entity head: `[token]`.
    pub(super) entity_tags: Vec<u32>,
    /// What each tag head finds.
    pub(super) heads: Vec<HeadSpace>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    /// If the largest buffer holds more numbers than this, all memory is given back after a call.
    const KEPT: usize = 1 << 20;

    /// Runs `work` with this thread's buffers.
    pub(super) fn with<T>(work: impl FnOnce(&mut Self) -> T) -> T {
        SCRATCH.with(|scratch| {
            // Calls are not nested; if they ever are, the inner one works in buffers of its own.
            let Ok(mut scratch) = scratch.try_borrow_mut() else { return work(&mut Self::default()) };
            let result = work(&mut scratch);
            let heads = scratch.heads.iter().map(HeadSpace::capacity);
            if heads.fold(scratch.rows.capacity(), usize::max) > Self::KEPT {
                *scratch = Self::default();
            }
            result
        })
    }
}
