//! Multi-head softmax attention inside each sequence of a packed batch, forward and backward.
//!
//! Sequences lie one after the other: `offsets[s]..offsets[s + 1]` are the rows of
//! sequence `s`. Queries, keys and values lie side by side in one row, each
//! `model_dim` wide and divided among the heads. The scores of one head of one
//! sequence are all that is ever held; the backward pass computes them again.

mod relative;

use std::ops::Range;

use super::small::{Rows, RowsMut, Side};
use super::{Real, dropout};
use relative::Buckets;
pub(crate) use relative::Relative;

/// What attention needs to know beside the numbers.
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
    /// Decides which ones.
    pub(crate) seed: u64,
}

/// Sums of gradients, each of the shape of what it belongs to.
#[derive(Debug)]
pub(crate) struct Gradients<'a, T> {
    pub(crate) qkv: &'a mut [T],
    pub(crate) relative_keys: &'a mut [T],
    pub(crate) relative_values: &'a mut [T],
    pub(crate) relative_biases: &'a mut [T],
}

/// One head of one sequence.
struct Part {
    rows: Range<usize>,
    head: usize,
    head_dim: usize,
    model_dim: usize,
}

impl Part {
    fn len(&self) -> usize {
        self.rows.len()
    }

    /// Queries in whole registers.
    fn lanes(&self) -> usize {
        self.len().next_multiple_of(16)
    }

    /// This head's columns of a `[row, blocks · model_dim]`, of which the `which`-th block is meant.
    fn block<'q, T>(&self, values: &'q [T], blocks: usize, which: usize) -> Rows<'q, T> {
        let width = blocks * self.model_dim;
        let rows = &values[self.rows.start * width..self.rows.end * width];
        Rows::new(rows, width, which * self.model_dim + self.head * self.head_dim)
    }

    fn block_mut<'q, T>(&self, values: &'q mut [T], blocks: usize, which: usize) -> RowsMut<'q, T> {
        let width = blocks * self.model_dim;
        let rows = &mut values[self.rows.start * width..self.rows.end * width];
        RowsMut::new(rows, width, which * self.model_dim + self.head * self.head_dim)
    }

    /// Hands the gradients of the scores on to queries and keys.
    fn spread<T: Real>(
        &self,
        qkv: &[T],
        relative: Relative<'_, T>,
        gradients: &mut Gradients<'_, T>,
        scratch: &mut Scratch<T>,
    ) {
        let (len, lanes, dim, buckets) =
            (self.len(), self.lanes(), self.head_dim, Buckets { reach: relative.reach });
        let (queries, keys) = (self.block(qkv, 3, 0), self.block(qkv, 3, 1));
        let slopes = Rows::new(&scratch.slopes, lanes, 0);
        let (of_queries, of_keys) = (Side::Transposed(slopes), Side::AsItLies(slopes));
        T::add_product(self.block_mut(gradients.qkv, 3, 0), of_queries, keys, [len, dim, len]);
        T::add_product(self.block_mut(gradients.qkv, 3, 1), of_keys, queries, [len, dim, len]);
        if !relative.keys.is_empty() {
            let (table, count) = (self.table(buckets.count()), buckets.count());
            buckets.gather(&scratch.slopes, &mut scratch.of_buckets, len, lanes);
            let sums = Rows::new(&scratch.of_buckets, lanes, 0);
            let vectors = Rows::new(&relative.keys[table.clone()], dim, 0);
            let target = self.block_mut(gradients.qkv, 3, 0);
            T::add_product(target, Side::Transposed(sums), vectors, [len, dim, count]);
            let target = RowsMut::new(&mut gradients.relative_keys[table], dim, 0);
            T::add_product(target, Side::AsItLies(sums), queries, [count, dim, len]);
        }
        if !relative.biases.is_empty() {
            buckets.gather(&scratch.slopes, &mut scratch.of_buckets, len, lanes);
            let biases = gradients.relative_biases[self.head * buckets.count()..].iter_mut();
            for (bias, row) in biases.zip(scratch.of_buckets.chunks_exact(lanes)) {
                // Slopes are those of scores that are yet to be scaled, biases come after that.
                *bias += row[..len].iter().copied().sum::<T>() * T::of((dim as f64).sqrt());
            }
        }
    }

    /// Where this head's vectors lie in a table of relative positions.
    fn table(&self, buckets: usize) -> Range<usize> {
        let size = buckets * self.head_dim;
        self.head * size..(self.head + 1) * size
    }
}

