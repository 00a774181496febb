//! Sixteen classes at a time: the inner loops of the softmax solver.

use super::Real;

/// How many numbers are side by side.
pub(crate) const LANES: usize = 16;

/// Numbers of sixteen classes, which a cache line holds.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Lanes(pub(crate) [f32; LANES]);

impl Lanes {
    /// The same number in each.
    #[inline(always)]
    pub(crate) const fn all(value: f32) -> Self {
        Self([value; LANES])
    }

    #[inline(always)]
    fn sum(self) -> f32 {
        self.0.iter().sum()
    }
}

/// How many entries ahead rows are prefetched: they are scattered over a table that is larger than the near cache.
const AHEAD: usize = 8;

widest! {
    /// `out += Σ value · table[column]`
    ///
    /// # Shapes
    ///
    /// - `table`: `[column, block]`
    /// - `out`: `[block]`
    pub(crate) fn gather(columns: &[u32], values: &[f32], table: &[Lanes], out: &mut [Lanes]) {
        let blocks = out.len();
        for (at, (column, value)) in columns.iter().zip(values).enumerate() {
            if let Some(next) = columns.get(at + AHEAD) {
                prefetch(table, *next as usize * blocks, blocks);
            }
            let row = &table[*column as usize * blocks..(*column as usize + 1) * blocks];
            for (out, row) in out.iter_mut().zip(row) {
                out.0.iter_mut().zip(&row.0).for_each(|(out, weight)| *out += value * weight);
            }
        }
    }
}

widest! {
    /// `table[column] += value · step` for each entry.
    pub(crate) fn scatter(columns: &[u32], values: &[f32], step: &[Lanes], table: &mut [Lanes]) {
        let blocks = step.len();
        for (column, value) in columns.iter().zip(values) {
            let row = &mut table[*column as usize * blocks..(*column as usize + 1) * blocks];
            for (row, step) in row.iter_mut().zip(step) {
                row.0.iter_mut().zip(&step.0).for_each(|(weight, step)| *weight += value * step);
            }
        }
    }
}

