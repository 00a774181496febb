//! The sums in the log domain: slow and plain, but without underflow.

use std::ops::Range;

use super::{Likelihood, Rules};
use crate::kernels::Real;

/// `log Σ exp`; of nothing, −∞.
fn log_sum_exp<T: Real>(terms: impl Iterator<Item = T> + Clone) -> T {
    let top = terms.clone().fold(T::neg_infinity(), T::max);
    if top == T::neg_infinity() {
        // The maximum passes over what is not a number, a sum does not.
        return terms.fold(top, |sum, x| sum + x);
    }
    top + terms.map(|x| (x - top).exp()).sum::<T>().ln()
}

fn allowed<T: Real>(legal: bool, score: T) -> T {
    if legal { score } else { T::neg_infinity() }
}

/// Forward and backward log sums of one sequence (`[row, tag]` each), and the log sum over all.
pub(super) fn sums<T: Real>(rules: &Rules, logits: &[T], transitions: &[T]) -> (Vec<T>, Vec<T>, T) {
    let tags = rules.tags;
    let len = logits.len() / tags;
    if len == 0 {
        return (Vec::new(), Vec::new(), T::zero());
    }
    let step =
        |from: usize, to: usize| allowed(rules.follows[from * tags + to], transitions[from * tags + to]);
    let mut forward = vec![T::neg_infinity(); len * tags];
    for tag in 0..tags {
        forward[tag] = allowed(rules.begins[tag], logits[tag]);
    }
    for t in 1..len {
        for to in 0..tags {
            let before = (0..tags).map(|from| forward[(t - 1) * tags + from] + step(from, to));
            forward[t * tags + to] = log_sum_exp(before) + logits[t * tags + to];
        }
    }
    let mut backward = vec![T::neg_infinity(); len * tags];
    for tag in 0..tags {
        backward[(len - 1) * tags + tag] = allowed(rules.ends[tag], T::zero());
    }
    for t in (0..len - 1).rev() {
        for from in 0..tags {
            let next = (t + 1) * tags;
            let after = (0..tags).map(|to| step(from, to) + logits[next + to] + backward[next + to]);
            backward[t * tags + from] = log_sum_exp(after);
        }
    }
    let last = (len - 1) * tags;
    let total = log_sum_exp((0..tags).map(|tag| forward[last + tag] + backward[last + tag]));
    (forward, backward, total)
}

/// What [`super::likelihood`] computes, for the sequence in these `rows`: fills its gradients of the logits, adds to
/// those of the transitions, and returns its loss.
pub(super) fn add<T: Real>(
    rules: &Rules,
    rows: Range<usize>,
    logits: &[T],
    transitions: &[T],
    gold: &[u32],
    found: &mut Likelihood<T>,
) -> T {
    let tags = rules.tags;
    let (cells, gold) = (rows.start * tags..rows.end * tags, &gold[rows.clone()]);
    let own = &logits[cells.clone()];
    let (forward, backward, total) = sums(rules, own, transitions);
    let (grad, grad_transitions) = (&mut found.grad_logits[cells], &mut found.grad_transitions);
    for (i, grad) in grad.iter_mut().enumerate() {
        *grad = (forward[i] + backward[i] - total).exp();
    }
    for t in 1..rows.len() {
        for (from, to) in (0..tags * tags).map(|i| (i / tags, i % tags)) {
            let (at, next) = (from * tags + to, t * tags + to);
            let score = forward[(t - 1) * tags + from] + transitions[at] + own[next] + backward[next];
            grad_transitions[at] += allowed(rules.follows[at], score - total).exp();
        }
    }
    total - subtract_gold(tags, gold, own, transitions, grad, grad_transitions)
}

/// As [`super::likelihood`], one sequence after the other.
#[cfg(test)]
pub(super) fn likelihood<T: Real>(
    rules: &Rules,
    offsets: &[usize],
    logits: &[T],
    transitions: &[T],
    gold: &[u32],
) -> Likelihood<T> {
    let mut found = Likelihood::zero(logits.len(), rules.tags);
    let sequences = offsets.windows(2).map(|pair| pair[0]..pair[1]);
    found.losses = sequences.map(|rows| add(rules, rows, logits, transitions, gold, &mut found)).collect();
    found
}

/// Takes the gold path out of the gradients of one sequence; its score.
pub(super) fn subtract_gold<T: Real>(
    tags: usize,
    gold: &[u32],
    logits: &[T],
    transitions: &[T],
    grad_logits: &mut [T],
    grad_transitions: &mut [T],
) -> T {
    let mut score = T::zero();
    for (t, tag) in gold.iter().map(|tag| *tag as usize).enumerate() {
        score += logits[t * tags + tag];
        grad_logits[t * tags + tag] -= T::one();
        if t > 0 {
            let at = gold[t - 1] as usize * tags + tag;
            score += transitions[at];
            grad_transitions[at] -= T::one();
        }
    }
    score
}
