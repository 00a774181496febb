//! Relative positions: what the distance from query to key adds.

use super::super::Real;

/// What the distance from query to key adds; each empty where it is not used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relative<'a, T> {
    /// To the keys: learnt vectors `[heads, 2·reach + 1, head_dim]` (Shaw et al. 2018).
    pub(crate) keys: &'a [T],
    /// To the values: the same.
    pub(crate) values: &'a [T],
    /// To the scaled scores: learnt numbers `[heads, 2·reach + 1]` (Raffel et al. 2020).
    pub(crate) biases: &'a [T],
    pub(crate) reach: usize,
}

impl<T> Relative<'_, T> {
    /// Distances do not matter.
    pub(crate) const NONE: Self = Self { keys: &[], values: &[], biases: &[], reach: 0 };

    /// Whether distances do not matter.
    pub(super) fn is_none(&self) -> bool {
        self.keys.is_empty() && self.values.is_empty() && self.biases.is_empty()
    }
}

/// Distances from query to key, clipped to `±reach`.
#[derive(Clone, Copy)]
pub(super) struct Buckets {
    pub(super) reach: usize,
}

impl Buckets {
    pub(super) fn count(self) -> usize {
        2 * self.reach + 1
    }

    pub(super) fn of(self, query: usize, key: usize) -> usize {
        (key + self.reach).saturating_sub(query).min(2 * self.reach)
    }

    /// `scores[key, query] += of_buckets[bucket, query]`.
    pub(super) fn scatter_add<T: Real>(self, of_buckets: &[T], scores: &mut [T], len: usize, lanes: usize) {
        for (key, row) in scores.chunks_exact_mut(lanes).enumerate().take(len) {
            for (query, score) in row[..len].iter_mut().enumerate() {
                *score += of_buckets[self.of(query, key) * lanes + query];
            }
        }
    }

    /// `scores[key, query] += biases[bucket] · factor`.
    pub(super) fn add<T: Real>(self, biases: &[T], factor: T, scores: &mut [T], len: usize, lanes: usize) {
        for (key, row) in scores.chunks_exact_mut(lanes).enumerate().take(len) {
            for (query, score) in row[..len].iter_mut().enumerate() {
                *score += biases[self.of(query, key)] * factor;
            }
        }
    }

    /// `of_buckets[bucket, query] = Σ values[key, query]`.
    pub(super) fn sum_by_bucket<T: Real>(self, values: &[T], of_buckets: &mut [T], len: usize, lanes: usize) {
        of_buckets.fill(T::zero());
        for (key, row) in values.chunks_exact(lanes).enumerate().take(len) {
            for (query, value) in row[..len].iter().enumerate() {
                of_buckets[self.of(query, key) * lanes + query] += *value;
            }
        }
    }
}
