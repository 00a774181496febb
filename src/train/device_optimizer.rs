//! `AdamW` on tensors, for parameters on a GPU.

use std::collections::BTreeMap;

use candle_core::{D, DType, Device, Result, Tensor, Var, bail};

use super::gradients::{DeviceGradient, Gradients};
use super::step::{AdamWConfig, Clock, DIVERGED, Optimizer, Step, decays};
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Gpu, Moved, TouchedRows};
use crate::nn::Parameters;
#[cfg(feature = "cuda")]
use crate::nn::op::on_cuda;

/// The steps of [`AdamW`](super::AdamW), on whatever device the parameters are.
#[derive(Debug)]
pub(super) struct DeviceAdamW {
    clock: Clock,
    states: BTreeMap<String, State>,
}

/// The running means of one parameter.
#[derive(Debug)]
struct State {
    mean: Tensor,
    /// For tables, one number for each row: `[row, 1]`.
    square: Tensor,
    /// For tables, per row: the last step that touched it, and what weights had shrunk to by then.
    rows: Vec<(u64, f64)>,
}

/// What was found for one parameter.
struct Found {
    name: String,
    var: Var,
    gradient: DeviceGradient,
}

impl DeviceAdamW {
    pub(super) fn new(config: AdamWConfig) -> Self {
        Self { clock: Clock::new(config), states: BTreeMap::new() }
    }

    fn state(&mut self, name: &str, var: &Var, is_table: bool) -> Result<&mut State> {
        if !self.states.contains_key(name) {
            let mean = var.zeros_like()?;
            let square =
                if is_table { mean.narrow(D::Minus1, 0, 1)?.contiguous()? } else { mean.zeros_like()? };
            let state = State { mean, square, rows: Vec::new() };
            self.states.insert(name.to_owned(), state);
        }
        match self.states.get_mut(name) {
            Some(state) => Ok(state),
            None => bail!("{name} has no state"),
        }
    }
}

#[cfg(feature = "cuda")]
impl DeviceAdamW {
    /// One step of all parameters, in place: one kernel for all that move whole, one for each table.
    fn move_on_cuda(&mut self, step: Step, all: Vec<Found>) -> Result<()> {
        let (mut whole, mut device) = (Vec::with_capacity(all.len()), None);
        for Found { name, var, gradient } in all {
            let gpu = Gpu(device.insert(var.device().clone()).as_cuda_device()?);
            let step = if decays(&name, &var) { step } else { step.without_decay() };
            let state = self.state(&name, &var, gradient.rows.is_some())?;
            let moved = Moved {
                parameter: var.as_tensor().clone(),
                gradient: gradient.values.contiguous()?,
                mean: state.mean.clone(),
                square: state.square.clone(),
                shrink: step.constants.shrink,
            };
            let Some(rows) = gradient.rows else {
                whole.push(moved);
                continue;
            };
            let kept = state.missed(&step, &rows, var.dim(0)?);
            gpu.adamw_rows(&moved, &TouchedRows { rows: &rows, kept: &kept }, &step.constants)?;
            state.touch(&step, &rows);
        }
        match device {
            Some(device) if !whole.is_empty() => Gpu(device.as_cuda_device()?).adamw(&whole, &step.constants),
            _ => Ok(()),
        }
    }
}

impl State {
    /// What is left of both means of these rows of a table of `count`, and of their weights, in this step.
    fn missed(&mut self, step: &Step, rows: &[u32], count: usize) -> Vec<(f64, f64, f64)> {
        self.rows.resize(count, (0, 0.0));
        let of = step.constants;
        let missed = rows.iter().map(|row| step.missed(self.rows[*row as usize]));
        missed.map(|(keep1, keep2, shrink)| (keep1 * of.beta1, keep2 * of.beta2, shrink)).collect()
    }

    fn touch(&mut self, step: &Step, rows: &[u32]) {
        rows.iter().for_each(|row| self.rows[*row as usize] = step.touched());
    }
}

