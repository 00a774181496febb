//! One hyperplane per class.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::solver::{Hyperplane, Problem, solve};
use crate::sparse::SparseRows;

/// Settings of [`LinearClassifier`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearConfig {
    /// What an error costs against the length of the weights: the smaller, the smoother the classifier.
    pub cost: f32,
    /// How far from the optimum, as a difference of gradients, is close enough.
    pub tolerance: f32,
    /// Decides the order in which rows are visited.
    pub seed: u64,
    /// Threads; the result does not depend on how many.
    pub threads: usize,
}

impl Default for LinearConfig {
    fn default() -> Self {
        Self { cost: 0.5, tolerance: 0.01, seed: 1, threads: 1 }
    }
}

/// Scores rows for each class by its distance from a hyperplane.
#[derive(Clone, Debug, PartialEq)]
pub struct LinearClassifier {
    /// `[column, class]`
    pub weights: Vec<f32>,
    /// `[class]`
    pub bias: Vec<f32>,
}

/// Rows with their classes, and how much each of them counts.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// `[row, column]`
    pub rows: &'a SparseRows,
    /// Number of columns.
    pub columns: usize,
    /// The classes of each row.
    pub members: &'a [Vec<u32>],
    /// Number of classes.
    pub classes: usize,
    /// How much each row counts; one is usual.
    pub weights: &'a [f32],
}

impl Labelled<'_> {
    fn squares(&self) -> Vec<f32> {
        let square = |row| self.rows.row(row).map(|(_, value)| value * value).sum::<f32>() + 1.0;
        (0..self.rows.len()).map(square).collect()
    }

    fn is_member(&self, row: usize, class: u32) -> bool {
        self.members[row].contains(&class)
    }
}

impl LinearClassifier {
    /// Learns from all rows.
    #[must_use]
    pub fn fit(data: Labelled<'_>, config: LinearConfig) -> Self {
        let costs: Vec<f32> = data.weights.iter().map(|weight| weight * config.cost).collect();
        let squares = data.squares();
        let problem = Problem { rows: data.rows, squares: &squares, costs: &costs, columns: data.columns };
        let planes: Vec<Hyperplane> = in_parallel(data.classes, config.threads, |class| {
            let is_member = |row| data.is_member(row, class as u32);
            solve(problem, is_member, config.tolerance, config.seed ^ class as u64)
        });
        let mut weights = vec![0.0; data.columns * data.classes];
        for (class, plane) in planes.iter().enumerate() {
            let cells = weights.iter_mut().skip(class).step_by(data.classes);
            cells.zip(&plane.weights).for_each(|(cell, weight)| *cell = *weight);
        }
        Self { weights, bias: planes.iter().map(|plane| plane.bias).collect() }
    }

    /// Scores of each row by classifiers that have not learnt from the rows of its fold: `[row, class]`.
    #[must_use]
    pub fn out_of_fold(data: Labelled<'_>, folds: &[usize], config: LinearConfig) -> Vec<f32> {
        let squares = data.squares();
        let count = folds.iter().max().map_or(0, |last| last + 1);
        let found: Vec<Vec<(usize, f32)>> = in_parallel(count * data.classes, config.threads, |task| {
            let (fold, class) = (task / data.classes, task % data.classes);
            let cost = |row: usize| if folds[row] == fold { 0.0 } else { data.weights[row] * config.cost };
            let costs: Vec<f32> = (0..data.rows.len()).map(cost).collect();
            let problem = Problem { rows: data.rows, squares: &squares, costs: &costs, columns: data.columns };
            let is_member = |row| data.is_member(row, class as u32);
            let plane = solve(problem, is_member, config.tolerance, config.seed ^ task as u64);
            let own = (0..data.rows.len()).filter(|row| folds[*row] == fold);
            own.map(|row| (row * data.classes + class, plane.score(data.rows, row))).collect()
        });
        let mut scores = vec![0.0; data.rows.len() * data.classes];
        found.into_iter().flatten().for_each(|(cell, score)| scores[cell] = score);
        scores
    }

    /// Learns from all rows, which are of one class each.
    #[must_use]
    pub fn fit_softmax(data: Labelled<'_>, config: LinearConfig) -> Self {
        let (rows, gold) = singles(data);
        let learning: Vec<u32> = (0..rows.len() as u32).collect();
        let sizes = (data.columns, data.classes);
        let (weights, bias) =
            super::softmax::solve(&rows, &gold, &learning, sizes, config.cost, rounds(), config.seed);
        Self { weights, bias }
    }

    /// The same fold by fold.
    #[must_use]
    pub fn out_of_fold_softmax(data: Labelled<'_>, folds: &[usize], config: LinearConfig) -> Vec<f32> {
        let (rows, gold) = singles(data);
        let count = folds.iter().max().map_or(0, |last| last + 1);
        let found: Vec<Vec<(usize, f32)>> = in_parallel(count, config.threads, |fold| {
            let learning: Vec<u32> =
                (0..rows.len()).filter(|row| folds[*row] != fold).map(|row| row as u32).collect();
            let sizes = (data.columns, data.classes);
            let (weights, bias) = super::softmax::solve(
                &rows,
                &gold,
                &learning,
                sizes,
                config.cost,
                rounds(),
                config.seed ^ fold as u64,
            );
            let own = Self { weights, bias };
            let held: Vec<usize> = (0..rows.len()).filter(|row| folds[*row] == fold).collect();
            let scores = held.iter().map(|row| own.scores(&rows[*row]));
            held.iter()
                .zip(scores)
                .flat_map(|(row, scores)| {
                    let row = *row;
                    scores.into_iter().enumerate().map(move |(class, score)| (row * data.classes + class, score))
                })
                .collect()
        });
        let mut scores = vec![0.0; data.rows.len() * data.classes];
        found.into_iter().flatten().for_each(|(cell, score)| scores[cell] = score);
        scores
    }

    /// Scores of each row: `[row, class]`.
    #[must_use]
    pub fn scores(&self, rows: &SparseRows) -> Vec<f32> {
        let classes = self.bias.len();
        let mut out = Vec::with_capacity(rows.len() * classes);
        for row in 0..rows.len() {
            let start = out.len();
            out.extend_from_slice(&self.bias);
            for (column, value) in rows.row(row) {
                let weights = &self.weights[column as usize * classes..(column as usize + 1) * classes];
                out[start..].iter_mut().zip(weights).for_each(|(score, weight)| *score += value * weight);
            }
        }
        out
    }
}

/// `work` for each task, on several threads; results in the order of the tasks.
fn in_parallel<R: Send>(tasks: usize, threads: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return done;
            }
            done.push((task, work(task)));
        }
    };
    let mut results = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.clamp(1, tasks.max(1))).map(|_| scope.spawn(run)).collect();
        let mut results = run();
        for other in others {
            match other.join() {
                Ok(part) => results.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_by_key(|(task, _)| *task);
    results.into_iter().map(|(_, result)| result).collect()
}

fn singles(data: Labelled<'_>) -> (Vec<SparseRows>, Vec<u32>) {
    let row = |at: usize| {
        let mut row = SparseRows::default();
        row.extend(data.rows, at..at + 1);
        row
    };
    ((0..data.rows.len()).map(row).collect(), data.members.iter().map(|own| own[0]).collect())
}

fn rounds() -> usize {
    std::env::var("TF_ROUNDS").ok().and_then(|x| x.parse().ok()).unwrap_or(30)
}
