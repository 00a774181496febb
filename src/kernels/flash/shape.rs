//! The sizes of one call, and how its work is divided.

use std::ops::Range;

use super::mask::Mask;

/// Queries that are worked on together: with their scores they stay in the first cache.
pub(super) const QUERIES: usize = 64;
/// Keys that are worked on with them.
pub(super) const KEYS: usize = 64;

/// Queries of one task: short sequences are put together up to this number, long ones divided.
const QUERIES_OF_TASK: usize = 512;
/// Keys of one task of the backward pass, unless that makes too many tasks of one head.
const KEYS_OF_TASK: usize = 1024;
/// Each task of a head holds a sum of gradients of its queries, so there must not be many.
const TASKS_OF_HEAD: usize = 4;

/// `[batch · heads, query, dim]` against `[batch · heads, key, dim]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) batch: usize,
    pub(super) heads: usize,
    pub(super) queries: usize,
    pub(super) keys: usize,
    /// A multiple of sixteen.
    pub(super) dim: usize,
}

impl Shape {
    /// Heads of all sequences.
    pub(super) fn all_heads(&self) -> usize {
        self.batch * self.heads
    }

    pub(super) fn mask(&self, causal: bool, window: Option<usize>) -> Mask {
        Mask { causal, window, queries: self.queries, keys: self.keys }
    }

    /// How many whole heads a task takes.
    pub(super) fn heads_of_task(&self) -> usize {
        (QUERIES_OF_TASK / self.queries.max(self.keys).max(1)).max(1)
    }

    /// How many queries of a head a task takes.
    pub(super) fn queries_of_task(&self) -> usize {
        self.queries.min(QUERIES_OF_TASK)
    }

    /// The keys of each task of one head in the backward pass.
    pub(super) fn key_chunks(&self) -> Vec<Range<usize>> {
        let chunk = self.keys.div_ceil(TASKS_OF_HEAD).next_multiple_of(KEYS).max(KEYS_OF_TASK);
        let starts = (0..self.keys.max(1)).step_by(chunk);
        starts.map(|start| start..(start + chunk).min(self.keys)).collect()
    }

    /// As many threads as the work is worth: starting one takes as long as a few million operations.
    pub(super) fn threads(&self, wanted: usize) -> usize {
        const WORTH_A_THREAD: usize = 8_000_000;
        let operations = 4 * self.all_heads() * self.queries * self.keys * self.dim;
        wanted.clamp(1, 1 + operations / WORTH_A_THREAD)
    }
}

/// The blocks of `size` that a range falls into.
pub(super) fn blocks(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(size).map(move |start| start..(start + size).min(end))
}
