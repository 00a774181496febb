//! Multi-head self-attention with learnable projections.

use candle_core::{D, DType, Result, Shape, Tensor, bail};
use candle_nn::{Init, VarBuilder};

use super::fused::{Affine, Parameter};
use super::op::{Element, Fused, Input, apply, has_kernels};
use super::parameters::glorot_uniform;
use super::{Linear, Pass, Segments, TransformerConfig};
use crate::kernels::attention::{Attention, Gradients, Relative};
use crate::kernels::dropout::{drops, threshold};

/// Multi-head self-attention: every row looks at the rows of its own sequence.
///
/// `softmax(Q·Kᵀ / √head_dim)·V` per head, heads joined and projected once more
/// ([Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), section 3.2). With relative
/// positions, a learnt vector for the distance from query to key, clipped to `±reach`, is
/// added to the keys, the values or both ([Shaw et al., 2018](https://arxiv.org/abs/1803.02155)),
/// or a learnt number to the score ([Raffel et al., 2020](https://arxiv.org/abs/1910.10683)).
///
/// Dropout hides a share of the scores before the softmax, so the weights of a row still sum to
/// one. A row that sees nothing gets zeros. Queries, keys and values
/// have a bias where the configuration says so, the output always has.
///
/// # Shapes
///
/// - input and output: `[row, model_dim]`, packed as its [`Segments`] say
///
/// # Example
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use talkformer::nn::{Parameters, Pass, Segments, SelfAttention, TransformerConfig};
///
/// let config = TransformerConfig { model_dim: 8, heads: 2, ..Default::default() };
/// let attention = SelfAttention::new(&config, Parameters::new(1).builder(DType::F32, &Device::Cpu))?;
/// let x = Tensor::zeros((5, 8), DType::F32, &Device::Cpu)?;
/// let segments = Segments::from_lengths([3, 2]);
/// let y = attention.forward(&x, &segments, &Pass::inference())?;
/// assert_eq!(y.dims(), [5, 8]);
/// assert_eq!(attention.weights(&x, &segments)?[0].dims(), [2, 3, 3]); // [heads, query, key]
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SelfAttention {
    query_key_value: Linear,
    output: Linear,
    relative: RelativePositions,
    model_dim: usize,
    heads: usize,
    causal: bool,
    drop_rate: f64,
}

/// What is learnt for the distance from query to key.
#[derive(Clone, Debug)]
struct RelativePositions {
    /// `[heads, 2·reach + 1, head_dim]`
    keys: Option<Tensor>,
    /// `[heads, 2·reach + 1, head_dim]`
    values: Option<Tensor>,
    /// `[heads, 2·reach + 1]`
    biases: Option<Tensor>,
    reach: usize,
}

impl RelativePositions {
    fn new(config: &TransformerConfig, vb: &VarBuilder) -> Result<Self> {
        let (heads, reach) = (config.heads, config.relative_reach);
        let head_dim = config.model_dim / heads;
        let table = |wanted: bool, name: &str| -> Result<Option<Tensor>> {
            let shape = (heads, 2 * reach + 1, head_dim);
            let init = glorot_uniform(2 * reach + 1, head_dim);
            wanted.then(|| vb.get_with_hints(shape, name, init)).transpose()
        };
        let biases = || vb.get_with_hints((heads, 2 * reach + 1), "relative_biases", Init::Const(0.0));
        Ok(Self {
            keys: table(config.relative_keys, "relative_keys")?,
            values: table(config.relative_values, "relative_values")?,
            biases: config.relative_biases.then(biases).transpose()?,
            reach,
        })
    }

    fn tables(&self) -> [&Option<Tensor>; 3] {
        [&self.keys, &self.values, &self.biases]
    }
}

impl SelfAttention {
    /// Draws or loads the projections.
    ///
    /// # Errors
    ///
    /// If `heads` does not divide `model_dim`, distances are to count for keys or values and for scores as well, or weights
    /// are missing or of another shape.
    pub fn new(config: &TransformerConfig, vb: VarBuilder) -> Result<Self> {
        let dim = config.model_dim;
        if config.heads == 0 || dim == 0 || !dim.is_multiple_of(config.heads) {
            bail!("a model_dim of {dim} cannot be divided among {} heads", config.heads);
        }
        if config.relative_biases && (config.relative_keys || config.relative_values) {
            bail!("distances count for keys and values or for scores, not for both");
        }
        let (inner, outer) = (vb.pp("query_key_value"), vb.pp("output"));
        let project = if config.projection_bias { Linear::new } else { Linear::without_bias };
        let query_key_value = project(dim, 3 * dim, inner.clone())?;
        Ok(Self {
            query_key_value: query_key_value.with_density(config.connection_density, &inner)?,
            output: Linear::new(dim, dim, outer.clone())?.with_density(config.connection_density, &outer)?,
            relative: RelativePositions::new(config, &vb)?,
            model_dim: dim,
            heads: config.heads,
            causal: config.causal,
            drop_rate: config.attention_dropout,
        })
    }

