//! What happens between the products: one block of scores, a query in each lane and a key in each row.
//!
//! Exponentials are to base two, so scores are multiplied by `scale · log₂ e` first.

use super::arithmetic::{Arithmetic, Step};
use super::lanes::Lanes;

/// The size of a block and what its scores are multiplied by.
#[derive(Clone, Copy)]
pub(super) struct Block {
    /// Rows: keys.
    pub(super) keys: usize,
    /// Columns: queries, and lanes to spare up to a multiple of sixteen.
    pub(super) lanes: usize,
    /// `scale · log₂ e`.
    pub(super) factor: f32,
}

/// The state of each query after the keys so far.
pub(super) struct Progress<'a> {
    /// The largest scaled score.
    pub(super) top: &'a mut [f32],
    /// The sum of `2^(score − top)`.
    pub(super) sum: &'a mut [f32],
    /// What the last block has multiplied earlier sums by.
    pub(super) rescale: &'a mut [f32],
}

/// Turns a block of scores `[key, lane]` into `2^(scaled score − top)`, keys joined, and adds it to the sums.
pub(super) struct Weigh<'a> {
    pub(super) block: Block,
    pub(super) scores: &'a [f32],
    pub(super) weights: &'a mut [f32],
    pub(super) progress: Progress<'a>,
}

impl Step for Weigh<'_> {
    #[inline(always)]
    fn run<A: Arithmetic>(self, a: A) {
        let Self { block: Block { keys, lanes, factor }, scores, weights, progress } = self;
        let factor = a.splat(factor);
        for at in (0..lanes).step_by(A::Lanes::WIDTH) {
            let rows = || scores[..keys * lanes].chunks_exact(lanes).map(|row| a.load(&row[at..]));
            let before = a.load(&progress.top[at..]);
            let top = highest(a.splat(f32::NEG_INFINITY), rows()).mul(factor).max(before);
            let away = a.splat(0.0).sub(top);
            let rescale = before.sub(top).exp2();
            let mut sum = a.load(&progress.sum[at..]).mul(rescale);
            let mut exponentials = rows().map(|scores| scores.mul_add(factor, away).exp2());
            for weights in weights.chunks_exact_mut(lanes).take(keys.div_ceil(A::TERMS)) {
                let [mut first, mut second] = [a.splat(0.0); 2];
                first = exponentials.next().unwrap_or(first);
                sum = sum.add(first);
                if A::TERMS == 2 {
                    second = exponentials.next().unwrap_or(second);
                    sum = sum.add(second);
                }
                a.join(first, second).store(&mut weights[at..]);
            }
            top.store(&mut progress.top[at..]);
            sum.store(&mut progress.sum[at..]);
            rescale.store(&mut progress.rescale[at..]);
        }
    }
}

/// The largest of some numbers, `lowest` among them, found two by two so that one comparison need not wait for the other.
#[inline(always)]
fn highest<L: Lanes>(lowest: L, mut rows: impl Iterator<Item = L>) -> L {
    let mut tops = [lowest; 2];
    while let Some(row) = rows.next() {
        tops[0] = tops[0].max(row);
        if let Some(row) = rows.next() {
            tops[1] = tops[1].max(row);
        }
    }
    tops[0].max(tops[1])
}

/// A block of the backward pass.
pub(super) struct Differentiate<'a> {
    pub(super) block: Block,
    /// In: scores. `[key, lane]`. Weights take their place where no means are given.
    pub(super) scores: &'a mut [f32],
    /// In: gradients of the weights. `[key, lane]`.
    pub(super) grads: &'a [f32],
    /// In: for each lane, log₂ of the sum of the exponentials of its scores.
    pub(super) log_sums: &'a [f32],
    /// In: for each lane, the mean of the gradients of its weights, weighted by them; none where this block has all keys.
    pub(super) means: Option<&'a [f32]>,
    /// Out: weights as words along the lanes. `[key, lane / TERMS]`.
    pub(super) weights: &'a mut [f32],
    /// Out: gradients of the scaled scores, likewise.
    pub(super) score_grads: &'a mut [f32],
    /// Out: the same with keys joined. `[key / TERMS, lane]`.
    pub(super) joined: &'a mut [f32],
}

impl Step for Differentiate<'_> {
    /// `weight = 2^(scaled score − log_sum)` and `score_grad = weight · (grad − mean)`.
    #[inline(always)]
    fn run<A: Arithmetic>(self, a: A) {
        let Block { keys, lanes, factor } = self.block;
        let (factor, words) = (a.splat(factor), lanes / A::TERMS);
        for at in (0..lanes).step_by(A::Lanes::WIDTH) {
            let log_sum = a.splat(0.0).sub(a.load(&self.log_sums[at..]));
            let mean = if let Some(means) = self.means {
                a.load(&means[at..])
            } else {
                let mut mean = a.splat(0.0);
                for cell in (0..keys).map(|key| key * lanes + at) {
                    let weight = a.load(&self.scores[cell..]).mul_add(factor, log_sum).exp2();
                    weight.store(&mut self.scores[cell..]);
                    mean = weight.mul_add(a.load(&self.grads[cell..]), mean);
                }
                mean
            };
            for first in (0..keys).step_by(A::TERMS) {
                let mut score_grads = [a.splat(0.0); 2];
                for key in first..(first + A::TERMS).min(keys) {
                    let mut weight = a.load(&self.scores[key * lanes + at..]);
                    if self.means.is_some() {
                        weight = weight.mul_add(factor, log_sum).exp2();
                    }
                    let score_grad = weight.mul(a.load(&self.grads[key * lanes + at..]).sub(mean));
                    a.store_words(weight, &mut self.weights[key * words + at / A::TERMS..]);
                    a.store_words(score_grad, &mut self.score_grads[key * words + at / A::TERMS..]);
                    score_grads[key - first] = score_grad;
                }
                if A::TERMS > 1 {
                    a.join(score_grads[0], score_grads[1])
                        .store(&mut self.joined[first / A::TERMS * lanes + at..]);
                }
            }
        }
    }
}
