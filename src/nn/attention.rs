//! Attention between given queries, keys and values, of any length.

use std::num::NonZero;
use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, D, DType, Layout, Result, Shape, Tensor, bail};

use super::op::{Input, view, view_of_storage};
use crate::kernels::flash::{Flash, Inputs, Outputs};
use crate::kernels::{Instructions, Precision};

/// Who sees whom in [`attention`], and how it is computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttentionConfig {
    /// Whether a query sees only its own position and what came before. The last query stands where the
    /// last key stands, so a single query after many keys sees them all.
    pub causal: bool,
    /// How many positions a query sees to each side of its own; `None` for all. Zero leaves it itself.
    pub window: Option<usize>,
    /// What scores are multiplied by, above zero; `None` for `1 / √head_dim`.
    pub scale: Option<f64>,
    /// What products multiply on the CPU.
    pub precision: Precision,
    /// How many threads may work on one call; zero for as many as there are processors. They change no byte
    /// of the result. Where every processor has a worker of its own already, one is best.
    pub threads: usize,
}

impl AttentionConfig {
    /// The positions among the keys that a query may see.
    fn sees(&self, query: usize, key: usize, [queries, keys]: [usize; 2]) -> bool {
        let (query, key) = (query + keys, key + queries); // both counted from the same place
        (!self.causal || key <= query) && self.window.is_none_or(|window| query.abs_diff(key) <= window)
    }

    fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, NonZero::get);
        if self.threads == 0 { all() } else { self.threads }
    }
}

/// Attention of every query to the keys it may see, for each head of each sequence:
/// `softmax(q · kᵀ · scale) · v`
/// ([Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), equation 1).
///
/// On the CPU, in `f32`, keys are met block by block and scores never leave the cache
/// ([Dao et al., 2022](https://arxiv.org/abs/2205.14135)), forward and backward: memory grows with the length,
/// not with its square, and what a causal border or a window hides costs little. Other
/// devices and `f64` run the same formula on candle's operations; half precision on the CPU is computed in
/// `f32`.
///
/// For short sequences of different lengths, projections and relative positions, see
/// [`SelfAttention`](super::SelfAttention).
///
/// # Shapes
///
/// - `q`: `[batch, heads, query, head_dim]`
/// - `k` and `v`: `[batch, heads, key, head_dim]`
/// - `visible`: `[batch, key]` of `u8`; a key whose number is zero is seen by no query. `None` shows all
/// - output: `[batch, heads, query, head_dim]`
///
/// A query that sees nothing gets zeros. Hidden keys of `visible` change nothing on the CPU, whatever they hold.
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
        return plain(q, k, v, visible, config, scale);
    }
    let visible = visible.map(|visible| -> Result<Vec<bool>> {
        let numbers = visible.flatten_all()?.to_vec1::<u8>()?;
        Ok(numbers.into_iter().map(|number| number != 0).collect())
    });
    let attend = Attend {
        config: config.clone(),
        scale: scale as f32,
        visible: visible.transpose()?,
        log_sums: OnceLock::new(),
    };
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, attend)
}

/// The scale, if all fits.
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

/// The same with candle's own operations.
fn plain(
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
    let cells = 0..queries * keys;
    let sees = cells.map(|at| u8::from(config.sees(at / keys, at % keys, [queries, keys]))).collect();
    let mut seen = Tensor::from_vec(sees, (1, 1, queries, keys), q.device())?; // [1, 1, query, key]
    if let Some(visible) = visible {
        let visible = visible.unsqueeze(1)?.unsqueeze(1)?; // [batch, 1, 1, key]
        seen = seen.broadcast_mul(&visible.ne(0_u8)?)?; // [batch, 1, query, key]
    }
    let scores = (q.contiguous()?.matmul(&k.t()?.contiguous()?)? * scale)?; // [batch, heads, query, key]
    let seen = seen.broadcast_as(scores.shape())?;
    let hidden = Tensor::full(f64::NEG_INFINITY, scores.shape(), q.device())?.to_dtype(q.dtype())?;
    let scores = seen.where_cond(&scores, &hidden)?;
    // Where nothing is seen the largest is −∞, and zero does as well.
    let top = scores.detach().max_keepdim(D::Minus1)?.maximum(f64::from(f32::MIN))?;
    let weights = scores.broadcast_sub(&top)?.exp()?; // [batch, heads, query, key]
    let sums = weights.sum_keepdim(D::Minus1)?;
    let sums = (&sums + sums.eq(0.0)?.to_dtype(q.dtype())?)?;
    weights.broadcast_div(&sums)?.matmul(&v.contiguous()?)
}

