//! `softmax(q · kᵀ · scale) · v`, and for each query log₂ of the sum of the exponentials.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

use super::arithmetic::Arithmetic;
use super::head::{Head, Words};
use super::lanes::Lanes;
use super::layout::{Emit, Factors, SideBySide, Transposed};
use super::mask::Mask;
use super::product::{Left, Product, Right, Start, Target};
use super::shape::{KEYS, QUERIES, Shape, blocks};
use super::softmax::{Block, Progress, Weigh};
use super::{Flash, Inputs, tasks};
use crate::kernels::scratch::grow;

/// What a thread keeps from task to task.
struct Scratch {
    head: Head,
    query_words: Vec<f32>,
    transposed: Vec<f32>,
    scores: Vec<f32>,
    weights: Vec<f32>,
    out: Vec<f32>,
    top: [f32; QUERIES],
    sum: [f32; QUERIES],
    rescale: [f32; QUERIES],
}

impl Scratch {
    fn new(dim: usize) -> Self {
        Self {
            head: Head::default(),
            query_words: vec![0.0; QUERIES * dim],
            transposed: vec![0.0; QUERIES * dim],
            scores: vec![0.0; KEYS * QUERIES],
            weights: vec![0.0; KEYS * QUERIES],
            out: vec![0.0; QUERIES * dim],
            top: [0.0; QUERIES],
            sum: [0.0; QUERIES],
            rescale: [0.0; QUERIES],
        }
    }
}

/// Some queries of one or several heads.
struct Task<'a> {
    first_head: usize,
    first_query: usize,
    out: &'a mut [MaybeUninit<f32>],
    log_sums: &'a mut [f32],
}

/// Writes every number of `out` (`[head, query, head_dim]`) and of `log_sums` (`[head, query]`). Returns whether all that it
/// wrote to `out` is finite.
pub(super) fn forward<A: Arithmetic>(
    a: A,
    flash: &Flash<'_>,
    shape: Shape,
    inputs: Inputs<'_>,
    out: &mut [MaybeUninit<f32>],
    log_sums: &mut [f32],
) -> bool {
    let (heads, width) = (shape.heads_of_task(), flash.head_dim);
    let rows = if heads > 1 { heads * shape.queries } else { shape.queries_of_task() };
    let gathered = (heads * shape.queries).max(1);
    let (out, log_sums) = (out.chunks_mut(gathered * width), log_sums.chunks_mut(gathered));
    let tasks = out.zip(log_sums).enumerate().flat_map(|(i, (out, log_sums))| {
        let parts = out.chunks_mut(rows * width).zip(log_sums.chunks_mut(rows)).enumerate();
        parts.map(move |(part, (out, log_sums))| Task {
            first_head: i * heads,
            first_query: part * rows,
            out,
            log_sums,
        })
    });
    let mask = shape.mask(flash.causal, flash.window);
    let all_finite = AtomicBool::new(true);
    tasks::share(
        shape.threads(flash.threads),
        tasks,
        || Scratch::new(shape.dim),
        |scratch, task| {
            let heads =
                task.out.chunks_mut(shape.queries * width).zip(task.log_sums.chunks_mut(shape.queries));
            let mut finite = true;
            for (i, (out, log_sums)) in heads.enumerate() {
                let queries = task.first_query..task.first_query + log_sums.len();
                let part = Part { a, flash, shape, mask, inputs, head: task.first_head + i };
                part.run(scratch, queries, Results { out, log_sums, finite: &mut finite });
            }
            all_finite.fetch_and(finite, Ordering::Relaxed);
        },
    );
    all_finite.into_inner()
}

/// Where the results of some queries go.
struct Results<'a> {
    out: &'a mut [MaybeUninit<f32>],
    log_sums: &'a mut [f32],
    /// Becomes false if `out` is not.
    finite: &'a mut bool,
}

/// One head, and all that is the same for its blocks.
struct Part<'a, A> {
    a: A,
    flash: &'a Flash<'a>,
    shape: Shape,
    mask: Mask,
    inputs: Inputs<'a>,
    head: usize,
}

