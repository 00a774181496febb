//! Softmax attention for dense `[batch, heads, seq, head_dim]`, forward and backward, whose scores never
//! leave the cache ([Dao et al., 2022](https://arxiv.org/abs/2205.14135)).
//!
//! Up to 64 queries and 64 keys are worked on at a time. Of earlier keys only a running maximum and a running sum are
//! kept; the backward pass needs only the logarithm of that sum and computes the scores again.
//!
//! Queries lie in the *lanes* of a block and keys in its *rows*: `scores = k · qᵀ`. So the softmax runs down
//! the lanes without ever summing across one, a hidden key is a whole row, causality hides the beginning of a
//! row, and for the five products of a backward pass only `q` and the gradient of the output are transposed,
//! once for all keys.
//!
//! A short sequence costs mostly memory traffic, so each input is read once and each result written once, to memory that was
//! not cleared before: sums stay in the first cache until they are complete, and whether they are finite is seen on the way out.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `lanes`, `avx2`, `avx512` | several `f32` at once |
//! | `arithmetic`, `pairs` | products of `f32`, or of `bf16` summed in `f32` |
//! | `product` | tiles of sums in registers |
//! | `layout` | the orders in which products read their numbers, and how sums become results |
//! | `softmax` | what happens to a block of scores |
//! | `mask` | which query sees which key |
//! | `shape`, `tasks`, `head` | how work is divided, and what a task prepares |
//! | `forward`, `backward` | the two passes |
//! | `seen` | both by the definition, where numbers are not finite |
//! | `small` | the product and the transpose, for other kernels |
//!
//! # Numbers
//!
//! A number that is not finite reaches the queries that see it and no others, as by the definition: rows of the
//! output, and gradients of heads, that it got into are computed again, plainly.
//!
//! Sums are `f32`. Against `f64`, with normal random inputs of standard deviation one, head width 64 and up
//! to 300 keys, no number of the output or of a gradient was off by more than 1.5e-6 of the largest one
//! with products of `f32`, and 8e-3 with products of `bf16`. The result is the same, byte for byte,
//! however many threads there are and whichever does what.

mod arithmetic;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod backward;
mod forward;
mod head;
mod lanes;
mod layout;
mod mask;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod product;
mod seen;
mod shape;
mod small;
mod softmax;
mod tasks;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::mem::MaybeUninit;

use super::scratch::unwritten;
use super::{Instructions, Precision};
use arithmetic::Single;
use head::Source;
use shape::Shape;

pub(crate) use small::{add_product, transpose};

#[cfg(target_arch = "x86_64")]
use pairs::Pairs;

/// Attention of each query to the keys it may see: `softmax(q · kᵀ · scale) · v`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flash<'a> {
    pub(crate) batch: usize,
    pub(crate) heads: usize,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    pub(crate) head_dim: usize,
    /// What scores are multiplied by; above zero.
    pub(crate) scale: f32,
    /// Whether a query sees only its own position and what came before. The last query is at the position of the
    /// last key.
    pub(crate) causal: bool,
    /// How many positions a query sees to each side of its own.
    pub(crate) window: Option<usize>,
    /// Which keys may be seen: `[batch, key]`.
    pub(crate) visible: Option<&'a [bool]>,
    /// The number format of products. Without instructions for `bf16`, and for up to eight queries, `f32`.
    pub(crate) precision: Precision,
    /// How many threads may work on it, if there is enough to do.
    pub(crate) threads: usize,
    /// Those that are used, as far as the processor has them.
    pub(crate) instructions: Instructions,
}

/// `[batch, heads, query, head_dim]`, and twice `[batch, heads, key, head_dim]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) queries: &'a [f32],
    pub(crate) keys: &'a [f32],
    pub(crate) values: &'a [f32],
}

/// What the forward pass computed, and the gradient of its output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outputs<'a> {
    pub(crate) out: &'a [f32],
    pub(crate) log_sums: &'a [f32],
    pub(crate) grads: &'a [f32],
}

/// Where gradients go, of the shapes of the inputs.
struct Gradients<'a> {
    queries: &'a mut [MaybeUninit<f32>],
    keys: &'a mut [MaybeUninit<f32>],
    values: &'a mut [MaybeUninit<f32>],
}

/// Calls a function with the best arithmetic available.
macro_rules! with_arithmetic {
    ($flash:expr, $function:ident($($argument:expr),*)) => {{
        let set = $flash.instructions;
        match ($flash.precision, set.bf16(), set.avx512(), set.avx2()) {
            // Few queries would leave half of a wider register empty.
            #[cfg(target_arch = "x86_64")]
            (.., Some(has)) if $flash.queries <= 8 => $function(Single(has), $($argument),*),
            #[cfg(target_arch = "x86_64")]
            (Precision::Bf16, Some(has), ..) => $function(Pairs(has), $($argument),*),
            #[cfg(target_arch = "x86_64")]
            (_, _, Some(has), _) => $function(Single(has), $($argument),*),
            #[cfg(target_arch = "x86_64")]
            (.., Some(has)) => $function(Single(has), $($argument),*),
            _ => $function(Single(()), $($argument),*),
        }
    }};
}

