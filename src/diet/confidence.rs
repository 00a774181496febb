//! Calibrated confidences: the ensemble weights, fitted on messages that no part has learnt from.

use serde::{Deserialize, Serialize};

use super::answer::Engine;
use super::ensemble::{HeldOutScores, PARTS};
use super::labels::is_out_of_scope;
use super::linear_path::{LinearPath, Problem};
use super::multi_label::Decision;
use super::{DietConfig, Example, Widths};
use crate::features::{Features, Known, UnitRanges};
use crate::linear::Solution;

/// The ensemble weights and a threshold, fitted on the messages that were held out for calibration.
///
/// Older models also hold the weight of the transformer alone, which is not read any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FittedConfidence {
    /// How many there were.
    pub messages: usize,
    /// Weight of a similarity after the transformer: one over its temperature.
    pub transformer: f32,
    /// Weight of the linear classifier of all intents at once.
    pub softmax: f32,
    /// Weight of the linear classifiers of one intent against all others.
    pub hinge: f32,
    /// Expected calibration error on these messages with the transformer alone, at temperature one.
    pub error_before: f64,
    /// And with the weights above.
    pub error_after: f64,
    /// A message whose best intent is less sure than this is taken for out of scope: [`FittedConfidence::KEPT`] of the
    /// messages that were answered rightly are surer.
    pub threshold: f32,
}

impl FittedConfidence {
    /// Share of the rightly answered messages that a threshold must leave alone.
    pub const KEPT: f64 = 0.95;

    pub(super) fn weights(&self) -> [f32; PARTS] {
        [self.transformer, self.softmax, self.hinge]
    }

    /// Whether these weights suit a model with, or without, a linear path: alone, the transformer has a larger weight.
    pub(super) fn holds(&self, has_linear_path: bool) -> bool {
        has_linear_path || self.softmax + self.hinge == 0.0
    }
}

/// Weights of the ensemble where no messages are held out to fit them on, and where fitting begins.
pub(super) const DEFAULT_WEIGHTS: [f32; PARTS] = [0.5, 1.0, 0.5];

/// How strongly the weights are pulled towards those that fitting begins with; with few messages this matters.
const PRIOR: f64 = 1.0;

/// The examples, of which some at the end are held out to fit confidences on.
pub(super) struct CalibrationSplit<'a> {
    pub(super) config: &'a DietConfig,
    /// Names of the intents.
    pub(super) intents: &'a [String],
    pub(super) widths: Widths,
    /// All examples that have an intent.
    pub(super) examples: Vec<&'a Example>,
    /// How many of these, at the end, the network has not learnt from.
    pub(super) held_out: usize,
    pub(super) unit_ranges: &'a UnitRanges,
    pub(super) threads: usize,
    /// How long rows of dense features are in the linear path.
    pub(super) dense_length: f32,
}

