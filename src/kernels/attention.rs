//! Multi-head softmax attention inside each sequence of a packed batch, forward and backward.
//!
//! Sequences lie one after the other: `offsets[s]..offsets[s + 1]` are the rows of
//! sequence `s`. Queries, keys and values lie side by side in one row, each
//! `model_dim` wide and divided among the heads. The scores of one head of one
//! sequence are all that is ever held; the backward pass computes them again.

use std::ops::Range;

use super::matmul::{Into, Matrix, MatrixMut, matmul};
use super::{Real, dropout};

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

/// Learned vectors for the distance from query to key (Shaw et al. 2018):
/// `[heads, 2·reach + 1, head_dim]` each, or empty where they are not used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relative<'a, T> {
    pub(crate) keys: &'a [T],
    pub(crate) values: &'a [T],
    pub(crate) reach: usize,
}

/// Sums of gradients, each of the shape of what it belongs to.
#[derive(Debug)]
pub(crate) struct Gradients<'a, T> {
    pub(crate) qkv: &'a mut [T],
    pub(crate) relative_keys: &'a mut [T],
    pub(crate) relative_values: &'a mut [T],
}

/// One head of one sequence.
struct Part {
    rows: Range<usize>,
    head: usize,
    head_dim: usize,
}

impl Part {
    fn len(&self) -> usize {
        self.rows.len()
    }

    /// This head's columns of the `which`-th block (0 queries, 1 keys, 2 values) of a `[row, 3·model_dim]`.
    fn columns(&self, model_dim: usize, which: usize) -> Range<usize> {
        let start = which * model_dim + self.head * self.head_dim;
        start..start + self.head_dim
    }

    /// Where the vector for the distance from `query` to `key` begins.
    fn relative(&self, reach: usize, query: usize, key: usize) -> usize {
        let bucket = (key + reach).saturating_sub(query).min(2 * reach);
        (self.head * (2 * reach + 1) + bucket) * self.head_dim
    }
}

