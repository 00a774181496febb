//! From the scores of intents to the set of intents that a message has.

use super::logistic::{regression, sigmoid};

/// How scores become confidences, and from which confidence on a message has an intent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Decision {
    /// Scores are multiplied by this …
    pub(super) scale: f32,
    /// … and moved by this before the sigmoid.
    pub(super) offset: f32,
    /// Confidences above this count.
    pub(super) threshold: f32,
    /// The weight of the linear path in the score, where that of the transformer is one.
    pub(super) linear: f32,
}

impl Default for Decision {
    /// A plain sigmoid, cut in the middle.
    fn default() -> Self {
        Self { scale: 1.0, offset: 0.0, threshold: 0.5, linear: 0.0 }
    }
}

impl Decision {
    /// Where there is nothing to fit: the linear path counts about as much as the transformer.
    pub(super) fn unfitted(has_linear_path: bool) -> Self {
        Self { linear: if has_linear_path { 2.0 } else { 0.0 }, ..Self::default() }
    }

    /// The parameter that it is kept as, and how many numbers that has.
    pub(super) const PARAMETER: &str = "intent.decision";
    pub(super) const NUMBERS: usize = 4;

    /// As it is kept.
    pub(super) fn numbers(self) -> [f32; Self::NUMBERS] {
        [self.scale, self.offset, self.threshold, self.linear]
    }

    /// From what was kept; `None` where there are not so many numbers.
    pub(super) fn of(numbers: &[f32]) -> Option<Self> {
        let [scale, offset, threshold, linear] = *<&[f32; Self::NUMBERS]>::try_from(numbers).ok()?;
        Some(Self { scale, offset, threshold, linear })
    }

    /// How likely a label of this score is: `1 / (1 + exp(−(scale·s + offset)))`.
    pub(super) fn confidence(self, score: f32) -> f32 {
        sigmoid(f64::from(self.scale) * f64::from(score) + f64::from(self.offset)) as f32
    }

    /// The decision that suits messages which the model has not learnt from: `scores` after the transformer and those of
    /// the `linear` path are `[message, label]`, the latter empty where there is none; `sets` are the right labels of each
    /// message.
    ///
    /// Scale, offset and the weight of the linear path are a logistic regression on the two scores: Platt scaling
    /// ([Platt, 1999]), and stacking as well.
    ///
    /// The threshold is the one with the best micro F1. It is one for all labels: where confidences are right, that is
    /// the best there is ([Lipton et al., 2014](https://arxiv.org/abs/1402.1892)), and rare labels have too few examples
    /// for one of their own.
    ///
    /// [Platt, 1999]: https://www.researchgate.net/publication/2594015
    pub(super) fn fit(scores: &[f32], linear: &[f32], sets: &[&[u32]]) -> Self {
        let labels = scores.len() / sets.len().max(1);
        if labels == 0 || sets.iter().all(|set| set.is_empty()) {
            return Self::default();
        }
        let own = linear.iter().copied().chain(std::iter::repeat(0.0)); // no linear path: it adds nothing
        let pairs: Vec<([f64; 3], f64)> = members(scores, sets, labels)
            .zip(own)
            .map(|((_, score, member), own)| {
                ([f64::from(score), f64::from(own), 1.0], f64::from(u8::from(member)))
            })
            .collect();
        let start = Self::unfitted(!linear.is_empty());
        let [scale, share, offset] = regression(&pairs, [1.0, f64::from(start.linear), 0.0]);
        // A negative scale, of a model that is wrong more often than right, would turn the ranking around.
        let scale = scale.max(1e-3) as f32;
        let fitted = Self { scale, offset: offset as f32, linear: share.max(0.0) as f32 / scale, ..start };
        let sum = |(at, score): (usize, &f32)| score + fitted.linear * linear.get(at).unwrap_or(&0.0);
        let confidences: Vec<f32> =
            scores.iter().enumerate().map(|one| fitted.confidence(sum(one))).collect();
        Self { threshold: best_threshold(&confidences, sets, labels), ..fitted }
    }
}

/// The threshold with the best micro F1, `2·tp / (found + right ones)`, in the middle between the confidence that it
/// still lets in and the next.
///
/// The best label of a message counts in any case, for a message without an intent above the threshold gets the best.
fn best_threshold(confidences: &[f32], sets: &[&[u32]], labels: usize) -> f32 {
    let wanted: usize = sets.iter().map(|set| set.len()).sum();
    let mut entries: Vec<(usize, f32, bool)> = members(confidences, sets, labels).collect();
    entries.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut seen = vec![false; sets.len()];
    let (mut found, mut right) = (0_usize, 0_usize);
    // The best of each message first, then all others in order.
    let (best, others): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|(message, ..)| !std::mem::replace(&mut seen[*message], true));
    for (_, _, member) in &best {
        (found, right) = (found + 1, right + usize::from(*member));
    }
    let f1 = |right: usize, found: usize| 2.0 * right as f64 / (found + wanted) as f64;
    let mut most = (f1(right, found), f32::midpoint(others.first().map_or(0.0, |other| other.1), 1.0));
    for (at, (_, confidence, member)) in others.iter().enumerate() {
        (found, right) = (found + 1, right + usize::from(*member));
        let next = others.get(at + 1).map_or(0.0, |next| next.1);
        if next < *confidence && f1(right, found) > most.0 {
            most = (f1(right, found), f32::midpoint(*confidence, next));
        }
    }
    most.1
}

