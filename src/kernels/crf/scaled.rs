//! The sums in the probability domain, for a whole batch at once.
//!
//! With `E = exp(transitions)` and `p_t = exp(logits_t)`, both divided by their
//! largest entry, the forward sums are `α_t = (α_{t−1}·E) ∘ p_t` and the backward
//! sums `β_{t−1} = E·(p_t ∘ β_t)`: one product of `[sequence, tag]` with `[tag, tag]`
//! per position, for all sequences that are that long. Each row is scaled to sum to
//! one after each position, and the logarithms of the scales add up to `log Z`.

use super::exact::subtract_gold;
use super::loops::{multiply, shifted_exponentials};
use super::{Likelihood, Rules};
use crate::kernels::Real;
use crate::kernels::matmul::{
    Accumulate::{Add, Overwrite},
    Matrix, MatrixMut, matmul,
};

/// Packed rows in order of time: first the rows at position 0 of all sequences, longest first, and so on.
struct ByTime {
    /// The sequences, longest first.
    sequences: Vec<usize>,
    /// Where each position begins; position `t` has `starts[t + 1] − starts[t]` sequences.
    starts: Vec<usize>,
    /// The packed row at each place.
    rows: Vec<usize>,
}

impl ByTime {
    /// The rows of the sequences that are not `left_out`.
    fn new(offsets: &[usize], left_out: &[bool]) -> Self {
        let len = |at: usize| offsets[at + 1] - offsets[at];
        let mut sequences: Vec<usize> = (0..left_out.len()).filter(|at| !left_out[*at]).collect();
        sequences.sort_by_key(|at| std::cmp::Reverse(len(*at)));
        let longest = sequences.first().map_or(0, |at| len(*at));
        let (mut starts, mut rows) = (vec![0], Vec::new());
        for t in 0..longest {
            rows.extend(sequences.iter().take_while(|at| len(**at) > t).map(|at| offsets[*at] + t));
            starts.push(rows.len());
        }
        Self { sequences, starts, rows }
    }

    fn positions(&self) -> usize {
        self.starts.len() - 1
    }
}

