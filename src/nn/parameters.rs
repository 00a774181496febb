//! Seeded parameters: where the learnable numbers of a model live.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var, bail};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The learnable tensors of a model, by name, drawn from a seed.
///
/// candle's CPU device cannot be seeded and its `VarMap` has no order. Here each
/// tensor is drawn from its own stream, decided by the seed and the tensor's name, so
/// the numbers depend neither on the order in which layers are built nor on the
/// device; and names come out sorted.
///
/// Layers take candle's [`VarBuilder`]; this is one source of them, a file of weights is another.
///
/// # Example
///
/// ```
/// use candle_core::{DType, Device};
/// use talkformer::nn::{Linear, Parameters};
///
/// let parameters = Parameters::new(7);
/// let layer = Linear::new(3, 5, parameters.builder(DType::F32, &Device::Cpu).pp("layer"))?;
/// let names: Vec<String> = parameters.all().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["layer.bias", "layer.weight"]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Parameters {
    seed: u64,
    vars: Arc<Mutex<BTreeMap<String, Var>>>,
}

impl Parameters {
    /// An empty store.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, vars: Arc::default() }
    }

    /// What layers are built from; a tensor is drawn when a layer first asks for it.
    #[must_use]
    pub fn builder(&self, dtype: DType, device: &Device) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.clone()), dtype, device.clone())
    }

    /// A parameter that begins with these numbers, for layers that ask for it later.
    ///
    /// # Errors
    ///
    /// If candle cannot copy them.
    pub fn insert(&self, name: &str, values: &Tensor) -> Result<Tensor> {
        let var = Var::from_tensor(&values.detach())?;
        let tensor = var.as_tensor().clone();
        self.lock().insert(name.to_owned(), var);
        Ok(tensor)
    }

    /// All tensors with their names, sorted by name.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Var)> {
        self.lock().iter().map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// Number of learnable numbers.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().values().map(|var| var.elem_count()).sum()
    }

    /// Where they are: the device of whatever was drawn first; the processor where nothing was.
    #[must_use]
    pub fn device(&self) -> Device {
        self.lock().values().next().map_or(Device::Cpu, |var| var.device().clone())
    }

    /// A copy of all values, for [`restore`](Self::restore).
    ///
    /// # Errors
    ///
    /// If candle cannot copy a tensor.
    pub fn snapshot(&self) -> Result<BTreeMap<String, Tensor>> {
        self.lock().iter().map(|(name, var)| Ok((name.clone(), var.as_tensor().copy()?.detach()))).collect()
    }

    /// Puts the values of a snapshot back.
    ///
    /// # Errors
    ///
    /// If a name is unknown or a shape differs.
    pub fn restore(&self, snapshot: &BTreeMap<String, Tensor>) -> Result<()> {
        let vars = self.lock();
        for (name, tensor) in snapshot {
            match vars.get(name) {
                Some(var) => var.set(tensor)?,
                None => bail!("no parameter is called {name}"),
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Var>> {
        self.vars.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives one number of a tensor of this shape after another.
    fn draws(&self, name: &str, shape: &Shape, init: Init) -> Box<dyn FnMut() -> f64> {
        let mut random = stream(self.seed, name);
        let mut uniform = move || (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        let (mean, stdev) = match init {
            Init::Const(value) => return Box::new(move || value),
            Init::Uniform { lo, up } => return Box::new(move || lo + (up - lo) * uniform()),
            Init::Kaiming { dist: NormalOrUniform::Uniform, fan, non_linearity } => {
                let bound = 3_f64.sqrt() * non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
                return Box::new(move || -bound + (bound + bound) * uniform());
            }
            Init::Kaiming { dist: NormalOrUniform::Normal, fan, non_linearity } => {
                (0.0, non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt())
            }
            Init::Randn { mean, stdev } => (mean, stdev),
        };
        Box::new(move || {
            // The formula of Box and Muller (1958).
            let radius = (-2.0 * (1.0 - uniform()).ln()).sqrt();
            mean + stdev * radius * (2.0 * std::f64::consts::PI * uniform()).cos()
        })
    }

    /// Draws some rows of a table, rising, for a layer that asks for those alone: the same numbers as in the whole table.
    ///
    /// # Errors
    ///
    /// If candle cannot make a tensor.
    pub(super) fn draw_rows(
        &self,
        name: &str,
        (rows, dim): (usize, usize),
        init: Init,
        kept: &[u32],
        device: &Device,
    ) -> Result<()> {
        let mut draw = self.draws(name, &Shape::from((rows, dim)), init);
        let mut values: Vec<f32> = Vec::with_capacity(kept.len() * dim);
        let mut next = 0;
        for row in kept {
            for _ in next..*row as usize * dim {
                draw();
            }
            values.extend((0..dim).map(|_| draw() as f32));
            next = (*row as usize + 1) * dim;
        }
        self.insert(name, &Tensor::from_vec(values, (kept.len(), dim), device)?)?;
        Ok(())
    }
}

/// The random stream of one tensor.
fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    // FNV-1a of the name: short, and the same on every machine and in every release.
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(name.bytes().fold(0xcbf2_9ce4_8422_2325, mix));
    random
}

impl SimpleBackend for Parameters {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let mut vars = self.lock();
        if let Some(var) = vars.get(name) {
            if var.shape() != &shape {
                bail!("parameter {name} has shape {:?}, not {shape:?}", var.shape());
            }
            return Ok(var.as_tensor().clone());
        }
        let (mut draw, count) = (self.draws(name, &shape, init), shape.elem_count());
        // Tables are large: not by way of `f64`.
        let values = match dtype {
            DType::F32 => {
                let values: Vec<f32> = (0..count).map(|_| draw() as f32).collect();
                Tensor::from_vec(values, shape, &Device::Cpu)?
            }
            _ => Tensor::from_vec((0..count).map(|_| draw()).collect::<Vec<_>>(), shape, &Device::Cpu)?,
        };
        let var = Var::from_tensor(&values.to_dtype(dtype)?.to_device(device)?)?;
        let tensor = var.as_tensor().clone();
        vars.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.lock().get(name) {
            Some(var) => Ok(var.as_tensor().clone()),
            None => bail!("no parameter is called {name}"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }
}

/// Uniform in `±√(6 / (fan in + fan out))` ([Glorot and Bengio, 2010](https://proceedings.mlr.press/v9/glorot10a)).
#[must_use]
pub fn glorot_uniform(fan_in: usize, fan_out: usize) -> Init {
    let bound = (6.0 / (fan_in + fan_out).max(1) as f64).sqrt();
    Init::Uniform { lo: -bound, up: bound }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_rows_of_a_table_are_those_of_the_whole() {
        let init = glorot_uniform(5, 3);
        let (whole, some) = (Parameters::new(1), Parameters::new(1));
        let get = |parameters: &Parameters, rows: usize| {
            let vb = parameters.builder(DType::F32, &Device::Cpu);
            vb.get_with_hints((rows, 3), "table", init).unwrap().to_vec2::<f32>().unwrap()
        };
        some.draw_rows("table", (5, 3), init, &[1, 2, 4], &Device::Cpu).unwrap();
        let (whole, some) = (get(&whole, 5), get(&some, 3));
        assert_eq!(some, [1, 2, 4].map(|row| whole[row].clone()));
    }

    fn values(seed: u64, names: &[&str], init: Init) -> Vec<Vec<f64>> {
        let vb = Parameters::new(seed).builder(DType::F64, &Device::Cpu);
        let draw = |name: &&str| vb.get_with_hints(1000, name, init).unwrap().to_vec1().unwrap();
        names.iter().map(draw).collect()
    }

    #[test]
    fn numbers_depend_on_seed_and_name_but_not_on_order() {
        let init = Init::Uniform { lo: -1.0, up: 1.0 };
        let (ab, ba) = (values(1, &["a", "b"], init), values(1, &["b", "a"], init));
        assert!(ab[0] == ba[1] && ab[1] == ba[0] && ab[0] != ab[1]);
        assert_ne!(ab[0], values(2, &["a"], init)[0]);
    }

    #[test]
    fn normal_draws_have_the_asked_moments() {
        let x = &values(3, &["x"], Init::Randn { mean: 2.0, stdev: 0.5 })[0];
        let mean = x.iter().sum::<f64>() / 1000.0;
        let deviation = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1000.0).sqrt();
        assert!((mean - 2.0).abs() < 0.05 && (deviation - 0.5).abs() < 0.05, "{mean} {deviation}");
    }
}