    /// Mixes the rows of each sequence.
    ///
    /// # Errors
    ///
    /// If `x` has other rows than `segments`, or rows of another width.
    pub fn forward(&self, x: &Tensor, segments: &Segments, pass: &Pass) -> Result<Tensor> {
        let qkv = self.project(x, segments)?; // [row, 3·model_dim]
        let seed = pass.next_seed();
        let attend = Attend {
            segments: segments.clone(),
            heads: self.heads,
            causal: self.causal,
            drop_rate: if seed.is_some() { self.drop_rate } else { 0.0 },
            seed: seed.unwrap_or(0),
            reach: self.relative.reach,
            used: self.relative.tables().map(Option::is_some),
        };
        let context = if has_kernels(x) {
            let relative = self.relative.tables().into_iter().flatten();
            apply(attend, &[&qkv].into_iter().chain(relative).collect::<Vec<&Tensor>>())?
        } else {
            attend.plain(&qkv, &self.relative)?
        };
        self.output.forward(&context) // [row, model_dim]
    }

    /// Who looks at whom: for each sequence `[heads, query, key]`.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn weights(&self, x: &Tensor, segments: &Segments) -> Result<Vec<Tensor>> {
        let qkv = self.project(x, segments)?.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
        let flat = |table: &Option<Tensor>| -> Result<Vec<f64>> {
            let Some(table) = table else { return Ok(Vec::new()) };
            table.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
        };
        let tables = self.relative.tables().map(flat);
        let [keys, values, biases] = tables;
        let (keys, values, biases) = (keys?, values?, biases?);
        let relative = Relative { keys: &keys, values: &values, biases: &biases, reach: self.relative.reach };
        let kernel = Attention {
            offsets: segments.offsets(),
            heads: self.heads,
            model_dim: self.model_dim,
            causal: self.causal,
            drop_rate: 0.0,
            seed: 0,
        };
        let of = |(sequence, range): (usize, std::ops::Range<usize>)| {
            let shape = (self.heads, range.len(), range.len());
            Tensor::from_vec(kernel.weights_of(sequence, &qkv, relative), shape, x.device())?
                .to_dtype(x.dtype())
        };
        segments.iter().enumerate().map(of).collect()
    }

    /// Projection, relative keys and values, output.
    pub(super) fn fused(&self) -> Result<(Parameter, [Option<Parameter>; 2], Affine<Parameter>)> {
        let relative = [&self.relative.keys, &self.relative.values];
        let relative = relative.map(|table| table.as_ref().map(Parameter::plain));
        Ok((self.query_key_value.fused()?.0, relative, Affine::of(&self.output)?))
    }

    fn project(&self, x: &Tensor, segments: &Segments) -> Result<Tensor> {
        if x.dims2()?.0 != segments.rows() {
            bail!("{:?} rows do not fit sequences of {} rows", x.shape(), segments.rows());
        }
        self.query_key_value.forward(x)
    }
}

/// What happens between the projections.
struct Attend {
    segments: Segments,
    heads: usize,
    causal: bool,
    drop_rate: f64,
    seed: u64,
    reach: usize,
    /// Which of the relative keys, values and biases there are.
    used: [bool; 3],
}

