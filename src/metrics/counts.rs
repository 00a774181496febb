//! Right, wrong and missing: the counts behind precision, recall and F1.

use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// How many true positives, false positives and false negatives there are.
///
/// Counts of parts add up to the counts of the whole, which is what "micro" average means.
///
/// # Example
///
/// ```
/// use talkformer::metrics::Counts;
///
/// let monday = Counts { true_positives: 2, false_positives: 1, false_negatives: 0 };
/// let tuesday = Counts { true_positives: 1, false_positives: 0, false_negatives: 2 };
/// let week = monday + tuesday;
/// assert_eq!((week.precision(), week.recall()), (0.75, 0.6));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Counts {
    /// Predicted, and rightly so.
    pub true_positives: usize,
    /// Predicted, but not so in the gold data.
    pub false_positives: usize,
    /// In the gold data, but not predicted.
    pub false_negatives: usize,
}

impl Counts {
    /// The share of predictions that are right: `tp / (tp + fp)`, or 0 without predictions.
    #[must_use]
    pub fn precision(self) -> f64 {
        share(self.true_positives, self.true_positives + self.false_positives)
    }

    /// The share of gold items that were found: `tp / (tp + fn)`, or 0 without gold items.
    #[must_use]
    pub fn recall(self) -> f64 {
        share(self.true_positives, self.true_positives + self.false_negatives)
    }

    /// The harmonic mean of precision and recall: `2·tp / (2·tp + fp + fn)`, or 0 where nothing was
    /// predicted and nothing was there.
    #[must_use]
    pub fn f1(self) -> f64 {
        let found = 2 * self.true_positives;
        share(found, found + self.false_positives + self.false_negatives)
    }

    /// All three shares.
    #[must_use]
    pub fn prf(self) -> Prf {
        Prf { precision: self.precision(), recall: self.recall(), f1: self.f1() }
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            true_positives: self.true_positives + other.true_positives,
            false_positives: self.false_positives + other.false_positives,
            false_negatives: self.false_negatives + other.false_negatives,
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), Add::add)
    }
}

/// Precision, recall and F1, each in `[0, 1]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Prf {
    /// The share of predictions that are right.
    pub precision: f64,
    /// The share of gold items that were found.
    pub recall: f64,
    /// The harmonic mean of the two; of an average, the average F1.
    pub f1: f64,
}

impl Prf {
    /// The mean of `scores`, each counted as often as its weight says; zeros where the weights are.
    ///
    /// F1 is averaged like the others and not computed from the averages, as in scikit-learn.
    pub(super) fn mean(scores: impl Iterator<Item = (Self, usize)>) -> Self {
        let mut sum = Self::default();
        let mut weights = 0;
        for (score, weight) in scores {
            sum.precision += score.precision * weight as f64;
            sum.recall += score.recall * weight as f64;
            sum.f1 += score.f1 * weight as f64;
            weights += weight;
        }
        let weights = weights.max(1) as f64;
        Self { precision: sum.precision / weights, recall: sum.recall / weights, f1: sum.f1 / weights }
    }
}

/// `part / whole`, and 0 of nothing.
pub(super) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_their_formulas() {
        let counts = Counts { true_positives: 3, false_positives: 1, false_negatives: 2 };
        assert_eq!(counts.prf(), Prf { precision: 3.0 / 4.0, recall: 3.0 / 5.0, f1: 6.0 / 9.0 });
    }

    #[test]
    fn nothing_is_zero_and_never_nan() {
        assert_eq!(Counts::default().prf(), Prf::default());
        assert_eq!(Counts { false_positives: 3, ..Counts::default() }.prf(), Prf::default());
        assert_eq!(Counts { false_negatives: 3, ..Counts::default() }.prf(), Prf::default());
        assert_eq!(Prf::mean(std::iter::empty()), Prf::default());
    }

    #[test]
    fn parts_add_up() {
        let part = Counts { true_positives: 1, false_positives: 2, false_negatives: 3 };
        let whole = Counts { true_positives: 3, false_positives: 6, false_negatives: 9 };
        assert_eq!([part; 3].into_iter().sum::<Counts>(), whole);
    }
}
