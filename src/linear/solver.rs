//! Dual coordinate descent for one hyperplane.

use rand::seq::SliceRandom;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::sparse::SparseRows;

/// What one hyperplane is learnt from.
#[derive(Clone, Copy)]
pub(super) struct Problem<'a> {
    /// All rows.
    pub(super) rows: &'a SparseRows,
    /// `‖x‖² + 1` of each row; the one is that of the bias.
    pub(super) squares: &'a [f32],
    /// What an error in each row costs; a row that costs nothing is not learnt from.
    pub(super) costs: &'a [f32],
    /// Number of columns.
    pub(super) columns: usize,
}

/// A hyperplane: `x·weights + bias` is positive on the side of the class.
#[derive(Clone, Debug)]
pub(super) struct Hyperplane {
    pub(super) weights: Vec<f32>,
    pub(super) bias: f32,
}

impl Hyperplane {
    pub(super) fn score(&self, rows: &SparseRows, row: usize) -> f32 {
        let products = rows.row(row).map(|(column, value)| self.weights[column as usize] * value);
        products.sum::<f32>() + self.bias
    }

    fn add(&mut self, rows: &SparseRows, row: usize, step: f32) {
        for (column, value) in rows.row(row) {
            self.weights[column as usize] += step * value;
        }
        self.bias += step;
    }
}

/// Rounds through the rows after which an almost converged solution is good enough.
const MOST_ROUNDS: usize = 300;

/// The hyperplane that minimises `½‖w‖² + Σᵢ costᵢ · max(0, 1 − yᵢ(w·xᵢ))²`, with `y = 1` for rows of the class and
/// `y = −1` for all others; the bias is one more weight, of a column that is always one.
///
/// One multiplier at a time moves to its optimum, rows in random order; rows that stay at zero sit out until all
/// others have converged. Algorithm 1 with shrinking of
/// [Hsieh et al., 2008](https://www.csie.ntu.edu.tw/~cjlin/papers/cddual.pdf), squared hinge loss.
pub(super) fn solve(
    problem: Problem<'_>,
    is_member: impl Fn(usize) -> bool,
    tolerance: f32,
    seed: u64,
) -> Hyperplane {
    let Problem { rows, squares, costs, columns } = problem;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut plane = Hyperplane { weights: vec![0.0; columns], bias: 0.0 };
    let mut multipliers = vec![0.0_f32; rows.len()];
    let all: Vec<u32> = (0..rows.len()).filter(|row| costs[*row] > 0.0).map(|row| row as u32).collect();
    let mut active = all.clone();
    // Above this gradient, a multiplier of zero is not expected to move again.
    let mut ceiling = f32::INFINITY;
    for _ in 0..MOST_ROUNDS {
        active.shuffle(&mut random);
        let (mut largest, mut smallest) = (f32::NEG_INFINITY, f32::INFINITY);
        active.retain(|row| {
            let row = *row as usize;
            let side = if is_member(row) { 1.0 } else { -1.0 };
            let diagonal = 0.5 / costs[row];
            let multiplier = multipliers[row];
            let gradient = side * plane.score(rows, row) - 1.0 + diagonal * multiplier;
            if multiplier == 0.0 && gradient > ceiling {
                return false;
            }
            let projected = if multiplier == 0.0 { gradient.min(0.0) } else { gradient };
            (largest, smallest) = (largest.max(projected), smallest.min(projected));
            if projected.abs() > 1e-7 {
                let moved = (multiplier - gradient / (squares[row] + diagonal)).max(0.0);
                plane.add(rows, row, (moved - multiplier) * side);
                multipliers[row] = moved;
            }
            true
        });
        if largest - smallest <= tolerance {
            if active.len() == all.len() {
                break;
            }
            active.clone_from(&all);
            ceiling = f32::INFINITY;
            continue;
        }
        ceiling = if largest > 0.0 { largest } else { f32::INFINITY };
    }
    plane
}
