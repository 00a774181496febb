//! Self-attention on our kernels: sequences stay packed, forward and backward.

use candle_core::{Result, Shape};

use super::super::Segments;
use super::super::op::{Backward, Element, Input, Operation};
use crate::kernels::attention::{Attention, AttentionGradients, LogSums, Outputs, Relative};

/// Attention between the projections: an operation of `[row, 3·model_dim]` and the relative tables.
pub(super) struct PackedAttention {
    pub(super) segments: Segments,
    pub(super) heads: usize,
    pub(super) causal: bool,
    pub(super) drop_rate: f64,
    pub(super) seed: u64,
    pub(super) reach: usize,
    /// Which of the relative keys, values and biases are used.
    pub(super) used: [bool; 3],
}

impl PackedAttention {
    fn kernel(&self, model_dim: usize) -> Attention<'_> {
        Attention::new(self.segments.offsets(), self.heads, model_dim, self.causal)
            .with_dropout(self.drop_rate, self.seed)
    }

    fn relative<'a, T>(&self, inputs: &[Input<'a, T>]) -> Relative<'a, T> {
        let mut tables = inputs[1..].iter().map(|input| input.values);
        let [keys, values, biases] =
            self.used.map(|used| used.then(|| tables.next()).flatten().unwrap_or_default());
        Relative { keys, values, biases, reach: self.reach }
    }
}

impl Operation for PackedAttention {
    const NAME: &'static str = "self_attention";

    type State<T: Element> = LogSums;

    fn forward<T: Element>(&self, inputs: &[Input<'_, T>]) -> Result<(Vec<T>, Shape, LogSums)> {
        let qkv = inputs[0];
        let (rows, model_dim) = (self.segments.rows(), qkv.width() / 3);
        let mut out = vec![T::zero(); rows * model_dim];
        let log_sums = self.kernel(model_dim).forward(qkv.values, self.relative(inputs), &mut out);
        Ok((out, Shape::from((rows, model_dim)), log_sums))
    }

    fn backward<T: Element>(&self, pass: Backward<'_, T, LogSums>) -> Result<Vec<Option<Vec<T>>>> {
        let (qkv, relative) = (pass.inputs[0], self.relative(pass.inputs));
        let sizes = [qkv.values, relative.keys, relative.values, relative.biases].map(<[T]>::len);
        let mut all = sizes.map(|len| vec![T::zero(); len]);
        let [of_qkv, relative_keys, relative_values, relative_biases] = &mut all;
        let mut sums = AttentionGradients { qkv: of_qkv, relative_keys, relative_values, relative_biases };
        let outputs = Outputs { out: pass.out, log_sums: pass.state };
        self.kernel(qkv.width() / 3).backward(qkv.values, relative, outputs, pass.grad, &mut sums);
        let is_input = [true].into_iter().chain(self.used);
        Ok(all.into_iter().zip(is_input).filter(|(_, used)| *used).map(|(values, _)| Some(values)).collect())
    }
}
