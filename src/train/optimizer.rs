//! `AdamW`, for whole tensors and for the touched rows of large tables.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Var, bail};

use super::gradients::{Gradient, Gradients, sum};
use super::step::{AdamWConfig, Clock, DIVERGED, Optimizer, Step, decays};
use crate::kernels::adamw;
use crate::nn::Parameters;
use crate::threads::in_parallel;

/// Adam with decoupled weight decay ([Loshchilov and Hutter, 2019](https://arxiv.org/abs/1711.05101)), in place.
///
/// Of a table only the touched rows move. The numbers of a row share one mean square
/// ([Zhang et al., 2024](https://arxiv.org/abs/2406.16793)), which is half the memory; scores stay what they are. What a row
/// missed meanwhile is caught up when it is touched next: the decay of its weight exactly, the decay of its running means
/// exactly; only the small moves that its fading mean gradient would have caused are left out.
///
/// Works on `f32` parameters on the CPU.
#[derive(Debug)]
pub struct AdamW {
    clock: Clock,
    states: BTreeMap<String, State>,
}

/// The running means of a parameter: of all its numbers, or of the rows of a table.
#[derive(Debug, Default)]
struct State {
    mean: Vec<f32>,
    square: Vec<f32>,
    rows: Vec<RowState>,
}

/// What is known of a row of a table.
#[derive(Clone, Debug, Default)]
struct RowState {
    /// The last step that touched it.
    last: u64,
    /// `log_shrink` after it.
    seen: f64,
    /// Running mean of the square of its gradient.
    square: f32,
    /// Running mean of its gradient; none before the first touch. Many rows of a table are never touched (pairs of words
    /// have no token), and memory for them would be much of what training takes.
    mean: Box<[f32]>,
}

impl AdamW {
    /// An optimizer that has made no step.
    #[must_use]
    pub fn new(config: AdamWConfig) -> Self {
        Self { clock: Clock::new(config), states: BTreeMap::new() }
    }

    /// Makes one step with the sum of what the workers found, on as many threads as there were workers;
    /// returns the length of the gradient before clipping.
    ///
    /// # Errors
    ///
    /// If a gradient is not finite or a parameter is not `f32` on the CPU.
    pub fn step(&mut self, parameters: &Parameters, mut found: Vec<Gradients>, rate: f64) -> Result<f64> {
        let threads = found.len();
        let parts = |(name, var): (String, Var)| {
            let parts: Vec<Gradient> = found.iter_mut().filter_map(|found| found.take(&name)).collect();
            (name, var, parts)
        };
        let parts: Vec<_> = parameters.all().into_iter().map(parts).collect();
        let size =
            |(_, _, parts): &(String, Var, Vec<Gradient>)| parts.iter().map(|part| part.values().len()).sum();
        let sums =
            spread(parts, size, threads, |(name, var, parts)| Ok(sum(parts)?.map(|sum| (name, var, sum))));
        let sums: Vec<_> = sums.into_iter().filter_map(Result::transpose).collect::<Result<_>>()?;
        let norm = sums.iter().map(|(_, _, (_, squares))| squares).sum::<f64>().sqrt();
        if !norm.is_finite() {
            bail!("{DIVERGED}");
        }
        let step = self.clock.step(norm, rate);
        let mut work = Vec::with_capacity(sums.len());
        for (name, var, (gradient, _)) in sums {
            let state = self.states.remove(&name).unwrap_or_default();
            work.push((name, var, gradient, state));
        }
        let size = |(_, _, gradient, _): &(String, Var, Gradient, State)| gradient.values().len();
        let states = spread(work, size, threads, |(name, var, gradient, mut state)| {
            let step = if decays(&name, &var) { step } else { step.without_decay() };
            move_one(step, &var, &gradient, &mut state).map(|()| (name, state))
        });
        for state in states {
            let (name, state) = state?;
            self.states.insert(name, state);
        }
        Ok(norm)
    }

