//! The solvers that the others are compared with: the same problems, by whole rounds through plain rows.

use super::{Labelled, LinearClassifier, Loss, Solver};
use crate::kernels::bag::{bag, bag_backward};
use crate::kernels::dropout::bits;
use crate::numbers::SparseRows;

const ROUNDS: u64 = 300;

/// An order of so many rows.
fn shuffled(rows: usize, round: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by_key(|at| bits(round, *at as u64));
    order
}

/// `‖x‖² + 1` of a row; the one is that of the bias.
fn square(row: &SparseRows) -> f32 {
    row.values().iter().map(|value| value * value).sum::<f32>() + 1.0
}

/// Each multiplier in turn to its optimum: algorithm 1 of
/// [Hsieh et al., 2008](https://www.csie.ntu.edu.tw/~cjlin/papers/cddual.pdf).
fn hinge(data: Labelled<'_>, cost: f32) -> LinearClassifier {
    let (classes, rows) = (data.classes, data.rows.len());
    let mut found = LinearClassifier { weights: vec![0.0; data.columns * classes], bias: vec![0.0; classes] };
    let mut multipliers = vec![0.0_f32; rows * classes];
    for at in (0..ROUNDS).flat_map(|round| shuffled(rows, round)) {
        let mut step = found.scores(data.rows[at]);
        for (class, step) in step.iter_mut().enumerate() {
            let side = if data.members[at].contains(&(class as u32)) { 1.0 } else { -1.0 };
            let multiplier = &mut multipliers[at * classes + class];
            let gradient = side * *step - 1.0 + 0.5 / cost * *multiplier;
            let moved = (*multiplier - gradient / (square(data.rows[at]) + 0.5 / cost)).max(0.0);
            *step = (moved - *multiplier) * side;
            *multiplier = moved;
        }
        bag_backward(data.rows[at], &step, &mut found.weights, &mut found.bias);
    }
    found
}

/// Each row's distribution in turn some way towards the softmax of its scores: stochastic dual coordinate ascent,
/// [Shalev-Shwartz and Zhang, 2013](https://arxiv.org/abs/1209.1873).
fn softmax(data: Labelled<'_>, cost: f32) -> LinearClassifier {
    let (classes, rows) = (data.classes, data.rows.len());
    let mut found = LinearClassifier { weights: vec![0.0; data.columns * classes], bias: vec![0.0; classes] };
    let mut duals = vec![0.0_f32; rows * classes];
    for (dual, members) in duals.chunks_exact_mut(classes).zip(data.members) {
        members.iter().for_each(|class| dual[*class as usize] = 1.0 / members.len() as f32);
    }
    let mut scores = vec![0.0; classes];
    for at in (0..ROUNDS).flat_map(|round| shuffled(rows, round)) {
        let dual = &mut duals[at * classes..(at + 1) * classes];
        bag(data.rows[at], &found.weights, &found.bias, &mut scores);
        let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let log_sum = top + scores.iter().map(|score| (score - top).exp()).sum::<f32>().ln();
        let (mut gap, mut one, mut two) = (0.0_f32, 0.0_f32, 0.0_f32);
        for (score, dual) in scores.iter_mut().zip(&*dual) {
            let log = *score - log_sum;
            gap += if *dual > 0.0 { dual * (dual.ln() - log) } else { 0.0 };
            *score = log.exp() - dual;
            (one, two) = (one + score.abs(), two + *score * *score);
        }
        let curvature = one * one + cost * square(data.rows[at]) * two;
        let share = ((gap.max(0.0) + 0.5 * one * one) / curvature.max(f32::MIN_POSITIVE)).min(1.0);
        for (dual, step) in dual.iter_mut().zip(&mut scores) {
            *dual = (*dual + share * *step).max(0.0);
            *step *= -cost * share;
        }
        bag_backward(data.rows[at], &scores, &mut found.weights, &mut found.bias);
    }
    found
}

/// Messages of some classes: words of which few are frequent and most occur once, and some that tell of the class.
fn messages(count: usize, classes: usize, columns: usize) -> (Vec<SparseRows>, Vec<Vec<u32>>) {
    let class = |at: usize| (bits(1, at as u64) % classes as u64) as usize;
    let row = |at: usize| {
        let draw = |i: u64| (bits(2 + i, at as u64) >> 40) as f32 / (1 << 24) as f32;
        let word = |i: u64| match i {
            // A seventh of the messages looks like another class.
            0..3 => (class(at + usize::from(at.is_multiple_of(7))) * 3 + i as usize) as u32,
            i => (columns as f32 * draw(i).powi(3)) as u32,
        };
        let mut row = SparseRows::default();
        row.push((0..12).map(|i| (word(i), 0.2 + 0.4 * draw(20 + i))));
        row
    };
    let members = |at: usize| {
        let second = (class(at) + 1) % classes;
        if at.is_multiple_of(11) { vec![class(at) as u32, second as u32] } else { vec![class(at) as u32] }
    };
    ((0..count).map(row).collect(), (0..count).map(members).collect())
}

#[test]
fn the_solvers_find_what_plain_ones_find() {
    for (count, classes) in [(60, 3), (300, 20)] {
        let (rows, members) = messages(count, classes, 4000);
        let rows: Vec<&SparseRows> = rows.iter().collect();
        let data = Labelled { rows: &rows, columns: 4000, members: &members, classes };
        let learning: Vec<u32> = (0..count as u32).collect();
        for (loss, cost) in [(Loss::Softmax, 30.0), (Loss::SquaredHinge, 1.0)] {
            let solver = Solver { loss, cost, seed: 1, threads: 2 };
            let found = LinearClassifier::fit(data, &learning, solver);
            let expected = if loss == Loss::Softmax { softmax(data, cost) } else { hinge(data, cost) };
            let largest = expected.weights.iter().copied().fold(0.0_f32, f32::max);
            let pairs = found.weights.iter().zip(&expected.weights);
            let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 0.15 * largest, "{loss:?}, {classes} classes: off by {worst}, largest {largest}");
            let best =
                |scores: &[f32]| (0..classes).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
            for row in &rows {
                // Rows of two classes have two best ones.
                let (own, scores) = (best(&found.scores(row)), expected.scores(row));
                let behind = scores[best(&scores)] - scores[own];
                assert!(behind < 0.2, "{loss:?}, {classes} classes: {behind} behind the best class");
            }
        }
    }
}

#[test]
fn where_solving_begins_does_not_matter() {
    let (rows, members) = messages(200, 7, 3000);
    let rows: Vec<&SparseRows> = rows.iter().collect();
    let data = Labelled { rows: &rows, columns: 3000, members: &members, classes: 7 };
    let learning: Vec<u32> = (0..200).collect();
    let solver = |loss, cost| Solver { loss, cost, seed: 1, threads: 2 };
    let solvers = [solver(Loss::SquaredHinge, 1.0), solver(Loss::Softmax, 30.0)];
    let earlier = super::Solution::find(data, &learning[..180], &solvers, &[]);
    let cold = super::Solution::find(data, &learning, &solvers, &[]);
    let warm = super::Solution::find(data, &learning, &solvers, &earlier);
    for (cold, warm) in cold.iter().zip(&warm) {
        let [cold, warm] = [cold, warm].map(|own| LinearClassifier::of(data, &learning, own));
        let largest = cold.weights.iter().copied().fold(0.0_f32, f32::max);
        let off = cold.weights.iter().zip(&warm.weights).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 0.15 * largest, "off by {off}, largest {largest}");
    }
}
