//! The gradients of queries, keys and values; scores are computed again.

use std::ops::Range;

use super::arithmetic::Arithmetic;
use super::forward::side_by_side;
use super::head::{Head, Words};
use super::layout::{Joined, RowProducts, ScaleRows, Transposed};
use super::mask::Mask;
use super::product::{Left, Product, Right, Start, Target};
use super::shape::{KEYS, QUERIES, Shape, blocks};
use super::softmax::{Block, Differentiate};
use super::{Flash, Gradients, Inputs, Outputs, tasks};
use crate::kernels::scratch::grow;

/// What a thread keeps from task to task.
struct Scratch {
    head: Head,
    words: Vec<f32>,
    queries: Side,
    grads: Side,
    log_sums: [f32; QUERIES],
    means: [f32; QUERIES],
    scores: Vec<f32>,
    weight_grads: Vec<f32>,
    weights: Vec<f32>,
    score_grads: Vec<f32>,
    joined: Vec<f32>,
    /// Gradients of keys and values where some keys are left out.
    gathered: [Vec<f32>; 2],
}

/// Queries or gradients of the output, in the two orders that products want.
#[derive(Default)]
struct Side {
    transposed: Vec<f32>,
    joined: Vec<f32>,
}

impl Side {
    fn prepare<A: Arithmetic>(
        &mut self,
        a: A,
        values: &[f32],
        dim: usize,
        lanes: usize,
        buffer: &mut Vec<f32>,
    ) {
        let rows = values.len() / dim;
        let words = side_by_side(a, values, buffer);
        let width = dim / A::TERMS;
        a.run(Transposed {
            words,
            stride: width,
            width,
            rows,
            to: grow(&mut self.transposed, lanes * dim),
            lanes,
        });
        if A::TERMS > 1 {
            let to = grow(&mut self.joined, rows.div_ceil(A::TERMS) * dim);
            a.run(Joined { values, width: dim, to });
        }
    }

    fn joined<'a, A: Arithmetic>(&'a self, values: &'a [f32]) -> &'a [f32] {
        if A::TERMS > 1 { &self.joined } else { values }
    }
}

impl Scratch {
    fn new() -> Self {
        let block = || vec![0.0; KEYS * QUERIES];
        Self {
            head: Head::default(),
            words: Vec::new(),
            queries: Side::default(),
            grads: Side::default(),
            log_sums: [0.0; QUERIES],
            means: [0.0; QUERIES],
            scores: block(),
            weight_grads: block(),
            weights: block(),
            score_grads: block(),
            joined: block(),
            gathered: Default::default(),
        }
    }
}

/// Some keys of one head, or all keys of several.
struct Task<'a> {
    first_head: usize,
    keys: Range<usize>,
    grads: Gradients<'a>,
}

/// Adds the gradients to `gradients`, which begin as zeros.
pub(super) fn backward<A: Arithmetic>(
    a: A,
    flash: &Flash<'_>,
    shape: Shape,
    inputs: Inputs<'_>,
    outputs: Outputs<'_>,
    gradients: Gradients<'_>,
) {
    let chunks = shape.key_chunks();
    // The first chunk adds to the gradient itself, each other one to a sum of its own.
    let mut more = vec![vec![0.0; gradients.queries.len()]; chunks.len() - 1];
    let sums = std::iter::once(&mut *gradients.queries).chain(more.iter_mut().map(Vec::as_mut_slice));
    let tasks = divide(shape, &chunks, sums.collect(), gradients.keys, gradients.values);
    let mask = shape.mask(flash.causal, flash.window);
    tasks::share(shape.threads(flash.threads), tasks.into_iter(), Scratch::new, |scratch, task| {
        let grads = task.grads;
        let queries = grads.queries.chunks_mut(shape.queries * shape.dim);
        let keys = grads.keys.chunks_mut(task.keys.len() * shape.dim);
        let values = grads.values.chunks_mut(task.keys.len() * shape.dim);
        for (i, ((queries, keys), values)) in queries.zip(keys).zip(values).enumerate() {
            let part = Part { a, flash, shape, mask, inputs, outputs, head: task.first_head + i };
            part.run(scratch, task.keys.clone(), Gradients { queries, keys, values });
        }
    });
    for more in more {
        gradients.queries.iter_mut().zip(more).for_each(|(sum, x)| *sum += x);
    }
}

