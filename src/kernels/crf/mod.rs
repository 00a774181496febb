//! The linear-chain CRF: likelihood and gradient, marginals, best path.
//!
//! A sequence of tags scores `Σ_t logits[t, y_t] + Σ_{t>0} transitions[y_{t−1}, y_t]`;
//! its probability is the softmax of that over all *legal* sequences
//! (Lafferty et al. 2001). Which transitions, first and last tags are legal is fixed
//! ([`Rules`]), in training as in decoding, so no probability is spent on tag
//! sequences that cannot be decoded.
//!
//! `scaled` sums in the probability domain, one matrix product per position and
//! a rescaling per row, for the whole batch at once. `exact` sums in the log domain,
//! slowly; it takes over the sequences whose scaled sums would underflow, and checks them in the tests.
//! `decoder` does the same for many messages with one set of weights, and is checked against both.

mod decoder;
mod exact;
mod loops;
mod scaled;
mod viterbi;

use super::Real;

pub(crate) use decoder::{Decoder, Workspace};
pub(crate) use scaled::Moves;
pub(crate) use viterbi::best_path;

/// Which tag may begin, follow and end.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Number of tags.
    pub(crate) tags: usize,
    /// May `next` follow `previous`? `[previous, next]`.
    pub(crate) follows: Vec<bool>,
    /// May a sequence begin with this tag? `[tag]`.
    pub(crate) begins: Vec<bool>,
    /// May a sequence end with this tag? `[tag]`.
    pub(crate) ends: Vec<bool>,
}

/// What [`likelihood`] computes for a batch.
#[derive(Debug)]
pub(crate) struct Likelihood<T> {
    /// `−log p(gold)` per sequence.
    pub(crate) losses: Vec<T>,
    /// Gradient of the sum of losses with respect to the logits: `[row, tag]`.
    pub(crate) grad_logits: Vec<T>,
    /// And to the transitions: `[tag, tag]`.
    pub(crate) grad_transitions: Vec<T>,
}

impl<T: Real> Likelihood<T> {
    /// No loss yet, and gradients of zero for so many logits.
    fn zero(logits: usize, tags: usize) -> Self {
        let zeros = |len| vec![T::zero(); len];
        Self { losses: Vec::new(), grad_logits: zeros(logits), grad_transitions: zeros(tags * tags) }
    }
}

/// Negative log-likelihood of the gold tags and its gradient, for packed sequences.
///
/// # Shapes
///
/// - `logits`: `[row, tag]`, sequences one after the other, `offsets`: `[sequence + 1]`
/// - `transitions`: `[tag, tag]`
/// - `gold`: `[row]`
pub(crate) fn likelihood<T: Real>(
    rules: &Rules,
    offsets: &[usize],
    logits: &[T],
    transitions: &[T],
    gold: &[u32],
) -> Likelihood<T> {
    let mut lost = vec![false; offsets.len().saturating_sub(1)];
    loop {
        match scaled::likelihood(rules, offsets, logits, transitions, gold, &lost) {
            Ok(mut found) => {
                for at in (0..lost.len()).filter(|at| lost[*at]) {
                    let rows = offsets[at]..offsets[at + 1];
                    found.losses[at] = exact::add(rules, rows, logits, transitions, gold, &mut found);
                }
                return found;
            }
            // The others are summed again without these, usually once.
            Err(more) => more.into_iter().for_each(|at| lost[at] = true),
        }
    }
}

/// How often each tag follows each other one in sequences of right tags: `[from, to]`.
#[cfg(any(feature = "cuda", test))]
pub(crate) fn transition_counts(tags: usize, offsets: &[usize], gold: &[u32]) -> Vec<u32> {
    let mut counts = vec![0; tags * tags];
    for pair in offsets.windows(2) {
        for tags_of in gold[pair[0]..pair[1]].windows(2) {
            counts[tags_of[0] as usize * tags + tags_of[1] as usize] += 1;
        }
    }
    counts
}

/// Forward and backward sums of one sequence, from which any marginal can be read.
#[derive(Clone, Debug)]
pub(crate) struct Lattice<T> {
    tags: usize,
    /// `log Σ` over the tags up to this row, of which the last is this tag: `[row, tag]`.
    forward: Vec<T>,
    /// `log Σ` over the tags after this row, which follow this tag: `[row, tag]`.
    backward: Vec<T>,
    log_total: T,
}

