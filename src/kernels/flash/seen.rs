//! Both passes by the definition, one query and one key at a time, where numbers are not finite.
//!
//! Blocks hide a key by a weight of zero. That takes no NaN and no infinity out of a product, so such numbers would reach
//! queries that do not see them; and the difference of two infinite scores would be NaN.

use super::{Flash, Inputs, Outputs};
use crate::kernels::sums::all_finite;

impl Flash<'_> {
    /// Computes the rows of `out` that are not finite again.
    pub(super) fn forward_over_seen(&self, inputs: Inputs<'_>, out: &mut [f32]) {
        for (row, out) in out.chunks_exact_mut(self.head_dim).enumerate() {
            if all_finite(out) {
                continue;
            }
            out.fill(0.0);
            for (key, weight) in self.weights(inputs, row) {
                add(out, weight, self.row(inputs.values, key));
            }
        }
    }

    /// Computes the gradients of the heads where some are not finite again. A query whose weights are NaN, or whose
    /// scores are infinite, makes its own gradient and those of all that it sees NaN.
    pub(super) fn backward_over_seen(
        &self,
        inputs: Inputs<'_>,
        outputs: Outputs<'_>,
        [queries, keys, values]: &mut [Vec<f32>; 3],
    ) {
        let dim = self.head_dim;
        for head in 0..self.batch * self.heads {
            let of_queries = head * self.queries * dim..(head + 1) * self.queries * dim;
            let of_keys = head * self.keys * dim..(head + 1) * self.keys * dim;
            let parts = [&mut queries[of_queries], &mut keys[of_keys.clone()], &mut values[of_keys]];
            if parts.iter().all(|part| all_finite(part)) {
                continue;
            }
            parts.into_iter().for_each(|part| part.fill(0.0));
            let rows = head * self.queries..(head + 1) * self.queries;
            let (spoilt, sound): (Vec<usize>, Vec<usize>) =
                rows.partition(|row| outputs.log_sums[*row].is_nan());
            for row in spoilt {
                queries[row * dim..(row + 1) * dim].fill(f32::NAN);
                for key in self.seen(row).map(|key| key * dim) {
                    // Where many queries are spoilt, most keys are by the first.
                    if !keys[key].is_nan() {
                        keys[key..key + dim].fill(f32::NAN);
                        values[key..key + dim].fill(f32::NAN);
                    }
                }
            }
            for row in sound {
                let cells = row * dim..(row + 1) * dim;
                let grad = self.row(outputs.grads, row);
                let mean = dot(grad, self.row(outputs.out, row));
                for (key, weight) in self.weights(inputs, row) {
                    let slope = weight * (dot(grad, self.row(inputs.values, key)) - mean) * self.scale;
                    let of_key = key * dim..(key + 1) * dim;
                    add(&mut queries[cells.clone()], slope, self.row(inputs.keys, key));
                    add(&mut keys[of_key.clone()], slope, self.row(inputs.queries, row));
                    add(&mut values[of_key], weight, grad);
                }
            }
        }
    }

    /// The rows of the keys that the query in this row sees.
    fn seen(&self, row: usize) -> impl Iterator<Item = usize> {
        let (head, query) = (row / self.queries, row % self.queries);
        let visible = self.visible.map(|visible| &visible[head / self.heads * self.keys..]);
        let range = self.shape().mask(self.causal, self.window).of_query(query);
        let seen = range.filter(move |key| visible.is_none_or(|visible| visible[*key]));
        seen.map(move |key| head * self.keys + key)
    }

    /// Those with their weights: `softmax(q · kᵀ · scale)`. Infinite scores share all of it.
    fn weights(&self, inputs: Inputs<'_>, row: usize) -> Vec<(usize, f32)> {
        let query = self.row(inputs.queries, row);
        let score = |key| (key, dot(query, self.row(inputs.keys, key)) * self.scale);
        let mut weights: Vec<(usize, f32)> = self.seen(row).map(score).collect();
        let top = weights.iter().fold(f32::MIN, |top, (_, score)| top.max(*score));
        // `∞ − ∞` would be NaN.
        let exponential = |score: f32| if score >= top { 1.0 } else { (score - top).exp() };
        weights.iter_mut().for_each(|(_, score)| *score = exponential(*score));
        let sum: f32 = weights.iter().map(|(_, weight)| weight).sum();
        if sum != 0.0 {
            weights.iter_mut().for_each(|(_, weight)| *weight /= sum);
        }
        weights
    }

    fn row<'v>(&self, values: &'v [f32], row: usize) -> &'v [f32] {
        &values[row * self.head_dim..(row + 1) * self.head_dim]
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(sum: &mut [f32], factor: f32, x: &[f32]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += factor * x);
}
