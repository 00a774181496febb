//! Whether confidences mean what they say: of the answers given with 80 %, eight in ten should be right.

use serde::{Deserialize, Serialize};

/// Bins of [`Calibration::new`], as in most papers.
pub(super) const BINS: usize = 10;

/// Answers of about the same confidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// The lowest confidence, not itself part of the bin unless it is 0.
    pub from: f64,
    /// The highest confidence.
    pub to: f64,
    /// Answers in the bin.
    pub messages: usize,
    /// Their mean confidence; 0 without answers.
    pub confidence: f64,
    /// The share of them that is right; 0 without answers.
    pub accuracy: f64,
}

/// How far confidence and accuracy are apart.
///
/// # Example
///
/// ```
/// use talkformer::metrics::Calibration;
///
/// let answers = [(0.95, true), (0.95, true), (0.85, true), (0.85, false)];
/// let calibration = Calibration::new(answers);
/// // 2/4 · |1 − 0.95| + 2/4 · |0.5 − 0.85|
/// assert!((calibration.expected_calibration_error - 0.2).abs() < 1e-12);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Answers that were counted.
    pub messages: usize,
    /// Mean distance of accuracy and confidence over the bins, each counting by its answers.
    pub expected_calibration_error: f64,
    /// The distance in the worst bin.
    pub maximum_calibration_error: f64,
    /// Mean confidence less accuracy: positive where the model promises too much.
    pub overconfidence: f64,
    /// The bins from the least to the most certain.
    pub bins: Vec<ReliabilityBin>,
}

impl Calibration {
    /// The calibration of answers, each with the confidence in it and whether it is right, over ten bins of equal
    /// width:
    ///
    /// ```text
    /// ECE = Σ over bins  |bin| / messages · |accuracy(bin) − confidence(bin)|
    /// ```
    ///
    /// as [Guo et al., 2017](https://arxiv.org/abs/1706.04599) define it, where bin `m` holds confidences in
    /// `((m − 1) / 10, m / 10]`. Confidences are cut to `[0, 1]`; one that is not a number counts as 0. Without
    /// answers all is 0.
    #[must_use]
    pub fn new(answers: impl IntoIterator<Item = (f64, bool)>) -> Self {
        let mut sums = BinSums::default();
        answers.into_iter().for_each(|(confidence, right)| sums.add(confidence, right, 1));
        let bin = |at: usize| {
            let (messages, confidence, right) = sums.bins[at];
            let of = messages.max(1) as f64;
            ReliabilityBin {
                from: at as f64 / BINS as f64,
                to: (at + 1) as f64 / BINS as f64,
                messages: messages as usize,
                confidence: confidence / of,
                accuracy: right as f64 / of,
            }
        };
        let bins: Vec<ReliabilityBin> = (0..BINS).map(bin).collect();
        let messages: usize = bins.iter().map(|bin| bin.messages).sum();
        let gap = |bin: &ReliabilityBin| bin.confidence - bin.accuracy;
        let weighted = |value: &dyn Fn(&ReliabilityBin) -> f64| {
            bins.iter().map(|bin| value(bin) * bin.messages as f64).sum::<f64>() / messages.max(1) as f64
        };
        Self {
            messages,
            expected_calibration_error: weighted(&|bin| gap(bin).abs()),
            maximum_calibration_error: bins.iter().map(|bin| gap(bin).abs()).fold(0.0, f64::max),
            overconfidence: weighted(&gap),
            bins,
        }
    }
}

/// Answers, confidence and right answers of each bin.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BinSums {
    bins: [(u64, f64, u64); BINS],
}

impl BinSums {
    /// Counts one answer so many times.
    pub(super) fn add(&mut self, confidence: f64, right: bool, times: u64) {
        let confidence = if confidence.is_nan() { 0.0 } else { confidence.clamp(0.0, 1.0) };
        let bin = &mut self.bins[bin_of(confidence)];
        bin.0 += times;
        bin.1 += confidence * times as f64;
        bin.2 += u64::from(right) * times;
    }

    /// The expected calibration error.
    pub(super) fn error(&self) -> f64 {
        let messages: u64 = self.bins.iter().map(|bin| bin.0).sum();
        let gaps: f64 =
            self.bins.iter().map(|(_, confidence, right)| (confidence - *right as f64).abs()).sum();
        gaps / messages.max(1) as f64
    }
}

fn bin_of(confidence: f64) -> usize {
    ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1
}

