//! The threads that work on a batch.

use super::shard::Shard;
use crate::kernels::{Affine, sums};
use crate::threads::Member;

/// The threads that work on one batch, from the view of one of them.
pub(crate) enum Threads<'t> {
    /// One thread works on all shards.
    One,
    /// Each of several threads works on one shard.
    Team(Member<'t>),
}

impl Threads<'_> {
    /// The shards that this thread works on.
    pub(super) fn shards<'l>(&self, all: &'l [Shard]) -> &'l [Shard] {
        match self {
            Self::One => all,
            Self::Team(member) => &all[member.index..=member.index],
        }
    }

    /// `sum += x · W`, and likewise for the shards of the other threads. `part` is memory to work in.
    pub(super) fn add(&mut self, map: &Affine, rows: usize, x: &[f32], part: &mut Vec<f32>, sum: &mut [f32]) {
        match self {
            Self::One => map.add(rows, x, sum),
            Self::Team(member) => {
                map.forward(rows, x, part);
                member.share(part, |found| sums::add(sum, found));
            }
        }
    }
}
