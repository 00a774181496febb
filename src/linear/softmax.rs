//! Dual coordinate ascent for all classes at once.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::kernels::bag::{bag, bag_backward};
use crate::sparse::SparseRows;

/// Minimises `½‖W‖² + cost · Σᵢ −ln softmax(W xᵢ)[yᵢ]`; `W` is `[column, class]`, the bias is one more column that is always one.
///
/// The dual has a distribution `aᵢ` over the classes for each row, with `W = cost · Σᵢ xᵢ (yᵢ − aᵢ)ᵀ`. Rows are visited in random
/// order; each moves its distribution towards `softmax(W xᵢ)` by the share that a lower bound of the gain asks for
/// ([Shalev-Shwartz and Zhang, 2013](https://arxiv.org/abs/1209.1873)).
pub(super) fn solve(
    rows: &[SparseRows],
    gold: &[u32],
    learning: &[u32],
    (columns, classes): (usize, usize),
    cost: f32,
    rounds: usize,
    seed: u64,
) -> (Vec<f32>, Vec<f32>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut weights, mut bias) = (vec![0.0_f32; columns * classes], vec![0.0_f32; classes]);
    // Distributions of the dual, all mass on the right class at first, so that all weights are zero.
    let mut duals = vec![0.0_f32; learning.len() * classes];
    for (at, row) in learning.iter().enumerate() {
        duals[at * classes + gold[*row as usize] as usize] = 1.0;
    }
    let mut order: Vec<usize> = (0..learning.len()).collect();
    let (mut scores, mut step) = (vec![0.0_f32; classes], vec![0.0_f32; classes]);
    for round in 0..rounds {
        order.shuffle(&mut random);
        let mut total = 0.0_f64;
        for at in &order {
            let row = &rows[learning[*at] as usize];
            let dual = &mut duals[at * classes..(at + 1) * classes];
            bag(row, &weights, &bias, &mut scores);
            let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = scores.iter().map(|score| (score - top).exp()).sum();
            let log_sum = top + sum.ln();
            // The gap between the two sides: Kullback-Leibler divergence of the distribution from the softmax.
            let (mut gap, mut one, mut two) = (0.0_f32, 0.0_f32, 0.0_f32);
            for ((step, score), dual) in step.iter_mut().zip(&scores).zip(&*dual) {
                let log = score - log_sum;
                if *dual > 1e-30 {
                    gap += dual * (dual.ln() - log);
                }
                *step = log.exp() - dual;
                one += step.abs();
                two += *step * *step;
            }
            total += f64::from(gap);
            let square = row.row(0).map(|(_, value)| value * value).sum::<f32>() + 1.0;
            let share = ((gap + 0.5 * one * one) / (one * one + cost * square * two).max(1e-20)).min(1.0);
            for (dual, step) in dual.iter_mut().zip(&mut step) {
                *dual = (*dual + share * *step).max(0.0);
                *step *= -cost * share;
            }
            bag_backward(row, &step, &mut weights, &mut bias);
        }
        if std::env::var("TF_SOLVER").is_ok() {
            eprintln!("linear round {round} gap {:.5}", total / learning.len() as f64);
        }
        if total / (learning.len() as f64) < 1e-3 {
            break;
        }
    }
    (weights, bias)
}