/// The kernel as an operation of candle's graph.
struct Attend {
    config: AttentionConfig,
    scale: f32,
    visible: Option<Vec<bool>>,
    /// What the forward pass leaves for the backward pass.
    log_sums: OnceLock<Vec<f32>>,
}

impl Attend {
    fn kernel(&self, q: &[usize], k: &[usize]) -> Flash<'_> {
        Flash {
            batch: q[0],
            heads: q[1],
            queries: q[2],
            keys: k[2],
            head_dim: q[3],
            scale: self.scale,
            causal: self.config.causal,
            window: self.config.window,
            visible: self.visible.as_deref(),
            precision: self.config.precision.into(),
            threads: self.config.threads(),
            instructions: Instructions::best(),
        }
    }
}

impl CustomOp3 for Attend {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (q, k, v) = (view(s1, l1)?, view(s2, l2)?, view(s3, l3)?);
        let (out, log_sums) = self.kernel(q.dims, k.dims).forward(inputs(q, k, v));
        let _ = self.log_sums.set(log_sums); // each operation runs once
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(log_sums) = self.log_sums.get() else {
            bail!("attention has no backward before its forward")
        };
        let grad = grad.contiguous()?;
        let gradients = {
            let held = [q, k, v, out, &grad].map(Tensor::storage_and_layout);
            let [q, k, v, out, grad] =
                held.each_ref().map(|(storage, layout)| view_of_storage(storage, layout));
            let (q, k, v) = (q?, k?, v?);
            let outputs = Outputs { out: out?.values, log_sums, grads: grad?.values };
            self.kernel(q.dims, k.dims).backward(inputs(q, k, v), outputs)
        };
        let [of_q, of_k, of_v] = gradients;
        let tensor = |values: Vec<f32>, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((Some(tensor(of_q, q)?), Some(tensor(of_k, k)?), Some(tensor(of_v, v)?)))
    }
}