/// Prefetches a row.
#[inline(always)]
fn prefetch(table: &[Lanes], start: usize, blocks: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in table.get(start..start + blocks).into_iter().flatten() {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint about memory that is ours; nothing is read.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (table, start, blocks);
}

/// The most rounds of Newton's method in [`balance`]; where a distribution hardly moves, two or three are enough.
const MOST_ROUNDS: usize = 16;

/// It is over when no logarithm moves further than this: the next step would be about the square of it.
const STILL: f32 = 0.03;

/// Shares with lower logarithms may move as they like.
const TINY: f32 = -20.0;

/// No logarithm of a share is lower: `e⁻⁶⁰` is nothing.
const LOWEST: f32 = -60.0;

widest! {
    /// Moves a distribution `a`, given by its logarithms, towards the one that maximises
    /// `H(a) + z·a − ½·stiffness·‖a − a₀‖²`, with `a₀` as it was before: the optimum satisfies
    /// `ln a + stiffness·(a − a₀) = z − λ` in each class, with the `λ` with which `a` adds up to one.
    ///
    /// Newton's method on all logarithms and `λ` together. Leaves `a − a₀` in `scores`, which held
    /// `z + own·a₀`; returns `KL(a₀ ‖ softmax(z))`. Of `work` there must be as many as blocks.
    pub(crate) fn balance(
        scores: &mut [Lanes],
        logs: &mut [Lanes],
        own: f32,
        stiffness: f32,
        work: &mut [[Lanes; 2]],
    ) -> f32 {
        let mut tops = [f32::NEG_INFINITY; LANES];
        for ((score, log), [_, share]) in scores.iter_mut().zip(logs.iter()).zip(work.iter_mut()) {
            for (lane, top) in tops.iter_mut().enumerate() {
                share.0[lane] = log.0[lane].fast_exp();
                score.0[lane] -= own * share.0[lane];
                *top = top.max(score.0[lane]);
            }
        }
        let top = tops.into_iter().fold(f32::NEG_INFINITY, f32::max);
        // From far below, a step of Newton's method would lead far above.
        let floor = -stiffness.max(1.0).ln() - 4.0;
        let (mut sums, mut gaps) = (Lanes::all(0.0), Lanes::all(0.0));
        for ((score, log), [now, share]) in scores.iter_mut().zip(logs.iter()).zip(work.iter_mut()) {
            for lane in 0..LANES {
                let (score, log, share) = (&mut score.0[lane], log.0[lane], share.0[lane]);
                sums.0[lane] += (*score - top).fast_exp();
                gaps.0[lane] += share * (log - *score);
                *score += stiffness * share; // of the equation above, all that is fixed
                now.0[lane] = log.max(floor);
            }
        }
        let gap = gaps.sum() + top + sums.sum().ln();
        for _ in 0..MOST_ROUNDS {
            let (mut mass, mut slopes, mut rests) = (Lanes::all(0.0), Lanes::all(0.0), Lanes::all(0.0));
            for (fixed, [now, share]) in scores.iter().zip(work.iter_mut()) {
                for lane in 0..LANES {
                    let own = now.0[lane].fast_exp();
                    let slope = own / (1.0 + stiffness * own);
                    mass.0[lane] += own;
                    slopes.0[lane] += slope;
                    rests.0[lane] += slope * (fixed.0[lane] - now.0[lane] - stiffness * own);
                    share.0[lane] = own;
                }
            }
            let lambda = (mass.sum() - 1.0 + rests.sum()) / slopes.sum().max(f32::MIN_POSITIVE);
            let mut furthest = Lanes::all(0.0);
            for (fixed, [now, share]) in scores.iter().zip(work.iter_mut()) {
                for lane in 0..LANES {
                    let (own, log) = (stiffness * share.0[lane], &mut now.0[lane]);
                    let step = (fixed.0[lane] - *log - own - lambda) / (1.0 + own);
                    let moved = (*log + step.clamp(-20.0, 1.0)).clamp(LOWEST, 0.0);
                    let far = (moved.max(TINY) - log.max(TINY)).abs();
                    furthest.0[lane] = furthest.0[lane].max(far);
                    *log = moved;
                }
            }
            if furthest.0.into_iter().fold(0.0, f32::max) < STILL {
                break;
            }
        }
        let mut mass = Lanes::all(0.0);
        for [now, _] in work.iter() {
            mass.0.iter_mut().zip(&now.0).for_each(|(mass, log)| *mass += log.fast_exp());
        }
        let excess = mass.sum().ln();
        for ((step, log), [now, _]) in scores.iter_mut().zip(logs).zip(work) {
            for lane in 0..LANES {
                let before = log.0[lane].fast_exp();
                log.0[lane] = now.0[lane] - excess;
                step.0[lane] = log.0[lane].fast_exp() - before;
            }
        }
        gap
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::bag::{bag, bag_backward};
    use crate::numbers::SparseRows;

    /// The distribution that maximises `H(a) + z·a − ½·stiffness·‖a − a₀‖²`, by halving intervals.
    fn balanced(scores: &[f64], before: &[f64], stiffness: f64) -> Vec<f64> {
        let halve = |mut low: f64, mut high: f64, is_low: &dyn Fn(f64) -> bool| {
            for _ in 0..70 {
                let middle = f64::midpoint(low, high);
                if is_low(middle) { low = middle } else { high = middle }
            }
            low
        };
        let share = |lambda: f64, class: usize| {
            let fixed = scores[class] + stiffness * before[class] - lambda;
            halve(-800.0, 0.0, &|log| log + stiffness * log.exp() < fixed).exp()
        };
        let all = |lambda: f64| (0..scores.len()).map(|class| share(lambda, class)).collect::<Vec<_>>();
        let lambda = halve(-1e5, 1e5, &|lambda| all(lambda).iter().sum::<f64>() > 1.0);
        all(lambda)
    }

    fn objective(a: &[f64], scores: &[f64], before: &[f64], stiffness: f64) -> f64 {
        let of = |((a, score), before): ((&f64, &f64), &f64)| {
            let entropy = if *a > 0.0 { -a * a.ln() } else { 0.0 };
            entropy + score * a - 0.5 * stiffness * (a - before).powi(2)
        };
        a.iter().zip(scores).zip(before).map(of).sum()
    }

    fn spread(values: &[f64], blocks: usize, rest: f32) -> Vec<Lanes> {
        let mut out = vec![Lanes::all(rest); blocks];
        values.iter().enumerate().for_each(|(at, value)| out[at / LANES].0[at % LANES] = *value as f32);
        out
    }

    proptest! {
        #[test]
        fn a_distribution_gets_close_to_its_optimum_and_never_further_away(
            classes in prop::collection::vec((-9.0..9.0_f64, -9.0..0.0_f64), 2..40),
            stiffness in -2.0..6.0_f64,
            own in 0.0..3.0_f64,
            fresh in any::<bool>(),
        ) {
            let stiffness = f64::from(stiffness.exp() as f32);
            let scores: Vec<f64> = classes.iter().map(|one| f64::from(one.0 as f32)).collect();
            let mass: f64 = classes.iter().map(|one| one.1.exp()).sum();
            let logs: Vec<f64> = if fresh {
                (0..classes.len()).map(|class| if class == 0 { 0.0 } else { -30.0 }).collect()
            } else {
                classes.iter().map(|one| one.1 - mass.ln()).collect()
            };
            let before: Vec<f64> = logs.iter().map(|log| log.exp()).collect();
            let best = balanced(&scores, &before, stiffness);
            let blocks = classes.len().div_ceil(LANES);
            let shifted: Vec<f64> = scores.iter().zip(&before).map(|(score, a)| score + own * a).collect();
            let (mut step, mut log) = (spread(&shifted, blocks, -1e4), spread(&logs, blocks, LOWEST));
            let mut work = vec![[Lanes::all(f32::NAN); 2]; blocks];
            let gap = balance(&mut step, &mut log, own as f32, stiffness as f32, &mut work);

            let lse = scores.iter().map(|score| score.exp()).sum::<f64>().ln();
            let expected: f64 =
                before.iter().zip(&logs).zip(&scores).map(|((a, log), score)| a * (log - score + lse)).sum();
            prop_assert!((f64::from(gap) - expected).abs() < 1e-4 * (1.0 + expected), "{gap} {expected}");
            let at = |values: &[Lanes], class: usize| f64::from(values[class / LANES].0[class % LANES]);
            let after: Vec<f64> = (0..classes.len()).map(|class| before[class] + at(&step, class)).collect();
            prop_assert!((after.iter().sum::<f64>() - 1.0).abs() < 1e-4, "{after:?}");
            for (class, after) in after.iter().enumerate() {
                prop_assert!((at(&log, class).exp() - after).abs() < 1e-5);
            }
            let value = |a: &[f64]| objective(a, &scores, &before, stiffness);
            prop_assert!(value(&after) > value(&before) - 1e-5, "{after:?} from {before:?}, best {best:?}");
            let missing = (value(&best) - value(&after)) / (value(&best) - value(&before)).max(1e-4);
            prop_assert!(missing < 0.02, "{missing} is missing: {after:?}, best {best:?}");
        }
    }

    #[test]
    fn gathering_and_scattering_are_a_bag_and_its_backward_pass() {
        let columns: Vec<u32> = (0..30).map(|at| at * 7 % 11).collect();
        let values: Vec<f32> = (0..30).map(|at| at as f32 / 10.0 - 1.0).collect();
        let mut row = SparseRows::default();
        row.push(columns.iter().copied().zip(values.iter().copied()));
        for blocks in [1, 3] {
            let dim = blocks * LANES;
            let number = |at: usize| (at * 37 % 19) as f32 - 9.0;
            let block = |at: usize| Lanes(std::array::from_fn(|lane| number(at * LANES + lane)));
            let mut table: Vec<Lanes> = (0..11 * blocks).map(block).collect();
            let flat = |lanes: &[Lanes]| lanes.iter().flat_map(|own| own.0).collect::<Vec<f32>>();
            let (mut expected, mut out) = (vec![0.0; dim], vec![Lanes::all(0.5); blocks]);
            bag(&row, &flat(&table), &vec![0.5; dim], &mut expected);
            gather(&columns, &values, &table, &mut out);
            let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-4);
            assert!(close(&flat(&out), &expected));

            let mut expected = flat(&table);
            bag_backward(&row, &flat(&out), &mut expected, &mut vec![0.0; dim]);
            scatter(&columns, &values, &out, &mut table);
            assert!(close(&flat(&table), &expected));
        }
    }
}
