//! The way past the transformer: from the features of a message straight to its intent.

use super::fusion::KINDS;
use super::{DietConfig, Example};
use crate::bundle::{Weight, Weights};
use crate::linear::{Labelled, LinearClassifier, Loss, Solver};
use crate::sparse::SparseRows;
use crate::table::Table;

/// What an error costs in the classifier of all classes at once. Chosen on development data: `docs/experiments.md`.
const SOFTMAX_COST: f32 = 30.0;

/// And in that of one class against all others.
const HINGE_COST: f32 = 1.0;

/// Two linear classifiers of intents, with different losses. Their sum is linear as well, and that is what is kept.
/// Where a message may have several intents, only the one that takes each intent on its own.
#[derive(Clone, Debug)]
pub(super) struct LinearPath {
    softmax: Option<LinearClassifier>,
    hinge: LinearClassifier,
    labels: usize,
}

impl LinearPath {
    /// Learns from the examples whose numbers are in `learning`; each has an intent.
    pub(super) fn fit(
        config: &DietConfig,
        columns: usize,
        labels: usize,
        examples: &[&Example],
        learning: &[u32],
        threads: usize,
    ) -> Self {
        let rows: Vec<&SparseRows> = examples.iter().map(|example| &example.features.sentence).collect();
        let members: Vec<Vec<u32>> = examples.iter().map(|example| example.intents.clone()).collect();
        let data = Labelled { rows: &rows, columns, members: &members, classes: labels };
        let solver = |loss, cost, threads| Solver { loss, cost, seed: config.seed(), threads };
        let softmax = || LinearClassifier::fit(data, learning, solver(Loss::Softmax, SOFTMAX_COST, 1));
        let hinge =
            |threads| LinearClassifier::fit(data, learning, solver(Loss::SquaredHinge, HINGE_COST, threads));
        if config.multi_label_intents {
            return Self { softmax: None, hinge: hinge(threads), labels };
        }
        if threads < 2 {
            return Self { softmax: Some(softmax()), hinge: hinge(1), labels };
        }
        std::thread::scope(|scope| {
            let other = scope.spawn(softmax);
            let hinge = hinge(threads - 1);
            match other.join() {
                Ok(softmax) => Self { softmax: Some(softmax), hinge, labels },
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// What each of the two says of a message: `[label]`; nothing where there is none.
    pub(super) fn scores(&self, message: &SparseRows) -> [Vec<f32>; 2] {
        let softmax = self.softmax.as_ref().map_or_else(Vec::new, |softmax| softmax.scores(message));
        [softmax, self.hinge.scores(message)]
    }

    /// Puts a path that says nothing among the weights, before there is one.
    pub(super) fn nothing(columns: usize, labels: usize, weights: &mut Weights) {
        let table = Table::new(&vec![0.0; columns * labels], labels, |_| false);
        weights.insert("intent.linear.table".to_owned(), Weight::table(table));
        weights.insert("intent.linear.bias".to_owned(), Weight::f32(vec![labels], vec![0.0; labels]));
    }

    /// Puts the weighted sum of the two among the weights; columns that never occurred are left out.
    pub(super) fn save(&self, [_, softmax, hinge]: [f32; KINDS], touched: &[bool], weights: &mut Weights) {
        let mut table: Vec<f32> = self.hinge.weights.iter().map(|weight| hinge * weight).collect();
        let mut bias: Vec<f32> = self.hinge.bias.iter().map(|bias| hinge * bias).collect();
        if let Some(other) = &self.softmax {
            let add = |(sum, own): (&mut f32, &f32)| *sum += softmax * own;
            table.iter_mut().zip(&other.weights).for_each(add);
            bias.iter_mut().zip(&other.bias).for_each(add);
        }
        let table = Table::new(&table, self.labels, |row| touched[row]);
        weights.insert("intent.linear.table".to_owned(), Weight::table(table));
        weights.insert("intent.linear.bias".to_owned(), Weight::f32(vec![self.labels], bias));
    }
}