impl CalibrationSplit<'_> {
    /// The same with dense features of the length that is best in the linear path.
    pub(super) fn with_best_dense_length(self) -> Self {
        Self { dense_length: self.problem().best_dense_length(), ..self }
    }

    fn problem(&self) -> Problem<'_> {
        Problem {
            config: self.config,
            widths: self.widths,
            labels: self.intents.len(),
            examples: &self.examples,
            threads: self.threads,
            dense_length: self.dense_length,
        }
    }

    /// Fits the weights of the ensemble, to the network whose `engine` this is and a linear path that has not learnt
    /// from the held-out messages either: the solutions of that are where [`linear_path`](Self::linear_path) begins.
    pub(super) fn fit(&self, engine: &Engine) -> (FittedConfidence, Vec<Solution>) {
        let (scores, solutions) = self.scores(engine);
        let weights = if self.config.intents.linear_path {
            scores.fit(DEFAULT_WEIGHTS, [PRIOR; PARTS])
        } else {
            scores.fit([1.0, 0.0, 0.0], [PRIOR, f64::INFINITY, f64::INFINITY])
        };
        let error = |weights| scores.calibration(weights).expected_calibration_error;
        let fitted = FittedConfidence {
            messages: self.held_out,
            transformer: weights[0],
            softmax: weights[1],
            hinge: weights[2],
            error_before: error([1.0, 0.0, 0.0]),
            error_after: error(weights),
            threshold: self.threshold(&scores, weights),
        };
        (fitted, solutions)
    }

    /// Fits how a message gets its intents, where it may have several. Solutions as in [`fit`](Self::fit).
    pub(super) fn decide(&self, engine: &Engine) -> (Decision, Vec<Solution>) {
        let (HeldOutScores { scores: [transformer, _, linear], .. }, solutions) = self.scores(engine);
        let sets: Vec<&[u32]> = self.messages().iter().map(|one| &one.intents[..]).collect();
        (Decision::fit(&transformer, &linear, &sets), solutions)
    }

    /// The linear path of all examples, from the solutions for those that are not held out, where there are any.
    pub(super) fn linear_path(&self, solutions: &[Solution]) -> LinearPath {
        self.problem().fit(self.examples.len(), solutions).0
    }

    /// How many examples are learnt from.
    fn learnt(&self) -> usize {
        self.examples.len() - self.held_out
    }

    /// The held-out messages.
    fn messages(&self) -> &[&Example] {
        &self.examples[self.learnt()..]
    }

    /// The scores of the held-out messages by each part of the ensemble. Their features are those that they would have
    /// if featurizers had been fitted to the other messages alone. Also the solutions of the linear path that is scored.
    fn scores(&self, engine: &Engine) -> (HeldOutScores, Vec<Solution>) {
        let gold = self.messages().iter().filter_map(|message| message.intent).collect();
        let mut found = HeldOutScores { gold, labels: self.intents.len(), ..Default::default() };
        let others = self.examples[..self.learnt()].iter().map(|one| &one.features);
        let known = Known::of(others, (self.widths.sequence, self.widths.sentence), 1);
        let path = self.config.intents.linear_path.then(|| self.problem().fit(self.learnt(), &[]));
        let (path, solutions) = path.unzip();
        for message in self.messages() {
            let features: Features = message.features.restricted_to(&known, self.unit_ranges);
            engine.answer(&[&features], |_, answer| found.scores[0].extend_from_slice(answer.similarities));
            for (own, scores) in
                found.scores[1..].iter_mut().zip(path.iter().flat_map(|path| path.scores(&features)))
            {
                own.extend(scores);
            }
        }
        (found, solutions.unwrap_or_default())
    }

    /// The confidence that [`FittedConfidence::KEPT`] of the right answers in scope exceed.
    fn threshold(&self, held_out: &HeldOutScores, weights: [f32; PARTS]) -> f32 {
        let mut sure = Vec::new();
        for (message, gold) in held_out.gold.iter().enumerate() {
            let shares = held_out.shares(weights, message);
            let in_scope = |label: &usize| !is_out_of_scope(&self.intents[*label]);
            let best = (0..shares.len()).filter(in_scope).max_by(|a, b| shares[*a].total_cmp(&shares[*b]));
            if let Some(best) = best.filter(|best| *best == *gold as usize) {
                sure.push(shares[best] as f32);
            }
        }
        sure.sort_by(f32::total_cmp);
        let below = (sure.len() as f64 * (1.0 - FittedConfidence::KEPT)) as usize;
        sure.get(below).copied().unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_older_models_hold_is_read() {
        let alone = r#"{"messages":96,"transformer":0.9,"softmax":0,"hinge":0,"error_before":0.1,"error_after":0.1,"threshold":0.2}"#;
        let older = format!(
            r#"{},"transformer_alone":{alone}}}"#,
            alone.replace('}', "").replace("\"softmax\":0", "\"softmax\":1.7")
        );
        let found: FittedConfidence = serde_json::from_str(&older).unwrap();
        assert_eq!(found.weights(), [0.9, 1.7, 0.0]);
        assert!(found.holds(true) && !found.holds(false));
        assert!(serde_json::from_str::<FittedConfidence>(alone).unwrap().holds(false));
    }
}