impl Optimizer for DeviceAdamW {
    fn step(&mut self, parameters: &Parameters, mut found: Vec<Gradients>, rate: f64) -> Result<f64> {
        let mut all = Vec::new();
        for (name, var) in parameters.all() {
            let parts = found.iter_mut().filter_map(|found| found.take_device(&name, &var).transpose());
            if let Some(gradient) = DeviceGradient::sum(parts.collect::<Result<Vec<_>>>()?)? {
                all.push(Found { name, var, gradient });
            }
        }
        let norm = norm(&all)?;
        if !norm.is_finite() {
            bail!("{DIVERGED}");
        }
        let step = self.clock.step(norm, rate);
        #[cfg(feature = "cuda")]
        if all.first().is_some_and(|found| on_cuda(found.var.as_tensor())) {
            return self.move_on_cuda(step, all).map(|()| norm);
        }
        for Found { name, var, gradient } in all {
            let step = if decays(&name, &var) { step } else { step.without_decay() };
            let state = self.state(&name, &var, gradient.rows.is_some())?;
            match gradient.rows {
                None => move_all(step, &var, &gradient.values, state)?,
                Some(rows) if rows.is_empty() => {}
                Some(rows) => move_rows(step, &var, &rows, &gradient.values, state)?,
            }
        }
        Ok(norm)
    }

    fn catch_up(&mut self, parameters: &Parameters) -> Result<()> {
        let now = self.clock.log_shrink();
        for (name, var) in parameters.all() {
            let is_table = |state: &&mut State| !state.rows.is_empty() && decays(&name, &var);
            let Some(state) = self.states.get_mut(&name).filter(is_table) else { continue };
            let shrink = state.rows.iter().map(|(_, seen)| (now - seen).exp().min(1.0));
            var.set(&var.broadcast_mul(&column(shrink, var.device())?)?)?;
            state.rows.iter_mut().for_each(|(_, seen)| *seen = now);
        }
        Ok(())
    }
}

/// The length of all gradients together.
fn norm(all: &[Found]) -> Result<f64> {
    #[cfg(feature = "cuda")]
    if let Some(first) = all.first().filter(|found| on_cuda(found.var.as_tensor())) {
        // Only the gradients are read.
        let moved = |found: &Found| {
            let gradient = found.gradient.values.contiguous()?;
            let [parameter, mean, square] = std::array::from_fn(|_| gradient.clone());
            Ok(Moved { parameter, gradient, mean, square, shrink: 1.0 })
        };
        let all = all.iter().filter(|found| found.gradient.values.elem_count() > 0);
        let all = all.map(moved).collect::<Result<Vec<_>>>()?;
        return Ok(Gpu(first.var.device().as_cuda_device()?).squares(&all)?.sqrt());
    }
    let squares = all.iter().map(|found| found.gradient.values.sqr()?.sum_all());
    let squares = squares.collect::<Result<Vec<_>>>()?;
    if squares.is_empty() {
        return Ok(0.0);
    }
    let sum = Tensor::stack(&squares, 0)?.sum_all()?.to_dtype(DType::F32)?.to_scalar::<f32>()?;
    Ok(f64::from(sum).sqrt())
}

/// One number a row: `[row, 1]`.
fn column(numbers: impl Iterator<Item = f64>, device: &Device) -> Result<Tensor> {
    let numbers: Vec<f32> = numbers.map(|x| x as f32).collect();
    Tensor::new(numbers, device)?.unsqueeze(1)
}

/// The means after a step whose gradient is `gradient`, given what is left of those before, and how far that moves.
/// Mean squares are as wide as the gradient, or one for each row.
fn moved(step: Step, gradient: &Tensor, [mean, square]: [Tensor; 2]) -> Result<[Tensor; 3]> {
    let of = step.constants;
    let gradient = (gradient * of.gradient_scale)?;
    let squares = gradient.sqr()?;
    let squares = if square.dims() == squares.dims() { squares } else { squares.mean_keepdim(D::Minus1)? };
    let mean = (mean + (&gradient * (1.0 - of.beta1))?)?;
    let square = (square + (squares * (1.0 - of.beta2))?)?;
    let by = (&mean * of.rate)?.broadcast_div(&((&square * of.correction)?.sqrt()? + of.epsilon)?)?;
    Ok([mean, square, by])
}

/// One step of a whole parameter.
fn move_all(step: Step, var: &Var, gradient: &Tensor, state: &mut State) -> Result<()> {
    let of = step.constants;
    let kept = [(&state.mean * of.beta1)?, (&state.square * of.beta2)?];
    let [mean, square, by] = moved(step, gradient, kept)?;
    var.set(&((var.as_tensor() * of.shrink)? - by)?)?;
    (state.mean, state.square) = (mean, square);
    Ok(())
}