impl Attend {
    fn kernel(&self, model_dim: usize) -> Attention<'_> {
        Attention {
            offsets: self.segments.offsets(),
            heads: self.heads,
            model_dim,
            causal: self.causal,
            drop_rate: self.drop_rate,
            seed: self.seed,
        }
    }

    fn relative<'a, T>(&self, inputs: &[Input<'a, T>]) -> Relative<'a, T> {
        let mut tables = inputs[1..].iter().map(|input| input.values);
        let [keys, values, biases] =
            self.used.map(|used| used.then(|| tables.next()).flatten().unwrap_or_default());
        Relative { keys, values, biases, reach: self.reach }
    }

    /// The same with candle's own operations, for devices without our kernels: all rows against
    /// all rows, those of other sequences hidden.
    fn plain(&self, qkv: &Tensor, relative: &RelativePositions) -> Result<Tensor> {
        let (rows, width) = qkv.dims2()?;
        let head_dim = width / 3 / self.heads;
        let split = |which: usize| {
            let block = qkv.narrow(1, which * width / 3, width / 3)?;
            block.reshape((rows, self.heads, head_dim))?.transpose(0, 1)?.contiguous()
        };
        let (q, k, v) = (split(0)?, split(1)?, split(2)?); // [heads, row, head_dim]
        let buckets = self.buckets(rows, qkv)?; // [heads, row, row]
        let mut scores = q.matmul(&k.t()?)?; // [heads, query, key]
        if let Some(keys) = &relative.keys {
            scores = (scores + q.matmul(&keys.t()?)?.gather(&buckets, D::Minus1)?)?;
        }
        let visible = self.visible(qkv)?.to_dtype(qkv.dtype())?; // [heads, query, key]
        let hidden = ((&visible - 1.0)? * 1e9)?;
        let mut scores = ((scores / (head_dim as f64).sqrt())? + hidden)?;
        if let Some(biases) = &relative.biases {
            let biases = biases.unsqueeze(1)?.broadcast_as((self.heads, rows, 2 * self.reach + 1))?;
            scores = (scores + biases.contiguous()?.gather(&buckets, D::Minus1)?)?;
        }
        let weights = (candle_nn::ops::softmax(&scores, D::Minus1)? * visible)?;
        let mut context = weights.matmul(&v)?; // [heads, query, head_dim]
        if let Some(values) = &relative.values {
            let shape = (self.heads, rows, 2 * self.reach + 1);
            let sums = Tensor::zeros(shape, qkv.dtype(), qkv.device())?;
            let sums = sums.scatter_add(&buckets, &weights, D::Minus1)?;
            context = (context + sums.matmul(values)?)?;
        }
        context.transpose(0, 1)?.reshape((rows, width / 3))
    }

    /// Which learnt vector belongs to each distance: `[heads, query, key]`.
    fn buckets(&self, rows: usize, like: &Tensor) -> Result<Tensor> {
        let bucket =
            |at: usize| (at % rows + self.reach).saturating_sub(at / rows).min(2 * self.reach) as u32;
        let buckets: Vec<u32> = (0..rows * rows).map(bucket).collect();
        let buckets = Tensor::from_vec(buckets, (1, rows, rows), like.device())?;
        buckets.broadcast_as((self.heads, rows, rows))?.contiguous()
    }

    /// Which scores count, dropout included: `[heads, query, key]` of zeros and ones.
    fn visible(&self, like: &Tensor) -> Result<Tensor> {
        let rows = self.segments.rows();
        let same = self.segments.same_sequence(self.causal, like.device())?;
        let same = same.unsqueeze(0)?.broadcast_as((self.heads, rows, rows))?;
        if self.drop_rate <= 0.0 {
            return Ok(same);
        }
        let limit = threshold(self.drop_rate);
        let kept = |at| u8::from(!drops(self.seed, at, limit));
        let kept: Vec<u8> = (0..(self.heads * rows * rows) as u64).map(kept).collect();
        same.mul(&Tensor::from_vec(kept, (self.heads, rows, rows), like.device())?)
    }
}

impl Fused for Attend {
    const NAME: &'static str = "self_attention";

