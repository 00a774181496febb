//! The way past the transformer: from the features of a message straight to its intent.

use super::fusion::{Scales, Unseen};
use super::{DietConfig, Example, Widths};
use crate::bundle::{Weight, Weights};
use crate::linear::{Labelled, LinearClassifier, LinearConfig};
use crate::sparse::SparseRows;
use crate::table::Table;

/// A linear classifier of the intents.
#[derive(Clone, Debug)]
pub(super) struct LinearPath {
    classifier: LinearClassifier,
    labels: usize,
    /// Columns that occur.
    touched: Vec<bool>,
    /// How much its scores weigh where nothing else is known.
    pub(super) scale: f32,
}

/// Folds for scores of examples that were not learnt from.
const FOLDS: usize = 5;

impl LinearPath {
    /// Learns from the examples that have an intent, and leaves in each of them what a classifier that has not seen it
    /// scores the intents.
    pub(super) fn fit(
        config: &DietConfig,
        widths: Widths,
        labels: usize,
        examples: &mut [Example],
        threads: usize,
    ) -> Self {
        let own: Vec<usize> = (0..examples.len()).filter(|at| examples[*at].intent.is_some()).collect();
        let mut rows = SparseRows::default();
        own.iter().for_each(|at| rows.extend(&examples[*at].features.sentence, 0..1));
        let members: Vec<Vec<u32>> = own.iter().map(|at| examples[*at].intent.into_iter().collect()).collect();
        let weights = vec![1.0; own.len()];
        let data =
            Labelled { rows: &rows, columns: widths.sentence, members: &members, classes: labels, weights: &weights };
        let solver =
            LinearConfig { cost: std::env::var("TF_C").ok().and_then(|x| x.parse().ok()).unwrap_or(config.linear_cost as f32), seed: config.seed(), threads, ..Default::default() };
        let softmax = std::env::var("TF_SVM").is_err();
        // Within a class in turn, so that every fold has its share of each.
        let mut next = vec![0; labels];
        let fold = |members: &Vec<u32>| {
            let turn = &mut next[members[0] as usize];
            *turn += 1;
            (*turn - 1) % FOLDS
        };
        let folds: Vec<usize> = members.iter().map(fold).collect();
        let scores = if softmax { LinearClassifier::out_of_fold_softmax(data, &folds, solver) } else { LinearClassifier::out_of_fold(data, &folds, solver) };
        let gold = members.iter().map(|members| members[0]).collect();
        let unseen = Unseen { similarities: Vec::new(), linear: scores, gold, labels };
        let scale = unseen.fit(Scales { transformer: 0.0, linear: 4.0 }).linear;
        for (at, scores) in own.iter().zip(unseen.linear.chunks_exact(labels)) {
            examples[*at].linear = scores.iter().map(|score| score * scale).collect();
        }
        let mut touched = vec![false; widths.sentence];
        rows.columns().iter().for_each(|column| touched[*column as usize] = true);
        Self { classifier: if softmax { LinearClassifier::fit_softmax(data, solver) } else { LinearClassifier::fit(data, solver) }, labels, touched, scale }
    }

    /// What the bundle keeps.
    pub(super) fn save(&self, weights: &mut Weights) {
        let table = Table::new(&self.classifier.weights, self.labels, |row| self.touched[row]);
        weights.insert("intent.linear.table".to_owned(), Weight::table(table));
        let bias = self.classifier.bias.clone();
        weights.insert("intent.linear.bias".to_owned(), Weight::f32(vec![self.labels], bias));
    }
}
