//! Attention on our blocked kernel, as an operation of candle's graph.

use candle_core::{Result, Shape, Tensor, bail};

use super::super::op::{Backward, Element, Input, Operation};
use super::AttentionConfig;
use crate::kernels::Instructions;
use crate::kernels::flash::{Flash, Inputs, Outputs};

/// Attention of `f32` on the CPU.
pub(super) struct BlockedAttention {
    config: AttentionConfig,
    scale: f32,
    visible: Option<Vec<bool>>,
}

impl BlockedAttention {
    pub(super) fn new(config: &AttentionConfig, scale: f32, visible: Option<&Tensor>) -> Result<Self> {
        let visible = visible.map(|visible| -> Result<Vec<bool>> {
            let numbers = visible.flatten_all()?.to_vec1::<u8>()?;
            Ok(numbers.into_iter().map(|number| number != 0).collect())
        });
        Ok(Self { config: config.clone(), scale, visible: visible.transpose()? })
    }

    fn kernel<T>(&self, inputs: &[Input<'_, T>]) -> Flash<'_> {
        let (q, k) = (inputs[0].dims, inputs[1].dims);
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

impl Operation for BlockedAttention {
    const NAME: &'static str = "attention";

    /// For each query, log₂ of the sum of the exponentials of its scores.
    type State<T: Element> = Vec<f32>;

    fn forward<T: Element>(&self, inputs: &[Input<'_, T>]) -> Result<(Vec<T>, Shape, Vec<f32>)> {
        let (out, log_sums) = self.kernel(inputs).forward(as_inputs(inputs)?);
        Ok((only_f32(T::of_f32(out))?, Shape::from(inputs[0].dims), log_sums))
    }

    fn backward<T: Element>(&self, pass: Backward<'_, T, Vec<f32>>) -> Result<Vec<Option<Vec<T>>>> {
        let [out, grads] = [pass.out, pass.grad].map(|values| only_f32(T::as_f32(values)));
        let outputs = Outputs { out: out?, log_sums: pass.state, grads: grads? };
        let gradients = self.kernel(pass.inputs).backward(as_inputs(pass.inputs)?, outputs);
        gradients.into_iter().map(|gradient| only_f32(T::of_f32(gradient)).map(Some)).collect()
    }
}

fn as_inputs<'a, T: Element>(inputs: &[Input<'a, T>]) -> Result<Inputs<'a>> {
    let values = |at: usize| only_f32(T::as_f32(inputs[at].values));
    Ok(Inputs { queries: values(0)?, keys: values(1)?, values: values(2)? })
}

fn only_f32<V>(values: Option<V>) -> Result<V> {
    let Some(values) = values else { bail!("blocked attention works on f32 only") };
    Ok(values)
}
