//! The same best path and the same marginals, for weights that no longer change.
//!
//! One set of transitions decodes thousands of messages. What depends only on the transitions
//! is computed once: which moves are legal, their scores and their exponentials, in rows padded to
//! whole vectors. Each step is then one pass over a matrix that stays in the cache.

use super::loops::{
    BLOCK, best_arrivals, departures, largest_sum, multiply, normalize_row, shifted_exponentials,
    summed_arrivals,
};
use super::{Rules, exact};
use crate::kernels::Real;
use crate::kernels::sums::add;

/// The moves from a tag with at most this many successors are listed one by one: a row of the matrix would take longer.
const FEW: usize = 8;

/// A CRF, prepared.
#[derive(Clone, Debug)]
pub(crate) struct Decoder<T> {
    rules: Rules,
    transitions: Vec<T>,
    /// Width of the rows below: `tags`, padded.
    width: usize,
    /// The transitions, −∞ where illegal: `[previous, next]`.
    scores: Vec<T>,
    /// The same as `[next, previous]`.
    arrivals: Vec<T>,
    /// `exp(transition − top)`, zero where illegal: `[previous, next]`.
    exponentials: Vec<T>,
    /// The largest legal transition.
    top: T,
    /// Tags with many successors.
    dense: Vec<usize>,
    /// Legal moves from all other tags.
    sparse: Vec<(usize, usize)>,
}

/// What decoding one message needs, kept from message to message.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workspace<T> {
    /// Best scores that end in each tag; later, forward sums: `[row, width]`.
    forward: Vec<T>,
    /// Backward sums: `[row, width]`.
    backward: Vec<T>,
    /// Logarithms of what the rows of `forward` and of `backward` were divided by: `[row]` each.
    scales: [Vec<T>; 2],
    /// `exp(logit − largest)`: `[row, width]`.
    emissions: Vec<T>,
    /// One row.
    row: Vec<T>,
    /// Whether the sums are logarithms themselves, because they would have underflown.
    logarithms: bool,
    /// The logarithm of the sum over all tag sequences.
    log_total: T,
}

impl<T: Real> Workspace<T> {
    /// Numbers that the largest buffer can hold without asking for memory.
    pub(crate) fn capacity(&self) -> usize {
        self.forward.capacity()
    }
}

impl<T: Real> Decoder<T> {
    /// Prepares transitions `[previous, next]` under these rules.
    pub(crate) fn new(rules: &Rules, transitions: &[T]) -> Self {
        let tags = rules.tags;
        assert!(transitions.len() == tags * tags, "transitions are [tag, tag]");
        let width = tags.next_multiple_of(BLOCK);
        let legal = || (0..tags * tags).filter(|at| rules.follows[*at]);
        let top = legal().map(|at| transitions[at]).fold(T::neg_infinity(), T::max);
        let mut scores = vec![T::neg_infinity(); tags * width];
        let mut arrivals = scores.clone();
        let mut exponentials = vec![T::zero(); tags * width];
        for at in legal() {
            let place = at / tags * width + at % tags;
            scores[place] = transitions[at];
            arrivals[at % tags * width + at / tags] = transitions[at];
            exponentials[place] = (transitions[at] - top).exp();
        }
        let mut successors = vec![0; tags];
        legal().for_each(|at| successors[at / tags] += 1);
        let dense = (0..tags).filter(|tag| successors[*tag] > FEW).collect();
        let sparse =
            legal().map(|at| (at / tags, at % tags)).filter(|(from, _)| successors[*from] <= FEW).collect();
        let (rules, transitions) = (rules.clone(), transitions.to_vec());
        Self { rules, transitions, width, scores, arrivals, exponentials, top, dense, sparse }
    }

    /// Number of tags.
    pub(crate) fn tags(&self) -> usize {
        self.rules.tags
    }

    /// Appends to `path` the likeliest legal tags of one message (`logits`: `[row, tag]`); of equals, the smaller
    /// tag. As [`best_path`](super::best_path).
    pub(crate) fn best_path(&self, logits: &[T], space: &mut Workspace<T>, path: &mut Vec<u32>) {
        let (tags, width) = (self.rules.tags, self.width);
        let len = logits.len() / tags;
        if len == 0 {
            return;
        }
        let none = T::neg_infinity();
        space.forward.clear();
        space.forward.resize(len * width, none);
        for (tag, score) in space.forward[..tags].iter_mut().enumerate() {
            *score = if self.rules.begins[tag] { logits[tag] } else { none };
        }
        for t in 1..len {
            let (past, next) = space.forward.split_at_mut(t * width);
            let (best, next) = (&past[(t - 1) * width..], &mut next[..width]);
            best_arrivals(best, &self.dense, &self.scores, next);
            for (from, to) in &self.sparse {
                next[*to] = next[*to].max(best[*from] + self.scores[from * width + to]);
            }
            add(&mut next[..tags], &logits[t * tags..(t + 1) * tags]);
        }
        // Only the tags on the path need to know where they came from.
        let first = path.len();
        path.resize(first + len, 0);
        let last = &space.forward[(len - 1) * width..];
        let ending = (0..tags).map(|tag| if self.rules.ends[tag] { last[tag] } else { none });
        let mut tag = largest(ending);
        path[first + len - 1] = tag as u32;
        for t in (1..len).rev() {
            let best = &space.forward[(t - 1) * width..t * width];
            tag = largest_sum(best, &self.arrivals[tag * width..(tag + 1) * width]);
            path[first + t - 1] = tag as u32;
        }
    }

