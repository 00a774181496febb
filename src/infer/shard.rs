//! How a layer is divided among threads.
//!
//! Every layer is divided into **shards**: some heads with their part of the output map, some columns of the
//! feed-forward network with the rows that belong to them. The outputs of the shards are added up, so that several
//! threads exchange results only twice a layer ([Shoeybi et al., 2019](https://arxiv.org/abs/1909.08053)), and each reads
//! its own part of the weights. A single thread computes one shard after the other.

use std::ops::Range;

use crate::kernels::attention::Relative;
use crate::kernels::{Affine, LayerNorm, Matrix, PANEL, Precision};
use crate::nn::TransformerConfig;

/// A map before its weights are packed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AffineWeights<'a> {
    /// `[in, out]`
    pub(crate) weight: Matrix<'a, f32>,
    /// `[out]`, or empty.
    pub(crate) bias: &'a [f32],
}

/// The weights of one layer, before they are packed.
#[derive(Debug)]
pub(crate) struct LayerWeights<'a> {
    pub(crate) attention_norm: LayerNorm,
    /// Queries, keys and values side by side: `[model_dim, 3·model_dim]`.
    pub(crate) query_key_value: AffineWeights<'a>,
    /// What distances add to keys, values or scores.
    pub(crate) relative: Relative<'a, f32>,
    pub(crate) output: AffineWeights<'a>,
    pub(crate) feed_forward_norm: LayerNorm,
    /// `[model_dim, ff_dim]`
    pub(crate) expand: AffineWeights<'a>,
    /// `[ff_dim, model_dim]`
    pub(crate) contract: AffineWeights<'a>,
}

/// A share of a layer: everything that one thread needs of it.
#[derive(Clone, Debug)]
pub(super) struct Shard {
    pub(super) heads: usize,
    pub(super) query_key_value: Affine,
    pub(super) output: Affine,
    pub(super) expand: Affine,
    pub(super) contract: Affine,
    /// `[heads, 2·reach + 1, head_dim]`, or empty.
    pub(super) relative_keys: Vec<f32>,
    /// `[heads, 2·reach + 1, head_dim]`, or empty.
    pub(super) relative_values: Vec<f32>,
    /// `[heads, 2·reach + 1]`, or empty.
    pub(super) relative_biases: Vec<f32>,
}

impl Shard {
    /// The `at`-th of several `shards` of a layer.
    pub(super) fn new(
        config: &TransformerConfig,
        layer: &LayerWeights<'_>,
        precision: Precision,
        at: usize,
        shards: usize,
    ) -> Self {
        let TransformerConfig { model_dim: dim, heads, ff_dim, .. } = *config;
        let own = share(heads, 1, at, shards);
        let context = own.start * (dim / heads)..own.end * (dim / heads);
        let wide = share(ff_dim, PANEL, at, shards);
        let of_heads = |table: &[f32]| {
            let each = table.len() / heads;
            table[own.start * each..own.end * each].to_vec()
        };
        let pack = |weight: Matrix<'_, f32>, bias: Vec<f32>| Affine::new(weight, bias, precision);
        Self {
            heads: own.len(),
            query_key_value: query_key_value(layer.query_key_value, dim, &context, precision),
            output: pack(layer.output.weight.rows(context), Vec::new()),
            expand: pack(layer.expand.weight.cols(wide.clone()), part(layer.expand.bias, &wide).to_vec()),
            contract: pack(layer.contract.weight.rows(wide), Vec::new()),
            relative_keys: of_heads(layer.relative.keys),
            relative_values: of_heads(layer.relative.values),
            relative_biases: of_heads(layer.relative.biases),
        }
    }
}

/// The queries, keys and values of some heads, side by side: `[model_dim, 3 · heads · head_dim]`.
fn query_key_value(
    joined: AffineWeights<'_>,
    dim: usize,
    own: &Range<usize>,
    precision: Precision,
) -> Affine {
    if own.len() == dim {
        return Affine::new(joined.weight, joined.bias.to_vec(), precision);
    }
    let thirds = [0, dim, 2 * dim].map(|third| third + own.start..third + own.end);
    let columns = thirds.iter().cloned().flatten();
    let weight: Vec<f32> =
        columns.flat_map(|col| (0..dim).map(move |row| joined.weight.at(row, col))).collect();
    let bias = thirds.iter().flat_map(|third| part(joined.bias, third)).copied().collect();
    Affine::new(Matrix::new(&weight, 3 * own.len(), dim).transposed(), bias, precision)
}

/// Some numbers of a bias; of an empty one, none.
fn part<'a>(bias: &'a [f32], range: &Range<usize>) -> &'a [f32] {
    if bias.is_empty() { bias } else { &bias[range.clone()] }
}

/// One of several shares of a whole, in steps of some size where it is large enough.
fn share(whole: usize, step: usize, at: usize, shares: usize) -> Range<usize> {
    let step = if whole < step * shares { 1 } else { step };
    let border = |at: usize| if at == shares { whole } else { whole / step * at / shares * step };
    border(at)..border(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_together() {
        for (whole, step, shares) in
            [(12, 1, 5), (1536, 32, 2), (1536, 32, 7), (40, 32, 2), (3, 1, 3), (100, 32, 2)]
        {
            let all: Vec<usize> = (0..shares).flat_map(|at| share(whole, step, at, shares)).collect();
            assert_eq!(all, (0..whole).collect::<Vec<_>>());
        }
        assert_eq!(share(1536, 32, 0, 2), 0..768);
    }
}
