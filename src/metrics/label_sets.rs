//! Scores of messages that carry several labels at once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::counts::{Counts, Prf, share};

/// The parts of a label where a message may have several: with the separator `+`, `a+b` are `a` and `b`; empty parts are
/// none. Without a separator a message has one label, which is its only part whatever signs it is written with.
///
/// # Example
///
/// ```
/// use talkformer::metrics::label_parts;
///
/// assert_eq!(label_parts("thank | bye", Some("|")), ["thank", "bye"]);
/// assert!(label_parts("|", Some("|")).is_empty());
/// assert_eq!(label_parts("google+", None), ["google+"]);
/// ```
#[must_use]
pub fn label_parts<'l>(label: &'l str, separator: Option<&str>) -> Vec<&'l str> {
    let Some(separator) = separator else { return vec![label] };
    label.split(separator).map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// One name for all labels that stand for the same set: the [parts](label_parts) in alphabetical order, each once. A label
/// without parts keeps its name.
///
/// # Example
///
/// ```
/// use talkformer::metrics::label_set_name;
///
/// assert_eq!(label_set_name("thank|bye", Some("|")), label_set_name("bye | thank", Some("|")));
/// assert_eq!(label_set_name("thank|bye", None), "thank|bye");
/// ```
#[must_use]
pub fn label_set_name<'l>(label: &'l str, separator: Option<&str>) -> Cow<'l, str> {
    let parts: BTreeSet<&str> = label_parts(label, separator).into_iter().collect();
    match separator {
        Some(separator) if !parts.is_empty() => {
            Cow::Owned(parts.into_iter().collect::<Vec<_>>().join(separator))
        }
        _ => Cow::Borrowed(label),
    }
}

/// Compares sets of labels, one message at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSets {
    counts: BTreeMap<String, Counts>,
    messages: usize,
    right: usize,
}

/// Scores over sets of labels, as scikit-learn gives them for multi-label data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelSetReport {
    /// Messages that were compared.
    pub messages: usize,
    /// The share of messages whose set is right as a whole.
    pub exact_match: f64,
    /// Of the pooled counts.
    pub micro_average: Prf,
    /// The plain mean over labels that occur as gold.
    pub macro_average: Prf,
    /// Scores of each label, gold or predicted.
    pub labels: BTreeMap<String, Prf>,
}

impl LabelSets {
    /// Notes one message: each label of the gold set that was predicted is a true positive, each other one a false
    /// negative, and each predicted label that is not gold a false positive.
    pub fn add<'a>(
        &mut self,
        gold: impl IntoIterator<Item = &'a str>,
        predicted: impl IntoIterator<Item = &'a str>,
    ) {
        let gold: BTreeSet<&str> = gold.into_iter().collect();
        let predicted: BTreeSet<&str> = predicted.into_iter().collect();
        self.messages += 1;
        self.right += usize::from(gold == predicted);
        for &label in gold.union(&predicted) {
            let counts = self.counts.entry(label.to_owned()).or_default();
            match (gold.contains(label), predicted.contains(label)) {
                (true, true) => counts.true_positives += 1,
                (true, false) => counts.false_negatives += 1,
                _ => counts.false_positives += 1,
            }
        }
    }

    /// The scores; all zeros where no message was noted.
    ///
    /// Micro F1 is `2·tp / (2·tp + fp + fn)` of the counts summed over labels; macro F1 is the mean of the F1 of
    /// each gold label ([Tsoumakas et al., 2010](https://doi.org/10.1007/978-0-387-09823-4_34), section 7).
    #[must_use]
    pub fn finish(&self) -> LabelSetReport {
        let gold = self.counts.values().filter(|counts| counts.true_positives + counts.false_negatives > 0);
        LabelSetReport {
            messages: self.messages,
            exact_match: share(self.right, self.messages),
            micro_average: self.counts.values().copied().sum::<Counts>().prf(),
            macro_average: Prf::mean(gold.map(|counts| (counts.prf(), 1))),
            labels: self.counts.iter().map(|(label, counts)| (label.clone(), counts.prf())).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn report(pairs: &[(&str, &str)]) -> LabelSetReport {
        let mut sets = LabelSets::default();
        let parts = |label| label_parts(label, Some("+"));
        pairs.iter().for_each(|(gold, found)| sets.add(parts(gold), parts(found)));
        sets.finish()
    }

    #[test]
    fn sets_by_hand() {
        let found = report(&[("a+b", "b+a"), ("a", "a+c"), ("b", ""), ("a+b", "a")]);
        assert_eq!(found.exact_match, 0.25);
        // a: tp 3; b: tp 1, fn 2; c: fp 1
        assert_eq!(found.micro_average, Prf { precision: 4.0 / 5.0, recall: 4.0 / 6.0, f1: 8.0 / 11.0 });
        assert_eq!(found.macro_average.f1, 0.75);
        assert_eq!(found.labels["c"], Prf::default());
        assert_eq!(LabelSets::default().finish(), LabelSetReport::default());
    }

    #[test]
    fn saying_a_label_twice_changes_nothing() {
        assert_eq!(report(&[("a+a", "a"), (" a + b ", "b+a")]).exact_match, 1.0);
    }

    proptest! {
        #[test]
        fn single_labels_score_as_a_plain_classification(
            pairs in prop::collection::vec(("[abc]", "[abc]"), 1..30),
        ) {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(gold, found)| (gold.as_str(), found.as_str())).collect();
            let sets = report(&pairs);
            let plain: super::super::ClassificationReport =
                pairs.iter().map(|(gold, found)| (*gold, Some(*found))).collect();
            prop_assert!((sets.exact_match - plain.accuracy).abs() < 1e-12);
            prop_assert!((sets.micro_average.f1 - plain.accuracy).abs() < 1e-12);
            prop_assert!((sets.macro_average.f1 - plain.macro_average.f1).abs() < 1e-12);
        }
    }
}