/// Message, value and whether the label is a right one, for each message and label.
fn members<'a>(
    values: &'a [f32],
    sets: &'a [&'a [u32]],
    labels: usize,
) -> impl Iterator<Item = (usize, f32, bool)> + 'a {
    let of = move |(message, row): (usize, &'a [f32])| {
        let value =
            move |(label, value): (usize, &f32)| (message, *value, sets[message].contains(&(label as u32)));
        row.iter().enumerate().map(value)
    };
    values.chunks_exact(labels).enumerate().flat_map(of)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Micro F1 the slow way.
    fn micro_f1(confidences: &[f32], sets: &[&[u32]], labels: usize, threshold: f32) -> f64 {
        let (mut right, mut total) = (0, 0);
        for (row, set) in confidences.chunks(labels).zip(sets) {
            let top = row.iter().copied().fold(f32::MIN, f32::max);
            let best = row.iter().position(|value| *value == top).unwrap();
            let chosen = (0..labels).filter(|label| row[*label] > threshold || *label == best);
            let chosen: Vec<u32> = chosen.map(|label| label as u32).collect();
            right += chosen.iter().filter(|label| set.contains(label)).count();
            total += chosen.len() + set.len();
        }
        2.0 * right as f64 / total as f64
    }

    proptest! {
        #[test]
        fn no_other_threshold_is_better(
            rows in prop::collection::vec((prop::array::uniform4(0_u8..20), prop::array::uniform4(any::<bool>())), 1..12),
        ) {
            // Distinct within a message, so that its best label is one.
            let value = |at: usize, value: u8| (f32::from(value) * 4.0 + at as f32 + 1.0) / 90.0;
            let confidences: Vec<f32> =
                rows.iter().flat_map(|(row, _)| (0..4).map(move |at| value(at, row[at]))).collect();
            let sets: Vec<Vec<u32>> =
                rows.iter().map(|(_, set)| (0..4).filter(|at| set[*at as usize]).collect()).collect();
            let sets: Vec<&[u32]> = sets.iter().map(Vec::as_slice).collect();
            prop_assume!(sets.iter().any(|set| !set.is_empty()));
            let found = micro_f1(&confidences, &sets, 4, best_threshold(&confidences, &sets, 4));
            for step in 0..=180 {
                let other = micro_f1(&confidences, &sets, 4, step as f32 / 180.0);
                prop_assert!(found >= other - 1e-12, "{found} {other} at {step}");
            }
        }
    }

    #[test]
    fn confidences_become_frequencies() {
        // Of scores of 2 three in four are right, of scores of −2 one in eight: far less sure than a plain sigmoid says.
        let scores = [2.0, -2.0].repeat(400);
        let sets: Vec<&[u32]> = (0..400)
            .map(|at| -> &[u32] {
                match (at % 4 == 0, at % 8 == 1) {
                    (true, true) => unreachable!(),
                    (true, false) => &[],
                    (false, true) => &[0, 1],
                    (false, false) => &[0],
                }
            })
            .collect();
        let fitted = Decision::fit(&scores, &[], &sets);
        assert!((fitted.confidence(2.0) - 0.75).abs() < 0.01, "{fitted:?}");
        assert!((fitted.confidence(-2.0) - 0.125).abs() < 0.01, "{fitted:?}");
        assert!(fitted.threshold > 0.125, "{fitted:?}");
    }

    #[test]
    fn the_linear_path_weighs_something_where_it_knows_more() {
        let uniform = |a: u64, b: u64| (crate::kernels::dropout::bits(a, b) >> 40) as f32 / (1 << 24) as f32;
        let scores: Vec<f32> = (0..9000).map(|at| 2.0 * uniform(1, at) - 1.0).collect();
        let linear: Vec<f32> = (0..9000).map(|at| 2.0 * uniform(2, at) - 1.0).collect();
        let right = &|at: usize, weight: f32| scores[at] + weight * linear[at] > 0.0;
        let sets = |weight: f32| -> Vec<Vec<u32>> {
            let set = |message: usize| (0..3).filter(move |label| right(3 * message + *label, weight));
            (0..3000).map(|message| set(message).map(|label| label as u32).collect()).collect()
        };
        for weight in [0.0, 1.0, 4.0] {
            let sets = sets(weight);
            let sets: Vec<&[u32]> = sets.iter().map(Vec::as_slice).collect();
            let found = Decision::fit(&scores, &linear, &sets).linear;
            assert!((found - weight).abs() < 0.1 + 0.05 * weight, "{found} instead of {weight}");
        }
    }

    #[test]
    fn without_anything_to_go_by_it_is_a_plain_sigmoid() {
        assert_eq!(Decision::fit(&[], &[], &[]), Decision::default());
        assert_eq!(Decision::fit(&[1.0, 2.0], &[], &[&[]]), Decision::default());
        let plain = Decision::default();
        assert_eq!([plain.confidence(0.0), plain.confidence(-1e30), plain.confidence(1e30)], [0.5, 0.0, 1.0]);
    }

    #[test]
    fn scores_without_a_mistake_stay_numbers() {
        let scores = [50.0, -50.0, -50.0, 50.0, 60.0, 70.0];
        let fitted = Decision::fit(&scores, &[], &[&[0], &[1], &[0, 1]]);
        assert!(fitted.scale.is_finite() && (0.01..0.99).contains(&fitted.threshold), "{fitted:?}");
        assert!(scores.iter().all(|score| (fitted.confidence(*score) > fitted.threshold) == (*score > 0.0)));
    }
}