fn inputs<'a>(q: Input<'a, f32>, k: Input<'a, f32>, v: Input<'a, f32>) -> Inputs<'a> {
    Inputs { queries: q.values, keys: k.values, values: v.values }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use candle_nn::Init;

    use super::super::testing::{assert_close, assert_gradients, input, seeded};
    use super::*;
    use crate::attention::{Scale, Visible, multi_head_attention};

    fn configs() -> Vec<AttentionConfig> {
        let config = AttentionConfig::default();
        vec![
            config.clone(),
            AttentionConfig { causal: true, ..config.clone() },
            AttentionConfig { window: Some(2), scale: Some(0.3), ..config.clone() },
            AttentionConfig { causal: true, window: Some(1), threads: 2, ..config },
        ]
    }

    /// Two sequences: of the first a key is hidden, of the second all are.
    fn visible(keys: usize) -> Result<Tensor> {
        let numbers: Vec<u8> = (0..2 * keys).map(|at| u8::from(at < keys && at != 1)).collect();
        Tensor::from_vec(numbers, (2, keys), &Device::Cpu)
    }

    fn variables(queries: usize, keys: usize) -> Result<[Var; 3]> {
        let numbers = input((3, 2, 3, queries.max(keys), 5))?.to_dtype(DType::F32)?;
        let part =
            |at: usize, rows: usize| Var::from_tensor(&numbers.get(at)?.narrow(2, 0, rows)?.contiguous()?);
        Ok([part(0, queries)?, part(1, keys)?, part(2, keys)?])
    }

    #[test]
    fn candle_s_operations_have_the_right_gradients() -> Result<()> {
        for config in configs() {
            let (parameters, vb) = seeded();
            let init = Init::Uniform { lo: -1.0, up: 1.0 };
            let q = vb.get_with_hints((2, 3, 3, 5), "q", init)?;
            let k = vb.get_with_hints((2, 3, 4, 5), "k", init)?;
            let v = vb.get_with_hints((2, 3, 4, 5), "v", init)?;
            let visible = visible(4)?;
            assert_gradients(&parameters, || attention(&q, &k, &v, Some(&visible), &config))?;
        }
        Ok(())
    }

    #[test]
    fn the_kernel_agrees_with_candle_forward_and_backward() -> Result<()> {
        for (queries, keys) in [(7, 7), (3, 8), (8, 3), (1, 1), (70, 70)] {
            for config in configs() {
                for visible in [None, Some(visible(keys)?)] {
                    let [q, k, v] = variables(queries, keys)?;
                    let scale = check(&q, &k, &v, visible.as_ref(), &config)?;
                    let fast = attention(&q, &k, &v, visible.as_ref(), &config)?;
                    let slow = plain(&q, &k, &v, visible.as_ref(), &config, scale)?;
                    assert_close(&fast, &slow, 2e-6)?;
                    let weights = input(fast.shape().clone())?.to_dtype(DType::F32)?;
                    let [fast, slow] = [fast, slow].map(|out| (out * &weights)?.sum_all()?.backward());
                    let (fast, slow) = (fast?, slow?);
                    for x in [&q, &k, &v] {
                        assert_close(fast.get(x).unwrap(), slow.get(x).unwrap(), 5e-6)?;
                    }
                }
            }
        }
        Ok(())
    }

    #[test]
    fn agrees_with_attention_without_weights_on_the_same_numbers() -> Result<()> {
        for causal in [false, true] {
            let x = input((1, 1, 9, 6))?;
            let config = AttentionConfig { causal, ..Default::default() };
            let found = attention(&x, &x, &x, None, &config)?;
            let matrix = ndarray::Array2::from_shape_vec((9, 6), x.flatten_all()?.to_vec1::<f64>()?).unwrap();
            let visible = causal.then(|| Visible::causal(9));
            let own = multi_head_attention(
                matrix.view(),
                matrix.view(),
                matrix.view(),
                1,
                visible.as_ref(),
                Scale::InverseSqrt,
            );
            let expected = own.unwrap().context.into_raw_vec_and_offset().0;
            assert_close(&found, &Tensor::from_vec(expected, (1, 1, 9, 6), x.device())?, 1e-12)?;
        }
        Ok(())
    }

    #[test]
    fn half_precision_and_bf16_products_are_near() -> Result<()> {
        let [q, k, v] = variables(40, 40)?;
        let exact = attention(&q, &k, &v, None, &AttentionConfig::default())?;
        let config = AttentionConfig { precision: Precision::Bf16, ..Default::default() };
        assert_close(&attention(&q, &k, &v, None, &config)?, &exact, 5e-3)?;
        let half = |x: &Var| x.to_dtype(DType::BF16);
        let found = attention(&half(&q)?, &half(&k)?, &half(&v)?, None, &AttentionConfig::default())?;
        assert_eq!(found.dtype(), DType::BF16);
        assert_close(&found.to_dtype(DType::F32)?, &exact, 1e-2)
    }

    #[test]
    fn what_does_not_fit_is_refused() -> Result<()> {
        let config = AttentionConfig::default();
        let x = |shape: (usize, usize, usize, usize)| Tensor::zeros(shape, DType::F32, &Device::Cpu);
        let good = x((2, 3, 4, 5))?;
        for bad in [x((2, 3, 4, 6))?, x((1, 3, 4, 5))?, x((2, 1, 4, 5))?, good.to_dtype(DType::F64)?] {
            assert!(attention(&good, &bad, &bad, None, &config).is_err());
            assert!(attention(&good, &good, &bad, None, &config).is_err());
        }
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let config = AttentionConfig { scale: Some(scale), ..config.clone() };
            assert!(attention(&good, &good, &good, None, &config).is_err());
        }
        for mask in [visible(5)?, visible(4)?.to_dtype(DType::F32)?] {
            assert!(attention(&good, &good, &good, Some(&mask), &config).is_err());
        }
        Ok(())
    }

    #[test]
    fn nothing_in_nothing_out() -> Result<()> {
        for shape in [(0, 3, 4, 5), (2, 0, 4, 5), (2, 3, 0, 5), (2, 3, 4, 0)] {
            let x = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
            assert_eq!(attention(&x, &x, &x, None, &AttentionConfig::default())?.shape(), x.shape());
        }
        Ok(())
    }
}
