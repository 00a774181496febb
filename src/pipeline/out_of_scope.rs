//! How well a model refuses what it was not made for.

use serde::Serialize;

use super::EvaluationOptions;
use crate::data::Utterance;
use crate::diet::FALLBACK;
use crate::metrics::{Counts, Prf, ScopeScores};
use crate::prediction::Prediction;

/// Whether an intent means "out of scope": it is `named`, or without that one of [`OUT_OF_SCOPE_NAMES`](super::OUT_OF_SCOPE_NAMES).
#[must_use]
pub fn is_out_of_scope(intent: &str, named: Option<&str>) -> bool {
    match named {
        Some(named) => intent == named,
        None => crate::diet::is_out_of_scope(intent),
    }
}

/// Scores over messages with an intent, where some of those are out of scope.
///
/// The score of a message is [`Prediction::out_of_scope`], or where the model gives none one minus the confidence in
/// the best intent that is in scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct OutOfScopeScores {
    /// Messages that are in scope.
    pub in_scope: usize,
    /// Messages that are not.
    pub out_of_scope: usize,
    /// Share of in-scope messages whose best intent is right. An intent that means out of scope is wrong; a fallback is
    /// undone.
    pub in_scope_accuracy: f64,
    /// Share of in-scope messages that are answered rightly as the pipeline answers: a fallback is wrong.
    pub in_scope_accuracy_as_answered: f64,
    /// Messages that the pipeline refuses, by a fallback or an intent that means out of scope, held against those that
    /// are out of scope.
    pub refused: Prf,
    /// How often an out-of-scope message has the higher score of a pair: see [`ScopeScores::auroc`].
    pub auroc: Option<f64>,
    /// Share of out-of-scope messages that get through where 95 % of the in-scope messages do: see
    /// [`ScopeScores::false_positive_rate_at`].
    pub fpr95: Option<f64>,
    /// Share of out-of-scope messages that can be refused while 95 % of the right in-scope answers are kept: see
    /// [`ScopeScores::recall_keeping`].
    pub recall_keeping_95: Option<f64>,
    /// The same for 90 %.
    pub recall_keeping_90: Option<f64>,
}