    /// Catches up the weight decay of all table rows, so that the parameters are what they should be.
    ///
    /// # Errors
    ///
    /// If a parameter is not `f32` on the CPU.
    pub fn catch_up(&mut self, parameters: &Parameters) -> Result<()> {
        for (name, var) in parameters.all() {
            let is_table = |state: &&mut State| !state.rows.is_empty() && decays(&name, &var);
            let Some(state) = self.states.get_mut(&name).filter(is_table) else { continue };
            let dim = var.elem_count() / state.rows.len();
            let log_shrink = self.clock.log_shrink();
            in_place(&var, |values| {
                for (row, state) in values.chunks_exact_mut(dim).zip(&mut state.rows) {
                    let shrink = (log_shrink - state.seen).exp() as f32;
                    if shrink < 1.0 {
                        row.iter_mut().for_each(|x| *x *= shrink);
                    }
                    state.seen = log_shrink;
                }
            })?;
        }
        Ok(())
    }
}

impl Optimizer for AdamW {
    fn step(&mut self, parameters: &Parameters, found: Vec<Gradients>, rate: f64) -> Result<f64> {
        Self::step(self, parameters, found, rate)
    }

    fn catch_up(&mut self, parameters: &Parameters) -> Result<()> {
        Self::catch_up(self, parameters)
    }
}

/// One step of one parameter.
fn move_one(step: Step, var: &Var, gradient: &Gradient, state: &mut State) -> Result<()> {
    match gradient {
        Gradient::Whole(gradient) => in_place(var, |values| {
            state.mean.resize(values.len(), 0.0);
            state.square.resize(values.len(), 0.0);
            adamw::adamw(step.constants, values, gradient, &mut state.mean, &mut state.square);
        }),
        Gradient::Rows(rows, gradient) => {
            state.rows.resize_with(var.dim(0)?, RowState::default);
            in_place(var, |values| rows_step(step, values, rows, gradient, &mut state.rows))
        }
        Gradient::OnDevice(_) => bail!("a gradient is on another device than its parameter"),
    }
}

/// One step of the touched rows, after catching up what they missed.
fn rows_step(step: Step, values: &mut [f32], rows: &[u32], gradient: &[f32], states: &mut [RowState]) {
    let dim = gradient.len() / rows.len().max(1);
    for (row, gradient) in rows.iter().zip(gradient.chunks_exact(dim.max(1))) {
        let row = *row as usize;
        let state = &mut states[row];
        let (faded1, faded2, shrink) = step.missed((state.last, state.seen));
        let constants = adamw::AdamW { faded: (faded1, faded2), shrink, ..step.constants };
        if state.mean.is_empty() {
            state.mean = vec![0.0; dim].into();
        }
        let row = &mut values[row * dim..(row + 1) * dim];
        adamw::adamw_row(constants, row, gradient, &mut state.mean, &mut state.square);
        (state.last, state.seen) = step.touched();
    }
}

/// `work` on every item, on several threads, the items of the largest `size` first; results in the order of the items.
fn spread<T: Send, R: Send>(
    items: Vec<T>,
    size: impl Fn(&T) -> usize,
    threads: usize,
    work: impl Fn(T) -> R + Sync,
) -> Vec<R> {
    let mut largest_first: Vec<usize> = (0..items.len()).collect();
    largest_first.sort_by_key(|at| std::cmp::Reverse(size(&items[*at])));
    let items: Vec<Mutex<Option<T>>> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    let take = |at: usize| items[at].lock().unwrap_or_else(PoisonError::into_inner).take();
    let results = in_parallel(items.len(), threads, |task| take(largest_first[task]).map(&work));
    let mut results: Vec<(usize, Option<R>)> = largest_first.iter().copied().zip(results).collect();
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().filter_map(|(_, result)| result).collect()
}

