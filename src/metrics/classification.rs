//! Scores of one label per message: accuracy, and precision, recall and F1 per label and averaged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Confusion;
use super::counts::{Counts, Prf, share};

/// The share of pairs (gold, predicted) whose two labels agree; 0 without pairs.
///
/// # Example
///
/// ```
/// use talkformer::metrics::accuracy;
///
/// let pairs = [("greet", Some("greet")), ("bye", Some("greet")), ("bye", Some("bye")), ("bye", None)];
/// assert_eq!(accuracy(pairs), 0.5);
/// assert_eq!(accuracy([(7, Some(7))]), 1.0); // any labels that can be compared
/// ```
pub fn accuracy<G, P>(pairs: impl IntoIterator<Item = (G, Option<P>)>) -> f64
where
    G: PartialEq<P>,
{
    let (mut right, mut total) = (0, 0);
    for (gold, predicted) in pairs {
        right += usize::from(predicted.is_some_and(|predicted| gold == predicted));
        total += 1;
    }
    share(right, total)
}

/// How well one label does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelScore {
    /// Precision, recall and F1 of this label against all others.
    #[serde(flatten)]
    pub scores: Prf,
    /// How many messages have it as their gold label.
    pub support: usize,
}

/// The scores of a test set, per label and averaged, as scikit-learn's `classification_report` and
/// `rasa test nlu` give them.
///
/// The labels are those that occur as gold. A prediction of any other label, or of none, counts as a miss
/// under its gold label and has no row of its own. A share of nothing is 0 (`zero_division=0`). In
/// scikit-learn's terms `labels` is the set of gold labels, and thus:
///
/// - `micro_average` pools the counts of the labels. Its recall is the accuracy. Its precision is higher
///   when some predictions fall outside the labels, since those are false positives of no row;
/// - `macro_average` is the plain mean over labels: each label counts the same, however rare;
/// - `weighted_average` is the mean over labels by support; it is what Rasa logs.
///
/// # Example
///
/// ```
/// use talkformer::metrics::ClassificationReport;
///
/// let pairs = [("greet", Some("greet")), ("bye", Some("greet")), ("bye", Some("bye")), ("bye", None)];
/// let report: ClassificationReport = pairs.into_iter().collect();
/// assert_eq!(report.accuracy, 0.5);
/// assert_eq!(report.labels["greet"].scores.precision, 0.5);
/// assert_eq!(report.labels["bye"].support, 3);
/// assert_eq!(report.micro_average.precision, 2.0 / 3.0);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassificationReport {
    /// The share of messages with the right label.
    pub accuracy: f64,
    /// How many messages were scored.
    pub support: usize,
    /// One row per gold label.
    pub labels: BTreeMap<String, LabelScore>,
    /// Of the pooled counts.
    pub micro_average: Prf,
    /// Each label counts the same.
    pub macro_average: Prf,
    /// Each label counts by its support.
    pub weighted_average: Prf,
}

impl ClassificationReport {
    /// The report of what `confusion` has gathered; all zeros where that is nothing.
    #[must_use]
    pub fn new(confusion: &Confusion) -> Self {
        Self::excluding(confusion, None)
    }

    /// The report without a row for one label, which does not count in the averages either. The accuracy and
    /// the support are over all messages.
    #[must_use]
    pub fn excluding(confusion: &Confusion, excluded: Option<&str>) -> Self {
        let mut counts = confusion.counts();
        counts.retain(|label, _| Some(*label) != excluded);
        let row = |(&label, counts): (&&str, &Counts)| {
            (label.to_owned(), LabelScore { scores: counts.prf(), support: confusion.support(label) })
        };
        let labels: BTreeMap<String, LabelScore> = counts.iter().map(row).collect();
        let rows = || labels.values();
        Self {
            accuracy: confusion.accuracy(),
            support: confusion.total(),
            micro_average: counts.values().copied().sum::<Counts>().prf(),
            macro_average: Prf::mean(rows().map(|row| (row.scores, 1))),
            weighted_average: Prf::mean(rows().map(|row| (row.scores, row.support))),
            labels,
        }
    }
}