/// What is reused from part to part, as large as the longest sequence needs it.
struct Scratch<T> {
    /// `[head_dim, lane]`: queries, then gradients of the output.
    transposed: Vec<T>,
    /// `[key, lane]`
    weights: Vec<T>,
    /// `[key, lane]`: gradients of the weights, then of the scores.
    slopes: Vec<T>,
    /// `[bucket, lane]`
    of_buckets: Vec<T>,
    /// `[2, lane]`
    per_query: Vec<T>,
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

    fn scratch<T: Real>(&self, reach: usize) -> Scratch<T> {
        let longest = self.offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
        let lanes = longest.next_multiple_of(16);
        let zeros = |len: usize| vec![T::zero(); len];
        Scratch {
            transposed: zeros(self.head_dim() * lanes),
            weights: zeros(longest * lanes),
            slopes: zeros(longest * lanes),
            of_buckets: zeros(Buckets { reach }.count() * lanes),
            per_query: zeros(2 * lanes),
        }
    }

    /// `softmax(q·kᵀ / √head_dim)·v` for every head of every sequence.
    ///
    /// # Shapes
    ///
    /// - `qkv`: `[row, 3·model_dim]`
    /// - `out`: `[row, model_dim]`
    pub(crate) fn forward<T: Real>(&self, qkv: &[T], relative: Relative<'_, T>, out: &mut [T]) {
        let mut scratch = self.scratch(relative.reach);
        let buckets = Buckets { reach: relative.reach };
        out.fill(T::zero());
        for part in self.parts() {
            let (len, lanes) = (part.len(), part.lanes());
            self.weights(&part, qkv, relative, &mut scratch);
            let weights = Side::Transposed(Rows::new(&scratch.weights, lanes, 0));
            let values = part.block(qkv, 3, 2);
            T::add_product(part.block_mut(out, 1, 0), weights, values, [len, part.head_dim, len]);
            if !relative.values.is_empty() {
                buckets.gather(&scratch.weights, &mut scratch.of_buckets, len, lanes);
                let sums = Side::Transposed(Rows::new(&scratch.of_buckets, lanes, 0));
                let table = Rows::new(&relative.values[part.table(buckets.count())], part.head_dim, 0);
                let size = [len, part.head_dim, buckets.count()];
                T::add_product(part.block_mut(out, 1, 0), sums, table, size);
            }
        }
    }

    /// The attention weights of one sequence: `[heads, query, key]`.
    pub(crate) fn weights_of<T: Real>(
        &self,
        sequence: usize,
        qkv: &[T],
        relative: Relative<'_, T>,
    ) -> Vec<T> {
        let rows = self.offsets[sequence]..self.offsets[sequence + 1];
        let mut scratch = self.scratch(relative.reach);
        let mut all = Vec::with_capacity(self.heads * rows.len().pow(2));
        for part in self.parts().filter(|part| part.rows == rows) {
            let (len, lanes) = (part.len(), part.lanes());
            self.weights(&part, qkv, relative, &mut scratch);
            all.extend((0..len * len).map(|at| scratch.weights[at % len * lanes + at / len]));
        }
        all
    }

    /// Adds the gradients for the gradient `grad` (`[row, model_dim]`) of [`forward`](Self::forward)'s output.
    pub(crate) fn backward<T: Real>(
        &self,
        qkv: &[T],
        relative: Relative<'_, T>,
        grad: &[T],
        gradients: &mut Gradients<'_, T>,
    ) {
        let mut scratch = self.scratch(relative.reach);
        for part in self.parts() {
            self.weights(&part, qkv, relative, &mut scratch);
            self.slopes(&part, qkv, relative, grad, gradients, &mut scratch);
            part.spread(qkv, relative, gradients, &mut scratch);
        }
    }

