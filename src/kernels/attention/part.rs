//! The part of the work that is one head of one sequence, and the memory for it.

use std::ops::Range;

use super::super::Real;
use super::super::rows::{Rows, RowsMut, Side};
use super::relative::{Buckets, Relative};

/// Sums of gradients, each of the shape of what it belongs to.
#[derive(Debug)]
pub(crate) struct AttentionGradients<'a, T> {
    pub(crate) qkv: &'a mut [T],
    pub(crate) relative_keys: &'a mut [T],
    pub(crate) relative_values: &'a mut [T],
    pub(crate) relative_biases: &'a mut [T],
}

/// One head of one sequence.
pub(super) struct Part {
    pub(super) rows: Range<usize>,
    pub(super) head: usize,
    pub(super) head_dim: usize,
    pub(super) model_dim: usize,
}

impl Part {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The number of queries, rounded up to whole registers.
    pub(super) fn lanes(&self) -> usize {
        self.len().next_multiple_of(16)
    }

    /// This head's columns in block number `which` of `[row, blocks · model_dim]`.
    pub(super) fn block<'q, T>(&self, values: &'q [T], blocks: usize, which: usize) -> Rows<'q, T> {
        let width = blocks * self.model_dim;
        let rows = &values[self.rows.start * width..self.rows.end * width];
        Rows::new(rows, width, which * self.model_dim + self.head * self.head_dim)
    }

    pub(super) fn block_mut<'q, T>(
        &self,
        values: &'q mut [T],
        blocks: usize,
        which: usize,
    ) -> RowsMut<'q, T> {
        let width = blocks * self.model_dim;
        let rows = &mut values[self.rows.start * width..self.rows.end * width];
        RowsMut::new(rows, width, which * self.model_dim + self.head * self.head_dim)
    }

    /// Adds the gradients of queries, keys and relative tables, given that of the scores.
    pub(super) fn add_score_gradients<T: Real>(
        &self,
        qkv: &[T],
        relative: Relative<'_, T>,
        gradients: &mut AttentionGradients<'_, T>,
        scratch: &mut Scratch<T>,
    ) {
        let (len, lanes, dim, buckets) =
            (self.len(), self.lanes(), self.head_dim, Buckets { reach: relative.reach });
        let (queries, keys) = (self.block(qkv, 3, 0), self.block(qkv, 3, 1));
        let score_gradients = Rows::new(&scratch.score_gradients, lanes, 0);
        let (of_queries, of_keys) = (Side::Transposed(score_gradients), Side::AsItLies(score_gradients));
        T::add_product(self.block_mut(gradients.qkv, 3, 0), of_queries, keys, [len, dim, len]);
        T::add_product(self.block_mut(gradients.qkv, 3, 1), of_keys, queries, [len, dim, len]);
        if !relative.keys.is_empty() {
            let (table, count) = (self.table(buckets.count()), buckets.count());
            buckets.sum_by_bucket(&scratch.score_gradients, &mut scratch.of_buckets, len, lanes);
            let sums = Rows::new(&scratch.of_buckets, lanes, 0);
            let vectors = Rows::new(&relative.keys[table.clone()], dim, 0);
            let target = self.block_mut(gradients.qkv, 3, 0);
            T::add_product(target, Side::Transposed(sums), vectors, [len, dim, count]);
            let target = RowsMut::new(&mut gradients.relative_keys[table], dim, 0);
            T::add_product(target, Side::AsItLies(sums), queries, [count, dim, len]);
        }
        if !relative.biases.is_empty() {
            buckets.sum_by_bucket(&scratch.score_gradients, &mut scratch.of_buckets, len, lanes);
            let biases = gradients.relative_biases[self.head * buckets.count()..].iter_mut();
            for (bias, row) in biases.zip(scratch.of_buckets.chunks_exact(lanes)) {
                // The gradients are those of the scores before scaling, but biases are added after it.
                *bias += row[..len].iter().copied().sum::<T>() * T::of((dim as f64).sqrt());
            }
        }
    }

    /// Where this head's vectors lie in a table of relative positions.
    pub(super) fn table(&self, buckets: usize) -> Range<usize> {
        let size = buckets * self.head_dim;
        self.head * size..(self.head + 1) * size
    }
}

/// Memory that all parts share, large enough for the longest sequence.
pub(super) struct Scratch<T> {
    /// `[head_dim, lane]`: queries, then gradients of the output.
    pub(super) transposed: Vec<T>,
    /// `[key, lane]`
    pub(super) weights: Vec<T>,
    /// `[key, lane]`: gradients of the weights, then of the scores.
    pub(super) score_gradients: Vec<T>,
    /// `[bucket, lane]`
    pub(super) of_buckets: Vec<T>,
    /// `[2, lane]`
    pub(super) per_query: Vec<T>,
}

impl<T: Real> Scratch<T> {
    pub(super) fn new(longest: usize, head_dim: usize, reach: usize) -> Self {
        let lanes = longest.next_multiple_of(16);
        let zeros = |len: usize| vec![T::zero(); len];
        Self {
            transposed: zeros(head_dim * lanes),
            weights: zeros(longest * lanes),
            score_gradients: zeros(longest * lanes),
            of_buckets: zeros(Buckets { reach }.count() * lanes),
            per_query: zeros(2 * lanes),
        }
    }
}