/// As [`super::likelihood`], but for the sequences that are `left_out`: their losses and gradients stay zero.
///
/// # Errors
///
/// The sequences of which a sum underflows or a number is not finite.
pub(super) fn likelihood<T: Real>(
    rules: &Rules,
    offsets: &[usize],
    logits: &[T],
    transitions: &[T],
    gold: &[u32],
    left_out: &[bool],
) -> Result<Likelihood<T>, Vec<usize>> {
    let tags = rules.tags;
    let order = ByTime::new(offsets, left_out);
    if order.sequences.is_empty() {
        let losses = vec![T::zero(); left_out.len()];
        return Ok(Likelihood { losses, ..Likelihood::zero(logits.len(), tags) });
    }
    let Moves { exponentials: moves, top: move_scale } = Moves::new(rules, transitions);
    if !transitions.iter().all(|x| x.is_finite()) || !move_scale.is_finite() {
        return Err(order.sequences);
    }
    // Rows know nothing of each other, so the sums of a lost sequence go on with whatever they are.
    let mut lost = vec![false; order.sequences.len()];
    let (p, mut log_scales) = emissions(rules, &order, logits, &mut lost);

    // Forward sums, scaled row by row.
    let mut alpha = p.clone();
    for t in 0..order.positions() {
        let (here, end) = (order.starts[t], order.starts[t + 1]);
        if t > 0 {
            let before = order.starts[t - 1];
            let count = end - here;
            let (past, present) = alpha.split_at_mut(here * tags);
            let from = Matrix::new(&past[before * tags..], count, tags);
            let mut sums = vec![T::zero(); count * tags];
            matmul(MatrixMut::new(&mut sums, count, tags), Overwrite, from, Matrix::new(&moves, tags, tags));
            multiply(&mut present[..count * tags], &sums);
            log_scales[here..end].iter_mut().for_each(|scale| *scale += move_scale);
        }
        normalize(&mut alpha[here * tags..end * tags], tags, &mut log_scales[here..end], &mut lost);
    }

    // Backward sums, their products with the forward sums, and expected transitions.
    let mut marginals = vec![T::zero(); alpha.len()];
    let mut expected = vec![T::zero(); tags * tags];
    let mut beta: Vec<T> = Vec::new();
    for t in (0..order.positions()).rev() {
        let (here, end) = (order.starts[t], order.starts[t + 1]);
        let count = end - here;
        let continuing = beta.len() / tags;
        // Sequences that end here begin their backward sums.
        for _ in continuing..count {
            beta.extend(rules.ends.iter().map(|ends| if *ends { T::one() } else { T::zero() }));
        }
        let sums = &mut marginals[here * tags..end * tags];
        sums.copy_from_slice(&alpha[here * tags..end * tags]);
        multiply(sums, &beta);
        let is_last = |k: usize| k >= continuing;
        for (k, row) in sums.chunks_exact_mut(tags).enumerate() {
            let total = row.iter().copied().sum::<T>();
            lost[k] |= !(total.is_finite() && total > T::zero());
            row.iter_mut().for_each(|x| *x /= total);
            if is_last(k) {
                // All of α is rescaled to one; the sums of tags that must not end a sequence are lost from the total.
                log_scales[here + k] += total.ln();
            }
        }
        if t == 0 {
            break;
        }
        // message = p ∘ β, then β of the position before is E · message.
        let mut message = p[here * tags..end * tags].to_vec();
        multiply(&mut message, &beta);
        normalize(&mut message, tags, &mut vec![T::zero(); count], &mut lost);
        let before = order.starts[t - 1];
        let mut next = vec![T::zero(); count * tags];
        let moved = Matrix::new(&moves, tags, tags).transposed();
        let arriving = Matrix::new(&message, count, tags);
        matmul(MatrixMut::new(&mut next, count, tags), Overwrite, arriving, moved);
        let past = &alpha[before * tags..(before + count) * tags];
        scale_to_probability(&mut message, past, &next, tags, &mut lost);
        let past = Matrix::new(past, count, tags).transposed();
        let message = Matrix::new(&message, count, tags);
        matmul(MatrixMut::new(&mut expected, tags, tags), Add, past, message);
        normalize(&mut next, tags, &mut vec![T::zero(); count], &mut lost);
        beta = next;
    }
    if lost.contains(&true) {
        return Err(order
            .sequences
            .into_iter()
            .zip(lost)
            .filter(|(_, lost)| *lost)
            .map(|(at, _)| at)
            .collect());
    }

    multiply(&mut expected, &moves);
    Ok(finish(tags, offsets, left_out, &order, logits, transitions, gold, &marginals, expected, &log_scales))
}

/// Scales each row of `message` so that `pastᵀ ∘ E ∘ message` sums to one for its sequence.
fn scale_to_probability<T: Real>(message: &mut [T], past: &[T], next: &[T], tags: usize, lost: &mut [bool]) {
    let rows = past.chunks_exact(tags).zip(next.chunks_exact(tags));
    for ((message, (past, next)), lost) in message.chunks_exact_mut(tags).zip(rows).zip(lost) {
        let total = past.iter().zip(next).map(|(a, b)| *a * *b).sum::<T>();
        *lost |= !(total.is_finite() && total > T::zero());
        message.iter_mut().for_each(|x| *x /= total);
    }
}

/// Puts the gradients back in packed order and takes the gold path out.
#[allow(clippy::too_many_arguments, reason = "the last step of one function, split for reading")]
fn finish<T: Real>(
    tags: usize,
    offsets: &[usize],
    left_out: &[bool],
    order: &ByTime,
    logits: &[T],
    transitions: &[T],
    gold: &[u32],
    marginals: &[T],
    mut grad_transitions: Vec<T>,
    log_scales: &[T],
) -> Likelihood<T> {
    let mut grad_logits = vec![T::zero(); logits.len()];
    let mut scales = vec![T::zero(); logits.len() / tags];
    for (place, row) in order.rows.iter().enumerate() {
        let marginal = &marginals[place * tags..(place + 1) * tags];
        grad_logits[row * tags..(row + 1) * tags].copy_from_slice(marginal);
        scales[*row] = log_scales[place];
    }
    let losses = offsets.windows(2).zip(left_out).map(|(pair, left_out)| {
        if *left_out {
            return T::zero();
        }
        let (rows, cells) = (pair[0]..pair[1], pair[0] * tags..pair[1] * tags);
        let grad = &mut grad_logits[cells.clone()];
        let own = &logits[cells];
        let score = subtract_gold(tags, &gold[rows.clone()], own, transitions, grad, &mut grad_transitions);
        scales[rows].iter().copied().sum::<T>() - score
    });
    Likelihood { losses: losses.collect(), grad_logits, grad_transitions }
}