impl<T: Real> Lattice<T> {
    /// Sums over all legal tag sequences of one message (`logits`: `[row, tag]`).
    pub(crate) fn new(rules: &Rules, moves: &Moves<T>, logits: &[T], transitions: &[T]) -> Self {
        let (forward, backward, log_total) =
            scaled::sums(rules, moves, logits).unwrap_or_else(|| exact::sums(rules, logits, transitions));
        Self { tags: rules.tags, forward, backward, log_total }
    }

    /// The probability that the rows from `first` on carry exactly these tags, whatever the others carry.
    pub(crate) fn probability(&self, logits: &[T], transitions: &[T], first: usize, tags: &[u32]) -> T {
        let Some((start, rest)) = tags.split_first() else { return T::one() };
        let mut score = self.forward[first * self.tags + *start as usize];
        let (mut row, mut previous) = (first, *start as usize);
        for next in rest.iter().map(|tag| *tag as usize) {
            row += 1;
            score += transitions[previous * self.tags + next] + logits[row * self.tags + next];
            previous = next;
        }
        (score + self.backward[row * self.tags + previous] - self.log_total).exp().min(T::one())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dropout::bits;

    /// Every tag sequence of one message with its score, by enumeration.
    pub(super) fn enumerate(rules: &Rules, logits: &[f64], transitions: &[f64]) -> Vec<(Vec<u32>, f64)> {
        let tags = rules.tags;
        let len = logits.len() / tags;
        let mut all = Vec::new();
        for code in 0..tags.pow(len as u32) {
            let path: Vec<usize> = (0..len).map(|t| code / tags.pow(t as u32) % tags).collect();
            let legal = path.first().is_none_or(|tag| rules.begins[*tag])
                && path.last().is_none_or(|tag| rules.ends[*tag])
                && path.windows(2).all(|pair| rules.follows[pair[0] * tags + pair[1]]);
            if legal {
                let own: f64 = path.iter().enumerate().map(|(t, tag)| logits[t * tags + tag]).sum();
                let moves: f64 = path.windows(2).map(|pair| transitions[pair[0] * tags + pair[1]]).sum();
                all.push((path.iter().map(|tag| *tag as u32).collect(), own + moves));
            }
        }
        all
    }

    pub(super) fn numbers(len: usize, salt: usize, size: f64) -> Vec<f64> {
        let unit = |i| bits(salt as u64, i as u64) as f64 / u64::MAX as f64;
        (0..len).map(|i| (2.0 * unit(i) - 1.0) * size).collect()
    }

    /// Four tags of which 2 must follow 1 or 2, and 1 may not end.
    pub(super) fn rules() -> Rules {
        let follows = (0..16).map(|i| i % 4 != 2 || matches!(i / 4, 1 | 2)).collect();
        let begins = vec![true, true, false, true];
        Rules { tags: 4, follows, begins, ends: vec![true, false, true, true] }
    }

    pub(super) const GOLD: [u32; 7] = [1, 2, 3, 0, 0, 1, 2];
    pub(super) const OFFSETS: [usize; 5] = [0, 3, 4, 4, 7];

    #[test]
    fn likelihood_agrees_with_enumeration() {
        let (rules, transitions) = (rules(), numbers(16, 3, 1.5));
        let logits = numbers(7 * 4, 5, 2.0);
        let found = likelihood(&rules, &OFFSETS, &logits, &transitions, &GOLD);
        for (s, pair) in OFFSETS.windows(2).enumerate() {
            let all = enumerate(&rules, &logits[pair[0] * 4..pair[1] * 4], &transitions);
            let total = all.iter().map(|(_, score)| score.exp()).sum::<f64>().ln();
            let gold = all.iter().find(|(path, _)| path[..] == GOLD[pair[0]..pair[1]]).unwrap().1;
            assert!((found.losses[s] - (total - gold)).abs() < 1e-12, "sequence {s}");
        }
    }

    /// The second sequence underflows: the likeliest tag is 3, and then 2, which may not follow it.
    #[test]
    fn only_sequences_that_underflow_are_summed_in_logarithms() {
        let rules = rules();
        let (offsets, gold) = ([0, 3, 5, 5, 7, 10], [1, 2, 3, 3, 3, 0, 0, 1, 2, 3]);
        let transitions = numbers(16, 3, 1.5);
        let mut logits = numbers(10 * 4, 5, 2.0);
        logits[12..20].fill(-800.0);
        (logits[15], logits[18]) = (800.0, 800.0);
        let lost = scaled::likelihood(&rules, &offsets, &logits, &transitions, &gold, &[false; 5]);
        assert_eq!(lost.unwrap_err(), [1]);
        let found = likelihood(&rules, &offsets, &logits, &transitions, &gold);
        let expected = exact::likelihood(&rules, &offsets, &logits, &transitions, &gold);
        let close = |a: &[f64], b: &[f64]| {
            assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9), "{a:?} {b:?}");
        };
        close(&found.losses, &expected.losses);
        close(&found.grad_logits, &expected.grad_logits);
        close(&found.grad_transitions, &expected.grad_transitions);
        // The others are the same, to the byte, as without it.
        let without: Vec<f64> = [&logits[..12], &logits[20..]].concat();
        let gold: Vec<u32> = [&gold[..3], &gold[5..]].concat();
        let alone = likelihood(&rules, &[0, 3, 3, 5, 8], &without, &transitions, &gold);
        assert_eq!(alone.losses, [&found.losses[..1], &found.losses[2..]].concat());
    }

    #[test]
    fn a_number_that_is_not_finite_spoils_its_own_sequence_alone() {
        let (rules, transitions) = (rules(), numbers(16, 3, 1.5));
        for odd in [f64::NAN, f64::INFINITY] {
            let mut logits = numbers(7 * 4, 5, 2.0);
            logits[4..8].fill(odd);
            let found = likelihood(&rules, &OFFSETS, &logits, &transitions, &GOLD);
            assert!(found.losses[0].is_nan() && found.losses[1..].iter().all(|loss| loss.is_finite()));
            assert!(found.grad_logits[..12].iter().all(|x| x.is_nan()), "{:?}", found.grad_logits);
            assert!(found.grad_logits[12..].iter().all(|x| x.is_finite()));
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (rules, transitions) = (rules(), numbers(16, 3, 1.5));
        let logits = numbers(7 * 4, 5, 2.0);
        let sum = |logits: &[f64], transitions: &[f64]| -> f64 {
            likelihood(&rules, &OFFSETS, logits, transitions, &GOLD).losses.iter().sum()
        };
        let found = likelihood(&rules, &OFFSETS, &logits, &transitions, &GOLD);
        let shifted = |x: &[f64], i: usize, by: f64| -> Vec<f64> {
            x.iter().enumerate().map(|(j, x)| x + if i == j { by } else { 0.0 }).collect()
        };
        for i in 0..logits.len() {
            let (up, down) = (shifted(&logits, i, 1e-5), shifted(&logits, i, -1e-5));
            let slope = (sum(&up, &transitions) - sum(&down, &transitions)) / 2e-5;
            assert!((slope - found.grad_logits[i]).abs() < 1e-8, "logit {i}");
        }
        for i in 0..transitions.len() {
            let (up, down) = (shifted(&transitions, i, 1e-5), shifted(&transitions, i, -1e-5));
            let slope = (sum(&logits, &up) - sum(&logits, &down)) / 2e-5;
            assert!((slope - found.grad_transitions[i]).abs() < 1e-8, "transition {i}");
        }
    }

    #[test]
    fn marginals_agree_with_enumeration() {
        let (rules, transitions, logits) = (rules(), numbers(16, 3, 1.5), numbers(4 * 4, 9, 2.0));
        let all = enumerate(&rules, &logits, &transitions);
        let total: f64 = all.iter().map(|(_, score)| score.exp()).sum();
        let moves = Moves::new(&rules, &transitions);
        let lattice = Lattice::new(&rules, &moves, &logits, &transitions);
        for (first, tags) in [(0, &[1, 2][..]), (1, &[3]), (2, &[1, 2]), (1, &[1, 2, 2]), (0, &[0, 0, 0, 0])]
        {
            let holds = |path: &[u32]| path[first..first + tags.len()] == *tags;
            let matching = all.iter().filter(|(path, _)| holds(path));
            let expected = matching.map(|(_, score)| score.exp()).sum::<f64>() / total;
            let found = lattice.probability(&logits, &transitions, first, tags);
            assert!((found - expected).abs() < 1e-12, "{first} {tags:?}: {found} {expected}");
        }
    }
}
