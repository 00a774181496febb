//! One head of a long sequence, computed by the blocked kernel.
//!
//! Its queries, keys and values are copied out of the packed rows first. That costs little compared with work that
//! grows with the square of the length, and the kernel then reads rows that lie next to each other.

use super::super::flash::{self, Flash, Inputs};
use super::super::{Instructions, Precision};
use super::part::Part;

impl Part {
    fn flash(&self, causal: bool, scale: f32) -> Flash<'static> {
        Flash {
            batch: 1,
            heads: 1,
            queries: self.len(),
            keys: self.len(),
            head_dim: self.head_dim,
            scale,
            causal,
            window: None,
            visible: None,
            precision: Precision::F32,
            threads: 1,
            instructions: Instructions::best(),
        }
    }

    /// Fills this head's columns of `out`, which are zero, and returns the log-sums for
    /// [`backward_blocked`](Self::backward_blocked).
    pub(super) fn forward_blocked(&self, causal: bool, scale: f32, qkv: &[f32], out: &mut [f32]) -> Vec<f32> {
        let [queries, keys, values] = [0, 1, 2].map(|which| self.copied(qkv, 3, which));
        let inputs = Inputs { queries: &queries, keys: &keys, values: &values };
        let (context, log_sums) = self.flash(causal, scale).forward(inputs);
        self.add(&context, out, 1, 0);
        log_sums
    }

    /// Adds the gradients of this head's queries, keys and values, given output, log-sums and the
    /// gradient of the output.
    pub(super) fn backward_blocked(
        &self,
        causal: bool,
        scale: f32,
        qkv: &[f32],
        [out, log_sums, grad]: [&[f32]; 3],
        gradients: &mut [f32],
    ) {
        let [queries, keys, values] = [0, 1, 2].map(|which| self.copied(qkv, 3, which));
        let inputs = Inputs { queries: &queries, keys: &keys, values: &values };
        let [out, grads] = [out, grad].map(|rows| self.copied(rows, 1, 0));
        let outputs = flash::Outputs { out: &out, log_sums, grads: &grads };
        let found = self.flash(causal, scale).backward(inputs, outputs);
        found.iter().enumerate().for_each(|(which, gradient)| self.add(gradient, gradients, 3, which));
    }

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