/// Gives each task the gradients that it alone adds to.
fn divide<'a>(
    shape: Shape,
    chunks: &[Range<usize>],
    sums: Vec<&'a mut [f32]>,
    keys: &'a mut [f32],
    values: &'a mut [f32],
) -> Vec<Task<'a>> {
    let heads = shape.heads_of_task();
    let of_keys = (heads * shape.keys * shape.dim).max(1);
    let of_queries = (heads * shape.queries * shape.dim).max(1);
    let mut sums: Vec<_> = sums.into_iter().map(|sum| sum.chunks_mut(of_queries)).collect();
    let mut tasks = Vec::new();
    for (i, (mut keys, mut values)) in keys.chunks_mut(of_keys).zip(values.chunks_mut(of_keys)).enumerate() {
        for (chunk, sums) in chunks.iter().zip(&mut sums) {
            let len = if chunks.len() == 1 { keys.len() } else { chunk.len() * shape.dim };
            let (own_keys, own_values);
            (own_keys, keys) = keys.split_at_mut(len);
            (own_values, values) = values.split_at_mut(len);
            let queries = sums.next().unwrap_or_default();
            let grads = Gradients { queries, keys: own_keys, values: own_values };
            tasks.push(Task { first_head: i * heads, keys: chunk.clone(), grads });
        }
    }
    tasks
}

/// One head, and all that is the same for its blocks.
struct Part<'a, A> {
    a: A,
    flash: &'a Flash<'a>,
    shape: Shape,
    mask: Mask,
    inputs: Inputs<'a>,
    outputs: Outputs<'a>,
    head: usize,
}

/// The gradients that the keys of one task add to.
struct Sums<'a> {
    keys: &'a mut [f32],
    values: &'a mut [f32],
}