/// The Brier score of one answer: the squared distance between the confidences and the truth,
/// `Σ over labels (confidence − [label is right])²`, in `[0, 2]`; its mean over messages is the score of
/// [Brier, 1950](https://doi.org/10.1175/1520-0493(1950)078%3C0001:VOFEIT%3E2.0.CO;2).
///
/// `ranking` has the confidence of each label and whether it is the right one. Labels that are missing count as
/// 0, also the right one, so that a ranking that was cut short gives the score but for what was cut.
#[must_use]
pub fn brier_score(ranking: impl IntoIterator<Item = (f64, bool)>) -> f64 {
    let (mut sum, mut found) = (0.0, false);
    for (confidence, right) in ranking {
        sum += (confidence - f64::from(u8::from(right))).powi(2);
        found |= right;
    }
    sum + f64::from(u8::from(!found))
}

/// The negative log-likelihood of one answer: `−ln` of the confidence in the right label, in nats.
///
/// Its mean over messages is also called cross-entropy or log loss. A confidence below `f32::EPSILON`, or a right
/// label that is not in the ranking, counts as that, so that one message costs 16 at most.
#[must_use]
pub fn negative_log_likelihood(confidence_in_the_right_label: Option<f64>) -> f64 {
    let least = f64::from(f32::EPSILON);
    -confidence_in_the_right_label.unwrap_or(0.0).clamp(least, 1.0).ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bins_by_hand() {
        let found = Calibration::new([(0.1, false), (0.11, true), (0.2, false), (1.0, true), (0.0, false)]);
        let counts: Vec<usize> = found.bins.iter().map(|bin| bin.messages).collect();
        assert_eq!(counts, [2, 2, 0, 0, 0, 0, 0, 0, 0, 1]); // borders belong to the bin below
        // (2 · |0 − 0.05| + 2 · |0.5 − 0.155| + 1 · 0) / 5
        assert!((found.expected_calibration_error - (0.1 + 0.69) / 5.0).abs() < 1e-12);
        assert!((found.maximum_calibration_error - 0.345).abs() < 1e-12);
        assert!((found.overconfidence - (1.41 - 2.0) / 5.0).abs() < 1e-12);
        assert_eq!((found.bins[9].from, found.bins[9].to), (0.9, 1.0));
    }

    #[test]
    fn nothing_and_nonsense_do_not_panic() {
        assert_eq!(Calibration::new([]).expected_calibration_error.to_bits(), 0.0_f64.to_bits());
        let found = Calibration::new([(f64::NAN, false), (-3.0, false), (7.0, true)]);
        assert_eq!(found.expected_calibration_error, 0.0);
        assert_eq!((found.bins[0].messages, found.bins[9].messages), (2, 1));
    }

    #[test]
    fn proper_scores_by_hand() {
        let close = |found: f64, wanted: f64| assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
        close(brier_score([(0.7, true), (0.2, false), (0.1, false)]), 0.09 + 0.04 + 0.01);
        close(brier_score([(0.7, false), (0.2, false)]), 0.49 + 0.04 + 1.0);
        close(brier_score([]), 1.0);
        close(negative_log_likelihood(Some(0.25)), 4.0_f64.ln());
        close(negative_log_likelihood(None), -f64::from(f32::EPSILON).ln());
        close(negative_log_likelihood(Some(1.0)), 0.0);
    }

    proptest! {
        #[test]
        fn the_error_is_a_share_and_ignores_the_order(
            mut answers in prop::collection::vec((0.0f64..=1.0, any::<bool>()), 1..60),
        ) {
            let found = Calibration::new(answers.iter().copied());
            prop_assert!((0.0..=1.0).contains(&found.expected_calibration_error));
            prop_assert!(found.overconfidence.abs() <= found.expected_calibration_error + 1e-12);
            prop_assert!(found.expected_calibration_error <= found.maximum_calibration_error + 1e-12);
            prop_assert!(found.bins.iter().all(|bin| bin.messages == 0
                || (bin.from - 1e-12..=bin.to + 1e-12).contains(&bin.confidence)));
            answers.reverse();
            let other = Calibration::new(answers.iter().copied()).expected_calibration_error;
            prop_assert!((other - found.expected_calibration_error).abs() < 1e-12);
            let mut sums = BinSums::default();
            answers.iter().for_each(|&(confidence, right)| sums.add(confidence, right, 1));
            prop_assert!((sums.error() - other).abs() < 1e-12);
        }

        #[test]
        fn answers_that_are_as_often_right_as_they_say_have_no_error(right in 0usize..=20) {
            let confidence = right as f64 / 20.0;
            let answers = (0..20).map(|at| (confidence, at < right));
            prop_assert!(Calibration::new(answers).expected_calibration_error < 1e-12);
        }
    }
}
