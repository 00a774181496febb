//! Relative positions: what is learnt for the distance from query to key.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::super::TransformerConfig;
use super::super::parameters::glorot_uniform;

/// One vector or number for each distance, clipped to `±reach`; none where it is not used.
#[derive(Clone, Debug)]
pub(super) struct RelativePositions {
    /// `[heads, 2·reach + 1, head_dim]`
    pub(super) keys: Option<Tensor>,
    /// `[heads, 2·reach + 1, head_dim]`
    pub(super) values: Option<Tensor>,
    /// `[heads, 2·reach + 1]`
    pub(super) biases: Option<Tensor>,
    pub(super) reach: usize,
}

impl RelativePositions {
    pub(super) fn new(config: &TransformerConfig, vb: &VarBuilder) -> Result<Self> {
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

    pub(super) fn tables(&self) -> [Option<&Tensor>; 3] {
        [&self.keys, &self.values, &self.biases].map(Option::as_ref)
    }

    pub(super) fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let [keys, values, biases] =
            self.tables().map(|table| table.map(|table| table.to_dtype(dtype)).transpose());
        Ok(Self { keys: keys?, values: values?, biases: biases?, reach: self.reach })
    }

    /// `query · keys[distance]`, before scaling: `[sequence, heads, query, key]`.
    pub(super) fn scores_of_keys(&self, q: &Tensor) -> Result<Option<Tensor>> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let (sequences, heads, rows, _) = q.dims4()?;
        let of_distances = for_each_head(q, &keys.t()?)?; // [sequence, heads, query, distance]
        of_distances.gather(&self.distances((sequences, heads, rows), q.device())?, D::Minus1).map(Some)
    }

    /// `biases[distance]`, for scaled scores: `[1, heads, query, key]`.
    pub(super) fn biases_for(&self, scores: &Tensor) -> Result<Option<Tensor>> {
        let Some(biases) = &self.biases else { return Ok(None) };
        let (_, heads, rows, _) = scores.dims4()?;
        let biases = biases.unsqueeze(1)?.unsqueeze(0)?.broadcast_as((1, heads, rows, self.count()))?;
        biases.contiguous()?.gather(&self.distances((1, heads, rows), scores.device())?, D::Minus1).map(Some)
    }

    /// `Σ weight · values[distance]` over the keys: `[sequence, heads, query, head_dim]`.
    pub(super) fn values_for(&self, weights: &Tensor) -> Result<Option<Tensor>> {
        let Some(values) = &self.values else { return Ok(None) };
        let (sequences, heads, rows, _) = weights.dims4()?;
        // A product with ones and zeros: `scatter_add` of candle fails backward where rows exceed distances.
        let is_at = self.one_hot(rows, weights)?; // [query, key, distance]
        let by_query = weights.flatten(0, 1)?.transpose(0, 1)?.contiguous()?; // [query, sequence · heads, key]
        let sums = by_query.matmul(&is_at)?.transpose(0, 1)?; // [sequence · heads, query, distance]
        let sums = sums.reshape((sequences, heads, rows, self.count()))?;
        for_each_head(&sums, values).map(Some)
    }

    fn count(&self) -> usize {
        2 * self.reach + 1
    }

    /// The row of each distance in the tables: `[sequence, heads, query, key]`.
    fn distances(&self, sizes: (usize, usize, usize), device: &Device) -> Result<Tensor> {
        let (sequences, heads, rows) = sizes;
        let distances: Vec<u32> = (0..rows * rows).map(|at| self.distance(at, rows) as u32).collect();
        let distances = Tensor::from_vec(distances, (1, 1, rows, rows), device)?;
        distances.broadcast_as((sequences, heads, rows, rows))?.contiguous()
    }

    /// One at the row of each distance, zero elsewhere: `[query, key, distance]`.
    fn one_hot(&self, rows: usize, like: &Tensor) -> Result<Tensor> {
        let mut ones = vec![0_u8; rows * rows * self.count()];
        for (at, row) in ones.chunks_exact_mut(self.count()).enumerate() {
            row[self.distance(at, rows)] = 1;
        }
        Tensor::from_vec(ones, (rows, rows, self.count()), like.device())?.to_dtype(like.dtype())
    }

    /// The row of the distance for number `at` of `[query, key]`.
    fn distance(&self, at: usize, rows: usize) -> usize {
        (at % rows + self.reach).saturating_sub(at / rows).min(2 * self.reach)
    }
}

/// The product of each head, over all sequences: `[sequence, heads, row, inner]` times `[heads, inner, column]`.
fn for_each_head(x: &Tensor, of_heads: &Tensor) -> Result<Tensor> {
    let (sequences, heads, rows, inner) = x.dims4()?;
    let by_head = x.transpose(0, 1)?.reshape((heads, sequences * rows, inner))?;
    let product = by_head.matmul(&of_heads.contiguous()?)?; // [heads, sequence · row, column]
    product.reshape((heads, sequences, rows, ()))?.transpose(0, 1)?.contiguous()
}