impl<A: Arithmetic> Part<'_, A> {
    fn run(&self, scratch: &mut Scratch, range: Range<usize>, grads: Gradients<'_>) {
        let dim = self.shape.dim;
        let mut head = std::mem::take(&mut scratch.head);
        let source = self.flash.source(self.shape, self.inputs, self.head);
        let words = head.prepare(self.a, source, range.clone(), true);
        let Some(positions) = words.at.positions else {
            let mut sums = Sums { keys: grads.keys, values: grads.values };
            self.queries(scratch, words, grads.queries, &mut sums);
            scratch.head = head;
            return;
        };
        let [mut keys, mut values] = std::mem::take(&mut scratch.gathered);
        let len = positions.len() * dim;
        let mut sums = Sums { keys: grow(&mut keys, len), values: grow(&mut values, len) };
        sums.keys.fill(0.0);
        sums.values.fill(0.0);
        self.queries(scratch, words, grads.queries, &mut sums);
        for (from, position) in positions.iter().enumerate() {
            let (from, to) = (from * dim, (position - range.start) * dim);
            grads.keys[to..to + dim].copy_from_slice(&sums.keys[from..from + dim]);
            grads.values[to..to + dim].copy_from_slice(&sums.values[from..from + dim]);
        }
        scratch.gathered = [keys, values];
        scratch.head = head;
    }

    fn scale(&self, grads: &mut [f32]) {
        let width = grads.len().max(1);
        self.a.run(ScaleRows { rows: grads, width, factors: &[self.flash.scale] });
    }

    /// All queries against the keys of this task.
    fn queries(&self, scratch: &mut Scratch, words: Words<'_>, grads: &mut [f32], sums: &mut Sums<'_>) {
        let blocks = blocks(0..self.shape.queries, QUERIES);
        for (queries, grads) in blocks.zip(grads.chunks_mut(QUERIES * self.shape.dim)) {
            let visible = self.mask.keys_of(&queries, &words.at);
            if !visible.is_empty() {
                self.block(scratch, words, queries, visible, grads, sums);
            }
        }
        self.scale(sums.keys);
    }

    /// Some queries against the keys that they see.
    fn block(
        &self,
        scratch: &mut Scratch,
        words: Words<'_>,
        queries: Range<usize>,
        visible: Range<usize>,
        grads: &mut [f32],
        sums: &mut Sums<'_>,
    ) {
        let (dim, depth) = (self.shape.dim, self.shape.dim / A::TERMS);
        let (rows, lanes) = (queries.len(), queries.len().next_multiple_of(16));
        let first = self.head * self.shape.queries + queries.start;
        let own = first * dim..(first + rows) * dim;
        let (query_rows, grad_rows) = (&self.inputs.queries[own.clone()], &self.outputs.grads[own.clone()]);
        scratch.queries.prepare(self.a, query_rows, dim, lanes, &mut scratch.words);
        scratch.grads.prepare(self.a, grad_rows, dim, lanes, &mut scratch.words);
        // Lanes without a query have weights of zero.
        scratch.log_sums.fill(f32::INFINITY);
        scratch.log_sums[..rows].copy_from_slice(&self.outputs.log_sums[first..first + rows]);
        scratch.means.fill(0.0);
        let (left, right) = (grad_rows, &self.outputs.out[own]);
        self.a.run(RowProducts { left, right, width: dim, to: &mut scratch.means[..rows] });

        for keys in blocks(visible.start / A::TERMS * A::TERMS..visible.end, KEYS) {
            let scores = |words: &[f32], side: &Side, values: &mut [f32]| {
                self.a.run(Product {
                    target: Target { values, stride: lanes, start: Start::Overwrite },
                    left: Left { words: &words[keys.start * depth..], row_stride: depth, depth_stride: 1 },
                    right: Right { words: &side.transposed, stride: lanes },
                    size: [keys.len(), lanes, depth],
                });
            };
            scores(words.keys, &scratch.queries, &mut scratch.scores);
            scores(words.values, &scratch.grads, &mut scratch.weight_grads);
            if !self.mask.is_whole(&queries, &keys, &words.at) {
                self.mask.hide(&queries, &keys, &words.at, &mut scratch.scores, lanes);
            }
            self.a.run(Differentiate {
                block: Block { keys: keys.len(), lanes, factor: self.flash.factor() },
                scores: &scratch.scores,
                grads: &scratch.weight_grads,
                log_sums: &scratch.log_sums,
                means: &scratch.means,
                weights: &mut scratch.weights,
                score_grads: &mut scratch.score_grads,
                joined: &mut scratch.joined,
            });

            let add = |words: &[f32], joined: &[f32], sum: &mut [f32]| {
                self.a.run(Product {
                    target: Target { values: &mut sum[keys.start * dim..], stride: dim, start: Start::Add },
                    left: Left { words, row_stride: lanes / A::TERMS, depth_stride: 1 },
                    right: Right { words: joined, stride: dim },
                    size: [keys.len(), dim, rows.div_ceil(A::TERMS)],
                });
            };
            add(&scratch.weights, scratch.grads.joined::<A>(grad_rows), sums.values);
            add(&scratch.score_grads, scratch.queries.joined::<A>(query_rows), sums.keys);
            let joined = if A::TERMS > 1 { &scratch.joined } else { &scratch.score_grads };
            self.a.run(Product {
                target: Target { values: grads, stride: dim, start: Start::Add },
                left: Left { words: joined, row_stride: 1, depth_stride: lanes },
                right: Right { words: &words.joined_keys[keys.start / A::TERMS * dim..], stride: dim },
                size: [rows, dim, keys.len().div_ceil(A::TERMS)],
            });
        }
        self.scale(grads);
    }
}
