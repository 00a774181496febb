//! Whether a score tells messages that the model was made for from those that it was not.

/// Scores of messages, higher meaning "more likely out of scope", with the truth beside them.
///
/// In-scope messages also say whether the best in-scope answer to them is right, for refusing a message that
/// would have been answered wrongly costs nothing.
///
/// # Example
///
/// ```
/// use talkformer::metrics::ScopeScores;
///
/// let scores = ScopeScores::new([(0.1, true), (0.2, true), (0.6, false), (0.3, true)], [0.9, 0.5]);
/// assert_eq!(scores.auroc(), Some(7.0 / 8.0)); // of eight pairs one is in the wrong order
/// assert_eq!(scores.recall_keeping(1.0), Some(1.0)); // refuse from 0.5 on: no right answer is lost
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScopeScores {
    /// Ascending by score: score, whether the answer is right.
    in_scope: Vec<(f64, bool)>,
    /// Ascending.
    out_of_scope: Vec<f64>,
}

impl ScopeScores {
    /// Takes scores in any order; one that is not a number counts as the lowest.
    #[must_use]
    pub fn new(
        in_scope: impl IntoIterator<Item = (f64, bool)>,
        out_of_scope: impl IntoIterator<Item = f64>,
    ) -> Self {
        let number = |score: f64| if score.is_nan() { f64::NEG_INFINITY } else { score };
        let mut in_scope: Vec<_> =
            in_scope.into_iter().map(|(score, right)| (number(score), right)).collect();
        let mut out_of_scope: Vec<_> = out_of_scope.into_iter().map(number).collect();
        in_scope.sort_by(|one, other| one.0.total_cmp(&other.0));
        out_of_scope.sort_by(f64::total_cmp);
        Self { in_scope, out_of_scope }
    }

    /// The area under the receiver operating characteristic: how often an out-of-scope message has a higher score
    /// than an in-scope one, a tie counting half. 0.5 is chance, 1 is perfect; `None` where a side is empty.
    ///
    /// Computed as the Mann–Whitney statistic,
    /// `Σ over pairs ([out > in] + ½ [out = in]) / (messages in · messages out)`
    /// ([Fawcett, 2006](https://doi.org/10.1016/j.patrec.2005.10.010), section 7).
    #[must_use]
    pub fn auroc(&self) -> Option<f64> {
        if self.in_scope.is_empty() || self.out_of_scope.is_empty() {
            return None;
        }
        let wins = self.out_of_scope.iter().map(|score| {
            let below = self.in_scope.partition_point(|(other, _)| other < score);
            let to = self.in_scope.partition_point(|(other, _)| other <= score);
            below as f64 + (to - below) as f64 / 2.0
        });
        Some(wins.sum::<f64>() / (self.in_scope.len() as f64 * self.out_of_scope.len() as f64))
    }

    /// The share of out-of-scope messages that get through where at least the share `accepted` of the in-scope
    /// messages does: with 0.95 this is FPR95, the false-positive rate at 95 % true-positive rate, with in-scope as
    /// the positive class as in [Liang et al., 2018](https://arxiv.org/abs/1706.02690). Lower is better; `None`
    /// where a side is empty.
    #[must_use]
    pub fn false_positive_rate_at(&self, accepted: f64) -> Option<f64> {
        if self.in_scope.is_empty() || self.out_of_scope.is_empty() {
            return None;
        }
        // The lowest bound that lets enough through; whoever ties with it gets through as well.
        let wanted = (accepted.clamp(0.0, 1.0) * self.in_scope.len() as f64 - 1e-9).ceil() as usize;
        let bound = if wanted == 0 { f64::NEG_INFINITY } else { self.in_scope[wanted - 1].0 };
        let through =
            if wanted == 0 { 0 } else { self.out_of_scope.partition_point(|score| *score <= bound) };
        Some(through as f64 / self.out_of_scope.len() as f64)
    }

    /// The share of out-of-scope messages that are refused with the strictest bound that keeps at least the share
    /// `kept` of the in-scope accuracy: of the in-scope messages answered rightly without any bound, so many
    /// still are. `None` where there is nothing out of scope or no in-scope message is answered rightly.
    ///
    /// A message is refused if its score reaches the bound; equal scores are refused together.
    #[must_use]
    pub fn recall_keeping(&self, kept: f64) -> Option<f64> {
        let right: Vec<f64> =
            self.in_scope.iter().filter(|(_, right)| *right).map(|(score, _)| *score).collect();
        if right.is_empty() || self.out_of_scope.is_empty() {
            return None;
        }
        let wanted = (kept.clamp(0.0, 1.0) * right.len() as f64 - 1e-9).ceil() as usize;
        // Everything above the last right answer that must stay can be refused.
        let bound = if wanted == 0 { None } else { Some(right[wanted - 1]) };
        let through = bound.map_or(0, |bound| self.out_of_scope.partition_point(|score| *score <= bound));
        Some(1.0 - through as f64 / self.out_of_scope.len() as f64)
    }

