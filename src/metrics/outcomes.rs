//! What counts of each message, and what follows from it: intervals of scores, and whether two models differ.

use serde::{Deserialize, Serialize};

use super::bootstrap::{Bootstrap, Interval, interval};
use super::calibration::BinSums;
use super::counts::Counts;

/// What became of one message. Intents are numbers, the same on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MessageOutcome {
    /// The right intent; `None` where the message has none and does not count.
    pub gold: Option<usize>,
    /// The intent that was answered.
    pub predicted: Option<usize>,
    /// The confidence in it; `None` where the message does not count for calibration.
    pub confidence: Option<f64>,
    /// Its entities, by exact span.
    pub entities: Counts,
}

impl MessageOutcome {
    /// Whether the intent is right.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.gold.is_some() && self.gold == self.predicted
    }
}

/// 95 % intervals of the scores of one model; `None` where there is nothing to score or nothing was drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Of the share of right intents.
    pub accuracy: Option<Interval>,
    /// Of the mean F1 of intents. An intent that is not drawn does not count.
    pub macro_f1: Option<Interval>,
    /// Of the F1 of entities by exact span, over all of them.
    pub exact_span_f1: Option<Interval>,
    /// Of the expected calibration error. Few messages scatter, and scatter looks like error, so that this interval
    /// leans upwards.
    pub expected_calibration_error: Option<Interval>,
}

impl Intervals {
    /// The intervals by resampling messages.
    #[must_use]
    pub fn new(messages: &[MessageOutcome], bootstrap: Bootstrap) -> Self {
        let some = |any: bool, interval: Interval| (any && bootstrap.draws > 0).then_some(interval);
        let labels = messages
            .iter()
            .flat_map(|one| [one.gold, one.predicted])
            .flatten()
            .max()
            .map_or(0, |most| most + 1);
        let mut counts = vec![Counts::default(); labels];
        let found = bootstrap.intervals(messages.len(), |times| {
            let (right, with_intent) = intents(messages, times);
            [
                right / with_intent.max(1.0),
                macro_f1(messages, times, &mut counts),
                span_f1(messages, times),
                calibration_error(messages, times),
            ]
        });
        let any_intent = messages.iter().any(|one| one.gold.is_some());
        let any_entity = messages.iter().any(|one| one.entities != Counts::default());
        let any_confidence = messages.iter().any(|one| one.gold.is_some() && one.confidence.is_some());
        Self {
            accuracy: some(any_intent, found[0]),
            macro_f1: some(any_intent, found[1]),
            exact_span_f1: some(any_entity, found[2]),
            expected_calibration_error: some(any_confidence, found[3]),
        }
    }
}

/// A difference of two scores, and whether it could be chance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The score of the second model less that of the first.
    pub difference: f64,
    /// Its 95 % interval by resampling messages; empty where nothing was drawn.
    pub interval: Interval,
    /// How likely a difference as large as this is, were the models equally good.
    pub p_value: f64,
}

/// Two models on the same messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Messages with an intent that only the first model gets right.
    pub only_first_right: usize,
    /// Messages with an intent that only the second model gets right.
    pub only_second_right: usize,
    /// Of the share of right intents; the p-value is that of [`mcnemar_exact`]. `None` without intents.
    pub accuracy: Option<Difference>,
    /// Of the F1 of entities by exact span; the p-value is that of a paired bootstrap. `None` without entities.
    pub exact_span_f1: Option<Difference>,
}

impl Comparison {
    /// Compares the outcomes of the same messages, in the same order; what one side has more is left out.
    ///
    /// Both models are scored on the same draws. The p-value of F1 is
    ///
    /// ```text
    /// 2 · min(1 + #{difference ≤ 0}, 1 + #{difference ≥ 0}) / (1 + draws),  at most 1
    /// ```
    ///
    /// (paired bootstrap, [Koehn, 2004](https://aclanthology.org/W04-3250/), made two-sided): no draw against
    /// the difference gives 2 / 1001 with a thousand draws, never 0.
    #[must_use]
    pub fn new(first: &[MessageOutcome], second: &[MessageOutcome], bootstrap: Bootstrap) -> Self {
        let messages = first.len().min(second.len());
        let (first, second) = (&first[..messages], &second[..messages]);
        let only = |one: &[MessageOutcome], other: &[MessageOutcome]| {
            one.iter().zip(other).filter(|(one, other)| one.is_right() && !other.is_right()).count()
        };
        let (only_first_right, only_second_right) = (only(first, second), only(second, first));
        let differences = |times: &[u32]| {
            let (right, with_intent) = intents(first, times);
            let accuracy = (intents(second, times).0 - right) / with_intent.max(1.0);
            [accuracy, span_f1(second, times) - span_f1(first, times)]
        };
        let [accuracy, f1] = differences(&vec![1; messages]);
        let draws = bootstrap.scores(messages, differences);
        let of = |at: usize| draws.iter().map(move |scores| scores[at]);
        let any = |has: fn(&MessageOutcome) -> bool| first.iter().chain(second).any(has);
        let accuracy = any(|one| one.gold.is_some()).then(|| Difference {
            difference: accuracy,
            interval: interval(of(0).collect()),
            p_value: mcnemar_exact(only_first_right, only_second_right),
        });
        let exact_span_f1 = any(|one| one.entities != Counts::default()).then(|| Difference {
            difference: f1,
            interval: interval(of(1).collect()),
            p_value: two_sided(of(1)),
        });
        Self { only_first_right, only_second_right, accuracy, exact_span_f1 }
    }
}

