//! Scores for all classes.

use super::Solution;
use crate::kernels::bag::{bag, bag_backward};
use crate::numbers::SparseRows;

/// How errors are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Cross-entropy of the softmax over all classes.
    Softmax,
    /// Squared hinge of each class against all others: a support vector machine.
    SquaredHinge,
}

/// How a [`LinearClassifier`] is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Solver {
    /// How errors are measured.
    pub loss: Loss,
    /// What an error costs against the length of the weights: the smaller, the smoother the classifier.
    pub cost: f32,
    /// Decides the order in which rows are visited.
    pub seed: u64,
    /// Threads; the result does not depend on how many. The softmax loss uses one.
    pub threads: usize,
}

/// Rows with their classes.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// One row each.
    pub rows: &'a [&'a SparseRows],
    /// Number of columns.
    pub columns: usize,
    /// The classes of each row, one at least.
    pub members: &'a [Vec<u32>],
    /// Number of classes.
    pub classes: usize,
}

/// Scores rows for each class: `x·W + b`.
///
/// # Example
///
/// ```
/// use talkformer::linear::{Labelled, LinearClassifier, Loss, Solver};
/// use talkformer::numbers::SparseRows;
///
/// let row = |column| {
///     let mut row = SparseRows::default();
///     row.push([(column, 1.0)]);
///     row
/// };
/// let (a, b) = (row(0), row(2));
/// let data = Labelled { rows: &[&a, &b], columns: 3, members: &[vec![0], vec![1]], classes: 2 };
/// let solver = Solver { loss: Loss::Softmax, cost: 10.0, seed: 1, threads: 1 };
/// let classifier = LinearClassifier::fit(data, &[0, 1], solver);
/// let scores = classifier.scores(&row(2));
/// assert!(scores[1] > scores[0]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LinearClassifier {
    /// `[column, class]`
    pub weights: Vec<f32>,
    /// `[class]`
    pub bias: Vec<f32>,
}

impl LinearClassifier {
    /// Learns from the rows whose numbers are in `learning`.
    ///
    /// # Panics
    ///
    /// If there are not as many sets of classes as rows, or a column, class or row does not exist.
    #[must_use]
    pub fn fit(data: Labelled<'_>, learning: &[u32], solver: Solver) -> Self {
        let found = Solution::find(data, learning, &[solver], &[]);
        Self::of(data, learning, &found[0])
    }

    /// The classifier that was found for these rows.
    ///
    /// # Panics
    ///
    /// If it was found for others.
    #[must_use]
    pub fn of(data: Labelled<'_>, learning: &[u32], solution: &Solution) -> Self {
        let classes = data.classes;
        assert_eq!(solution.duals.len(), learning.len() * classes, "the rows that it was found for");
        let (mut weights, mut bias) = (vec![0.0; data.columns * classes], vec![0.0; classes]);
        for (row, dual) in learning.iter().zip(solution.duals.chunks_exact(classes.max(1))) {
            if dual.iter().any(|dual| *dual != 0.0) {
                bag_backward(data.rows[*row as usize], dual, &mut weights, &mut bias);
            }
        }
        Self { weights, bias }
    }

    /// Scores of one row: `[class]`.
    ///
    /// # Panics
    ///
    /// If there is not exactly one row.
    #[must_use]
    pub fn scores(&self, row: &SparseRows) -> Vec<f32> {
        assert_eq!(row.len(), 1, "one row");
        let mut scores = vec![0.0; self.bias.len()];
        bag(row, &self.weights, &self.bias, &mut scores);
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dropout::bits;

    /// Rows of three classes that overlap somewhat.
    fn rows() -> (Vec<SparseRows>, Vec<Vec<u32>>) {
        let row =
            |at: usize| {
                let mut row = SparseRows::default();
                let draw = |i: usize| (bits(at as u64, i as u64) >> 40) as f32 / (1 << 24) as f32;
                row.push((0..4).map(|i| {
                    ((bits(7 + at as u64, i) % 3 + 3 * (at as u64 % 3)) as u32 % 7, draw(i as usize))
                }));
                row
            };
        ((0..40).map(row).collect(), (0..40).map(|at| vec![at as u32 % 3]).collect())
    }

    /// Objective of a classifier, in `f64`.
    fn objective(found: &LinearClassifier, data: Labelled<'_>, solver: Solver) -> f64 {
        let length: f64 = found.weights.iter().chain(&found.bias).map(|x| f64::from(*x).powi(2)).sum();
        let loss = |(row, members): (&&SparseRows, &Vec<u32>)| {
            let scores: Vec<f64> = found.scores(row).into_iter().map(f64::from).collect();
            match solver.loss {
                Loss::Softmax => {
                    let sum: f64 = scores.iter().map(|score| score.exp()).sum();
                    sum.ln() - scores[members[0] as usize]
                }
                Loss::SquaredHinge => {
                    let side = |class: usize| if members.contains(&(class as u32)) { 1.0 } else { -1.0 };
                    let miss = |(class, score): (usize, &f64)| (1.0 - side(class) * score).max(0.0).powi(2);
                    scores.iter().enumerate().map(miss).sum()
                }
            }
        };
        0.5 * length + f64::from(solver.cost) * data.rows.iter().zip(data.members).map(loss).sum::<f64>()
    }

    #[test]
    fn no_small_step_from_the_solution_is_better() {
        let (rows, members) = rows();
        let rows: Vec<&SparseRows> = rows.iter().collect();
        let data = Labelled { rows: &rows, columns: 7, members: &members, classes: 3 };
        let learning: Vec<u32> = (0..40).collect();
        for loss in [Loss::Softmax, Loss::SquaredHinge] {
            let solver = Solver { loss, cost: 0.7, seed: 3, threads: 2 };
            let found = LinearClassifier::fit(data, &learning, solver);
            let best = objective(&found, data, solver);
            let zero = LinearClassifier { weights: vec![0.0; 21], bias: vec![0.0; 3] };
            assert!(best < 0.95 * objective(&zero, data, solver), "{loss:?} has learnt nothing");
            for at in 0..24 {
                for step in [-0.1, 0.1] {
                    let mut other = found.clone();
                    *other.weights.iter_mut().chain(&mut other.bias).nth(at).unwrap() += step;
                    let value = objective(&other, data, solver);
                    assert!(value > best, "{loss:?}, weight {at}: {value} after a step, {best} before");
                }
            }
        }
    }

    #[test]
    fn rows_that_are_not_learnt_from_do_not_matter_and_threads_neither() {
        let (rows, mut members) = rows();
        let rows: Vec<&SparseRows> = rows.iter().collect();
        let learning: Vec<u32> = (0..30).collect();
        for loss in [Loss::Softmax, Loss::SquaredHinge] {
            let solver = Solver { loss, cost: 1.0, seed: 3, threads: 1 };
            let fit = |members: &[Vec<u32>], threads| {
                let data = Labelled { rows: &rows, columns: 7, members, classes: 3 };
                LinearClassifier::fit(data, &learning, Solver { threads, ..solver })
            };
            let first = fit(&members, 1);
            members[35] = vec![1];
            assert_eq!(fit(&members, 3), first);
        }
    }
}