impl<A: Arithmetic> Part<'_, A> {
    fn run(&self, scratch: &mut Scratch, queries: Range<usize>, results: Results<'_>) {
        let mut head = std::mem::take(&mut scratch.head);
        let source = self.flash.source(self.shape, self.inputs, self.head);
        let words = head.prepare(self.a, source, 0..self.shape.keys, false);
        let out = results.out.chunks_mut(QUERIES * self.flash.head_dim);
        let parts = out.zip(results.log_sums.chunks_mut(QUERIES));
        for (queries, (out, log_sums)) in blocks(queries, QUERIES).zip(parts) {
            self.block(scratch, words, queries, Results { out, log_sums, finite: results.finite });
        }
        scratch.head = head;
    }

    /// Some queries against all the keys they see.
    fn block(&self, scratch: &mut Scratch, words: Words<'_>, queries: Range<usize>, results: Results<'_>) {
        let (dim, depth) = (self.shape.dim, self.shape.dim / A::TERMS);
        let (rows, lanes) = (queries.len(), queries.len().next_multiple_of(A::Lanes::WIDTH));
        let start = (self.head * self.shape.queries + queries.start) * dim;
        let values = &self.inputs.queries[start..start + rows * dim];
        let query_words = side_by_side(self.a, values, &mut scratch.query_words);
        self.a.run(Transposed {
            words: query_words,
            stride: depth,
            width: depth,
            rows,
            to: &mut scratch.transposed,
            lanes,
        });
        scratch.top.fill(f32::MIN);
        scratch.sum.fill(0.0);

        let visible = self.mask.keys_of(&queries, &words.at);
        let mut begun = false;
        // Joined values begin at even keys only.
        for keys in blocks(visible.start / A::TERMS * A::TERMS..visible.end, KEYS) {
            let block = Block { keys: keys.len(), lanes, factor: self.flash.factor() };
            self.a.run(Product {
                target: Target { values: &mut scratch.scores, stride: lanes, start: Start::Overwrite },
                left: Left { words: &words.keys[keys.start * depth..], row_stride: depth, depth_stride: 1 },
                right: Right { words: &scratch.transposed, stride: lanes },
                size: [keys.len(), lanes, depth],
            });
            if !self.mask.is_whole(&queries, &keys, &words.at) {
                self.mask.hide(&queries, &keys, &words.at, &mut scratch.scores, lanes);
            }
            let progress =
                Progress { top: &mut scratch.top, sum: &mut scratch.sum, rescale: &mut scratch.rescale };
            self.a.run(Weigh { block, scores: &scratch.scores, weights: &mut scratch.weights, progress });
            let start = if begun { Start::Rescale(&scratch.rescale) } else { Start::Overwrite };
            self.a.run(Product {
                target: Target { values: &mut scratch.out, stride: dim, start },
                left: Left { words: &scratch.weights, row_stride: 1, depth_stride: lanes },
                right: Right { words: &words.joined_values[keys.start / A::TERMS * dim..], stride: dim },
                size: [rows, dim, keys.len().div_ceil(A::TERMS)],
            });
            begun = true;
        }
        self.finish(scratch, begun, results);
    }

    /// Divides by the sums. A query that sees no key gets zeros and a log-sum of ∞, which makes all its weights zero.
    fn finish(&self, scratch: &mut Scratch, begun: bool, results: Results<'_>) {
        let Results { out, log_sums, finite } = results;
        let dim = self.shape.dim;
        for (query, log_sum) in log_sums.iter_mut().enumerate() {
            let sum = scratch.sum[query];
            let nothing = !begun || sum == 0.0;
            *log_sum = if nothing { f32::INFINITY } else { scratch.top[query] + sum.log2() };
            scratch.rescale[query] = if nothing { 0.0 } else { sum.recip() };
        }
        let sums = &mut scratch.out[..log_sums.len() * dim];
        if !begun {
            sums.fill(0.0);
        }
        let factors = Factors::Each(&scratch.rescale);
        self.a.run(Emit { sums, dim, factors, to: out, width: self.flash.head_dim, finite });
    }
}

/// Numbers as words, which for products of `f32` they are already.
pub(super) fn side_by_side<'a, A: Arithmetic>(
    a: A,
    values: &'a [f32],
    buffer: &'a mut Vec<f32>,
) -> &'a [f32] {
    if A::TERMS == 1 {
        return values;
    }
    let words = grow(buffer, values.len() / A::TERMS);
    a.run(SideBySide { values, to: words });
    words
}