    fn forward<T: Element>(&self, inputs: &[Input<'_, T>]) -> (Vec<T>, Shape) {
        let qkv = inputs[0];
        let model_dim = qkv.width() / 3;
        let mut out = vec![T::zero(); self.segments.rows() * model_dim];
        self.kernel(model_dim).forward(qkv.values, self.relative(inputs), &mut out);
        (out, Shape::from((self.segments.rows(), model_dim)))
    }

    fn backward<T: Element>(&self, inputs: &[Input<'_, T>], grad: &[T]) -> Vec<Vec<T>> {
        let relative = self.relative(inputs);
        let sizes = [inputs[0].values, relative.keys, relative.values, relative.biases].map(<[T]>::len);
        let mut all = sizes.map(|len| vec![T::zero(); len]);
        let [qkv, relative_keys, relative_values, relative_biases] = &mut all;
        let mut gradients = Gradients { qkv, relative_keys, relative_values, relative_biases };
        self.kernel(inputs[0].width() / 3).backward(inputs[0].values, relative, grad, &mut gradients);
        let used = [true].into_iter().chain(self.used);
        used.zip(all).filter_map(|(used, gradient)| used.then_some(gradient)).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayView2, Axis, s};

    use super::super::testing::{assert_close, assert_gradients, input, seeded, shake};
    use super::*;
    use crate::attention::{Scale, Visible, multi_head_attention};

    /// What the distance from query to key counts for.
    #[derive(Clone, Copy, PartialEq)]
    enum Distance {
        Nothing,
        KeysAndValues,
        Scores,
    }

    fn config(distance: Distance, causal: bool) -> TransformerConfig {
        let relative = distance == Distance::KeysAndValues;
        TransformerConfig {
            model_dim: 20,
            heads: 5,
            causal,
            relative_keys: relative,
            relative_values: relative,
            relative_biases: distance == Distance::Scores,
            projection_bias: distance == Distance::Scores,
            relative_reach: 2,
            ..Default::default()
        }
    }

    fn segments() -> Segments {
        Segments::from_lengths([3, 1, 0, 7])
    }

    fn variants() -> impl Iterator<Item = (Distance, bool)> {
        let all = [Distance::Nothing, Distance::KeysAndValues, Distance::Scores];
        all.into_iter().flat_map(|distance| [(distance, false), (distance, true)])
    }

    #[test]
    fn every_parameter_has_the_right_gradient() -> Result<()> {
        for (distance, causal) in variants() {
            let (parameters, vb) = seeded();
            let block = SelfAttention::new(&config(distance, causal), vb.pp("attention"))?;
            let x = vb.get_with_hints((11, 20), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
            assert_gradients(&parameters, || block.forward(&x, &segments(), &Pass::inference()))?;
        }
        Ok(())
    }

    #[test]
    fn hidden_scores_have_the_right_gradient() -> Result<()> {
        let (parameters, vb) = seeded();
        let config = TransformerConfig { attention_dropout: 0.4, ..config(Distance::KeysAndValues, false) };
        let block = SelfAttention::new(&config, vb.pp("attention"))?;
        let x = vb.get_with_hints((11, 20), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
        assert_gradients(&parameters, || block.forward(&x, &segments(), &Pass::training(8)))
    }

    #[test]
    fn the_kernel_agrees_with_candle() -> Result<()> {
        for (distance, causal) in variants() {
            let (parameters, vb) = seeded();
            let block = SelfAttention::new(&config(distance, causal), vb)?;
            shake(&parameters)?;
            let x = input((11, 20))?;
            let attend = Attend {
                segments: segments(),
                heads: 5,
                causal,
                drop_rate: 0.0,
                seed: 0,
                reach: 2,
                used: block.relative.tables().map(Option::is_some),
            };
            let plain = attend.plain(&block.query_key_value.forward(&x)?, &block.relative)?;
            let plain = block.output.forward(&plain)?;
            assert_close(&block.forward(&x, &segments(), &Pass::inference())?, &plain, 1e-12)?;
        }
        Ok(())
    }

    #[test]
    fn agrees_with_attention_without_weights_on_the_same_numbers() -> Result<()> {
        for causal in [false, true] {
            let (parameters, vb) = seeded();
            let block = SelfAttention::new(&config(Distance::Nothing, causal), vb)?;
            shake(&parameters)?;
            let x = input((11, 20))?;
            let qkv = block.query_key_value.forward(&x)?.flatten_all()?.to_vec1::<f64>()?;
            let qkv = ArrayView2::from_shape((11, 60), &qkv).unwrap();
            let mut context = Array2::zeros((11, 20));
            for (range, weights) in segments().iter().zip(block.weights(&x, &segments())?) {
                let part = |from: usize| qkv.slice(s![range.clone(), from..from + 20]);
                let visible = causal.then(|| Visible::causal(range.len()));
                let visible = visible.as_ref();
                let own = multi_head_attention(part(0), part(20), part(40), 5, visible, Scale::InverseSqrt)
                    .unwrap();
                context.slice_mut(s![range.clone(), ..]).assign(&own.context);
                let expected: Vec<f64> = own.weights.iter().copied().collect();
                let found = weights.flatten_all()?.to_vec1::<f64>()?;
                assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
                assert!(own.weights.sum_axis(Axis(2)).iter().all(|sum| (sum - 1.0).abs() < 1e-12));
            }
            let context = Tensor::from_vec(context.into_raw_vec_and_offset().0, (11, 20), x.device())?;
            let found = block.forward(&x, &segments(), &Pass::inference())?;
            assert_close(&found, &block.output.forward(&context)?, 1e-12)?;
        }
        Ok(())
    }

    #[test]
    fn other_sequences_and_for_causal_ones_the_future_change_nothing() -> Result<()> {
        let (_, vb) = seeded();
        let block = SelfAttention::new(&config(Distance::KeysAndValues, true), vb)?;
        let x = input((11, 20))?;
        let all = block.forward(&x, &segments(), &Pass::inference())?;
        let part = block.forward(&x.narrow(0, 4, 3)?, &Segments::from_lengths([3]), &Pass::inference())?;
        assert_close(&all.narrow(0, 4, 3)?, &part, 1e-12)
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        for (model_dim, heads) in [(20, 3), (20, 0), (0, 1)] {
            let config = TransformerConfig { model_dim, heads, ..Default::default() };
            assert!(SelfAttention::new(&config, seeded().1).is_err());
        }
        let both = TransformerConfig { relative_biases: true, ..config(Distance::KeysAndValues, false) };
        assert!(SelfAttention::new(&both, seeded().1).is_err());
    }
}
