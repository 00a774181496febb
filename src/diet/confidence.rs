//! Confidences that can be trusted: the weights of the ensemble, fitted on messages that nobody has learnt from.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::answer::Engine;
use super::ensemble::{HeldOutScores, PARTS};
use super::labels::is_out_of_scope;
use super::linear_path::{LinearPath, Problem};
use super::multi_label::Decision;
use super::{DietConfig, Example, Widths};
use crate::features::{Features, Known, UnitRanges};

/// What was found on the messages that were kept for calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FittedConfidence {
    /// How many there were.
    pub messages: usize,
    /// What a similarity after the transformer weighs: one over its temperature.
    pub transformer: f32,
    /// What the linear classifier of all intents at once weighs.
    pub softmax: f32,
    /// What the linear classifiers of one intent against all others weigh.
    pub hinge: f32,
    /// Expected calibration error on these messages with the transformer alone, at temperature one.
    pub error_before: f64,
    /// And with the weights above.
    pub error_after: f64,
    /// A message whose best intent is less sure than this is taken for out of scope: [`FittedConfidence::KEPT`] of the
    /// messages that were answered rightly are surer.
    pub threshold: f32,
    /// The same without the linear path, where there is one: for a model that learns on and has forgotten its examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transformer_alone: Option<Box<FittedConfidence>>,
}

impl FittedConfidence {
    /// Share of the rightly answered messages that a threshold must leave alone.
    pub const KEPT: f64 = 0.95;

    pub(super) fn weights(&self) -> [f32; PARTS] {
        [self.transformer, self.softmax, self.hinge]
    }

    /// What holds for a model with, or without, a linear path.
    pub(super) fn with_linear_path(&self, has_linear_path: bool) -> Self {
        match &self.transformer_alone {
            Some(alone) if !has_linear_path => (**alone).clone(),
            _ => self.clone(),
        }
    }
}

/// Weights of the ensemble where no messages are held out to fit them on.
pub(super) const DEFAULT_WEIGHTS: [f32; PARTS] = [0.5, 1.5, 0.0];

/// Folds into which examples are cut.
const FOLDS: usize = 10;

/// About so many messages are enough to tell what the two classifiers of the linear path weigh.
const ASKED: usize = 4000;

/// And so many what length dense features should have.
const LENGTH_ASKED: usize = 1500;

/// How firmly few messages hold on to the weights that they begin with: hardly.
const PRIOR: [f64; PARTS] = [1.0, 1.0, 0.01];

/// The examples, of which some at the end are held out from the network to fit confidences on.
pub(super) struct CalibrationSplit<'a> {
    pub(super) config: &'a DietConfig,
    /// Names of the intents.
    pub(super) intents: &'a [String],
    pub(super) widths: Widths,
    /// All examples that have an intent.
    pub(super) examples: Vec<&'a Example>,
    /// Of these, how many at the beginning are no messages but names of intents.
    pub(super) names: usize,
    /// And how many at the end the network has not learnt from.
    pub(super) held_out: usize,
    pub(super) unit_ranges: &'a UnitRanges,
    pub(super) threads: usize,
    /// How long rows of dense features are in the linear path; found by [`with_best_dense_length`](Self::with_best_dense_length).
    pub(super) dense_length: f32,
}

