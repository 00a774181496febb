//! One border per class, by dual coordinate descent.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Solver;
use super::rows::Rows;

/// A hyperplane: `x·weights + bias` is positive on the side of the class.
struct Hyperplane {
    weights: Vec<f32>,
    bias: f32,
}

impl Hyperplane {
    fn score(&self, (columns, values): (&[u32], &[f32])) -> f32 {
        // Several sums, since each addition has to wait for the one before.
        let mut sums = [self.bias, 0.0, 0.0, 0.0];
        let (columns, last_columns) = columns.as_chunks::<4>();
        let (values, last_values) = values.as_chunks::<4>();
        for (columns, values) in columns.iter().zip(values) {
            for (at, sum) in sums.iter_mut().enumerate() {
                *sum += self.weights[columns[at] as usize] * values[at];
            }
        }
        for (column, value) in last_columns.iter().zip(last_values) {
            sums[0] += self.weights[*column as usize] * value;
        }
        (sums[0] + sums[1]) + (sums[2] + sums[3])
    }

    fn add(&mut self, (columns, values): (&[u32], &[f32]), step: f32) {
        for (column, value) in columns.iter().zip(values) {
            self.weights[*column as usize] += step * value;
        }
        self.bias += step;
    }
}

/// The most rounds through the rows.
const MOST_ROUNDS: usize = 400;

/// How far apart the gradients may be at the end.
const TOLERANCE: f32 = 0.02;

/// Rows that move are visited until their gradients are this much closer together than those of all rows were.
const CLOSER: f32 = 0.1;

/// Finds the hyperplane that minimises `½‖w‖² + cost · Σᵢ max(0, 1 − yᵢ(w·xᵢ))²`, with `y = 1` for rows of the class and
/// `y = −1` for all others; the bias is one more weight, of a column that is always one. `duals` are where to begin and
/// become the solution: `w = Σᵢ dualᵢ·xᵢ`.
///
/// One multiplier at a time moves to its optimum, rows in random order: algorithm 3 of
/// [Hsieh et al., 2008](https://www.csie.ntu.edu.tw/~cjlin/papers/cddual.pdf), with the squared hinge loss. Rows on the
/// right side that add nothing sit out until all others have come close to each other; there are so many of them that
/// nearly all time goes into visits of all rows, and so few of the others that these can be visited often.
pub(super) fn solve(rows: &Rows, is_member: &[bool], class: usize, solver: Solver, duals: &mut [f32]) {
    let mut random = ChaCha8Rng::seed_from_u64(solver.seed ^ class as u64);
    let mut plane = Hyperplane { weights: vec![0.0; rows.width], bias: 0.0 };
    for (at, dual) in duals.iter().enumerate().filter(|(_, dual)| **dual != 0.0) {
        plane.add(rows.row(at), *dual);
    }
    let diagonal = 0.5 / solver.cost;
    let mut active: Vec<u32> = (0..rows.len() as u32).collect();
    let mut enough = None;
    for _ in 0..MOST_ROUNDS {
        active.shuffle(&mut random);
        let (mut largest, mut smallest) = (f32::NEG_INFINITY, f32::INFINITY);
        active.retain(|at| {
            let at = *at as usize;
            let side = if is_member[at] { 1.0 } else { -1.0 };
            let multiplier = side * duals[at];
            let score = plane.score(rows.row(at)) + rows.own[at] * duals[at];
            let gradient = side * score - 1.0 + diagonal * multiplier;
            let projected = if multiplier == 0.0 { gradient.min(0.0) } else { gradient };
            (largest, smallest) = (largest.max(projected), smallest.min(projected));
            if projected.abs() > 1e-7 {
                let moved = (multiplier - gradient / (rows.squares[at] + diagonal)).max(0.0);
                plane.add(rows.row(at), (moved - multiplier) * side);
                duals[at] = moved * side;
            }
            multiplier > 0.0 || gradient <= 0.0
        });
        let range = largest - smallest;
        match enough {
            None if range <= TOLERANCE => break,
            None => enough = Some((CLOSER * range).max(TOLERANCE)),
            Some(enough_now) if range <= enough_now || active.is_empty() => {
                active.clear();
                active.extend(0..rows.len() as u32);
                enough = None;
            }
            Some(_) => {}
        }
    }
}
