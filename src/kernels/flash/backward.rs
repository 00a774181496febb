//! The gradients of queries, keys and values; scores are computed again.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::arithmetic::Arithmetic;
use super::forward::side_by_side;
use super::head::{Head, Words};
use super::lanes::Lanes;
use super::layout::{Emit, Factors, Joined, RowProducts, Transposed};
use super::mask::Mask;
use super::product::{Left, Product, Right, Start, Target};
use super::shape::{KEYS, QUERIES, Shape, blocks};
use super::softmax::{Block, Differentiate};
use super::{Flash, Gradients, Inputs, Outputs, tasks};
use crate::kernels::scratch::{grow, unwritten};

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
    /// Gradients of the queries of a block.
    of_queries: Vec<f32>,
    /// Gradients of keys and values.
    sums: [Vec<f32>; 2],
    /// One of them, with zeros for the keys that are left out.
    spread: Vec<f32>,
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
            of_queries: Vec::new(),
            sums: Default::default(),
            spread: Vec::new(),
        }
    }
}

/// Some keys of one head, or all keys of several.
struct Task<'a> {
    first_head: usize,
    keys: Range<usize>,
    grads: Gradients<'a>,
}

/// Writes every number of `gradients`. Returns whether all of them are finite.
pub(super) fn backward<A: Arithmetic>(
    a: A,
    flash: &Flash<'_>,
    shape: Shape,
    inputs: Inputs<'_>,
    outputs: Outputs<'_>,
    gradients: Gradients<'_>,
) -> bool {
    let (chunks, width) = (shape.key_chunks(), flash.head_dim);
    // The first chunk writes the gradient itself, each other one a sum of its own.
    let mut more: Vec<_> = chunks[1..].iter().map(|_| unwritten(gradients.queries.len())).collect();
    let len = gradients.queries.len();
    let blank = more.iter_mut().map(|more: &mut Vec<f32>| &mut more.spare_capacity_mut()[..len]);
    let sums = std::iter::once(&mut *gradients.queries).chain(blank);
    let tasks = divide(shape, width, &chunks, sums.collect(), gradients.keys, gradients.values);
    let mask = shape.mask(flash.causal, flash.window);
    let all_finite = AtomicBool::new(true);
    tasks::share(shape.threads(flash.threads), tasks.into_iter(), Scratch::new, |scratch, task| {
        let grads = task.grads;
        let queries = grads.queries.chunks_mut(shape.queries * width);
        let keys = grads.keys.chunks_mut(task.keys.len() * width);
        let values = grads.values.chunks_mut(task.keys.len() * width);
        let mut finite = true;
        for (i, ((queries, keys), values)) in queries.zip(keys).zip(values).enumerate() {
            let (head, all_keys) = (task.first_head + i, chunks.len() == 1);
            let part = Part { a, flash, shape, mask, inputs, outputs, head, all_keys };
            part.run(scratch, task.keys.clone(), Gradients { queries, keys, values }, &mut finite);
        }
        all_finite.fetch_and(finite, Ordering::Relaxed);
    });
    let mut finite = all_finite.into_inner();
    for more in &mut more {
        for (sum, x) in gradients.queries.iter_mut().zip(more.spare_capacity_mut()) {
            // SAFETY: the tasks of each chunk have written every number of its sum.
            let both = unsafe { sum.assume_init() + x.assume_init() };
            finite &= both.is_finite();
            sum.write(both);
        }
    }
    finite
}

/// Gives each task the gradients that it alone writes.
fn divide<'a>(
    shape: Shape,
    width: usize,
    chunks: &[Range<usize>],
    sums: Vec<&'a mut [MaybeUninit<f32>]>,
    keys: &'a mut [MaybeUninit<f32>],
    values: &'a mut [MaybeUninit<f32>],
) -> Vec<Task<'a>> {
    let heads = shape.heads_of_task();
    let of_keys = (heads * shape.keys * width).max(1);
    let of_queries = (heads * shape.queries * width).max(1);
    let mut sums: Vec<_> = sums.into_iter().map(|sum| sum.chunks_mut(of_queries)).collect();
    let mut tasks = Vec::new();
    for (i, (mut keys, mut values)) in keys.chunks_mut(of_keys).zip(values.chunks_mut(of_keys)).enumerate() {
        for (chunk, sums) in chunks.iter().zip(&mut sums) {
            let len = if chunks.len() == 1 { keys.len() } else { chunk.len() * width };
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
    /// Whether a task has all keys of its heads.
    all_keys: bool,
}

/// The gradients that the keys of one task add to.
struct Sums<'a> {
    keys: &'a mut [f32],
    values: &'a mut [f32],
}

