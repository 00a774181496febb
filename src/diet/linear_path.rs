//! The way past the transformer: from the features of a message straight to its intent.

use std::borrow::Cow;

use super::ensemble::PARTS;
use super::{DietConfig, Example, Widths};
use crate::features::Features;
use crate::linear::{Labelled, LinearClassifier, Loss, Solver};
use crate::numbers::SparseRows;

/// The cost of an error in the classifier of all classes at once. Chosen on development data: `docs/experiments.md`.
const SOFTMAX_COST: f32 = 30.0;

/// And in that of one class against all others.
const HINGE_COST: f32 = 1.0;

/// Two linear classifiers of intents, with different losses. Their sum is linear as well, and that is what is kept.
/// Where a message may have more than one intent, only the one that takes each intent on its own.
#[derive(Clone, Debug)]
pub(super) struct LinearPath {
    softmax: Option<LinearClassifier>,
    hinge: LinearClassifier,
    labels: usize,
    widths: Widths,
    dense_length: f32,
}

/// How long rows of dense features may be, beside sparse ones of a length of about two: with few examples they should
/// decide, with many or in a language that the encoder does not know they should not.
const DENSE_LENGTHS: [f32; 2] = [1.0, 3.0];

/// What a linear path is fitted to.
#[derive(Clone, Copy)]
pub(super) struct Problem<'e> {
    pub(super) config: &'e DietConfig,
    pub(super) widths: Widths,
    /// Number of intents.
    pub(super) labels: usize,
    /// Each has an intent.
    pub(super) examples: &'e [&'e Example],
    pub(super) threads: usize,
}

/// Rows to learn from, whichever of them are learnt from.
struct Joined<'e> {
    problem: Problem<'e>,
    rows: Vec<Cow<'e, SparseRows>>,
    members: Vec<Vec<u32>>,
    dense_length: f32,
}

impl<'e> Problem<'e> {
    /// Learns from the examples whose numbers are in `learning`. Rows of dense features are `dense_length` long.
    pub(super) fn fit(self, learning: &[u32], dense_length: f32) -> LinearPath {
        self.joined(dense_length).solve(learning, !self.config.intents.multi_label)
    }

    /// Which of these lengths gives the most right answers for what is held out of each fold; all are tried with the
    /// cheaper classifier alone.
    pub(super) fn best_dense_length(self, folds: &[Vec<usize>]) -> f32 {
        let Self { labels, examples, .. } = self;
        let right = |length: f32| {
            let joined = self.joined(length);
            let of_fold = |fold: &Vec<usize>| {
                let others =
                    (0..examples.len() as u32).filter(|at| fold.binary_search(&(*at as usize)).is_err());
                let path = joined.solve(&others.collect::<Vec<_>>(), false);
                let right = |at: &&usize| {
                    let [_, scores] = path.scores(&examples[**at].features);
                    let best = (0..labels).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
                    best.is_some_and(|best| examples[**at].intents.contains(&(best as u32)))
                };
                fold.iter().filter(right).count()
            };
            folds.iter().map(of_fold).sum::<usize>()
        };
        if self.widths.dense == 0 {
            return DENSE_LENGTHS[0];
        }
        let tried = DENSE_LENGTHS.map(|length| (right(length), length));
        tried.into_iter().max_by_key(|(right, _)| *right).map_or(DENSE_LENGTHS[0], |(_, length)| length)
    }

    fn joined(self, dense_length: f32) -> Joined<'e> {
        let join = |example: &&'e Example| example.features.joined(self.widths.sentence, dense_length);
        Joined {
            problem: self,
            rows: self.examples.iter().map(join).collect(),
            members: self.examples.iter().map(|example| example.intents.clone()).collect(),
            dense_length,
        }
    }
}

impl Joined<'_> {
    fn solve(&self, learning: &[u32], with_softmax: bool) -> LinearPath {
        let Problem { config, widths, labels, threads, .. } = self.problem;
        let (dense_length, seed) = (self.dense_length, config.seed());
        let rows: Vec<&SparseRows> = self.rows.iter().map(AsRef::as_ref).collect();
        let data =
            Labelled { rows: &rows, columns: widths.joined(), members: &self.members, classes: labels };
        let solver = |loss, cost, threads| Solver { loss, cost, seed, threads };
        let softmax = || LinearClassifier::fit(data, learning, solver(Loss::Softmax, SOFTMAX_COST, 1));
        let hinge =
            |threads| LinearClassifier::fit(data, learning, solver(Loss::SquaredHinge, HINGE_COST, threads));
        let path = |softmax, hinge| LinearPath { softmax, hinge, labels, widths, dense_length };
        if !with_softmax {
            return path(None, hinge(threads));
        }
        if threads < 2 {
            return path(Some(softmax()), hinge(1));
        }
        std::thread::scope(|scope| {
            let other = scope.spawn(softmax);
            let hinge = hinge(threads - 1);
            match other.join() {
                Ok(softmax) => path(Some(softmax), hinge),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

impl LinearPath {
    /// What each of the two says of a message: `[label]`; nothing where there is none.
    pub(super) fn scores(&self, message: &Features) -> [Vec<f32>; 2] {
        let row = message.joined(self.widths.sentence, self.dense_length);
        let softmax = self.softmax.as_ref().map_or_else(Vec::new, |softmax| softmax.scores(&row));
        [softmax, self.hinge.scores(&row)]
    }

    /// The table and the bias of the weighted sum of the two.
    pub(super) fn weighted(&self, [_, softmax, hinge]: [f32; PARTS]) -> (Vec<f32>, Vec<f32>) {
        let mut table: Vec<f32> = self.hinge.weights.iter().map(|weight| hinge * weight).collect();
        let mut bias: Vec<f32> = self.hinge.bias.iter().map(|bias| hinge * bias).collect();
        if let Some(other) = &self.softmax {
            let add = |(sum, own): (&mut f32, &f32)| *sum += softmax * own;
            table.iter_mut().zip(&other.weights).for_each(add);
            bias.iter_mut().zip(&other.bias).for_each(add);
        }
        // In answers, dense rows are read as they are, of any length.
        let dense = &mut table[self.widths.sentence * self.labels..];
        dense.iter_mut().for_each(|weight| *weight *= self.dense_length);
        (table, bias)
    }
}