impl OutOfScopeScores {
    /// The scores, or `None` where no message is out of scope.
    pub(super) fn new(
        utterances: &[Utterance],
        predictions: &[Prediction],
        options: &EvaluationOptions,
    ) -> Option<Self> {
        let means_out = |intent: &str| intent == FALLBACK || options.is_out_of_scope(intent);
        let same = |intent: &str, other: &str| options.name_of(intent) == options.name_of(other);
        let (mut inside, mut outside, mut refused) = (Vec::new(), Vec::new(), Counts::default());
        let (mut right, mut right_as_answered) = (0, 0);
        for (gold, found) in utterances.iter().zip(predictions) {
            let Some(intent) = gold.intent.as_deref() else { continue };
            let best_inside = found.intent_ranking.iter().find(|scored| !means_out(&scored.name));
            let confidence = best_inside.map_or(0.0, |scored| scored.confidence);
            let score = f64::from(found.out_of_scope.unwrap_or(1.0 - confidence));
            let answer = found.intent.as_ref().map(|scored| scored.name.as_str());
            let is_refused = answer.is_some_and(means_out);
            if options.is_out_of_scope(intent) {
                outside.push(score);
                refused.true_positives += usize::from(is_refused);
                refused.false_negatives += usize::from(!is_refused);
            } else {
                inside.push((score, best_inside.is_some_and(|scored| same(&scored.name, intent))));
                refused.false_positives += usize::from(is_refused);
                let best = found.intent_ranking.iter().find(|scored| scored.name != FALLBACK);
                right += usize::from(best.is_some_and(|scored| same(&scored.name, intent)));
                right_as_answered += usize::from(answer.is_some_and(|answer| same(answer, intent)));
            }
        }
        let share = |part: usize| part as f64 / inside.len().max(1) as f64;
        let (in_scope_accuracy, in_scope_accuracy_as_answered) = (share(right), share(right_as_answered));
        let (in_scope, out_of_scope) = (inside.len(), outside.len());
        let scores = ScopeScores::new(inside, outside);
        (out_of_scope > 0).then(|| Self {
            in_scope,
            out_of_scope,
            in_scope_accuracy,
            in_scope_accuracy_as_answered,
            refused: refused.prf(),
            auroc: scores.auroc(),
            fpr95: scores.false_positive_rate_at(0.95),
            recall_keeping_95: scores.recall_keeping(0.95),
            recall_keeping_90: scores.recall_keeping(0.9),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prediction::Scored;

    /// A prediction by its ranking, `name` and confidence in percent.
    fn answer(ranking: &[(&str, u8)], out_of_scope: Option<f32>) -> Prediction {
        let scored = |&(name, percent): &(&str, u8)| Scored {
            name: name.into(),
            confidence: f32::from(percent) / 100.0,
        };
        let intent_ranking: Vec<Scored> = ranking.iter().map(scored).collect();
        Prediction {
            intent: intent_ranking.first().cloned(),
            intent_ranking,
            out_of_scope,
            ..Prediction::default()
        }
    }

    fn options(out_of_scope: Option<&str>) -> EvaluationOptions {
        EvaluationOptions::default().out_of_scope(out_of_scope.map(str::to_owned))
    }

    fn messages(intents: &[&str]) -> Vec<Utterance> {
        intents.iter().map(|intent| Utterance::new("x", Some(intent))).collect()
    }

    #[test]
    fn scores_by_hand() {
        let gold = messages(&["a", "a", "b", "b", "OOS", "oos"]);
        let found = [
            answer(&[("a", 90), ("b", 10)], None),
            answer(&[(FALLBACK, 30), ("a", 60), ("b", 40)], None),
            answer(&[("oos", 50), ("b", 40)], None),
            answer(&[("a", 70), ("b", 30)], None),
            answer(&[(FALLBACK, 30), ("b", 55)], None),
            answer(&[("b", 80), ("oos", 20)], None),
        ];
        let scores = OutOfScopeScores::new(&gold, &found, &options(None)).unwrap();
        assert_eq!((scores.in_scope, scores.out_of_scope), (4, 2));
        assert_eq!((scores.in_scope_accuracy, scores.in_scope_accuracy_as_answered), (0.5, 0.25));
        assert_eq!(scores.refused, Prf { precision: 1.0 / 3.0, recall: 0.5, f1: 0.4 });
        // in scope 0.1 right, 0.4 right, 0.6 right, 0.3 wrong; out of scope 0.45 and 0.2
        assert_eq!(scores.auroc, Some((3.0 + 1.0) / 8.0));
        assert_eq!((scores.fpr95, scores.recall_keeping_90), (Some(1.0), Some(0.0)));
    }

    #[test]
    fn the_score_of_the_model_comes_first_and_the_name_can_be_given() {
        let gold = messages(&["a", "chitchat", "oos"]);
        let found = [
            answer(&[("a", 50)], Some(0.1)),
            answer(&[("a", 99)], Some(0.9)),
            answer(&[("oos", 99)], Some(0.2)),
        ];
        assert_eq!(
            OutOfScopeScores::new(&gold, &found, &options(Some("chitchat"))).unwrap().auroc,
            Some(1.0)
        );
        assert_eq!(OutOfScopeScores::new(&gold, &found, &options(None)).unwrap().auroc, Some(0.5));
        assert_eq!(OutOfScopeScores::new(&gold, &found, &options(Some("none"))), None);
        assert!(is_out_of_scope("Out_Of_Scope", None) && !is_out_of_scope("Oos", Some("oos")));
    }

    #[test]
    fn sets_of_intents_are_the_same_in_any_order_and_out_of_scope_as_a_whole() {
        let gold = messages(&["a|b", "a", "oos", "oos | out_of_scope"]);
        let found = [
            answer(&[("b|a", 60), ("b", 90), ("a", 60)], Some(0.1)),
            answer(&[("a|oos", 60), ("a", 60), ("oos", 60)], Some(0.4)),
            answer(&[("oos", 90), ("a", 10)], Some(0.9)),
            answer(&[("out_of_scope|oos", 80), ("oos", 90), ("out_of_scope", 80)], Some(0.8)),
        ];
        let scores =
            OutOfScopeScores::new(&gold, &found, &options(None).separator(Some("|".to_owned()))).unwrap();
        assert_eq!((scores.in_scope, scores.out_of_scope), (2, 2));
        assert_eq!((scores.in_scope_accuracy, scores.in_scope_accuracy_as_answered), (0.5, 0.5));
        assert_eq!(scores.refused, Prf { precision: 1.0, recall: 1.0, f1: 1.0 });
        // A message with one intent is not split, whatever sign its name holds.
        let scores = OutOfScopeScores::new(&gold, &found, &options(None)).unwrap();
        assert_eq!((scores.in_scope, scores.in_scope_accuracy), (3, 0.0));
    }
}
