//! The same on our blocked kernel, as an operation of candle's graph.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::super::op::{Input, view, view_of_storage};
use super::AttentionConfig;
use crate::kernels::Instructions;
use crate::kernels::flash::{Flash, Inputs, Outputs};

/// Attention of `f32` on the CPU.
pub(super) struct BlockedAttention {
    config: AttentionConfig,
    scale: f32,
    visible: Option<Vec<bool>>,
    /// What the forward pass leaves for the backward pass.
    log_sums: OnceLock<Vec<f32>>,
}

impl BlockedAttention {
    pub(super) fn new(config: &AttentionConfig, scale: f32, visible: Option<&Tensor>) -> Result<Self> {
        let visible = visible.map(|visible| -> Result<Vec<bool>> {
            let numbers = visible.flatten_all()?.to_vec1::<u8>()?;
            Ok(numbers.into_iter().map(|number| number != 0).collect())
        });
        let (config, visible) = (config.clone(), visible.transpose()?);
        Ok(Self { config, scale, visible, log_sums: OnceLock::new() })
    }

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
            precision: self.config.precision,
            threads: self.config.threads(),
            instructions: Instructions::best(),
        }
    }
}

impl CustomOp3 for BlockedAttention {
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