impl CalibrationSplit<'_> {
    /// The same with dense features of the length that is best in the linear path.
    pub(super) fn with_best_dense_length(self) -> Self {
        let mut folds = self.folds();
        let asked = folds.first().map_or(1, |fold| LENGTH_ASKED.div_ceil(fold.len().max(1)));
        folds.truncate(asked);
        let dense_length = self.problem().best_dense_length(&folds);
        Self { dense_length, ..self }
    }

    fn problem(&self) -> Problem<'_> {
        Problem {
            config: self.config,
            widths: self.widths,
            labels: self.intents.len(),
            examples: &self.examples,
            threads: self.threads,
        }
    }

    /// Fits the weights of the ensemble on the examples that the network, whose `engine` this is, has not seen.
    pub(super) fn fit(&self, engine: &Engine) -> FittedConfidence {
        let held_out = self.scores(engine);
        let alone = [PRIOR[0], f64::INFINITY, f64::INFINITY];
        let alone = self.found(&held_out, held_out.fit([1.0, 0.0, 0.0], alone));
        if !self.config.intents.linear_path {
            return alone;
        }
        let together = self.found(&held_out, self.weights_by_folds(&held_out));
        FittedConfidence { transformer_alone: Some(Box::new(alone)), ..together }
    }

    /// What these weights come to.
    fn found(&self, held_out: &HeldOutScores, weights: [f32; PARTS]) -> FittedConfidence {
        let error = |weights| held_out.calibration(weights).expected_calibration_error;
        FittedConfidence {
            messages: self.held_out,
            transformer: weights[0],
            softmax: weights[1],
            hinge: weights[2],
            error_before: error([1.0, 0.0, 0.0]),
            error_after: error(weights),
            threshold: self.threshold(held_out, weights),
            transformer_alone: None,
        }
    }

    /// Fits how a message gets its intents, where it may have several.
    pub(super) fn decide(&self, engine: &Engine) -> Decision {
        let HeldOutScores { scores: [transformer, _, linear], .. } = self.scores(engine);
        let sets: Vec<&[u32]> =
            self.examples[self.examples.len() - self.held_out..].iter().map(|one| &one.intents[..]).collect();
        Decision::fit(&transformer, &linear, &sets)
    }

    /// What each part of the ensemble says of the examples that the network has not seen.
    fn scores(&self, engine: &Engine) -> HeldOutScores {
        let fresh: Vec<usize> = (self.examples.len() - self.held_out..self.examples.len()).collect();
        let messages = self.as_new(&fresh);
        let mut held_out = self.linear_scores(&fresh, &messages);
        for message in &messages {
            engine.answer(&[message], |_, found| held_out.scores[0].extend_from_slice(found.similarities));
        }
        held_out
    }

    /// The weights beside a linear path, which learns so fast that more than the few `held_out` messages can tell:
    /// it is also fitted without a tenth of the examples that the network has seen, and without another, until it has
    /// been asked about [`ASKED`] messages or about all. The weights of its two classifiers stand on all of those.
    fn weights_by_folds(&self, held_out: &HeldOutScores) -> [f32; PARTS] {
        let mut all = held_out.clone();
        all.scores[0].clear();
        for fold in self.folds() {
            all.append(self.linear_scores(&fold, &self.as_new(&fold)));
        }
        let [_, softmax, hinge] = all.fit(DEFAULT_WEIGHTS, PRIOR);
        // The two classifiers as one, and how much of it beside the transformer.
        let sum = |(a, b): (&f32, &f32)| softmax * a + hinge * b;
        let linear = held_out.scores[1].iter().zip(&held_out.scores[2]).map(sum).collect();
        let joined =
            HeldOutScores { scores: [held_out.scores[0].clone(), linear, Vec::new()], ..held_out.clone() };
        let [transformer, share, _] = joined.fit([0.25, 1.0, 0.0], PRIOR);
        // Alone on these few messages the linear path should weigh one, as it does on all. What it weighs more or less is
        // their accident, and so it is in what was just found.
        let [_, accident, _] = joined.fit([0.0, 1.0, 0.0], [f64::INFINITY, PRIOR[1], PRIOR[2]]);
        let [transformer, share] = [transformer, share].map(|weight| weight / accident.max(0.1));
        [transformer, share * softmax, share * hinge]
    }

    /// The linear path of all examples.
    pub(super) fn linear_path(&self) -> LinearPath {
        let all: Vec<u32> = (0..self.examples.len() as u32).collect();
        self.problem().fit(&all, self.dense_length)
    }

    /// The examples beside these, which are sorted.
    fn others(&self, held_out: &[usize]) -> Vec<u32> {
        let others = (0..self.examples.len()).filter(|at| held_out.binary_search(at).is_err());
        others.map(|at| at as u32).collect()
    }

    /// The features of these as they would be had only the others been there.
    fn as_new(&self, held_out: &[usize]) -> Vec<Features> {
        let features = |at: usize| &self.examples[at].features;
        let others = self.others(held_out).into_iter().map(|at| features(at as usize));
        let known = Known::of(others, (self.widths.sequence, self.widths.sentence), 1);
        held_out.iter().map(|at| features(*at).restricted_to(&known, self.unit_ranges)).collect()
    }

    /// What a linear path that has learnt from all others says of these, whose features `messages` are.
    fn linear_scores(&self, held_out: &[usize], messages: &[Features]) -> HeldOutScores {
        let gold = held_out.iter().filter_map(|at| self.examples[*at].intent).collect();
        let mut found = HeldOutScores { gold, labels: self.intents.len(), ..Default::default() };
        if self.config.intents.linear_path {
            let path = self.problem().fit(&self.others(held_out), self.dense_length);
            for message in messages {
                let [softmax, hinge] = path.scores(message);
                found.scores[1].extend(softmax);
                found.scores[2].extend(hinge);
            }
        }
        found
    }

    /// Messages that the network has seen, at random, a tenth of them in each fold.
    fn folds(&self) -> Vec<Vec<usize>> {
        let mut messages: Vec<usize> = (self.names..self.examples.len() - self.held_out).collect();
        messages.shuffle(&mut ChaCha8Rng::seed_from_u64(self.config.seed()));
        let size = messages.len().div_ceil(FOLDS).max(1);
        let chunks = messages.chunks(size).take(ASKED.div_ceil(size));
        let mut folds: Vec<Vec<usize>> = chunks.map(<[usize]>::to_vec).collect();
        folds.iter_mut().for_each(|fold| fold.sort_unstable());
        folds
    }

    /// Where [`FittedConfidence::KEPT`] of the right answers in scope are surer.
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
