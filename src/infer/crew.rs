//! Who works on a batch.

use super::shard::Shard;
use crate::kernels::{Affine, sums};
use crate::threads::Member;

/// The threads on one batch, as one of them sees it.
pub(crate) enum Crew<'t> {
    /// One thread, on all shards.
    Alone,
    /// One of several, on the shard of its number.
    Together(Member<'t>),
}

impl Crew<'_> {
    /// The shards that this thread works on.
    pub(super) fn shards<'l>(&self, all: &'l [Shard]) -> &'l [Shard] {
        match self {
            Self::Alone => all,
            Self::Together(member) => &all[member.index..=member.index],
        }
    }

    /// `sum += x · W`, and what the other threads add. `part` is memory to work in.
    pub(super) fn add(&mut self, map: &Affine, rows: usize, x: &[f32], part: &mut Vec<f32>, sum: &mut [f32]) {
        match self {
            Self::Alone => map.add(rows, x, sum),
            Self::Together(member) => {
                map.forward(rows, x, part);
                member.share(part, |found| sums::add(sum, found));
            }
        }
    }
}