/// Transitions in the probability domain, made once for many sequences.
#[derive(Clone, Debug)]
pub(crate) struct Moves<T> {
    /// `exp(transition − top)`, zero where illegal: `[previous, next]`.
    exponentials: Vec<T>,
    /// The largest legal transition.
    top: T,
}

impl<T: Real> Moves<T> {
    pub(crate) fn new(rules: &Rules, transitions: &[T]) -> Self {
        let legal = transitions.iter().zip(&rules.follows).filter(|(_, legal)| **legal).map(|(x, _)| *x);
        let top = legal.fold(T::neg_infinity(), T::max);
        let exponential = |(x, legal): (&T, &bool)| if *legal { (*x - top).exp() } else { T::zero() };
        Self { exponentials: transitions.iter().zip(&rules.follows).map(exponential).collect(), top }
    }
}

/// As [`super::exact::sums`], for one sequence; `None` where a sum underflows or a number is not finite.
pub(super) fn sums<T: Real>(rules: &Rules, moves: &Moves<T>, logits: &[T]) -> Option<(Vec<T>, Vec<T>, T)> {
    let tags = rules.tags;
    let len = logits.len() / tags;
    if len == 0 {
        return Some((Vec::new(), Vec::new(), T::zero()));
    }
    if !moves.top.is_finite() {
        return None;
    }
    let mut lost = [false];
    let (p, scales) = emissions(rules, &ByTime::new(&[0, len], &lost), logits, &mut lost);
    let row = |t: usize| t * tags..(t + 1) * tags;
    let matrix = || Matrix::new(&moves.exponentials, tags, tags);

    let mut forward = p.clone();
    let mut log_scale = vec![T::zero(); len];
    for t in 0..len {
        let mut scale = [scales[t]];
        if t > 0 {
            let mut arriving = vec![T::zero(); tags];
            let before = Matrix::new(&forward[row(t - 1)], 1, tags);
            matmul(MatrixMut::new(&mut arriving, 1, tags), Overwrite, before, matrix());
            multiply(&mut forward[row(t)], &arriving);
            scale[0] += log_scale[t - 1] + moves.top;
        }
        normalize(&mut forward[row(t)], tags, &mut scale, &mut lost);
        log_scale[t] = scale[0];
    }

    let mut backward = vec![T::zero(); len * tags];
    let mut log_after = vec![T::zero(); len];
    for (x, ends) in backward[row(len - 1)].iter_mut().zip(&rules.ends) {
        *x = if *ends { T::one() } else { T::zero() };
    }
    for t in (0..len - 1).rev() {
        let mut message = p[row(t + 1)].to_vec();
        multiply(&mut message, &backward[row(t + 1)]);
        let mut scale = [log_after[t + 1] + scales[t + 1] + moves.top];
        normalize(&mut message, tags, &mut scale, &mut lost);
        let moved = MatrixMut::new(&mut backward[row(t)], tags, 1);
        matmul(moved, Overwrite, matrix(), Matrix::new(&message, tags, 1));
        log_after[t] = scale[0];
    }

    let ending = forward[row(len - 1)].iter().zip(&backward[row(len - 1)]).map(|(a, b)| *a * *b).sum::<T>();
    let log = |values: &mut [T], scales: &[T]| {
        for (row, scale) in values.chunks_exact_mut(tags).zip(scales) {
            row.iter_mut().for_each(|x| *x = x.ln() + *scale);
        }
    };
    log(&mut forward, &log_scale);
    log(&mut backward, &log_after);
    (!lost[0] && ending > T::zero()).then(|| (forward, backward, log_scale[len - 1] + ending.ln()))
}

