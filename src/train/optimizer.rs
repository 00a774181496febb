//! `AdamW`, for whole tensors and for the touched rows of large tables.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, TensorId, Var, bail};
use serde::{Deserialize, Serialize};

use crate::kernels::adamw;
use crate::nn::{Parameters, TouchedRows};

/// Settings of [`AdamW`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamWConfig {
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    /// Keeps the division finite.
    pub epsilon: f64,
    /// Share of a weight matrix that is taken away per step and unit of learning rate. Biases and norms keep all.
    pub weight_decay: f64,
    /// Longer gradients (all parameters together) are scaled down to this length; none where zero.
    pub clip_norm: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weight_decay: 0.0, clip_norm: 0.0 }
    }
}

/// The gradients of one step.
#[derive(Debug, Default)]
pub struct Gradients {
    whole: BTreeMap<String, Tensor>,
    rows: BTreeMap<String, RowGradients>,
}

/// Gradients of a few rows of a table: `[row, dim]`.
#[derive(Debug)]
struct RowGradients {
    rows: Vec<u32>,
    values: Vec<f32>,
}

impl RowGradients {
    /// Adds gradients of other rows, or the same.
    fn add(&mut self, other: &Self) {
        let dim = self.values.len() / self.rows.len().max(1);
        let mut sums: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
        for part in [&*self, other] {
            for (row, values) in part.rows.iter().zip(part.values.chunks_exact(dim.max(1))) {
                let sum = sums.entry(*row).or_insert_with(|| vec![0.0; dim]);
                sum.iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
            }
        }
        self.rows = sums.keys().copied().collect();
        self.values = sums.into_values().flatten().collect();
    }
}

impl Gradients {
    /// Collects what one worker found, times its share of the batch.
    ///
    /// # Errors
    ///
    /// If candle cannot scale a gradient.
    pub fn collect(
        names: &HashMap<TensorId, String>,
        store: &GradStore,
        touched: &[TouchedRows],
        share: f64,
    ) -> Result<Self> {
        let mut gradients = Self::default();
        for (id, name) in names {
            if let Some(gradient) = store.get_id(*id) {
                gradients.whole.insert(name.clone(), (gradient * share)?);
            }
        }
        for touched in touched {
            let (Some(gradient), Some(name)) =
                (store.get(touched.leaf.as_tensor()), names.get(&touched.table.id()))
            else {
                continue;
            };
            let values = (gradient * share)?.flatten_all()?.to_vec1::<f32>()?;
            gradients.add_rows(name, RowGradients { rows: touched.rows.clone(), values });
        }
        Ok(gradients)
    }

    fn add_rows(&mut self, name: &str, rows: RowGradients) {
        if rows.rows.is_empty() {
            return;
        }
        match self.rows.get_mut(name) {
            Some(own) => own.add(&rows),
            None => {
                self.rows.insert(name.to_owned(), rows);
            }
        }
    }

    /// Adds the gradients of another worker.
    ///
    /// # Errors
    ///
    /// If candle cannot add two of them.
    pub fn add(&mut self, other: Self) -> Result<()> {
        for (name, gradient) in other.whole {
            let sum = match self.whole.get(&name) {
                Some(own) => (own + gradient)?,
                None => gradient,
            };
            self.whole.insert(name, sum);
        }
        other.rows.into_iter().for_each(|(name, rows)| self.add_rows(&name, rows));
        Ok(())
    }

    /// Names of the parameters that have a gradient.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.whole.keys().chain(self.rows.keys()).map(String::as_str)
    }

    /// Euclidean length of all gradients together.
    ///
    /// # Errors
    ///
    /// If candle cannot read a gradient.
    pub fn norm(&self) -> Result<f64> {
        let mut squares = 0.0;
        for gradient in self.whole.values() {
            squares += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
        let rows = self.rows.values().flat_map(|rows| &rows.values);
        squares += rows.map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
        Ok(squares.sqrt())
    }
}

