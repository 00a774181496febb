//! Intents that are hard to tell apart.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::with_intent;
use crate::data::Utterance;
use crate::prediction::Prediction;

/// Messages shown of each direction.
const EXAMPLES: usize = 2;

/// Two intents that are taken for each other.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfusedIntents<'d> {
    /// The direction that happens more often, then the other one.
    pub directions: [Mistaken<'d>; 2],
}

/// How often examples of one intent are taken for another one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Mistaken<'d> {
    /// The intent that the examples have.
    pub intent: &'d str,
    /// The intent that models see in them.
    pub taken_for: &'d str,
    /// How many.
    pub count: usize,
    /// Number of examples that have `intent`.
    pub of: usize,
    /// The two that models were surest of.
    pub examples: Vec<&'d Utterance>,
}

/// Pairs of intents of which one is taken for the other, those most often first.
pub(super) fn pairs<'d>(
    utterances: &'d [Utterance],
    predictions: &'d [Prediction],
) -> Vec<ConfusedIntents<'d>> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    let mut mistakes: BTreeMap<(&str, &str), Vec<(f32, &Utterance)>> = BTreeMap::new();
    for (utterance, given, ranking) in with_intent(utterances, predictions) {
        *sizes.entry(given).or_default() += 1;
        if ranking[0].name != given {
            let mistaken = mistakes.entry((given, &ranking[0].name)).or_default();
            mistaken.push((ranking[0].confidence, utterance));
        }
    }
    let mistaken = |intent: &'d str, taken_for: &'d str| {
        let mut messages = mistakes.get(&(intent, taken_for)).cloned().unwrap_or_default();
        messages.sort_by(|a, b| b.0.total_cmp(&a.0));
        let examples = messages.iter().take(EXAMPLES).map(|(_, utterance)| *utterance).collect();
        let of = sizes.get(intent).copied().unwrap_or(0);
        Mistaken { intent, taken_for, count: messages.len(), of, examples }
    };
    let mut found: Vec<ConfusedIntents<'d>> = mistakes
        .keys()
        .map(|(a, b)| [mistaken(a, b), mistaken(b, a)])
        // Of a pair that occurs in both directions, one is left: the more frequent first, then by name.
        .filter(|[there, back]| (Reverse(there.count), there.intent) < (Reverse(back.count), back.intent))
        .map(|directions| ConfusedIntents { directions })
        .collect();
    found.sort_by_key(|pair| Reverse(pair.directions[0].count + pair.directions[1].count));
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::example;
    use super::*;

    #[test]
    fn a_pair_stands_once_with_both_directions_and_the_surest_examples() {
        let (utterances, predictions): (Vec<_>, Vec<_>) = [
            example("a1", "a", 1, &[("a", 0.9), ("b", 0.1)]),
            example("a2", "a", 2, &[("b", 0.6), ("a", 0.4)]),
            example("b1", "b", 3, &[("a", 0.7), ("b", 0.3)]),
            example("b2", "b", 4, &[("a", 0.8), ("b", 0.2)]),
            example("b3", "b", 5, &[("a", 0.9), ("b", 0.1)]),
            example("c1", "c", 6, &[("a", 0.9), ("c", 0.1)]),
            example("c2", "c", 7, &[("c", 0.9), ("a", 0.1)]),
        ]
        .into_iter()
        .unzip();
        let found = pairs(&utterances, &predictions);
        let told = |mistaken: &Mistaken<'_>| {
            let texts: Vec<&str> = mistaken.examples.iter().map(|one| one.text.as_str()).collect();
            format!(
                "{}→{} {}/{} {}",
                mistaken.intent,
                mistaken.taken_for,
                mistaken.count,
                mistaken.of,
                texts.join(" ")
            )
        };
        let found: Vec<_> = found.iter().map(|pair| [0, 1].map(|at| told(&pair.directions[at]))).collect();
        assert_eq!(found, [["b→a 3/3 b3 b2", "a→b 1/2 a2"], ["c→a 1/2 c1", "a→c 0/2 "]]);
    }

    #[test]
    fn equally_frequent_directions_stand_once_as_well() {
        let (utterances, predictions): (Vec<_>, Vec<_>) = [
            example("a1", "a", 1, &[("b", 0.9)]),
            example("a2", "a", 2, &[("a", 0.9)]),
            example("b1", "b", 3, &[("a", 0.7)]),
            example("b2", "b", 4, &[("b", 0.7)]),
        ]
        .into_iter()
        .unzip();
        let found = pairs(&utterances, &predictions);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].directions[0].intent, "a");
    }
}