impl Flash<'_> {
    /// The output `[batch, heads, query, head_dim]`, and what else the backward pass needs: for each
    /// query, log₂ of the sum of the exponentials of its scores.
    ///
    /// # Panics
    ///
    /// If the inputs are not of these sizes.
    pub(crate) fn forward(&self, inputs: Inputs<'_>) -> (Vec<f32>, Vec<f32>) {
        self.check(inputs);
        let shape = self.shape();
        let rows = shape.all_heads() * self.queries;
        let (mut out, mut log_sums) = (unwritten(rows * self.head_dim), vec![f32::INFINITY; rows]);
        let mut finite = true;
        if rows * self.head_dim > 0 {
            use forward::forward;
            let padded = [inputs.queries, inputs.keys, inputs.values].map(|x| self.padded(x));
            let inputs = Inputs { queries: &padded[0], keys: &padded[1], values: &padded[2] };
            let to = &mut out.spare_capacity_mut()[..rows * self.head_dim];
            finite = with_arithmetic!(self, forward(self, shape, inputs, to, &mut log_sums));
        }
        // SAFETY: the pass has written every number.
        unsafe { out.set_len(rows * self.head_dim) };
        if !finite {
            self.forward_over_seen(inputs, &mut out);
        }
        (out, log_sums)
    }

    /// The gradients of queries, keys and values.
    ///
    /// # Panics
    ///
    /// If the inputs or outputs are not of these sizes.
    pub(crate) fn backward(&self, inputs: Inputs<'_>, outputs: Outputs<'_>) -> [Vec<f32>; 3] {
        self.check(inputs);
        let shape = self.shape();
        let rows = shape.all_heads() * self.queries;
        let fits = |values: &[f32]| values.len() == rows * self.head_dim;
        assert!(
            fits(outputs.out) && fits(outputs.grads) && outputs.log_sums.len() == rows,
            "outputs do not fit"
        );
        let lens = [self.queries, self.keys, self.keys].map(|rows| shape.all_heads() * rows * self.head_dim);
        if lens.contains(&0) {
            return lens.map(|len| vec![0.0; len]);
        }
        let mut gradients = lens.map(unwritten);
        let finite = {
            use backward::backward;
            let padded = [inputs.queries, inputs.keys, inputs.values, outputs.out, outputs.grads]
                .map(|x| self.padded(x));
            let inputs = Inputs { queries: &padded[0], keys: &padded[1], values: &padded[2] };
            let outputs = Outputs { out: &padded[3], grads: &padded[4], ..outputs };
            let [queries, keys, values] = &mut gradients;
            let gradients = Gradients {
                queries: &mut queries.spare_capacity_mut()[..lens[0]],
                keys: &mut keys.spare_capacity_mut()[..lens[1]],
                values: &mut values.spare_capacity_mut()[..lens[2]],
            };
            with_arithmetic!(self, backward(self, shape, inputs, outputs, gradients))
        };
        for (gradient, len) in gradients.iter_mut().zip(lens) {
            // SAFETY: the pass has written every number.
            unsafe { gradient.set_len(len) };
        }
        if !finite {
            self.backward_over_seen(inputs, outputs, &mut gradients);
        }
        gradients
    }

    fn check(&self, inputs: Inputs<'_>) {
        let fits = |values: &[f32], rows: usize| {
            let mut sizes = [self.heads, rows, self.head_dim].into_iter();
            sizes.try_fold(self.batch, usize::checked_mul) == Some(values.len())
        };
        assert!(fits(inputs.queries, self.queries), "queries do not fit");
        assert!(fits(inputs.keys, self.keys) && fits(inputs.values, self.keys), "keys or values do not fit");
        assert!(
            self.visible.is_none_or(|visible| visible.len() == self.batch * self.keys),
            "mask does not fit"
        );
        assert!(self.scale > 0.0, "a scale above zero");
    }

    fn shape(&self) -> Shape {
        let Self { batch, heads, queries, keys, head_dim, .. } = *self;
        Shape { batch, heads, queries, keys, dim: head_dim.next_multiple_of(16) }
    }

    /// `scale · log₂ e`: exponentials are to base two.
    fn factor(&self) -> f32 {
        self.scale * std::f32::consts::LOG2_E
    }

    /// The keys and values of one head of one sequence.
    fn source<'s>(&'s self, shape: Shape, inputs: Inputs<'s>, head: usize) -> Source<'s> {
        let size = self.keys * shape.dim;
        let sequence = head / self.heads;
        Source {
            keys: &inputs.keys[head * size..(head + 1) * size],
            values: &inputs.values[head * size..(head + 1) * size],
            visible: self.visible.map(|visible| &visible[sequence * self.keys..(sequence + 1) * self.keys]),
            dim: shape.dim,
        }
    }

    /// Rows as wide as a multiple of sixteen: the zeros at their end do not change products.
    fn padded<'v>(&self, values: &'v [f32]) -> Cow<'v, [f32]> {
        let (from, to) = (self.head_dim, self.shape().dim);
        if from == to {
            return Cow::Borrowed(values);
        }
        let mut padded = vec![0.0; values.len() / from * to];
        for (row, padded) in values.chunks_exact(from).zip(padded.chunks_exact_mut(to)) {
            padded[..from].copy_from_slice(row);
        }
        Cow::Owned(padded)
    }
}