/// Adam with decoupled weight decay ([Loshchilov and Hutter, 2019](https://arxiv.org/abs/1711.05101)), in place.
///
/// Of a table only the touched rows move. What a row missed meanwhile is caught up when it is touched
/// next: the decay of its weight exactly, the decay of its running means exactly; only the
/// small moves that its fading mean gradient would have caused are left out.
///
/// Works on `f32` parameters on the CPU.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    step: u64,
    /// `Σ ln(1 − rate · decay)` over the steps so far.
    log_shrink: f64,
    states: BTreeMap<String, State>,
}

#[derive(Debug)]
struct State {
    mean: Vec<f32>,
    square: Vec<f32>,
    /// For tables, per row: the last step that touched it, and `log_shrink` after it.
    rows: Vec<(u64, f64)>,
}

impl State {
    fn new(len: usize) -> Self {
        Self { mean: vec![0.0; len], square: vec![0.0; len], rows: Vec::new() }
    }
}

impl AdamW {
    /// An optimizer that has made no step.
    #[must_use]
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, step: 0, log_shrink: 0.0, states: BTreeMap::new() }
    }

    /// Makes one step; returns the length of the gradient before clipping.
    ///
    /// # Errors
    ///
    /// If a gradient is not finite or a parameter is not `f32` on the CPU.
    pub fn step(&mut self, parameters: &Parameters, gradients: &Gradients, rate: f64) -> Result<f64> {
        let norm = gradients.norm()?;
        if !norm.is_finite() {
            bail!("the gradient is not finite: the training diverged; a smaller learning_rate may help");
        }
        self.step += 1;
        let shrink = 1.0 - rate * self.config.weight_decay;
        self.log_shrink += shrink.ln();
        let clip = self.config.clip_norm;
        let constants = adamw::AdamW {
            beta1: self.config.beta1,
            beta2: self.config.beta2,
            epsilon: self.config.epsilon,
            rate: rate / (1.0 - self.config.beta1.powf(self.step as f64)),
            correction: 1.0 / (1.0 - self.config.beta2.powf(self.step as f64)),
            shrink,
            gradient_scale: if clip > 0.0 && norm > clip { clip / norm } else { 1.0 },
        };
        for (name, var) in parameters.all() {
            let state = self.states.entry(name.clone()).or_insert_with(|| State::new(var.elem_count()));
            if let Some(gradient) = gradients.whole.get(&name) {
                let shrink = if var.rank() >= 2 { shrink } else { 1.0 };
                let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
                in_place(&var, |values| {
                    let constants = adamw::AdamW { shrink, ..constants };
                    adamw::adamw(constants, values, &gradient, &mut state.mean, &mut state.square);
                })?;
            }
            if let Some(gradient) = gradients.rows.get(&name) {
                let step = self.step;
                state.rows.resize(var.dim(0)?, (0, 0.0));
                let log_shrink = self.log_shrink;
                in_place(&var, |values| rows_step(constants, values, gradient, state, step, log_shrink))?;
            }
        }
        Ok(norm)
    }

    /// Catches up the weight decay of all table rows, so that the parameters are what they should be.
    ///
    /// # Errors
    ///
    /// If a parameter is not `f32` on the CPU.
    pub fn settle(&mut self, parameters: &Parameters) -> Result<()> {
        for (name, var) in parameters.all() {
            let Some(state) = self.states.get_mut(&name).filter(|state| !state.rows.is_empty()) else {
                continue;
            };
            let dim = var.elem_count() / state.rows.len();
            let log_shrink = self.log_shrink;
            in_place(&var, |values| {
                for (row, (_, seen)) in values.chunks_exact_mut(dim).zip(&mut state.rows) {
                    let shrink = (log_shrink - *seen).exp() as f32;
                    if shrink < 1.0 {
                        row.iter_mut().for_each(|x| *x *= shrink);
                    }
                    *seen = log_shrink;
                }
            })?;
        }
        Ok(())
    }
}