    /// Turns the gradient of the output into that of the scores, and adds those of the values on the way.
    fn slopes<T: Real>(
        &self,
        part: &Part,
        qkv: &[T],
        relative: Relative<'_, T>,
        grad: &[T],
        gradients: &mut Gradients<'_, T>,
        scratch: &mut Scratch<T>,
    ) {
        let (len, lanes, dim, buckets) =
            (part.len(), part.lanes(), part.head_dim, Buckets { reach: relative.reach });
        let grad = part.block(grad, 1, 0);
        let weights = Side::AsItLies(Rows::new(&scratch.weights, lanes, 0));
        T::add_product(part.block_mut(gradients.qkv, 3, 2), weights, grad, [len, dim, len]);

        T::transpose(grad, [len, dim], &mut scratch.transposed, lanes);
        let transposed = Rows::new(&scratch.transposed, lanes, 0);
        let slopes = &mut scratch.slopes[..len * lanes];
        slopes.fill(T::zero());
        let values = Side::AsItLies(part.block(qkv, 3, 2));
        T::add_product(RowsMut::new(slopes, lanes, 0), values, transposed, [len, lanes, dim]);
        if !relative.values.is_empty() {
            let (table, count) = (part.table(buckets.count()), buckets.count());
            let of_buckets = &mut scratch.of_buckets[..count * lanes];
            of_buckets.fill(T::zero());
            let vectors = Side::AsItLies(Rows::new(&relative.values[table.clone()], dim, 0));
            T::add_product(RowsMut::new(of_buckets, lanes, 0), vectors, transposed, [count, lanes, dim]);
            buckets.hand_out(of_buckets, slopes, len, lanes);

            buckets.gather(&scratch.weights, of_buckets, len, lanes);
            let sums = Side::AsItLies(Rows::new(of_buckets, lanes, 0));
            let target = RowsMut::new(&mut gradients.relative_values[table], dim, 0);
            T::add_product(target, sums, grad, [count, dim, len]);
        }
        let weights = &scratch.weights[..len * lanes];
        softmax_backward(weights, slopes, &mut scratch.per_query[..lanes], self.scale());
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
            buckets.hand_out(of_buckets, scores, len, lanes);
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

    /// Sets the scores to −∞ that may not be seen: the future, and what dropout hides.
    fn hide<T: Real>(&self, part: &Part, scores: &mut [T]) {
        if self.causal {
            for (key, row) in scores.chunks_exact_mut(part.lanes()).enumerate() {
                row[..key].fill(T::neg_infinity());
            }
        }
        if self.drop_rate > 0.0 {
            let limit = dropout::threshold(self.drop_rate);
            let seed = dropout::bits(self.seed, (part.rows.start * self.heads + part.head) as u64);
            hide_some(scores, part.len(), part.lanes(), seed, limit);
        }
    }
}

widest! {
    /// Hides what the draws of `seed` say; they are counted query by query.
    fn hide_some<T: Real>(scores: &mut [T], len: usize, lanes: usize, seed: u64, limit: u32) {
        for (key, row) in scores.chunks_exact_mut(lanes).enumerate() {
            for (query, score) in row[..len].iter_mut().enumerate() {
                let dropped = dropout::drops(seed, (query * len + key) as u64, limit);
                *score = if dropped { T::neg_infinity() } else { *score };
            }
        }
    }
}

widest! {
    /// `softmax(scale · scores)` down each lane of `[key, lane]`; a query that sees nothing gets zeros.
    fn softmax<T: Real>(scores: &mut [T], top: &mut [T], sum: &mut [T], scale: T) {
        let lanes = top.len();
        top.fill(T::neg_infinity());
        sum.fill(T::zero());
        for row in scores.chunks_exact(lanes) {
            for (top, score) in top.iter_mut().zip(row) {
                *top = if *score > *top { *score } else { *top };
            }
        }
        for row in scores.chunks_exact_mut(lanes) {
            for ((score, top), sum) in row.iter_mut().zip(&*top).zip(&mut *sum) {
                let weight = ((*score - *top) * scale).fast_exp();
                *score = if *score > T::neg_infinity() { weight } else { T::zero() };
                *sum += *score;
            }
        }
        for sum in sum.iter_mut() {
            *sum = if *sum > T::zero() { sum.recip() } else { T::zero() };
        }
        for row in scores.chunks_exact_mut(lanes) {
            for (weight, share) in row.iter_mut().zip(&*sum) {
                *weight *= *share;
            }
        }
    }
}

widest! {
    /// Turns the gradient of the weights (`slopes`) into that of the unscaled scores: `[key, lane]`.
    fn softmax_backward<T: Real>(weights: &[T], slopes: &mut [T], mean: &mut [T], scale: T) {
        let lanes = mean.len();
        mean.fill(T::zero());
        for (weights, slopes) in weights.chunks_exact(lanes).zip(slopes.chunks_exact(lanes)) {
            for ((mean, weight), slope) in mean.iter_mut().zip(weights).zip(slopes) {
                *mean += *weight * *slope;
            }
        }
        for (weights, slopes) in weights.chunks_exact(lanes).zip(slopes.chunks_exact_mut(lanes)) {
            for ((mean, weight), slope) in mean.iter().zip(weights).zip(slopes) {
                *slope = *weight * (*slope - *mean) * scale;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gradients of all that learns, and the output, for numbers of one type.
    fn both<T: Real>(
        attention: &Attention<'_>,
        values: bool,
        numbers: impl Fn(usize, u64) -> Vec<T>,
    ) -> Vec<Vec<T>> {
        let (rows, dim) = (attention.offsets[attention.offsets.len() - 1], attention.model_dim);
        let (qkv, grad, table) = (numbers(rows * 3 * dim, 1), numbers(rows * dim, 2), numbers(11 * dim, 3));
        let used = |used: bool| if used { &table[..] } else { &[] };
        let biases = if values { &table[..11 * attention.heads] } else { &[] };
        let relative = Relative { keys: used(true), values: used(values), biases, reach: 5 };
        let mut out = vec![T::zero(); rows * dim];
        attention.forward(&qkv, relative, &mut out);
        let sizes = [qkv.len(), table.len(), used(values).len(), biases.len()];
        let mut gradients = sizes.map(|len| vec![T::zero(); len]);
        let [of_qkv, keys, values, biases] = &mut gradients;
        let sums = &mut Gradients {
            qkv: of_qkv,
            relative_keys: keys,
            relative_values: values,
            relative_biases: biases,
        };
        attention.backward(&qkv, relative, &grad, sums);
        gradients.into_iter().chain([out]).collect()
    }

    /// The blocks of `nn` hold `f64` against candle and finite differences; this holds `f32` against `f64`.
    #[test]
    fn f32_agrees_with_f64() {
        let number =
            |salt: u64, i: usize| (dropout::bits(salt, i as u64) >> 40) as f64 / f64::from(1 << 23) - 1.0;
        let offsets = [0, 3, 4, 4, 12, 28, 68];
        for (model_dim, causal, values, drop_rate) in
            [(64, false, false, 0.0), (64, true, true, 0.0), (64, false, true, 0.4), (20, true, true, 0.4)]
        {
            let attention = Attention { offsets: &offsets, heads: 2, model_dim, causal, drop_rate, seed: 7 };
            let single =
                both(&attention, values, |len, salt| (0..len).map(|i| number(salt, i) as f32).collect());
            let double = both(&attention, values, |len, salt| (0..len).map(|i| number(salt, i)).collect());
            for (single, double) in single.iter().zip(&double) {
                let worst =
                    single.iter().zip(double).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                assert!(worst < 1e-5, "{worst:e}");
            }
        }
    }
}
