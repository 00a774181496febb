//! All classes at once, by dual coordinate ascent.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Solver;
use super::rows::Rows;
use crate::kernels::lanes::{LANES, Lanes, balance, gather, scatter};

/// The most rounds through the rows.
const MOST_ROUNDS: usize = 60;

/// How large the mean distance between the two sides of a row may be at the end, in nats.
const TOLERANCE: f32 = 5e-4;

/// How many rounds a row sits out whose sides are closer than that.
const PAUSE: u8 = 4;

/// The score of what fills up the last sixteen classes.
const NEVER: f32 = -1e4;

/// The logarithm of a share of zero.
const NOTHING: f32 = -30.0;

/// Minimises `½‖W‖² + cost · Σᵢ −yᵢ·ln softmax(W xᵢ)`, `yᵢ` being spread evenly over the classes of the row; the bias is one
/// more column that is always one. `duals`, `[row, class]`, are where to begin and become the solution: `W = Σᵢ dualᵢ xᵢᵀ`.
///
/// The dual has a distribution `aᵢ` over the classes for each row, with `dualᵢ = cost · (yᵢ − aᵢ)`. Rows are visited in random
/// order, and each moves its distribution to where the dual is largest while all others stay: exact dual coordinate ascent,
/// [Yu, Huang and Lin, 2011](https://www.csie.ntu.edu.tw/~cjlin/papers/maxent_dual.pdf), with another method for the problem of
/// one row. A row is at its optimum where `aᵢ = softmax(W xᵢ)`; `KL(aᵢ ‖ softmax(W xᵢ))` says how far it is from that.
pub(super) fn solve(rows: &Rows, members: &[&[u32]], classes: usize, solver: Solver, duals: &mut [f32]) {
    let cost = solver.cost;
    let blocks = classes.div_ceil(LANES);
    let mut random = ChaCha8Rng::seed_from_u64(solver.seed);
    let mut table = vec![Lanes::all(0.0); rows.width * blocks];
    let mut bias = vec![Lanes::all(0.0); blocks];
    let mut logs = vec![Lanes::all(NOTHING); rows.len() * blocks];
    let lane = |class: usize| (class / LANES, class % LANES);
    for class in classes..blocks * LANES {
        bias[lane(class).0].0[lane(class).1] = NEVER;
    }
    let mut step = vec![Lanes::all(0.0); blocks];
    for (at, own) in duals.chunks_exact(classes).enumerate() {
        for (class, dual) in own.iter().enumerate() {
            let share = right(members[at], class) - dual / cost;
            logs[at * blocks + lane(class).0].0[lane(class).1] = share.max(1e-30).ln().max(NOTHING);
            step[lane(class).0].0[lane(class).1] = *dual;
        }
        if own.iter().any(|dual| *dual != 0.0) {
            move_weights(rows, at, &step, &mut table, &mut bias);
        }
    }
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    let mut gaps = vec![f32::INFINITY; rows.len()];
    let mut pauses = vec![0_u8; rows.len()];
    let mut work = vec![[Lanes::all(0.0); 2]; blocks];
    for _ in 0..MOST_ROUNDS {
        order.shuffle(&mut random);
        for at in order.iter().map(|at| *at as usize) {
            if pauses[at] > 0 {
                pauses[at] -= 1;
                continue;
            }
            let logs = &mut logs[at * blocks..(at + 1) * blocks];
            step.copy_from_slice(&bias);
            let (columns, values) = rows.row(at);
            gather(columns, values, &table, &mut step);
            // What the columns add that no other row has is `own · (y − a)`.
            let own = cost * rows.own[at];
            for class in members[at] {
                let (block, lane) = lane(*class as usize);
                step[block].0[lane] += own * right(members[at], *class as usize);
            }
            gaps[at] = balance(&mut step, logs, own, cost * rows.squares[at], &mut work);
            if gaps[at] < TOLERANCE {
                pauses[at] = PAUSE;
            }
            step.iter_mut().flat_map(|step| &mut step.0).for_each(|step| *step *= -cost);
            move_weights(rows, at, &step, &mut table, &mut bias);
        }
        if gaps.iter().sum::<f32>() < TOLERANCE * rows.len() as f32 {
            break;
        }
    }
    for (at, own) in duals.chunks_exact_mut(classes).enumerate() {
        for (class, dual) in own.iter_mut().enumerate() {
            let share = logs[at * blocks + lane(class).0].0[lane(class).1].exp();
            *dual = cost * (right(members[at], class) - share);
        }
    }
}

/// The share of a class in the right answer.
fn right(members: &[u32], class: usize) -> f32 {
    if members.contains(&(class as u32)) { (members.len() as f32).recip() } else { 0.0 }
}

fn move_weights(rows: &Rows, at: usize, step: &[Lanes], table: &mut [Lanes], bias: &mut [Lanes]) {
    let (columns, values) = rows.row(at);
    scatter(columns, values, step, table);
    for (bias, step) in bias.iter_mut().zip(step) {
        bias.0.iter_mut().zip(&step.0).for_each(|(bias, step)| *bias += step);
    }
}