impl Attention<'_> {
    fn head_dim(&self) -> usize {
        self.model_dim / self.heads
    }

    fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        self.offsets.windows(2).flat_map(move |pair| {
            let rows = pair[0]..pair[1];
            (0..self.heads).map(move |head| Part { rows: rows.clone(), head, head_dim: self.head_dim() })
        })
    }

    fn longest(&self) -> usize {
        self.offsets.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0)
    }

    /// `softmax(q·kᵀ / √head_dim)·v` for every head of every sequence.
    ///
    /// # Shapes
    ///
    /// - `qkv`: `[row, 3·model_dim]`
    /// - `out`: `[row, model_dim]`
    pub(crate) fn forward<T: Real>(&self, qkv: &[T], relative: Relative<'_, T>, out: &mut [T]) {
        let mut scores = vec![T::zero(); self.longest().pow(2)];
        for part in self.parts() {
            let len = part.len();
            let weights = &mut scores[..len * len];
            self.weights(&part, qkv, relative, weights);
            let values = self.block(&part, qkv, 2);
            let columns = part.columns(self.model_dim, 0);
            let rows = &mut out[part.rows.start * self.model_dim..part.rows.end * self.model_dim];
            let context = MatrixMut::columns(rows, len, self.model_dim, columns.clone());
            matmul(context, Into::Fresh, Matrix::new(weights, len, len), values);
            if relative.values.is_empty() {
                continue;
            }
            for (query, row) in rows.chunks_exact_mut(self.model_dim).enumerate() {
                for key in 0..len {
                    let at = part.relative(relative.reach, query, key);
                    let vector = &relative.values[at..at + part.head_dim];
                    add_scaled(&mut row[columns.clone()], weights[query * len + key], vector);
                }
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
        let len = self.offsets[sequence + 1] - self.offsets[sequence];
        let mut all = vec![T::zero(); self.heads * len * len];
        let parts = self.parts().skip(sequence * self.heads);
        for (part, weights) in parts.zip(all.chunks_exact_mut((len * len).max(1))) {
            self.weights(&part, qkv, relative, weights);
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
        let size = self.longest().pow(2);
        let (mut weights, mut slopes) = (vec![T::zero(); size], vec![T::zero(); size]);
        for part in self.parts() {
            let (len, width) = (part.len(), 3 * self.model_dim);
            let (weights, slopes) = (&mut weights[..len * len], &mut slopes[..len * len]);
            self.weights(&part, qkv, relative, weights);

            let columns = part.columns(self.model_dim, 0);
            let grad = &grad[part.rows.start * self.model_dim..part.rows.end * self.model_dim];
            let grad_context = Matrix::columns(grad, len, self.model_dim, columns.clone());
            let as_matrix = Matrix::new(weights, len, len);
            let grad_rows = &mut gradients.qkv[part.rows.start * width..part.rows.end * width];

            let grad_values = MatrixMut::columns(grad_rows, len, width, part.columns(self.model_dim, 2));
            matmul(grad_values, Into::Sum, as_matrix.transposed(), grad_context);
            let values = self.block(&part, qkv, 2).transposed();
            matmul(MatrixMut::new(slopes, len, len), Into::Fresh, grad_context, values);
            if !relative.values.is_empty() {
                for (query, grad) in grad.chunks_exact(self.model_dim).enumerate() {
                    for key in 0..len {
                        let at = part.relative(relative.reach, query, key);
                        let (grad, cell) = (&grad[columns.clone()], query * len + key);
                        slopes[cell] += dot(grad, &relative.values[at..at + part.head_dim]);
                        add_scaled(
                            &mut gradients.relative_values[at..at + part.head_dim],
                            weights[cell],
                            grad,
                        );
                    }
                }
            }
            softmax_backward(weights, slopes, len, self.scale());

            let slopes_matrix = Matrix::new(slopes, len, len);
            let (queries, keys) = (self.block(&part, qkv, 0), self.block(&part, qkv, 1));
            let grad_queries = MatrixMut::columns(grad_rows, len, width, columns.clone());
            matmul(grad_queries, Into::Sum, slopes_matrix, keys);
            let grad_keys = MatrixMut::columns(grad_rows, len, width, part.columns(self.model_dim, 1));
            matmul(grad_keys, Into::Sum, slopes_matrix.transposed(), queries);
            if relative.keys.is_empty() {
                continue;
            }
            let rows = &qkv[part.rows.start * width..part.rows.end * width];
            for query in 0..len {
                for key in 0..len {
                    let at = part.relative(relative.reach, query, key);
                    let (slope, start) = (slopes[query * len + key], query * width);
                    let grad_query = &mut grad_rows[start + columns.start..start + columns.end];
                    add_scaled(grad_query, slope, &relative.keys[at..at + part.head_dim]);
                    let query_row = &rows[start + columns.start..start + columns.end];
                    add_scaled(&mut gradients.relative_keys[at..at + part.head_dim], slope, query_row);
                }
            }
        }
    }

    fn scale<T: Real>(&self) -> T {
        T::of(1.0 / (self.head_dim() as f64).sqrt())
    }

    /// Queries, keys or values of one head of one sequence: `[seq, head_dim]`.
    fn block<'q, T>(&self, part: &Part, qkv: &'q [T], which: usize) -> Matrix<'q, T> {
        let width = 3 * self.model_dim;
        let rows = &qkv[part.rows.start * width..part.rows.end * width];
        Matrix::columns(rows, part.len(), width, part.columns(self.model_dim, which))
    }

    /// Fills `weights`, `[query, key]`, for one head of one sequence.
    fn weights<T: Real>(&self, part: &Part, qkv: &[T], relative: Relative<'_, T>, weights: &mut [T]) {
        let (len, width) = (part.len(), 3 * self.model_dim);
        let keys = self.block(part, qkv, 1).transposed();
        matmul(MatrixMut::new(weights, len, len), Into::Fresh, self.block(part, qkv, 0), keys);
        if !relative.keys.is_empty() {
            let columns = part.columns(self.model_dim, 0);
            for query in 0..len {
                let start = (part.rows.start + query) * width;
                let row = &qkv[start + columns.start..start + columns.end];
                for key in 0..len {
                    let at = part.relative(relative.reach, query, key);
                    weights[query * len + key] += dot(row, &relative.keys[at..at + part.head_dim]);
                }
            }
        }
        self.hide(part, weights);
        softmax(weights, len, self.scale());
    }

    /// Sets the scores to −∞ that may not be seen: the future, and what dropout hides.
    fn hide<T: Real>(&self, part: &Part, scores: &mut [T]) {
        let len = part.len();
        if self.causal {
            for query in 0..len {
                scores[query * len + query + 1..(query + 1) * len].fill(T::neg_infinity());
            }
        }
        if self.drop_rate > 0.0 {
            let limit = dropout::threshold(self.drop_rate);
            let seed = dropout::bits(self.seed, (part.rows.start * self.heads + part.head) as u64);
            for (i, score) in scores.iter_mut().enumerate() {
                if dropout::drops(seed, i as u64, limit) {
                    *score = T::neg_infinity();
                }
            }
        }
    }
}

widest! {
    /// `softmax(scale · row)` for each row; a row that sees nothing becomes zeros.
    fn softmax<T: Real>(rows: &mut [T], len: usize, scale: T) {
        for row in rows.chunks_exact_mut(len.max(1)) {
            let top = row.iter().fold(T::neg_infinity(), |top, x| if *x > top { *x } else { top });
            if top == T::neg_infinity() {
                row.fill(T::zero());
                continue;
            }
            let mut sum = T::zero();
            for x in row.iter_mut() {
                let seen = *x > T::neg_infinity();
                *x = if seen { ((*x - top) * scale).fast_exp() } else { T::zero() };
                sum += *x;
            }
            let share = sum.recip();
            for x in row.iter_mut() {
                *x *= share;
            }
        }
    }
}

widest! {
    /// Turns the gradient of the weights (`slopes`) into that of the unscaled scores.
    fn softmax_backward<T: Real>(weights: &[T], slopes: &mut [T], len: usize, scale: T) {
        let len = len.max(1);
        for (weights, slopes) in weights.chunks_exact(len).zip(slopes.chunks_exact_mut(len)) {
            let mean = dot(weights, slopes);
            for (slope, weight) in slopes.iter_mut().zip(weights) {
                *slope = *weight * (*slope - mean) * scale;
            }
        }
    }
}

#[inline(always)]
fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    a.iter().zip(b).map(|(a, b)| *a * *b).sum()
}

#[inline(always)]
fn add_scaled<T: Real>(out: &mut [T], factor: T, x: &[T]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out += factor * *x;
    }
}