impl<G: AsRef<str>, P: AsRef<str>> FromIterator<(G, Option<P>)> for ClassificationReport {
    fn from_iter<I: IntoIterator<Item = (G, Option<P>)>>(pairs: I) -> Self {
        let mut confusion = Confusion::default();
        for (gold, predicted) in pairs {
            confusion.add(gold.as_ref(), predicted.as_ref().map(AsRef::as_ref));
        }
        Self::new(&confusion)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(found: Prf, wanted: [f64; 3]) {
        for (found, wanted) in [found.precision, found.recall, found.f1].into_iter().zip(wanted) {
            assert!((found - wanted).abs() < 1e-12, "{found} is not {wanted}");
        }
    }

    /// Three gold labels, `d` is only ever predicted, one message has no prediction:
    ///
    /// ```text
    ///        a  b  c  d  nothing
    /// a      5  2  0  1  1
    /// b      1  3  2  0  0
    /// c      0  0  4  0  0
    /// ```
    fn report() -> ClassificationReport {
        let gold = "aaaaaaaaabbbbbbcccc".chars();
        let predicted = "aaaaabbd-abbbcccccc".chars();
        let pairs = gold
            .zip(predicted)
            .map(|(gold, predicted)| (gold.to_string(), (predicted != '-').then(|| predicted.to_string())));
        pairs.collect()
    }

    #[test]
    fn rows_by_hand() {
        let report = report();
        assert_eq!(report.labels.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_close(report.labels["a"].scores, [5.0 / 6.0, 5.0 / 9.0, 10.0 / 15.0]);
        assert_close(report.labels["b"].scores, [3.0 / 5.0, 3.0 / 6.0, 6.0 / 11.0]);
        assert_close(report.labels["c"].scores, [4.0 / 6.0, 4.0 / 4.0, 8.0 / 10.0]);
        assert_eq!(report.labels.values().map(|row| row.support).collect::<Vec<_>>(), [9, 6, 4]);
        assert!((report.accuracy - 12.0 / 19.0).abs() < 1e-15);
    }

    /// Goldens from scikit-learn 1.9.1:
    ///
    /// ```python
    /// from sklearn.metrics import precision_recall_fscore_support as score
    /// gold, predicted = "aaaaaaaaabbbbbbcccc", "aaaaabbd-abbbcccccc"
    /// for average in ("micro", "macro", "weighted"):
    ///     print(average, score(list(gold), list(predicted), labels=list("abc"), average=average, zero_division=0))
    /// ```
    #[test]
    fn averages_agree_with_scikit_learn() {
        let report = report();
        assert_close(
            report.micro_average,
            [0.705_882_352_941_176_5, 0.631_578_947_368_421, 0.666_666_666_666_666_6],
        );
        assert_close(
            report.macro_average,
            [0.700_000_000_000_000_1, 0.685_185_185_185_185_1, 0.670_707_070_707_070_6],
        );
        assert_close(
            report.weighted_average,
            [0.724_561_403_508_771_9, 0.631_578_947_368_421, 0.656_459_330_143_540_6],
        );
    }

    #[test]
    fn an_excluded_label_counts_for_the_others_only() {
        let confusion = {
            let mut confusion = Confusion::default();
            [("o", "o"), ("o", "a"), ("a", "o"), ("a", "a")]
                .into_iter()
                .for_each(|(gold, found)| confusion.add(gold, Some(found)));
            confusion
        };
        let report = ClassificationReport::excluding(&confusion, Some("o"));
        assert_eq!((report.accuracy, report.support), (0.5, 4));
        assert_eq!(report.labels.keys().collect::<Vec<_>>(), ["a"]);
        assert_close(report.micro_average, [0.5; 3]);
    }

    #[test]
    fn no_messages_score_zero() {
        let report: ClassificationReport = Vec::<(&str, Option<&str>)>::new().into_iter().collect();
        assert_eq!(report, ClassificationReport::default());
        assert_eq!(accuracy(Vec::<(u8, Option<u8>)>::new()).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn a_label_never_predicted_scores_zero() {
        let report: ClassificationReport =
            [("a", Some("b")), ("b", Some("b")), ("c", None)].into_iter().collect();
        assert_close(report.labels["a"].scores, [0.0; 3]);
        assert_close(report.labels["b"].scores, [0.5, 1.0, 2.0 / 3.0]);
        assert_close(report.labels["c"].scores, [0.0; 3]);
    }

    #[test]
    fn a_report_reads_back_from_json() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["labels"]["c"]["recall"], 1.0);
        assert_eq!(json["labels"]["c"]["support"], 4);
        let read: ClassificationReport = serde_json::from_value(json).unwrap();
        assert_eq!(read, report());
    }
}