/// How likely it is that of the messages which exactly one of two models gets right, one model has as few as it
/// has, were they equally good: the exact test of [McNemar, 1947](https://doi.org/10.1007/BF02295996), two-sided.
///
/// ```text
/// p = 2 · Σ k = 0..=min(b, c)  C(b + c, k) / 2^(b + c),  at most 1
/// ```
///
/// # Example
///
/// ```
/// use talkformer::metrics::mcnemar_exact;
///
/// assert!((mcnemar_exact(1, 5) - 2.0 * (1.0 + 6.0) / 64.0).abs() < 1e-12);
/// assert_eq!(mcnemar_exact(3, 3), 1.0);
/// ```
#[must_use]
pub fn mcnemar_exact(only_first_right: usize, only_second_right: usize) -> f64 {
    let all = (only_first_right + only_second_right) as f64;
    let term = |k: usize| {
        let k = k as f64;
        let choose = libm::lgamma(all + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(all - k + 1.0);
        (choose - all * std::f64::consts::LN_2).exp()
    };
    (2.0 * (0..=only_first_right.min(only_second_right)).map(term).sum::<f64>()).min(1.0)
}

fn two_sided(differences: impl Iterator<Item = f64>) -> f64 {
    let (mut down, mut up, mut all) = (1, 1, 1);
    for difference in differences {
        down += usize::from(difference <= 0.0);
        up += usize::from(difference >= 0.0);
        all += 1;
    }
    (2.0 * down.min(up) as f64 / f64::from(all)).min(1.0)
}

/// Right intents and messages with an intent, each message so many times.
fn intents(messages: &[MessageOutcome], times: &[u32]) -> (f64, f64) {
    let (mut right, mut with_intent) = (0, 0);
    for (one, times) in messages.iter().zip(times).filter(|(one, _)| one.gold.is_some()) {
        right += u64::from(one.is_right()) * u64::from(*times);
        with_intent += u64::from(*times);
    }
    (right as f64, with_intent as f64)
}

fn macro_f1(messages: &[MessageOutcome], times: &[u32], counts: &mut [Counts]) -> f64 {
    counts.fill(Counts::default());
    for (one, times) in messages.iter().zip(times) {
        let Some(gold) = one.gold else { continue };
        let times = *times as usize;
        if one.is_right() {
            counts[gold].true_positives += times;
        } else {
            counts[gold].false_negatives += times;
            one.predicted.into_iter().for_each(|wrong| counts[wrong].false_positives += times);
        }
    }
    let met = counts.iter().filter(|one| one.true_positives + one.false_negatives > 0);
    let (sum, labels) = met.fold((0.0, 0.0), |(sum, labels), one| (sum + one.f1(), labels + 1.0));
    sum / f64::max(labels, 1.0)
}

fn span_f1(messages: &[MessageOutcome], times: &[u32]) -> f64 {
    let mut sum = Counts::default();
    for (one, times) in messages.iter().zip(times) {
        let (times, part) = (*times as usize, one.entities);
        sum.true_positives += part.true_positives * times;
        sum.false_positives += part.false_positives * times;
        sum.false_negatives += part.false_negatives * times;
    }
    sum.f1()
}

fn calibration_error(messages: &[MessageOutcome], times: &[u32]) -> f64 {
    let mut bins = BinSums::default();
    for (one, times) in messages.iter().zip(times).filter(|(one, _)| one.gold.is_some()) {
        one.confidence
            .into_iter()
            .for_each(|confidence| bins.add(confidence, one.is_right(), u64::from(*times)));
    }
    bins.error()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn outcome(gold: usize, predicted: usize, confidence: f64, entities: [usize; 3]) -> MessageOutcome {
        let [true_positives, false_positives, false_negatives] = entities;
        MessageOutcome {
            gold: Some(gold),
            predicted: Some(predicted),
            confidence: Some(confidence),
            entities: Counts { true_positives, false_positives, false_negatives },
        }
    }

    #[test]
    fn scores_of_a_draw_by_hand() {
        let messages =
            [outcome(0, 0, 0.9, [1, 0, 1]), outcome(1, 0, 0.8, [0, 1, 0]), outcome(1, 1, 0.7, [2, 0, 0])];
        let times = [2, 1, 0]; // the third was not drawn
        assert_eq!(intents(&messages, &times), (2.0, 3.0));
        let mut counts = [Counts::default(); 2];
        // label 0: tp 2, fp 1, F1 4/5; label 1: fn 1, F1 0
        assert!((macro_f1(&messages, &times, &mut counts) - 0.4).abs() < 1e-12);
        assert!((span_f1(&messages, &times) - 4.0 / (4.0 + 1.0 + 2.0)).abs() < 1e-12);
        // one bin for 0.9 and 0.8 each: |1.8 − 2| + |0.8 − 0|, over 3
        assert!((calibration_error(&messages, &times) - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_there_has_no_interval() {
        let nothing = Intervals::new(&[MessageOutcome::default(); 4], Bootstrap::default());
        assert_eq!(nothing, Intervals::default());
        let messages = [outcome(0, 0, 0.9, [0, 0, 0]), outcome(0, 0, 0.9, [0, 0, 0])];
        assert_eq!(Intervals::new(&messages, Bootstrap { draws: 0, seed: 1 }), Intervals::default());
        let found = Intervals::new(&messages, Bootstrap { draws: 9, seed: 1 });
        assert_eq!(found.accuracy, Some(Interval { low: 1.0, high: 1.0 }));
        assert_eq!(found.exact_span_f1, None);
    }

    /// From Python: `min(1, 2 * sum(math.comb(b + c, k) for k in range(min(b, c) + 1)) / 2 ** (b + c))`.
    #[test]
    fn mcnemar_agrees_with_the_binomial_distribution() {
        for (b, c, wanted) in [
            (0, 0, 1.0),
            (0, 1, 1.0),
            (0, 5, 0.0625),
            (10, 2, 0.038_574_218_75),
            (40, 60, 0.056_887_933_640_980_84),
        ] {
            let found = mcnemar_exact(b, c);
            assert!((found - wanted).abs() < 1e-9, "{b} {c}: {found}");
            assert_eq!(found, mcnemar_exact(c, b));
        }
        assert!(mcnemar_exact(4000, 6000) < 1e-80 && mcnemar_exact(4000, 6000) > 0.0);
    }

    #[test]
    fn a_clear_difference_is_told_from_none() {
        let good: Vec<_> = (0..100).map(|at| outcome(at % 3, at % 3, 0.9, [1, 0, 0])).collect();
        let bad: Vec<_> =
            (0..100).map(|at| outcome(at % 3, 0, 0.9, [usize::from(at % 2 == 0), 1, 1])).collect();
        let found = Comparison::new(&bad, &good, Bootstrap::default());
        assert_eq!((found.only_first_right, found.only_second_right), (0, 66));
        let (accuracy, f1) = (found.accuracy.unwrap(), found.exact_span_f1.unwrap());
        assert!((accuracy.difference - 0.66).abs() < 1e-12 && accuracy.p_value < 1e-15);
        assert!(accuracy.interval.low > 0.5 && accuracy.interval.high < 0.8);
        assert!(f1.difference > 0.4 && (f1.p_value - 2.0 / 1001.0).abs() < 1e-12);
        let same = Comparison::new(&good, &good, Bootstrap::default());
        assert_eq!((same.accuracy.unwrap().p_value, same.exact_span_f1.unwrap().p_value), (1.0, 1.0));
        assert_eq!(same.accuracy.unwrap().interval, Interval::default());
    }

    proptest! {
        #[test]
        fn intervals_hold_what_every_draw_can_give(
            messages in prop::collection::vec((0usize..4, 0usize..4, 0.0f64..=1.0, 0usize..3, 0usize..3), 1..30), seed: u64,
        ) {
            let messages: Vec<_> = messages.into_iter()
                .map(|(gold, predicted, confidence, a, b)| outcome(gold, predicted, confidence, [a, b, b]))
                .collect();
            let found = Intervals::new(&messages, Bootstrap { draws: 40, seed });
            let all = [found.accuracy, found.macro_f1, found.exact_span_f1, found.expected_calibration_error];
            prop_assert!(all.into_iter().flatten().all(|one| 0.0 <= one.low && one.low <= one.high && one.high <= 1.0));
            let turned = |one: &[_], other: &[_]| Comparison::new(one, other, Bootstrap { draws: 40, seed });
            let mut others = messages.clone();
            others.rotate_left(1);
            others.iter_mut().zip(&messages).for_each(|(other, one)| other.gold = one.gold);
            let (there, back) = (turned(&messages, &others), turned(&others, &messages));
            prop_assert_eq!(there.only_first_right, back.only_second_right);
            prop_assert!((there.accuracy.unwrap().difference + back.accuracy.unwrap().difference).abs() < 1e-12);
            prop_assert_eq!(there.accuracy.unwrap().p_value, back.accuracy.unwrap().p_value);
        }
    }
}