    /// The share of in-scope messages whose best in-scope answer is right, none refused.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right = self.in_scope.iter().filter(|(_, right)| *right).count();
        super::counts::share(right, self.in_scope.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scores_by_hand() {
        let inside = [(0.1, true), (0.2, true), (0.3, false), (0.4, true), (0.8, true)];
        let scores = ScopeScores::new(inside, [0.35, 0.4, 0.9, 0.95]);
        // 0.35 beats three, 0.4 beats three and ties with one, the others beat all five
        assert_eq!(scores.auroc(), Some((3.0 + 3.5 + 5.0 + 5.0) / 20.0));
        assert_eq!(scores.false_positive_rate_at(0.95), Some(0.5)); // bound 0.8 lets 0.35 and 0.4 through
        assert_eq!(scores.false_positive_rate_at(0.6), Some(0.0)); // bound 0.3
        assert_eq!(scores.false_positive_rate_at(0.8), Some(0.5)); // bound 0.4, a tie gets through
        assert_eq!(scores.recall_keeping(1.0), Some(0.5)); // 0.8 must stay
        assert_eq!(scores.recall_keeping(0.75), Some(0.5)); // 0.4 must stay, and 0.4 out of scope with it
        assert_eq!(scores.recall_keeping(0.5), Some(1.0)); // 0.2 must stay
        assert_eq!(scores.recall_keeping(0.0), Some(1.0));
        assert_eq!(scores.accuracy(), 0.8);
    }

    #[test]
    fn empty_sides_have_no_scores() {
        let nothing = ScopeScores::new([], [0.5]);
        assert_eq!(
            (nothing.auroc(), nothing.false_positive_rate_at(0.95), nothing.recall_keeping(0.9)),
            (None, None, None)
        );
        assert_eq!(ScopeScores::new([(0.5, true)], []).auroc(), None);
        assert_eq!(ScopeScores::new([(0.5, false)], [0.6]).recall_keeping(0.9), None);
        assert_eq!(ScopeScores::new([(f64::NAN, true)], [0.0]).auroc(), Some(1.0));
    }

    /// The same numbers by trying every bound.
    fn by_trial(inside: &[(f64, bool)], outside: &[f64], kept: f64) -> (f64, f64) {
        let bounds =
            inside.iter().map(|(score, _)| *score).chain(outside.iter().copied()).chain([f64::INFINITY]);
        let (mut recall, mut rate) = (0.0_f64, 1.0_f64);
        for bound in bounds {
            let refused = |score: f64| score >= bound;
            let right = inside.iter().filter(|(_, right)| *right).count() as f64;
            let still = inside.iter().filter(|(score, right)| *right && !refused(*score)).count() as f64;
            let through =
                outside.iter().filter(|score| !refused(**score)).count() as f64 / outside.len() as f64;
            if still >= kept * right - 1e-9 {
                recall = recall.max(1.0 - through);
            }
            let accepted = inside.iter().filter(|(score, _)| !refused(*score)).count() as f64;
            if accepted >= kept * inside.len() as f64 - 1e-9 {
                rate = rate.min(through);
            }
        }
        (recall, rate)
    }

    proptest! {
        #[test]
        fn agrees_with_trying_every_bound(
            inside in prop::collection::vec((0u8..12, any::<bool>()), 1..25),
            outside in prop::collection::vec(0u8..12, 1..25),
            kept in 0.05f64..=1.0,
        ) {
            let mut inside: Vec<(f64, bool)> = inside.into_iter().map(|(score, right)| (f64::from(score), right)).collect();
            inside.push((3.0, true));
            let outside: Vec<f64> = outside.into_iter().map(f64::from).collect();
            let scores = ScopeScores::new(inside.clone(), outside.clone());
            let (recall, rate) = by_trial(&inside, &outside, kept);
            prop_assert!((scores.recall_keeping(kept).unwrap() - recall).abs() < 1e-12);
            prop_assert!((scores.false_positive_rate_at(kept).unwrap() - rate).abs() < 1e-12);
            let mirrored = ScopeScores::new(
                outside.iter().map(|score| (*score, true)), inside.iter().map(|(score, _)| *score),
            );
            prop_assert!((scores.auroc().unwrap() + mirrored.auroc().unwrap() - 1.0).abs() < 1e-12);
        }
    }
}