    /// Sums over all legal tag sequences of one message (`logits`: `[row, tag]`), for
    /// [`probability`](Self::probability).
    pub(crate) fn sum(&self, logits: &[T], space: &mut Workspace<T>) {
        let (tags, width) = (self.rules.tags, self.width);
        let scaled = self.scaled_sums(logits, space);
        space.logarithms = scaled.is_none();
        space.log_total = scaled.unwrap_or_else(|| {
            let (forward, backward, log_total) = exact::sums(&self.rules, logits, &self.transitions);
            for (out, sums) in [(&mut space.forward, forward), (&mut space.backward, backward)] {
                out.resize(sums.len() / tags * width, T::neg_infinity());
                for (out, sums) in out.chunks_exact_mut(width).zip(sums.chunks_exact(tags)) {
                    out[..tags].copy_from_slice(sums);
                }
            }
            space.scales.iter_mut().for_each(|scales| {
                scales.clear();
                scales.resize(logits.len() / tags, T::zero());
            });
            log_total
        });
    }

    /// The probability that the rows from `first` on carry exactly these tags, whatever the others carry;
    /// `space` holds the sums of this message.
    pub(crate) fn probability(&self, logits: &[T], space: &Workspace<T>, first: usize, tags: &[u32]) -> T {
        let count = self.rules.tags;
        let Some((start, rest)) = tags.split_first() else { return T::one() };
        let log = |sums: &[T], scales: &[T], row: usize, tag: usize| {
            let sum = sums[row * self.width + tag];
            scales[row] + if space.logarithms { sum } else { sum.ln() }
        };
        let mut score = log(&space.forward, &space.scales[0], first, *start as usize);
        let (mut row, mut previous) = (first, *start as usize);
        for next in rest.iter().map(|tag| *tag as usize) {
            row += 1;
            score += self.transitions[previous * count + next] + logits[row * count + next];
            previous = next;
        }
        score += log(&space.backward, &space.scales[1], row, previous);
        (score - space.log_total).exp().min(T::one())
    }

    /// Fills `space` with forward and backward sums, each row scaled to sum to one, and returns the logarithm of
    /// the sum over all; `None` where a sum underflows or a number is not finite.
    fn scaled_sums(&self, logits: &[T], space: &mut Workspace<T>) -> Option<T> {
        let (tags, width) = (self.rules.tags, self.width);
        let len = logits.len() / tags;
        if len == 0 {
            return Some(T::zero());
        }
        if !self.top.is_finite() {
            return None;
        }
        let Workspace {
            forward, backward, scales: [forward_scales, backward_scales], emissions, row, ..
        } = space;
        for rows in [&mut *forward, &mut *backward, &mut *emissions] {
            rows.clear();
            rows.resize(len * width, T::zero());
        }
        for scales in [&mut *forward_scales, &mut *backward_scales] {
            scales.clear();
            scales.resize(len, T::zero());
        }
        row.clear();
        row.resize(width, T::zero());

        for t in 0..len {
            let own = &logits[t * tags..(t + 1) * tags];
            let highest = own.iter().copied().fold(T::neg_infinity(), T::max);
            if !highest.is_finite() {
                return None;
            }
            shifted_exponentials(own, highest, &mut emissions[t * width..t * width + tags]);
            let (past, here) = forward.split_at_mut(t * width);
            let here = &mut here[..width];
            forward_scales[t] = highest;
            if t == 0 {
                for (tag, sum) in here[..tags].iter_mut().enumerate() {
                    *sum = if self.rules.begins[tag] { emissions[tag] } else { T::zero() };
                }
            } else {
                let before = &past[(t - 1) * width..];
                summed_arrivals(before, &self.dense, &self.exponentials, here);
                for (from, to) in &self.sparse {
                    here[*to] += before[*from] * self.exponentials[from * width + to];
                }
                multiply(here, &emissions[t * width..(t + 1) * width]);
                let before = forward_scales[t - 1];
                forward_scales[t] += before + self.top;
            }
            forward_scales[t] += normalize_row(here)?;
        }

        let last = (len - 1) * width;
        for (sum, ends) in backward[last..].iter_mut().zip(&self.rules.ends) {
            *sum = if *ends { T::one() } else { T::zero() };
        }
        for t in (0..len - 1).rev() {
            let (here, after) = backward.split_at_mut((t + 1) * width);
            row.copy_from_slice(&emissions[(t + 1) * width..(t + 2) * width]);
            multiply(row, &after[..width]);
            // What is too small here was too small in the forward pass as well, or does not matter.
            let lost = normalize_row(row)?;
            let here = &mut here[t * width..];
            departures(row, &self.dense, &self.exponentials, here);
            for (from, to) in &self.sparse {
                here[*from] += self.exponentials[from * width + to] * row[*to];
            }
            let highest =
                logits[(t + 1) * tags..(t + 2) * tags].iter().copied().fold(T::neg_infinity(), T::max);
            let after = backward_scales[t + 1];
            backward_scales[t] = after + highest + self.top + lost;
        }
        let ending = forward[last..].iter().zip(&backward[last..]).map(|(a, b)| *a * *b).sum::<T>();
        (ending > T::zero()).then(|| {
            let last = forward_scales[len - 1];
            last + ending.ln()
        })
    }
}

