//! One head of a long sequence, computed by the blocked kernel.
//!
//! Its queries, keys and values are copied out of the packed rows first. That costs little beside work that
//! grows with the square of the length, and the kernel then reads rows that lie next to each other.

use super::super::flash::{self, Flash, Inputs};
use super::super::{Instructions, Precision};
use super::Part;

/// The blocked kernel for one head.
pub(super) struct BlockedHead {
    kernel: Flash<'static>,
}

impl BlockedHead {
    pub(super) fn new(part: &Part, causal: bool, scale: f32) -> Self {
        let kernel = Flash {
            batch: 1,
            heads: 1,
            queries: part.len(),
            keys: part.len(),
            head_dim: part.head_dim,
            scale,
            causal,
            window: None,
            visible: None,
            precision: Precision::F32,
            threads: 1,
            instructions: Instructions::best(),
        };
        Self { kernel }
    }

    /// Fills this head's columns of `out`; what it returns goes to [`backward`](Self::backward).
    pub(super) fn forward(&self, part: &Part, qkv: &[f32], out: &mut [f32]) -> Vec<f32> {
        let [queries, keys, values] = [0, 1, 2].map(|which| part.copied(qkv, 3, which));
        let inputs = Inputs { queries: &queries, keys: &keys, values: &values };
        let (context, log_sums) = self.kernel.forward(inputs);
        part.add(&context, out, 1, 0); // to zeros
        log_sums
    }

    /// Adds the gradients of this head's queries, keys and values, given output, log-sums and the
    /// gradient of the output.
    pub(super) fn backward(
        &self,
        part: &Part,
        qkv: &[f32],
        [out, log_sums, grad]: [&[f32]; 3],
        gradients: &mut [f32],
    ) {
        let [queries, keys, values] = [0, 1, 2].map(|which| part.copied(qkv, 3, which));
        let inputs = Inputs { queries: &queries, keys: &keys, values: &values };
        let [out, grads] = [out, grad].map(|rows| part.copied(rows, 1, 0));
        let found = self.kernel.backward(inputs, flash::Outputs { out: &out, log_sums, grads: &grads });
        found.iter().enumerate().for_each(|(which, gradient)| part.add(gradient, gradients, 3, which));
    }
}

impl Part {
    /// This head's columns of a block, copied: `[row, head_dim]`.
    fn copied(&self, values: &[f32], blocks: usize, which: usize) -> Vec<f32> {
        let from = self.block(values, blocks, which);
        let mut rows = Vec::with_capacity(self.len() * self.head_dim);
        for row in from.values.chunks_exact(from.stride) {
            rows.extend_from_slice(&row[from.first..from.first + self.head_dim]);
        }
        rows
    }

    /// Adds `[row, head_dim]` to this head's columns of a block.
    fn add(&self, values: &[f32], to: &mut [f32], blocks: usize, which: usize) {
        let to = self.block_mut(to, blocks, which);
        let rows = to.values.chunks_exact_mut(to.stride);
        for (row, values) in rows.zip(values.chunks_exact(self.head_dim)) {
            row[to.first..].iter_mut().zip(values).for_each(|(sum, x)| *sum += *x);
        }
    }
}
