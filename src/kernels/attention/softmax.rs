//! The softmax over the scores of one head of one sequence, `[key, lane]`, and its gradient.

use super::super::{Real, dropout};

widest! {
    /// Sets the scores that dropout hides to −∞. Draws are numbered query by query.
    pub(super) fn hide_some<T: Real>(scores: &mut [T], len: usize, lanes: usize, seed: u64, limit: u32) {
        for (key, row) in scores.chunks_exact_mut(lanes).enumerate() {
            for (query, score) in row[..len].iter_mut().enumerate() {
                let dropped = dropout::drops(seed, (query * len + key) as u64, limit);
                *score = if dropped { T::neg_infinity() } else { *score };
            }
        }
    }
}

widest! {
    /// `softmax(scale · scores)` down each lane of `[key, lane]`.
    ///
    /// A score of −∞ weighs nothing, and a query of nothing else gets zeros. Scores of +∞ share all of it. A NaN makes
    /// the whole lane NaN.
    pub(super) fn softmax<T: Real>(scores: &mut [T], top: &mut [T], sum: &mut [T], scale: T) {
        let lanes = top.len();
        top.fill(T::min_value());
        sum.fill(T::zero());
        for row in scores.chunks_exact(lanes) {
            for (top, score) in top.iter_mut().zip(row) {
                *top = if *score > *top { *score } else { *top };
            }
        }
        for row in scores.chunks_exact_mut(lanes) {
            for ((score, top), sum) in row.iter_mut().zip(&*top).zip(&mut *sum) {
                // `∞ − ∞` would be NaN.
                let weight = if *score == *top { T::one() } else { ((*score - *top) * scale).fast_exp() };
                *score = if *score == T::neg_infinity() { T::zero() } else { weight };
                *sum += *score;
            }
        }
        for sum in sum.iter_mut() {
            *sum = if *sum == T::zero() { T::zero() } else { sum.recip() };
        }
        for row in scores.chunks_exact_mut(lanes) {
            for (weight, share) in row.iter_mut().zip(&*sum) {
                *weight *= *share;
            }
        }
    }
}

widest! {
    /// Turns `grad`, the gradient of the weights, into that of the unscaled scores: `[key, lane]`.
    pub(super) fn softmax_backward<T: Real>(weights: &[T], grad: &mut [T], mean: &mut [T], scale: T) {
        let lanes = mean.len();
        mean.fill(T::zero());
        for (weights, grad) in weights.chunks_exact(lanes).zip(grad.chunks_exact(lanes)) {
            for ((mean, weight), grad) in mean.iter_mut().zip(weights).zip(grad) {
                *mean += *weight * *grad;
            }
        }
        for (weights, grad) in weights.chunks_exact(lanes).zip(grad.chunks_exact_mut(lanes)) {
            for ((mean, weight), grad) in mean.iter().zip(weights).zip(grad) {
                *grad = *weight * (*grad - *mean) * scale;
            }
        }
    }
}
