//! Attention between given queries, keys and values, of any length.
//!
//! The formula is here, in candle's operations; `blocked` computes the same on our kernel.

mod blocked;
mod config;
#[cfg(test)]
mod tests;

use candle_core::{D, DType, Result, Tensor, bail};

use super::op::apply;
use blocked::BlockedAttention;
pub use config::AttentionConfig;

/// Attention of every query to the keys it may see, for each head of each sequence:
/// `softmax(q · kᵀ · scale) · v`
/// ([Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), equation 1).
///
/// On the CPU, in `f32`, scores are computed block by block and never leave the cache
/// ([Dao et al., 2022](https://arxiv.org/abs/2205.14135)), forward and backward: memory grows with the length,
/// not with its square, and keys hidden by causality or a window cost little. Other
/// devices and `f64` run the same formula on candle's operations; half precision on the CPU is computed in
/// `f32`.
///
/// For packed sequences of different lengths, projections and relative positions, see
/// [`SelfAttention`](super::SelfAttention).
///
/// # Shapes
///
/// - `q`: `[batch, heads, query, head_dim]`
/// - `k` and `v`: `[batch, heads, key, head_dim]`
/// - `visible`: `[batch, key]` of `u8`; a key whose number is zero is seen by no query. `None` shows all
/// - output: `[batch, heads, query, head_dim]`
///
/// A query that sees nothing gets zeros. On the CPU, keys hidden by `visible` have no effect, whatever their values.
///
/// # Errors
///
/// If shapes, types or devices do not fit each other, or `scale` is not above zero.
///
/// # Example
///
/// ```
/// use candle_core::{Device, Tensor};
/// use talkformer::nn::{AttentionConfig, attention};
///
/// let x = Tensor::randn(0f32, 1.0, (2, 4, 100, 16), &Device::Cpu)?; // [batch, heads, seq, head_dim]
/// let config = AttentionConfig { causal: true, ..Default::default() };
/// let y = attention(&x, &x, &x, None, &config)?;
/// assert_eq!(y.dims(), [2, 4, 100, 16]);
///
/// // The first query sees only the first key, and so leaves with the first value.
/// let first = (y.narrow(2, 0, 1)? - x.narrow(2, 0, 1)?)?.abs()?.max_all()?.to_scalar::<f32>()?;
/// assert!(first < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    visible: Option<&Tensor>,
    config: &AttentionConfig,
) -> Result<Tensor> {
    let scale = check(q, k, v, visible, config)?;
    if matches!(q.dtype(), DType::F16 | DType::BF16) && q.device().is_cpu() {
        let [wide_q, k, v] = [q, k, v].map(|x| x.to_dtype(DType::F32));
        return attention(&wide_q?, &k?, &v?, visible, config)?.to_dtype(q.dtype());
    }
    if !q.device().is_cpu() || q.dtype() != DType::F32 {
        return formula(q, k, v, visible, config, scale);
    }
    apply(BlockedAttention::new(config, scale as f32, visible)?, &[q, k, v])
}

/// `softmax(q · kᵀ · scale) · v` over the keys that may be seen.
fn formula(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    visible: Option<&Tensor>,
    config: &AttentionConfig,
    scale: f64,
) -> Result<Tensor> {
    let (queries, keys) = (q.dim(2)?, k.dim(2)?);
    if q.elem_count() == 0 || keys == 0 {
        return q.zeros_like();
    }
    let scores = (q.contiguous()?.matmul(&k.t()?.contiguous()?)? * scale)?; // [batch, heads, query, key]
    let mask = mask(visible, config, [queries, keys], q)?.broadcast_as(scores.shape())?;
    let weights = masked_softmax(&scores, &mask)?; // [batch, heads, query, key]
    weights.matmul(&v.contiguous()?) // [batch, heads, query, head_dim]
}

/// Which query may see which key, of ones and zeros: `[1 or batch, 1, query, key]`.
fn mask(
    visible: Option<&Tensor>,
    config: &AttentionConfig,
    [queries, keys]: [usize; 2],
    like: &Tensor,
) -> Result<Tensor> {
    let cells = 0..queries * keys;
    let mask = cells.map(|at| u8::from(config.is_visible(at / keys, at % keys, [queries, keys]))).collect();
    let mask = Tensor::from_vec(mask, (1, 1, queries, keys), like.device())?;
    let Some(visible) = visible else { return Ok(mask) };
    mask.broadcast_mul(&visible.unsqueeze(1)?.unsqueeze(1)?.ne(0_u8)?)
}

/// The softmax over the scores whose `mask` is not zero; a query whose scores are all masked gets zeros.
pub(super) fn masked_softmax(scores: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let hidden = Tensor::full(f64::NEG_INFINITY, scores.shape(), scores.device())?;
    let scores = mask.where_cond(scores, &hidden.to_dtype(scores.dtype())?)?;
    // Where all scores are masked the largest is −∞, and any finite number does as well.
    let top = scores.detach().max_keepdim(D::Minus1)?.maximum(f64::from(f32::MIN))?;
    let weights = scores.broadcast_sub(&top)?.exp()?;
    let sums = weights.sum_keepdim(D::Minus1)?;
    let sums = (&sums + sums.eq(0.0)?.to_dtype(scores.dtype())?)?; // ones where all scores are masked
    weights.broadcast_div(&sums)
}

/// Checks that everything fits, and returns the scale.
fn check(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    visible: Option<&Tensor>,
    config: &AttentionConfig,
) -> Result<f64> {
    let (batch, heads, _, head_dim) = q.dims4()?;
    let keys = k.dims4()?.2;
    if k.dims() != [batch, heads, keys, head_dim] || v.dims() != k.dims() {
        bail!("queries {:?} do not fit keys {:?} and values {:?}", q.shape(), k.shape(), v.shape());
    }
    if q.dtype() != k.dtype() || q.dtype() != v.dtype() {
        bail!("queries of {:?}, keys of {:?} and values of {:?}", q.dtype(), k.dtype(), v.dtype());
    }
    if let Some(visible) = visible
        && (visible.dims() != [batch, keys] || visible.dtype() != DType::U8)
    {
        bail!(
            "`visible` is {:?} of {:?}, expected [{batch}, {keys}] of U8",
            visible.shape(),
            visible.dtype()
        );
    }
    let scale = config.scale.unwrap_or(1.0 / (head_dim.max(1) as f64).sqrt());
    if !(scale > 0.0 && scale.is_finite()) {
        bail!("a scale of {scale} is not a number above zero");
    }
    Ok(scale)
}
