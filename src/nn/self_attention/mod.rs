//! Multi-head self-attention with learnable projections.
//!
//! The formula is here, in candle's operations on sequences that `padded` puts side by side; `packed` computes the same on
//! our kernels.

mod packed;
mod padded;
mod relative;
#[cfg(test)]
mod tests;

use candle_core::{D, DType, Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::fused::{AttentionParameters, Parameter, WeightAndBias};
use super::op::{apply, has_kernels};
use super::sparse_product::place_rows;
use super::{Linear, Pass, Segments, TransformerConfig};
use packed::PackedAttention;
use padded::{Group, Hidden};
use relative::RelativePositions;

/// Multi-head self-attention: every row looks at the rows of its own sequence.
///
/// `softmax(Q·Kᵀ / √head_dim)·V` per head, heads joined and projected once more
/// ([Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), section 3.2). With relative
/// positions, a learnt vector for the distance from query to key, clipped to `±reach`, is
/// added to the keys, the values or both ([Shaw et al., 2018](https://arxiv.org/abs/1803.02155)),
/// or a learnt number to the score ([Raffel et al., 2020](https://arxiv.org/abs/1910.10683)).
///
/// Long sequences are computed block by block where there are neither relative positions nor dropout (in `f32`,
/// on the CPU), so that memory does not grow with the square of their length.
///
/// Dropout masks a share of the scores before the softmax, so the weights of a row still sum to
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

impl SelfAttention {
    /// Draws or loads the projections.
    ///
    /// # Errors
    ///
    /// If `heads` does not divide `model_dim`, relative biases are used together with relative keys or values, or weights
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
        let seed = pass.next_seed().filter(|_| self.drop_rate > 0.0);
        let context = if has_kernels(x) {
            self.packed_context(&qkv, segments, seed)? // [row, model_dim]
        } else {
            self.padded_context(&qkv, segments, seed)? // [row, model_dim]
        };
        self.output.forward(&context) // [row, model_dim]
    }

    /// `softmax(Q·Kᵀ / √head_dim)·V` for each head, heads side by side, by candle's operations.
    fn padded_context(&self, qkv: &Tensor, segments: &Segments, seed: Option<u64>) -> Result<Tensor> {
        let hidden = Hidden { causal: self.causal, dropout: seed.map(|seed| (seed, self.drop_rate)) };
        let (mut contexts, mut places, mut begin) = (Vec::new(), vec![0; segments.rows()], 0);
        for group in Group::all(segments, self.heads) {
            let padded = place_rows(qkv, group.packed_rows())?; // [sequence · longest, 3·model_dim]
            contexts.push(self.context(&padded, &group, hidden)?);
            group.tell_places(begin, &mut places);
            begin += group.rows();
        }
        if contexts.is_empty() {
            return qkv.narrow(1, 0, self.model_dim);
        }
        place_rows(&Tensor::cat(&contexts, 0)?, places.into_iter().map(Some))
    }

    /// The same for padded sequences, `[sequence · longest, 3·model_dim]`.
    fn context(&self, qkv: &Tensor, group: &Group, hidden: Hidden) -> Result<Tensor> {
        let [q, k, v] = self.split_heads(qkv, group.sequences.len())?; // [sequence, heads, row, head_dim]
        let scores = self.scores(&q, &k)?; // [sequence, heads, query, key]
        let weights = group.softmax(&scores, hidden)?; // [sequence, heads, query, key]
        let mut context = weights.matmul(&v)?; // [sequence, heads, query, head_dim]
        if let Some(values) = self.relative.values_for(&weights)? {
            context = (context + values)?;
        }
        context.transpose(1, 2)?.reshape((qkv.dim(0)?, self.model_dim)) // [sequence · longest, model_dim]
    }

    /// `Q·Kᵀ / √head_dim`, and what relative positions add: `[sequence, heads, query, key]`.
    fn scores(&self, q: &Tensor, k: &Tensor) -> Result<Tensor> {
        let mut scores = q.matmul(&k.t()?)?; // [sequence, heads, query, key]
        if let Some(keys) = self.relative.scores_of_keys(q)? {
            scores = (scores + keys)?;
        }
        let scores = (scores / (q.dim(D::Minus1)? as f64).sqrt())?;
        match self.relative.biases_for(&scores)? {
            Some(biases) => scores.broadcast_add(&biases),
            None => Ok(scores),
        }
    }

    /// Queries, keys and values of so many padded sequences: `[sequence, heads, row, head_dim]` each.
    fn split_heads(&self, qkv: &Tensor, sequences: usize) -> Result<[Tensor; 3]> {
        let (dim, longest) = (self.model_dim, qkv.dim(0)? / sequences.max(1));
        let part = |which: usize| {
            let part = qkv.narrow(1, which * dim, dim)?; // [sequence · longest, model_dim]
            part.reshape((sequences, longest, self.heads, dim / self.heads))?.transpose(1, 2)?.contiguous()
        };
        Ok([part(0)?, part(1)?, part(2)?])
    }

    /// [`padded_context`](Self::padded_context) on our kernels.
    fn packed_context(&self, qkv: &Tensor, segments: &Segments, seed: Option<u64>) -> Result<Tensor> {
        let tables = self.relative.tables();
        let operation = PackedAttention {
            segments: segments.clone(),
            heads: self.heads,
            causal: self.causal,
            drop_rate: if seed.is_some() { self.drop_rate } else { 0.0 },
            seed: seed.unwrap_or(0),
            reach: self.relative.reach,
            used: tables.map(|table| table.is_some()),
        };
        apply(operation, &[qkv].into_iter().chain(tables.into_iter().flatten()).collect::<Vec<_>>())
    }

    /// The attention weights of each sequence: `[heads, query, key]`.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn weights(&self, x: &Tensor, segments: &Segments) -> Result<Vec<Tensor>> {
        let qkv = self.project(x, segments)?.to_dtype(DType::F64)?; // [row, 3·model_dim]
        let exact = Self { relative: self.relative.to_dtype(DType::F64)?, ..self.clone() };
        let of = |range: std::ops::Range<usize>| {
            if range.is_empty() {
                return Tensor::zeros((self.heads, 0, 0), DType::F64, qkv.device());
            }
            let [q, k, _] = exact.split_heads(&qkv.narrow(0, range.start, range.len())?, 1)?;
            let one = Group::of(range);
            let hidden = Hidden { causal: self.causal, dropout: None };
            one.softmax(&exact.scores(&q, &k)?, hidden)?.squeeze(0)
        };
        segments.iter().map(|range| of(range)?.to_dtype(x.dtype())).collect()
    }

    pub(super) fn fused(&self, norm: WeightAndBias<Parameter>) -> Result<AttentionParameters<Parameter>> {
        Ok(AttentionParameters {
            norm,
            query_key_value: self.query_key_value.fused_weight()?,
            relative_keys: self.relative.keys.as_ref().map(Parameter::plain),
            relative_values: self.relative.values.as_ref().map(Parameter::plain),
            output: self.output.fused()?,
        })
    }

    fn project(&self, x: &Tensor, segments: &Segments) -> Result<Tensor> {
        if x.dims2()?.0 != segments.rows() {
            bail!("{:?} rows do not fit sequences of {} rows", x.shape(), segments.rows());
        }
        self.query_key_value.forward(x)
    }
}
