//! Multi-head softmax attention inside each sequence of a packed batch, forward and backward.
//!
//! Sequences lie one after the other: `offsets[s]..offsets[s + 1]` are the rows of
//! sequence `s`. Queries, keys and values lie side by side in one row, each
//! `model_dim` wide and divided among the heads.
//!
//! For a short sequence, all scores of one head are held at once, and the backward pass computes them
//! again. Long sequences go to the blocked kernel ([`blocked`]), whose memory does not grow with the
//! square of the length.

mod blocked;
mod part;
mod relative;
mod softmax;
#[cfg(test)]
mod tests;

use super::rows::{Rows, RowsMut, Side};
use super::{Real, dropout, sums};
pub(crate) use part::AttentionGradients;
use part::{Part, Scratch};
use relative::Buckets;
pub(crate) use relative::Relative;
use softmax::{hide_some, softmax, softmax_backward};

/// From this length on, a sequence goes to the blocked kernel where that can do what is asked.
const BLOCKED_FROM: usize = 256;

/// What attention needs to know besides the numbers.
#[derive(Clone, Debug)]
pub(crate) struct Attention<'a> {
    /// Where sequences begin and end: `[sequence + 1]`, rising from zero.
    pub(crate) offsets: &'a [usize],
    /// Parallel heads; divides `model_dim`.
    pub(crate) heads: usize,
    /// Width of a row of queries.
    pub(crate) model_dim: usize,
    /// Whether a query sees only itself and what came before.
    pub(crate) causal: bool,
    /// Share of the scores that are hidden while training.
    pub(crate) drop_rate: f64,
    /// Decides which scores are hidden.
    pub(crate) seed: u64,
}

/// What the forward pass computed, for the backward pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outputs<'a, T> {
    /// `[row, model_dim]`
    pub(crate) out: &'a [T],
    pub(crate) log_sums: &'a LogSums,
}

/// For each query of a long sequence, log₂ of the sum of the exponentials of its scores; nothing for
/// short ones.
#[derive(Debug, Default)]
pub(crate) struct LogSums(Vec<f32>);

impl<'a> Attention<'a> {
    /// Attention without dropout.
    pub(crate) fn new(offsets: &'a [usize], heads: usize, model_dim: usize, causal: bool) -> Self {
        Self { offsets, heads, model_dim, causal, drop_rate: 0.0, seed: 0 }
    }

    /// The same with a share `drop_rate` of the scores hidden, which `seed` decides.
    pub(crate) fn with_dropout(self, drop_rate: f64, seed: u64) -> Self {
        Self { drop_rate, seed, ..self }
    }
}

/// The seed of the draws for one head of the sequence that begins at this row; they are numbered query by query.
pub(crate) fn seed_of_head(seed: u64, row: usize, heads: usize, head: usize) -> u64 {
    dropout::bits(seed, (row * heads + head) as u64)
}

