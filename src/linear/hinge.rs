//! One border per class, by dual coordinate descent.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Labelled, Solver};
use crate::numbers::SparseRows;

/// A hyperplane: `x·weights + bias` is positive on the side of the class.
#[derive(Clone, Debug)]
pub(super) struct Hyperplane {
    pub(super) weights: Vec<f32>,
    pub(super) bias: f32,
}

impl Hyperplane {
    fn score(&self, row: &SparseRows) -> f32 {
        let products = row.row(0).map(|(column, value)| self.weights[column as usize] * value);
        products.sum::<f32>() + self.bias
    }

    fn add(&mut self, row: &SparseRows, step: f32) {
        for (column, value) in row.row(0) {
            self.weights[column as usize] += step * value;
        }
        self.bias += step;
    }
}

/// The most rounds through the rows.
const MOST_ROUNDS: usize = 200;

/// How far apart the gradients may be at the end.
const TOLERANCE: f32 = 0.02;

/// The hyperplane that minimises `½‖w‖² + cost · Σᵢ max(0, 1 − yᵢ(w·xᵢ))²` over the `learning` rows, with `y = 1` for
/// rows of the class and `y = −1` for all others; the bias is one more weight, of a column that is always one, and
/// `squares` are the squared lengths of the rows with that one.
///
/// One multiplier at a time moves to its optimum, rows in random order; rows that stay at zero sit out until all
/// others have converged: algorithm 3 of
/// [Hsieh et al., 2008](https://www.csie.ntu.edu.tw/~cjlin/papers/cddual.pdf), with the squared hinge loss.
pub(super) fn solve(
    data: Labelled<'_>,
    squares: &[f32],
    learning: &[u32],
    class: u32,
    solver: Solver,
) -> Hyperplane {
    let mut random = ChaCha8Rng::seed_from_u64(solver.seed ^ u64::from(class));
    let mut plane = Hyperplane { weights: vec![0.0; data.columns], bias: 0.0 };
    let mut multipliers = vec![0.0_f32; data.rows.len()];
    let diagonal = 0.5 / solver.cost;
    let mut active = learning.to_vec();
    // Above this gradient, a multiplier of zero is not expected to move again.
    let mut ceiling = f32::INFINITY;
    for _ in 0..MOST_ROUNDS {
        active.shuffle(&mut random);
        let (mut largest, mut smallest) = (f32::NEG_INFINITY, f32::INFINITY);
        active.retain(|at| {
            let at = *at as usize;
            let side = if data.members[at].contains(&class) { 1.0 } else { -1.0 };
            let multiplier = multipliers[at];
            let gradient = side * plane.score(data.rows[at]) - 1.0 + diagonal * multiplier;
            if multiplier == 0.0 && gradient > ceiling {
                return false;
            }
            let projected = if multiplier == 0.0 { gradient.min(0.0) } else { gradient };
            (largest, smallest) = (largest.max(projected), smallest.min(projected));
            if projected.abs() > 1e-7 {
                let moved = (multiplier - gradient / (squares[at] + diagonal)).max(0.0);
                plane.add(data.rows[at], (moved - multiplier) * side);
                multipliers[at] = moved;
            }
            true
        });
        ceiling = if largest > 0.0 { largest } else { f32::INFINITY };
        if largest - smallest <= TOLERANCE || active.is_empty() {
            if active.len() == learning.len() {
                break;
            }
            active.clear();
            active.extend_from_slice(learning);
            ceiling = f32::INFINITY;
        }
    }
    plane
}