/// One step of the touched rows, after catching up what they missed.
fn rows_step(
    constants: adamw::AdamW,
    values: &mut [f32],
    gradient: &RowGradients,
    state: &mut State,
    step: u64,
    log_shrink: f64,
) {
    let dim = gradient.values.len() / gradient.rows.len();
    for (row, gradient) in gradient.rows.iter().zip(gradient.values.chunks_exact(dim)) {
        let (row, cells) = (*row as usize, *row as usize * dim..(*row as usize + 1) * dim);
        let (last, seen) = state.rows[row];
        let missed = (step - 1 - last) as f64;
        let (mean, square) = (&mut state.mean[cells.clone()], &mut state.square[cells.clone()]);
        if missed > 0.0 && last > 0 {
            let (mean_decay, square_decay) = (constants.beta1.powf(missed), constants.beta2.powf(missed));
            mean.iter_mut().for_each(|x| *x *= mean_decay as f32);
            square.iter_mut().for_each(|x| *x *= square_decay as f32);
        }
        let constants = adamw::AdamW { shrink: (log_shrink - seen).exp(), ..constants };
        adamw::adamw(constants, &mut values[cells], gradient, mean, square);
        state.rows[row] = (step, log_shrink);
    }
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

    fn gradient(step: usize) -> Vec<f32> {
        (0..12).map(|i| ((i * 7 + step * 5) % 11) as f32 / 5.0 - 1.0).collect()
    }

    fn config() -> AdamWConfig {
        AdamWConfig { weight_decay: 0.5, ..Default::default() }
    }

    #[test]
    fn a_table_whose_rows_are_all_touched_moves_like_a_whole_tensor() {
        let (whole, rows) = (parameters(), parameters());
        let (mut a, mut b) = (AdamW::new(config()), AdamW::new(config()));
        for (step, rate) in RATES.into_iter().enumerate() {
            let tensor = Tensor::from_vec(gradient(step), (4, 3), &Device::Cpu).unwrap();
            let dense = Gradients { whole: [("table".to_owned(), tensor)].into(), ..Default::default() };
            a.step(&whole, &dense, rate).unwrap();
            let sparse = RowGradients { rows: vec![0, 1, 2, 3], values: gradient(step) };
            let sparse = Gradients { rows: [("table".to_owned(), sparse)].into(), ..Default::default() };
            b.step(&rows, &sparse, rate).unwrap();
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
            let rows = RowGradients { rows: vec![2], values: gradient(step)[..3].to_vec() };
            let gradients = Gradients { rows: [("table".to_owned(), rows)].into(), ..Default::default() };
            optimizer.step(&parameters, &gradients, rate).unwrap();
        }
        optimizer.settle(&parameters).unwrap();
        let shrink: f64 = RATES.iter().map(|rate| 1.0 - rate * 0.5).product();
        for (i, (before, after)) in before.iter().zip(values(&parameters)).enumerate() {
            let expected = f64::from(*before) * shrink;
            assert_eq!((f64::from(after) - expected).abs() < 1e-6, i / 3 != 2, "{i}");
        }
    }

    #[test]
    fn rows_of_two_workers_are_added() {
        let mut a = RowGradients { rows: vec![1, 5], values: vec![1.0, 2.0, 3.0, 4.0] };
        a.add(&RowGradients { rows: vec![0, 5], values: vec![10.0, 20.0, 30.0, 40.0] });
        assert_eq!(a.rows, [0, 1, 5]);
        assert_eq!(a.values, [10.0, 20.0, 1.0, 2.0, 33.0, 44.0]);
    }

    #[test]
    fn long_gradients_are_clipped_and_broken_ones_refused() {
        let parameters = parameters();
        let mut optimizer = AdamW::new(AdamWConfig { clip_norm: 1.0, ..config() });
        let rows = |x: f32| RowGradients { rows: vec![2], values: vec![x; 3] };
        let gradients = |x| Gradients { rows: [("table".to_owned(), rows(x))].into(), ..Default::default() };
        let norm = optimizer.step(&parameters, &gradients(1e6), 0.1).unwrap();
        assert!((norm - 3_f64.sqrt() * 1e6).abs() < 1.0);
        assert!(optimizer.states["table"].mean.iter().all(|x| x.abs() < 0.1));
        assert!(optimizer.step(&parameters, &gradients(f32::NAN), 0.1).is_err());
    }
}