/// The first of the largest; zero if none is larger than −∞.
fn largest<T: Real>(values: impl Iterator<Item = T>) -> usize {
    let larger = |top: (usize, T), (at, value): (usize, T)| if value > top.1 { (at, value) } else { top };
    values.enumerate().fold((0, T::neg_infinity()), larger).0
}

#[cfg(test)]
mod tests {
    use super::super::tests::{enumerate, numbers, rules};
    use super::super::{Lattice, Moves, best_path};
    use super::*;

    /// Rules of BILOU tags for `types` types: `B` and `I` have few successors, others many.
    fn bilou(types: usize) -> Rules {
        let tags = 1 + 4 * types;
        let part = |tag: usize| (tag.checked_sub(1).map(|at| at % 4), tag.saturating_sub(1) / 4);
        let open = |tag| matches!(part(tag).0, Some(0 | 1));
        let goes_on = |tag| matches!(part(tag).0, Some(1 | 2));
        let follows = |at: usize| {
            let (from, to) = (at / tags, at % tags);
            open(from) == goes_on(to) && (!open(from) || part(from).1 == part(to).1)
        };
        Rules {
            tags,
            follows: (0..tags * tags).map(follows).collect(),
            begins: (0..tags).map(|tag| !goes_on(tag)).collect(),
            ends: (0..tags).map(|tag| !open(tag)).collect(),
        }
    }

    #[test]
    fn the_best_path_is_the_best_of_all_legal_paths() {
        let (rules, mut space) = (rules(), Workspace::default());
        for salt in 0..50 {
            let (logits, transitions) = (numbers(20, salt, 2.0), numbers(16, salt + 100, 2.0));
            let all = enumerate(&rules, &logits, &transitions);
            let best = all.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            let mut path = vec![7];
            Decoder::new(&rules, &transitions).best_path(&logits, &mut space, &mut path);
            assert_eq!(path[1..], best.0);
        }
    }

    #[test]
    fn paths_and_probabilities_agree_with_the_plain_ones() {
        let mut space = Workspace::default();
        for (types, len) in [(1, 0), (1, 1), (20, 2), (40, 13), (3, 30)] {
            let rules = bilou(types);
            let tags = rules.tags;
            let (transitions, logits) = (numbers(tags * tags, 3, 3.0), numbers(len * tags, len, 9.0));
            let decoder = Decoder::new(&rules, &transitions);
            let mut path = Vec::new();
            decoder.best_path(&logits, &mut space, &mut path);
            assert_eq!(path, best_path(&rules, &logits, &transitions), "{types} types, {len} rows");
            let lattice = Lattice::new(&rules, &Moves::new(&rules, &transitions), &logits, &transitions);
            decoder.sum(&logits, &mut space);
            for first in 0..len {
                for count in 0..=len - first {
                    let tags = &path[first..first + count];
                    let (a, b) = (
                        decoder.probability(&logits, &space, first, tags),
                        lattice.probability(&logits, &transitions, first, tags),
                    );
                    assert!((a - b).abs() < 1e-10, "{first}..{count}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn of_equal_paths_the_smaller_tags_win() {
        let rules = bilou(3);
        let (transitions, logits) = (vec![0.0_f32; 13 * 13], vec![0.0; 4 * 13]);
        let mut path = Vec::new();
        Decoder::new(&rules, &transitions).best_path(&logits, &mut Workspace::default(), &mut path);
        assert_eq!(path, best_path(&rules, &logits, &transitions));
    }

    #[test]
    fn an_underflow_is_noticed_and_the_logarithms_take_over() {
        let (rules, transitions) = (rules(), vec![0.0_f32; 16]);
        // The likeliest first tag is 3, and after it 2 is illegal: all that is left is e⁻²⁰⁰ of the mass.
        let mut logits = vec![-200.0_f32; 8];
        (logits[3], logits[6]) = (200.0, 200.0);
        let (decoder, mut space) = (Decoder::new(&rules, &transitions), Workspace::default());
        assert!(decoder.scaled_sums(&logits, &mut space).is_none());
        decoder.sum(&logits, &mut space);
        let lattice = Lattice::new(&rules, &Moves::new(&rules, &transitions), &logits, &transitions);
        for tags in [&[3][..], &[3, 3], &[1, 2]] {
            let found = decoder.probability(&logits, &space, 0, tags);
            assert!((found - lattice.probability(&logits, &transitions, 0, tags)).abs() < 1e-6);
        }
        logits[0] = f32::NAN;
        decoder.sum(&logits, &mut space);
        decoder.best_path(&logits, &mut space, &mut Vec::new());
    }
}