/// `exp(logits − largest of the row)` in order of time, with the start rule applied, and what was taken out.
fn emissions<T: Real>(rules: &Rules, order: &ByTime, logits: &[T], lost: &mut [bool]) -> (Vec<T>, Vec<T>) {
    let tags = rules.tags;
    let mut p = vec![T::zero(); order.rows.len() * tags];
    let mut scales = vec![T::zero(); order.rows.len()];
    for places in order.starts.windows(2) {
        for (place, lost) in (places[0]..places[1]).zip(&mut *lost) {
            let row = order.rows[place];
            let own = &logits[row * tags..(row + 1) * tags];
            let top = own.iter().copied().fold(T::neg_infinity(), T::max);
            *lost |= !top.is_finite();
            scales[place] = top;
            shifted_exponentials(own, top, &mut p[place * tags..(place + 1) * tags]);
        }
    }
    let first = order.starts.get(1).copied().unwrap_or(0);
    for row in p[..first * tags].chunks_exact_mut(tags) {
        for (x, begins) in row.iter_mut().zip(&rules.begins) {
            if !begins {
                *x = T::zero();
            }
        }
    }
    (p, scales)
}

/// Divides each row by its sum and adds the logarithm of the sum to its scale. A sequence is lost where the sum is so
/// small that what the exponential rounds to zero could matter.
fn normalize<T: Real>(rows: &mut [T], tags: usize, log_scales: &mut [T], lost: &mut [bool]) {
    for ((row, scale), lost) in rows.chunks_exact_mut(tags).zip(log_scales).zip(lost) {
        let total = row.iter().copied().sum::<T>();
        *lost |= !(total.is_finite() && total > T::min_positive_value().sqrt());
        let share = total.recip();
        row.iter_mut().for_each(|x| *x *= share);
        *scale += total.ln();
    }
}

#[cfg(test)]
mod tests {
    use super::super::exact;
    use super::super::tests::{GOLD, OFFSETS, numbers, rules};
    use super::*;

    fn close(a: &[f64], b: &[f64], what: &str) {
        assert_eq!(a.len(), b.len());
        assert!(a.iter().zip(b).all(|(x, y)| (x - y).abs() < 1e-10), "{what}: {a:?} {b:?}");
    }

    #[test]
    fn scaled_sums_agree_with_sums_of_logarithms() {
        let (rules, transitions, logits) = (rules(), numbers(16, 3, 3.0), numbers(28, 5, 9.0));
        let fast = likelihood(&rules, &OFFSETS, &logits, &transitions, &GOLD, &[false; 4]).unwrap();
        let slow = exact::likelihood(&rules, &OFFSETS, &logits, &transitions, &GOLD);
        close(&fast.losses, &slow.losses, "losses");
        close(&fast.grad_logits, &slow.grad_logits, "logits");
        close(&fast.grad_transitions, &slow.grad_transitions, "transitions");
    }

    #[test]
    fn the_sums_of_one_sequence_agree_as_well() {
        let (rules, transitions) = (rules(), numbers(16, 3, 3.0));
        for len in [0, 1, 2, 6] {
            let logits = numbers(4 * len, 5, 9.0);
            let fast = sums(&rules, &Moves::new(&rules, &transitions), &logits).unwrap();
            let slow = exact::sums(&rules, &logits, &transitions);
            let finite = |x: Vec<f64>| x.into_iter().map(|x| x.max(-1e9)).collect::<Vec<_>>();
            close(&finite(fast.0), &finite(slow.0), "forward");
            close(&finite(fast.1), &finite(slow.1), "backward");
            close(&[fast.2], &[slow.2], "total");
        }
    }

    #[test]
    fn an_underflow_is_noticed_and_the_logarithms_take_over() {
        let (rules, transitions) = (rules(), vec![0.0_f32; 16]);
        // The likeliest first tag is 3, and after it 2 is illegal: all that is left is e⁻²⁰⁰ of the mass.
        let mut logits = vec![-200.0_f32; 8];
        (logits[3], logits[6]) = (200.0, 200.0);
        assert!(likelihood(&rules, &[0, 2], &logits, &transitions, &[3, 3], &[false]).is_err());
        let found = super::super::likelihood(&rules, &[0, 2], &logits, &transitions, &[3, 3]);
        assert!(found.losses[0].is_finite() && found.grad_logits.iter().all(|x| x.is_finite()));
    }
}