/// Lets `change` work on the numbers of a parameter.
fn in_place(var: &Var, change: impl FnOnce(&mut [f32])) -> Result<()> {
    struct Change<F>(Mutex<Option<F>>);

    impl<F: FnOnce(&mut [f32])> InplaceOp1 for Change<F> {
        fn name(&self) -> &'static str {
            "adamw"
        }

        fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
            let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
                bail!("only contiguous f32 parameters can be trained");
            };
            if let Some(change) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
                change(&mut values[start..end]);
            }
            Ok(())
        }
    }

    var.inplace_op1(&Change(Mutex::new(Some(change))))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use candle_nn::Init;

    use super::super::gradients::testing::gradients;
    use super::*;

    const RATES: [f64; 5] = [0.1, 0.05, 0.2, 0.1, 0.1];

    fn parameters() -> Parameters {
        let parameters = Parameters::new(1);
        let vb = parameters.builder(DType::F32, &Device::Cpu);
        vb.get_with_hints((4, 3), "table", Init::Uniform { lo: -1.0, up: 1.0 }).unwrap();
        parameters
    }

    fn values(parameters: &Parameters) -> Vec<f32> {
        parameters.all()[0].1.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// The squares of the numbers of a row are equal, so that it matters not whether they share their mean.
    fn gradient(step: usize) -> Vec<f32> {
        let number = |i: usize| ((i / 3 * 7 + step * 5) % 11) as f32 / 5.0 - 0.9;
        (0..12).map(|i| if i % 2 == 0 { number(i) } else { -number(i) }).collect()
    }

    fn config() -> AdamWConfig {
        AdamWConfig { weight_decay: 0.5, ..Default::default() }
    }

    fn step_with(optimizer: &mut AdamW, on: &Parameters, found: Gradients, rate: f64) -> Result<f64> {
        optimizer.step(on, vec![found], rate)
    }

    #[test]
    fn a_table_whose_rows_are_all_touched_moves_like_a_whole_tensor() {
        let (whole, rows) = (parameters(), parameters());
        let (mut a, mut b) = (AdamW::new(config()), AdamW::new(config()));
        for (step, rate) in RATES.into_iter().enumerate() {
            step_with(&mut a, &whole, gradients("table", None, &gradient(step)), rate).unwrap();
            let sparse = gradients("table", Some(&[0, 1, 2, 3]), &gradient(step));
            step_with(&mut b, &rows, sparse, rate).unwrap();
        }
        let pairs = values(&whole).into_iter().zip(values(&rows));
        pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} {b}"));
    }

    #[test]
    fn untouched_rows_only_decay_and_by_the_right_amount() {
        let parameters = parameters();
        let before = values(&parameters);
        let mut optimizer = AdamW::new(config());
        for (step, rate) in RATES.into_iter().enumerate() {
            let gradients = gradients("table", Some(&[2]), &gradient(step)[..3]);
            step_with(&mut optimizer, &parameters, gradients, rate).unwrap();
        }
        optimizer.catch_up(&parameters).unwrap();
        let shrink: f64 = RATES.iter().map(|rate| 1.0 - rate * 0.5).product();
        for (i, (before, after)) in before.iter().zip(values(&parameters)).enumerate() {
            let expected = f64::from(*before) * shrink;
            assert_eq!((f64::from(after) - expected).abs() < 1e-6, i / 3 != 2, "{i}");
        }
    }

    /// Every parameter of transformers with and without relative biases, and what else has a name and more than one axis.
    #[test]
    fn matrices_and_tables_decay_and_biases_and_norms_do_not() {
        let parameters = Parameters::new(1);
        let vb = parameters.builder(DType::F32, &Device::Cpu);
        for biased in [false, true] {
            let config = crate::nn::TransformerConfig {
                model_dim: 4,
                heads: 2,
                layers: 1,
                ff_dim: 6,
                relative_keys: !biased,
                relative_values: !biased,
                relative_biases: biased,
                projection_bias: biased,
                ..Default::default()
            };
            crate::nn::Transformer::new(3, &config, vb.pp(["plain", "biased"][usize::from(biased)])).unwrap();
        }
        vb.get_with_hints((3, 3), "entity.transitions", Init::Const(1.0)).unwrap();
        let keep = |name: &str| name.ends_with("bias") || name.ends_with("biases") || name.contains("norm.");
        let mut kept = 0;
        for (name, var) in parameters.all() {
            var.set(&var.ones_like().unwrap()).unwrap();
            let mut optimizer = AdamW::new(config());
            let zeros = gradients(&name, None, &vec![0.0; var.elem_count()]);
            step_with(&mut optimizer, &parameters, zeros, 0.1).unwrap();
            let expected = if keep(&name) { 1.0 } else { 0.95 };
            let after = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(after.iter().all(|x| (x - expected).abs() < 1e-6), "{name}: {after:?}");
            kept += usize::from(keep(&name));
        }
        assert_eq!((kept, parameters.all().len()), (22, 35));
    }

    #[test]
    fn the_running_means_of_a_row_fade_while_it_is_not_touched() {
        let (whole, rows) = (parameters(), parameters());
        let (mut a, mut b) = (AdamW::new(config()), AdamW::new(config()));
        for (step, rate) in RATES.into_iter().enumerate() {
            let touched = step % 3 == 0;
            let mut values = if touched { gradient(step)[..6].to_vec() } else { vec![0.0; 6] };
            values.resize(12, 0.0);
            step_with(&mut a, &whole, gradients("table", None, &values), rate).unwrap();
            let (seen, values) =
                if touched { (&[0, 1][..], &values[..6]) } else { (&[3][..], &[0.0; 3][..]) };
            step_with(&mut b, &rows, gradients("table", Some(seen), values), rate).unwrap();
            if touched {
                let (a, b) = (&a.states["table"], &b.states["table"]);
                for (row, b) in b.rows[..2].iter().enumerate() {
                    let cells = row * 3..(row + 1) * 3;
                    let means = a.mean[cells.clone()].iter().zip(&b.mean);
                    assert!(means.into_iter().all(|(a, b)| (a - b).abs() < 1e-6));
                    assert!(a.square[cells].iter().all(|a| (a - b.square).abs() < 1e-6));
                }
                assert!(b.rows[2].mean.is_empty(), "no memory for what was not touched");
            }
        }
    }

    #[test]
    fn the_number_of_threads_changes_nothing() {
        let run = |parts: usize| {
            let parameters = parameters();
            let mut optimizer = AdamW::new(config());
            for (step, rate) in RATES.into_iter().enumerate() {
                let mut found = vec![gradients("table", None, &gradient(step))];
                found.resize_with(parts, Gradients::default);
                optimizer.step(&parameters, found, rate).unwrap();
            }
            values(&parameters)
        };
        assert_eq!(run(1), run(3));
    }

    #[test]
    fn work_is_spread_and_comes_back_in_order() {
        let items: Vec<usize> = (0..20).collect();
        for threads in [1, 3, 50] {
            let doubled = spread(items.clone(), |item| *item, threads, |item| 2 * item);
            assert_eq!(doubled, items.iter().map(|item| 2 * item).collect::<Vec<_>>());
        }
    }

    #[test]
    fn long_gradients_are_clipped_and_broken_ones_refused() {
        let parameters = parameters();
        let mut optimizer = AdamW::new(AdamWConfig { clip_norm: 1.0, ..config() });
        let gradients = |x| gradients("table", Some(&[2]), &[x; 3]);
        let norm = step_with(&mut optimizer, &parameters, gradients(1e6), 0.1).unwrap();
        assert!((norm - 3_f64.sqrt() * 1e6).abs() < 1.0);
        assert!(optimizer.states["table"].rows[2].mean.iter().all(|x| x.abs() < 0.1));
        assert!(step_with(&mut optimizer, &parameters, gradients(f32::NAN), 0.1).is_err());
    }
}
