//! Examples whose intent is probably another.

use std::collections::BTreeMap;

use super::with_intent;
use crate::data::Utterance;
use crate::prediction::Prediction;

/// An example whose intent is probably another.
#[derive(Clone, Debug, PartialEq)]
pub struct IntentDoubt<'d> {
    /// The example.
    pub utterance: &'d Utterance,
    /// The intent it has.
    pub given: &'d str,
    /// How sure a model that has not seen it is of that one.
    pub given_confidence: f32,
    /// The intent it should probably have.
    pub suggested: &'d str,
    /// How sure the model is of this one.
    pub suggested_confidence: f32,
}

impl IntentDoubt<'_> {
    /// How much surer the model is of the suggested intent, in `(0, 1]`.
    #[must_use]
    pub fn margin(&self) -> f32 {
        self.suggested_confidence - self.given_confidence
    }
}

/// Confident learning ([Northcutt et al., 2021](https://doi.org/10.1613/jair.1.12125)): the threshold of an intent is
/// the mean confidence in it among the examples that have it,
///
/// `t_j = mean { p(j | x) : x has intent j }`,
///
/// so an intent that models are never sure of needs less to be believed, and one that they overrate needs more. An
/// example counts as one of the likeliest intent `j` with `p(j | x) ≥ t_j`, if any; where that is not the one it has,
/// it lies off the diagonal of the paper's confident joint and is doubted. The largest margin between that intent and
/// its own comes first. Where its own is the likelier one, below its threshold, there is nothing to suggest: we leave
/// those out, unlike the paper.
pub(super) fn doubts<'d>(utterances: &'d [Utterance], predictions: &'d [Prediction]) -> Vec<IntentDoubt<'d>> {
    let examples = with_intent(utterances, predictions);
    let mut sums: BTreeMap<&str, (f32, f32)> = BTreeMap::new();
    for (_, given, ranking) in &examples {
        let own = ranking.iter().find(|scored| scored.name == *given);
        let (sum, count) = sums.entry(given).or_default();
        (*sum, *count) = (*sum + own.map_or(0.0, |own| own.confidence), *count + 1.0);
    }
    let believed = |name: &str, confidence: f32| {
        sums.get(name).is_some_and(|(sum, count)| confidence > 0.0 && confidence >= sum / count)
    };
    let doubt = |(utterance, given, ranking): &(&'d Utterance, &'d str, Vec<&'d _>)| {
        let ranking: &Vec<&'d crate::prediction::Scored> = ranking;
        let best = ranking.iter().find(|scored| believed(&scored.name, scored.confidence))?;
        let own = ranking.iter().find(|scored| scored.name == *given);
        let given_confidence = own.map_or(0.0, |own| own.confidence);
        (best.name != *given && best.confidence > given_confidence).then(|| IntentDoubt {
            utterance,
            given,
            given_confidence,
            suggested: &best.name,
            suggested_confidence: best.confidence,
        })
    };
    let mut found: Vec<IntentDoubt<'d>> = examples.iter().filter_map(doubt).collect();
    found.sort_by(|a, b| b.margin().total_cmp(&a.margin()));
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::example;
    use super::*;

    #[test]
    fn an_example_is_doubted_where_another_intent_passes_its_own_threshold() {
        // Thresholds by hand: a (0.9 + 0.8 + 0.1 + 0.55) / 4 = 0.59, b (0.5 + 0.42 + 0.29) / 3 = 0.4.
        let (utterances, predictions): (Vec<_>, Vec<_>) = [
            example("1", "a", 1, &[("a", 0.9), ("b", 0.1)]),
            example("2", "a", 2, &[("a", 0.8), ("b", 0.2)]),
            example("3", "a", 3, &[("a", 0.1), ("b", 0.9)]), // doubted: b is far above its threshold
            example("4", "b", 4, &[("a", 0.5), ("b", 0.5)]), // a is as likely, and below its threshold
            example("5", "b", 5, &[("a", 0.58), ("b", 0.42)]), // a is likelier, and below its threshold
            example("6", "b", 6, &[("a", 0.7), ("b", 0.29)]), // doubted
            example("7", "a", 7, &[("a", 0.55), ("b", 0.45)]), // a is below its threshold, b above, and a likelier
        ]
        .into_iter()
        .unzip();
        let found = doubts(&utterances, &predictions);
        let found: Vec<_> =
            found.iter().map(|doubt| (doubt.utterance.source.line, doubt.suggested)).collect();
        assert_eq!(found, [(3, "b"), (6, "a")]);
    }

    #[test]
    fn what_models_could_not_know_is_no_doubt() {
        let (mut utterances, mut predictions): (Vec<_>, Vec<_>) = [
            example("only one", "rare", 1, &[("a", 1.0)]),
            example("x", "a", 2, &[("a", 1.0)]),
            example("y", "a", 3, &[("nlu_fallback", 0.9), ("a", 0.8)]),
            example("unreadable", "a", 4, &[]),
        ]
        .into_iter()
        .unzip();
        assert!(doubts(&utterances, &predictions).is_empty());
        (utterances[1].intent, predictions[0].intent_ranking) = (None, Vec::new());
        assert!(doubts(&utterances, &predictions).is_empty() && doubts(&[], &[]).is_empty());
    }

    #[test]
    fn an_intent_that_is_missing_in_the_ranking_is_impossible() {
        let (utterances, predictions): (Vec<_>, Vec<_>) = [
            example("1", "a", 1, &[("a", 0.9)]),
            example("2", "a", 2, &[("a", 0.9)]),
            example("3", "b", 3, &[("a", 1.0)]),
            example("4", "b", 4, &[("b", 0.9)]),
        ]
        .into_iter()
        .unzip();
        let found = doubts(&utterances, &predictions);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].given, found[0].given_confidence, found[0].margin()), ("b", 0.0, 1.0));
    }
}