impl Attention<'_> {
    fn head_dim(&self) -> usize {
        self.model_dim / self.heads
    }

    fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        let (head_dim, model_dim) = (self.head_dim(), self.model_dim);
        self.offsets.windows(2).filter(|pair| pair[0] < pair[1]).flat_map(move |pair| {
            let rows = pair[0]..pair[1];
            (0..self.heads).map(move |head| Part { rows: rows.clone(), head, head_dim, model_dim })
        })
    }

    /// Whether the blocked kernel can and should compute this part.
    fn is_blocked<T: Real>(&self, part: &Part, relative: Relative<'_, T>) -> bool {
        let can = T::as_f32(&[]).is_some() && self.drop_rate <= 0.0 && relative.is_none();
        can && part.len() >= BLOCKED_FROM
    }

    /// Memory for the parts that are not left to the blocked kernel.
    fn scratch<T: Real>(&self, relative: Relative<'_, T>) -> Scratch<T> {
        let short = self.parts().filter(|part| !self.is_blocked(part, relative));
        Scratch::new(short.map(|part| part.len()).max().unwrap_or(0), self.head_dim(), relative.reach)
    }

    /// `softmax(q·kᵀ / √head_dim)·v` for every head of every sequence. Returns what the backward pass needs besides.
    ///
    /// # Shapes
    ///
    /// - `qkv`: `[row, 3·model_dim]`
    /// - `out`: `[row, model_dim]`
    pub(crate) fn forward<T: Real>(&self, qkv: &[T], relative: Relative<'_, T>, out: &mut [T]) -> LogSums {
        let mut scratch = self.scratch(relative);
        let mut log_sums = LogSums::default();
        out.fill(T::zero());
        for part in self.parts() {
            if self.is_blocked(&part, relative)
                && let (Some(qkv), Some(out)) = (T::as_f32(qkv), T::as_f32_mut(out))
            {
                log_sums.0.extend(part.forward_blocked(self.causal, self.scale(), qkv, out));
            } else {
                self.part_forward(&part, qkv, relative, out, &mut scratch);
            }
        }
        // Zero times a value that is not finite is NaN, also where the value is hidden.
        if (self.causal || self.drop_rate > 0.0) && !sums::all_finite(out) {
            for part in self.parts().filter(|part| !self.is_blocked(part, relative)) {
                self.part_forward_over_seen(&part, qkv, relative, out, &mut scratch);
            }
        }
        log_sums
    }

    fn part_forward<T: Real>(
        &self,
        part: &Part,
        qkv: &[T],
        relative: Relative<'_, T>,
        out: &mut [T],
        scratch: &mut Scratch<T>,
    ) {
        let (len, lanes, buckets) = (part.len(), part.lanes(), Buckets { reach: relative.reach });
        self.weights(part, qkv, relative, scratch);
        let weights = Side::Transposed(Rows::new(&scratch.weights, lanes, 0));
        let values = part.block(qkv, 3, 2);
        T::add_product(part.block_mut(out, 1, 0), weights, values, [len, part.head_dim, len]);
        if !relative.values.is_empty() {
            buckets.sum_by_bucket(&scratch.weights, &mut scratch.of_buckets, len, lanes);
            let sums = Side::Transposed(Rows::new(&scratch.of_buckets, lanes, 0));
            let table = Rows::new(&relative.values[part.table(buckets.count())], part.head_dim, 0);
            let size = [len, part.head_dim, buckets.count()];
            T::add_product(part.block_mut(out, 1, 0), sums, table, size);
        }
    }

    /// Computes the rows of [`part_forward`](Self::part_forward) that are not finite again, over the values that their
    /// queries see and no others.
    fn part_forward_over_seen<T: Real>(
        &self,
        part: &Part,
        qkv: &[T],
        relative: Relative<'_, T>,
        out: &mut [T],
        scratch: &mut Scratch<T>,
    ) {
        let (len, lanes, dim, buckets) =
            (part.len(), part.lanes(), part.head_dim, Buckets { reach: relative.reach });
        self.weights(part, qkv, relative, scratch);
        // Minus infinity where a key is hidden.
        let hidden = &mut scratch.score_gradients[..len * lanes];
        hidden.fill(T::zero());
        self.hide(part, hidden);
        let values = part.block(qkv, 3, 2);
        let out = part.block_mut(out, 1, 0);
        for (query, row) in out.values.chunks_exact_mut(out.stride).enumerate() {
            let row = &mut row[out.first..out.first + dim];
            if sums::all_finite(row) {
                continue;
            }
            row.fill(T::zero());
            for key in (0..len).filter(|key| hidden[key * lanes + query] == T::zero()) {
                let weight = scratch.weights[key * lanes + query];
                let mut add =
                    |value: &[T]| row.iter_mut().zip(value).for_each(|(sum, x)| *sum += weight * *x);
                add(&values.values[key * values.stride + values.first..][..dim]);
                if !relative.values.is_empty() {
                    let table = &relative.values[part.table(buckets.count())];
                    add(&table[buckets.of(query, key) * dim..][..dim]);
                }
            }
        }
    }

    /// The attention weights of each sequence, one after the other: `[heads, query, key]`.
    pub(crate) fn attention_weights<T: Real>(&self, qkv: &[T], relative: Relative<'_, T>) -> Vec<T> {
        let longest = self.parts().map(|part| part.len()).max().unwrap_or(0);
        let mut scratch = Scratch::new(longest, self.head_dim(), relative.reach);
        let mut all = Vec::new();
        for part in self.parts() {
            let (len, lanes) = (part.len(), part.lanes());
            self.weights(&part, qkv, relative, &mut scratch);
            all.extend((0..len * len).map(|at| scratch.weights[at % len * lanes + at / len]));
        }
        all
    }

    /// Adds the gradients, given the gradient `grad` (`[row, model_dim]`) of the output.
    ///
    /// # Panics
    ///
    /// If `outputs` are not those of [`forward`](Self::forward) on the same inputs.
    pub(crate) fn backward<T: Real>(
        &self,
        qkv: &[T],
        relative: Relative<'_, T>,
        outputs: Outputs<'_, T>,
        grad: &[T],
        gradients: &mut AttentionGradients<'_, T>,
    ) {
        let mut scratch = self.scratch(relative);
        let mut log_sums = &outputs.log_sums.0[..];
        for part in self.parts() {
            if self.is_blocked(&part, relative)
                && let (Some(qkv), Some(out), Some(grad)) =
                    (T::as_f32(qkv), T::as_f32(outputs.out), T::as_f32(grad))
                && let Some(sums) = T::as_f32_mut(gradients.qkv)
            {
                let own;
                (own, log_sums) = log_sums.split_at(part.len());
                part.backward_blocked(self.causal, self.scale(), qkv, [out, own, grad], sums);
            } else {
                self.weights(&part, qkv, relative, &mut scratch);
                self.score_gradients(&part, qkv, relative, grad, gradients, &mut scratch);
                part.add_score_gradients(qkv, relative, gradients, &mut scratch);
            }
        }
    }

    /// Computes the gradient of the scores from that of the output, and adds the gradients of the values.
    fn score_gradients<T: Real>(
        &self,
        part: &Part,
        qkv: &[T],
        relative: Relative<'_, T>,
        grad: &[T],
        gradients: &mut AttentionGradients<'_, T>,
        scratch: &mut Scratch<T>,
    ) {
        let (len, lanes, dim, buckets) =
            (part.len(), part.lanes(), part.head_dim, Buckets { reach: relative.reach });
        let grad = part.block(grad, 1, 0);
        let weights = Side::AsItLies(Rows::new(&scratch.weights, lanes, 0));
        T::add_product(part.block_mut(gradients.qkv, 3, 2), weights, grad, [len, dim, len]);

        T::transpose(grad, [len, dim], &mut scratch.transposed, lanes);
        let transposed = Rows::new(&scratch.transposed, lanes, 0);
        let score_gradients = &mut scratch.score_gradients[..len * lanes];
        score_gradients.fill(T::zero());
        let values = Side::AsItLies(part.block(qkv, 3, 2));
        T::add_product(RowsMut::new(score_gradients, lanes, 0), values, transposed, [len, lanes, dim]);
        if !relative.values.is_empty() {
            let (table, count) = (part.table(buckets.count()), buckets.count());
            let of_buckets = &mut scratch.of_buckets[..count * lanes];
            of_buckets.fill(T::zero());
            let vectors = Side::AsItLies(Rows::new(&relative.values[table.clone()], dim, 0));
            T::add_product(RowsMut::new(of_buckets, lanes, 0), vectors, transposed, [count, lanes, dim]);
            buckets.scatter_add(of_buckets, score_gradients, len, lanes);

            buckets.sum_by_bucket(&scratch.weights, of_buckets, len, lanes);
            let sums = Side::AsItLies(Rows::new(of_buckets, lanes, 0));
            let target = RowsMut::new(&mut gradients.relative_values[table], dim, 0);
            T::add_product(target, sums, grad, [count, dim, len]);
        }
        let weights = &scratch.weights[..len * lanes];
        softmax_backward(weights, score_gradients, &mut scratch.per_query[..lanes], self.scale());
    }

    fn scale<T: Real>(&self) -> T {
        T::of(1.0 / (self.head_dim() as f64).sqrt())
    }

    /// Fills the weights, `[key, lane]`, for one head of one sequence.
    fn weights<T: Real>(&self, part: &Part, qkv: &[T], relative: Relative<'_, T>, scratch: &mut Scratch<T>) {
        let (len, lanes, dim) = (part.len(), part.lanes(), part.head_dim);
        T::transpose(part.block(qkv, 3, 0), [len, dim], &mut scratch.transposed, lanes);
        let queries = Rows::new(&scratch.transposed, lanes, 0);
        let scores = &mut scratch.weights[..len * lanes];
        scores.fill(T::zero());
        let keys = Side::AsItLies(part.block(qkv, 3, 1));
        T::add_product(RowsMut::new(scores, lanes, 0), keys, queries, [len, lanes, dim]);
        if !relative.keys.is_empty() {
            let buckets = Buckets { reach: relative.reach };
            let of_buckets = &mut scratch.of_buckets[..buckets.count() * lanes];
            of_buckets.fill(T::zero());
            let table = &relative.keys[part.table(buckets.count())];
            let (vectors, size) = (Side::AsItLies(Rows::new(table, dim, 0)), [buckets.count(), lanes, dim]);
            T::add_product(RowsMut::new(of_buckets, lanes, 0), vectors, queries, size);
            buckets.scatter_add(of_buckets, scores, len, lanes);
        }
        if !relative.biases.is_empty() {
            let buckets = Buckets { reach: relative.reach };
            let biases = &relative.biases[part.head * buckets.count()..];
            buckets.add(&biases[..buckets.count()], self.scale::<T>().recip(), scores, len, lanes);
        }
        self.hide(part, scores);
        let (top, sum) = scratch.per_query[..2 * lanes].split_at_mut(lanes);
        softmax(scores, top, sum, self.scale());
    }

    /// Sets the scores that are masked to −∞: the future, and those that dropout hides.
    fn hide<T: Real>(&self, part: &Part, scores: &mut [T]) {
        if self.causal {
            for (key, row) in scores.chunks_exact_mut(part.lanes()).enumerate() {
                row[..key].fill(T::neg_infinity());
            }
        }
        if self.drop_rate > 0.0 {
            let limit = dropout::threshold(self.drop_rate);
            let seed = seed_of_head(self.seed, part.rows.start, self.heads, part.head);
            hide_some(scores, part.len(), part.lanes(), seed, limit);
        }
    }
}
