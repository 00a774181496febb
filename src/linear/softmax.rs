//! All classes at once, by dual coordinate ascent.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{Labelled, LinearClassifier};
use crate::kernels::bag::{bag, bag_backward};

/// The most rounds through the rows.
const MOST_ROUNDS: usize = 30;

/// How large the mean distance between the two sides of a row may be at the end, in nats.
const TOLERANCE: f64 = 1e-3;

/// Minimises `½‖W‖² + cost · Σᵢ −yᵢ·ln softmax(W xᵢ)` over the `learning` rows, `yᵢ` being spread evenly over the classes
/// of the row; the bias is one more column that is always one.
///
/// The dual has a distribution `aᵢ` over the classes for each row, with `W = cost · Σᵢ (yᵢ − aᵢ) xᵢᵀ`. Rows are visited in
/// random order. Each moves its distribution by a share `s` towards `p = softmax(W xᵢ)`; with `g = KL(aᵢ ‖ p)` and
/// `d = p − aᵢ`, the dual gains `cost · (s·g + ½s(1−s)‖d‖₁² − ½s²·cost·‖xᵢ‖²‖d‖₂²)` at least, and `s` is where that is
/// largest: stochastic dual coordinate ascent,
/// [Shalev-Shwartz and Zhang, 2013](https://arxiv.org/abs/1209.1873).
pub(super) fn solve(data: Labelled<'_>, learning: &[u32], cost: f32, seed: u64) -> LinearClassifier {
    let (columns, classes) = (data.columns, data.classes);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut weights, mut bias) = (vec![0.0_f32; columns * classes], vec![0.0_f32; classes]);
    // At first each distribution is the right answer, and all weights are zero.
    let mut duals = vec![0.0_f32; learning.len() * classes];
    for (dual, at) in duals.chunks_exact_mut(classes).zip(learning) {
        let members = &data.members[*at as usize];
        members.iter().for_each(|class| dual[*class as usize] = 1.0 / members.len() as f32);
    }
    let squares = data.squares();
    let mut order: Vec<usize> = (0..learning.len()).collect();
    let (mut scores, mut step) = (vec![0.0_f32; classes], vec![0.0_f32; classes]);
    for _ in 0..MOST_ROUNDS {
        order.shuffle(&mut random);
        let mut gaps = 0.0_f64;
        for at in &order {
            let row = learning[*at] as usize;
            let dual = &mut duals[at * classes..(at + 1) * classes];
            bag(data.rows[row], &weights, &bias, &mut scores);
            let (gap, one, two) = difference(&scores, dual, &mut step);
            gaps += f64::from(gap);
            let curvature = one * one + cost * squares[row] * two;
            let share = ((gap + 0.5 * one * one) / curvature.max(f32::MIN_POSITIVE)).min(1.0);
            for (dual, step) in dual.iter_mut().zip(&mut step) {
                *dual = (*dual + share * *step).max(0.0);
                *step *= -cost * share;
            }
            bag_backward(data.rows[row], &step, &mut weights, &mut bias);
        }
        if gaps / (learning.len() as f64) < TOLERANCE {
            break;
        }
    }
    LinearClassifier { weights, bias }
}

/// Leaves `softmax(scores) − dual` in `step`; the divergence of the one from the other, and the sums of the absolute and
/// of the squared steps.
fn difference(scores: &[f32], dual: &[f32], step: &mut [f32]) -> (f32, f32, f32) {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let log_sum = top + scores.iter().map(|score| (score - top).exp()).sum::<f32>().ln();
    let (mut gap, mut one, mut two) = (0.0, 0.0, 0.0);
    for ((step, score), dual) in step.iter_mut().zip(scores).zip(dual) {
        let log = score - log_sum;
        if *dual > 0.0 {
            gap += dual * (dual.ln() - log);
        }
        *step = log.exp() - dual;
        one += step.abs();
        two += *step * *step;
    }
    (gap.max(0.0), one, two)
}