impl<A: Arithmetic> Part<'_, A> {
    fn run(&self, scratch: &mut Scratch, range: Range<usize>, grads: Gradients<'_>, finite: &mut bool) {
        let dim = self.shape.dim;
        let mut head = std::mem::take(&mut scratch.head);
        let [mut keys, mut values] = std::mem::take(&mut scratch.sums);
        let source = self.flash.source(self.shape, self.inputs, self.head);
        let words = head.prepare(self.a, source, range.clone(), true);
        let len = words.at.count * dim;
        let mut sums = Sums { keys: grow(&mut keys, len), values: grow(&mut values, len) };
        self.queries(scratch, words, grads.queries, &mut sums, finite);
        for (sums, factor, to) in
            [(sums.keys, self.flash.scale, grads.keys), (sums.values, 1.0, grads.values)]
        {
            let sums = match words.at.positions {
                Some(positions) => spread(sums, positions, &range, dim, &mut scratch.spread),
                None => sums,
            };
            self.emit(sums, factor, to, finite);
        }
        scratch.sums = [keys, values];
        scratch.head = head;
    }

    fn emit(&self, sums: &[f32], factor: f32, to: &mut [MaybeUninit<f32>], finite: &mut bool) {
        let (dim, width) = (self.shape.dim, self.flash.head_dim);
        self.a.run(Emit { sums, dim, factors: Factors::All(factor), to, width, finite });
    }

    /// All queries against the keys of this task.
    fn queries(
        &self,
        scratch: &mut Scratch,
        words: Words<'_>,
        grads: &mut [MaybeUninit<f32>],
        sums: &mut Sums<'_>,
        finite: &mut bool,
    ) {
        let dim = self.shape.dim;
        let mut of_queries = std::mem::take(&mut scratch.of_queries);
        let blocks = blocks(0..self.shape.queries, QUERIES);
        for (queries, grads) in blocks.zip(grads.chunks_mut(QUERIES * self.flash.head_dim)) {
            let visible = self.mask.keys_of(&queries, &words.at);
            let first = queries.start == 0;
            let whole = visible == (0..words.at.count);
            // Where the first queries see all keys, they need not add to zeros.
            if first && !whole {
                sums.keys.fill(0.0);
                sums.values.fill(0.0);
            }
            let start = if first && whole { Start::Overwrite } else { Start::Add };
            let of_queries = grow(&mut of_queries, queries.len() * dim);
            if visible.is_empty() {
                of_queries.fill(0.0);
            } else {
                self.block(scratch, words, queries, visible, (of_queries, sums, start));
            }
            self.emit(of_queries, self.flash.scale, grads, finite);
        }
        scratch.of_queries = of_queries;
    }

    /// Some queries against the keys that they see.
    fn block(
        &self,
        scratch: &mut Scratch,
        words: Words<'_>,
        queries: Range<usize>,
        visible: Range<usize>,
        (grads, sums, start): (&mut [f32], &mut Sums<'_>, Start<'_>),
    ) {
        let (dim, depth) = (self.shape.dim, self.shape.dim / A::TERMS);
        let (rows, lanes) = (queries.len(), queries.len().next_multiple_of(A::Lanes::WIDTH));
        let first = self.head * self.shape.queries + queries.start;
        let own = first * dim..(first + rows) * dim;
        let (query_rows, grad_rows) = (&self.inputs.queries[own.clone()], &self.outputs.grads[own.clone()]);
        scratch.queries.prepare(self.a, query_rows, dim, lanes, &mut scratch.words);
        scratch.grads.prepare(self.a, grad_rows, dim, lanes, &mut scratch.words);
        // Lanes without a query have weights of zero.
        scratch.log_sums.fill(f32::INFINITY);
        scratch.log_sums[..rows].copy_from_slice(&self.outputs.log_sums[first..first + rows]);
        // Joined values begin at even keys only.
        let among = visible.start / A::TERMS * A::TERMS..visible.end;
        // Where one block has all keys that the queries see, it finds the means along with the weights.
        let at_once = self.all_keys && among.len() <= KEYS;
        if !at_once {
            scratch.means.fill(0.0);
            let (left, right) = (grad_rows, &self.outputs.out[own]);
            self.a.run(RowProducts { left, right, width: dim, to: &mut scratch.means[..rows] });
        }

        let mut begun = false;
        for keys in blocks(among, KEYS) {
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
                scores: &mut scratch.scores,
                grads: &scratch.weight_grads,
                log_sums: &scratch.log_sums,
                means: (!at_once).then_some(&scratch.means),
                weights: &mut scratch.weights,
                score_grads: &mut scratch.score_grads,
                joined: &mut scratch.joined,
            });

            let add = |words: &[f32], joined: &[f32], sum: &mut [f32]| {
                self.a.run(Product {
                    target: Target { values: &mut sum[keys.start * dim..], stride: dim, start },
                    left: Left { words, row_stride: lanes / A::TERMS, depth_stride: 1 },
                    right: Right { words: joined, stride: dim },
                    size: [keys.len(), dim, rows.div_ceil(A::TERMS)],
                });
            };
            add(&scratch.weights, scratch.grads.joined::<A>(grad_rows), sums.values);
            add(&scratch.score_grads, scratch.queries.joined::<A>(query_rows), sums.keys);
            let joined = if A::TERMS > 1 { &scratch.joined } else { &scratch.score_grads };
            self.a.run(Product {
                target: Target {
                    values: grads,
                    stride: dim,
                    start: if begun { Start::Add } else { Start::Overwrite },
                },
                left: Left { words: joined, row_stride: 1, depth_stride: lanes },
                right: Right { words: &words.joined_keys[keys.start / A::TERMS * dim..], stride: dim },
                size: [rows, dim, keys.len().div_ceil(A::TERMS)],
            });
            begun = true;
        }
    }
}

/// Rows at their positions inside a range, and zeros between them.
fn spread<'s>(
    rows: &[f32],
    positions: &[usize],
    range: &Range<usize>,
    dim: usize,
    to: &'s mut Vec<f32>,
) -> &'s mut [f32] {
    let to = grow(to, range.len() * dim);
    to.fill(0.0);
    for (row, position) in rows.chunks_exact(dim).zip(positions) {
        to[(position - range.start) * dim..][..dim].copy_from_slice(row);
    }
    to
}
