//! The way past the transformer: from the features of a message straight to its intent.

use std::borrow::Cow;

use super::ensemble::PARTS;
use super::{DietConfig, Example, Widths};
use crate::features::Features;
use crate::linear::{Labelled, LinearClassifier, Loss, Solution, Solver};
use crate::numbers::SparseRows;

/// The cost of an error in the classifier of all classes at once. Chosen on development data: `docs/experiments.md`.
const SOFTMAX_COST: f32 = 30.0;

/// The same in the classifier of one class against all others.
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

/// Lengths to which rows of dense features may be scaled, beside sparse ones of a length of about two. The longer they
/// are the more they count, which is best where the encoder knows the language.
const DENSE_LENGTHS: [f32; 2] = [1.0, 3.0];

/// One example in so many is held out to choose that length.
const LENGTH_STRIDE: u32 = 5;

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
    /// How long rows of dense features are.
    pub(super) dense_length: f32,
}

/// The rows of all examples, of which some are learnt from.
struct Joined<'e> {
    problem: Problem<'e>,
    rows: Vec<Cow<'e, SparseRows>>,
    members: Vec<Vec<u32>>,
}

impl<'e> Problem<'e> {
    /// The length that gives the most right answers on held-out examples; tried with the cheaper classifier alone.
    pub(super) fn best_dense_length(self) -> f32 {
        if self.widths.dense == 0 {
            return DENSE_LENGTHS[0];
        }
        let (held_out, learning): (Vec<u32>, Vec<u32>) =
            (0..self.examples.len() as u32).partition(|at| at % LENGTH_STRIDE == 0);
        let right = |dense_length: f32| {
            let (path, _) = Self { dense_length, ..self }.joined().solve(&learning, false, &[]);
            let right = |at: &&u32| {
                let example = self.examples[**at as usize];
                let [_, scores] = path.scores(&example.features);
                let best = (0..self.labels).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
                best.is_some_and(|best| example.intents.contains(&(best as u32)))
            };
            held_out.iter().filter(right).count()
        };
        let tried = DENSE_LENGTHS.map(|length| (right(length), length));
        tried.into_iter().max_by_key(|(right, _)| *right).map_or(DENSE_LENGTHS[0], |(_, length)| length)
    }

    /// Learns from the first `learning` examples, beginning where an earlier fit to fewer of them ended. What it returns
    /// beside the path is for the next.
    pub(super) fn fit(self, learning: usize, earlier: &[Solution]) -> (LinearPath, Vec<Solution>) {
        let learning: Vec<u32> = (0..learning as u32).collect();
        self.joined().solve(&learning, !self.config.intents.multi_label, earlier)
    }

    fn joined(self) -> Joined<'e> {
        let join = |example: &&'e Example| example.features.joined(self.widths.sentence, self.dense_length);
        Joined {
            problem: self,
            rows: self.examples.iter().map(join).collect(),
            members: self.examples.iter().map(|example| example.intents.clone()).collect(),
        }
    }
}

impl Joined<'_> {
    fn solve(
        &self,
        learning: &[u32],
        with_softmax: bool,
        earlier: &[Solution],
    ) -> (LinearPath, Vec<Solution>) {
        let Problem { config, widths, labels, threads, dense_length, .. } = self.problem;
        let seed = config.training.seed();
        let rows: Vec<&SparseRows> = self.rows.iter().map(AsRef::as_ref).collect();
        let data =
            Labelled { rows: &rows, columns: widths.joined(), members: &self.members, classes: labels };
        let solver = |loss, cost| Solver { loss, cost, seed, threads };
        let solvers = [solver(Loss::SquaredHinge, HINGE_COST), solver(Loss::Softmax, SOFTMAX_COST)];
        let solvers = if with_softmax { &solvers[..] } else { &solvers[..1] };
        let found = Solution::find(data, learning, solvers, earlier);
        let classifier = |own| LinearClassifier::of(data, learning, own);
        let softmax = found.get(1).map(classifier);
        (LinearPath { softmax, hinge: classifier(&found[0]), labels, widths, dense_length }, found)
    }
}

impl LinearPath {
    /// The scores of a message by each of the two, `[label]`; empty where there is no such classifier.
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