/// One step of the touched rows, after catching up what they missed.
fn move_rows(step: Step, var: &Var, rows: &[u32], gradient: &Tensor, state: &mut State) -> Result<()> {
    let device = var.device();
    let kept = state.missed(&step, rows, var.dim(0)?);
    let keep1 = column(kept.iter().map(|kept| kept.0), device)?;
    let keep2 = column(kept.iter().map(|kept| kept.1), device)?;
    let shrink = column(kept.iter().map(|kept| kept.2), device)?;

    let index = Tensor::new(rows, device)?;
    let of_rows = |x: &Tensor, by: &Tensor| x.detach().index_select(&index, 0)?.broadcast_mul(by);
    let kept = [of_rows(&state.mean, &keep1)?, of_rows(&state.square, &keep2)?];
    let [mean, square, by] = moved(step, gradient, kept)?;
    let values = (of_rows(var.as_tensor(), &shrink)? - by)?;
    let index = index.unsqueeze(1)?;
    for (all, rows) in [(var.as_tensor(), values), (&state.mean, mean), (&state.square, square)] {
        all.detach().scatter_set(&index.broadcast_as(rows.shape())?.contiguous()?, &rows, 0)?;
    }
    state.touch(&step, rows);
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_nn::Init;

    use super::super::AdamW;
    use super::super::gradients::testing::gradients;
    use super::*;

    /// A matrix and a table, whose rows are touched now and then.
    fn parameters() -> Parameters {
        let parameters = Parameters::new(1);
        let vb = parameters.builder(DType::F32, &Device::Cpu);
        let init = Init::Uniform { lo: -1.0, up: 1.0 };
        vb.get_with_hints((5, 3), "table", init).unwrap();
        vb.get_with_hints((2, 3), "weight", init).unwrap();
        vb.get_with_hints(3, "bias", init).unwrap();
        parameters
    }

    fn values(parameters: &Parameters) -> Vec<f32> {
        let of = |(_, var): (String, Var)| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        parameters.all().into_iter().flat_map(of).collect()
    }

    fn numbers(count: usize, step: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7 + step * 5) % 11) as f32 / 5.0 - 1.0).collect()
    }

    #[test]
    fn steps_are_those_of_the_optimizer_of_the_processor() {
        for clip_norm in [0.0, 0.5] {
            let config = AdamWConfig { weight_decay: 0.5, clip_norm, ..Default::default() };
            let (ours, theirs) = (parameters(), parameters());
            let (mut device, mut slices) = (DeviceAdamW::new(config), AdamW::new(config));
            for (step, touched) in [&[0_u32, 2][..], &[2], &[], &[1, 2, 4], &[0, 4]].into_iter().enumerate() {
                let rate = [0.1, 0.05, 0.2, 0.1, 0.15][step];
                let found = || {
                    // Two workers, of which the second has other rows.
                    let table = numbers(3 * touched.len(), step);
                    let second = gradients("table", Some(&[3]), &numbers(3, step + 3));
                    let mut first = gradients("table", Some(touched), &table);
                    first.add(gradients("weight", None, &numbers(6, step + 1))).unwrap();
                    first.add(gradients("bias", None, &numbers(3, step + 2))).unwrap();
                    vec![first, second]
                };
                let norms = [
                    device.step(&ours, found(), rate).unwrap(),
                    slices.step(&theirs, found(), rate).unwrap(),
                ];
                assert!((norms[0] - norms[1]).abs() < 1e-5, "{norms:?}");
            }
            device.catch_up(&ours).unwrap();
            slices.catch_up(&theirs).unwrap();
            let pairs = values(&ours).into_iter().zip(values(&theirs));
            pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{a} {b}"));
        }
    }

    #[test]
    fn broken_gradients_are_refused() {
        let parameters = parameters();
        let mut optimizer = DeviceAdamW::new(AdamWConfig::default());
        let found = vec![gradients("bias", None, &[f32::NAN; 3])];
        assert!(optimizer.step(&parameters, found, 0.1).unwrap_err().to_string().contains("diverged"));
    }
}
