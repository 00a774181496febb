//! Attention from the plainest form to the fastest, on the same sizes.
//!
//! | group | what runs | threads |
//! | --- | --- | --- |
//! | `ndarray` | `talkformer::attention`: the formula, one head after the other | 1 |
//! | `candle` | the formula as a composition of candle's operations | candle's |
//! | `block` | `nn::SelfAttention`: packed rows, including the projections around the attention | 1 |
//! | `flash f32`, `flash bf16` | `nn::attention`: scores never leave the cache | all |
//!
//! An id names batch × heads × sequence × head width; every size has about 2048 tokens of 512 numbers, and
//! the slow groups skip the long sequences. `forward` computes the output, `both` the three gradients as
//! well. Throughput counts the floating-point operations of the unavoidable products:
//! `4 · batch · heads · seq² · head_dim` forward and twice that in addition backward (the usual count; recomputed
//! scores and the projections of the block are not included). Elements per second are FLOP/s.
//!
//! Divided by the processor's ceiling, this throughput gives the share of what the processor could do.

use std::hint::black_box;
use std::time::Duration;

use candle_core::{D, DType, Device, Result, Tensor, Var};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use talkformer::attention::{Scale, multi_head_attention};
use talkformer::nn::{
    AttentionConfig, Parameters, Pass, Precision, Segments, SelfAttention, TransformerConfig, attention,
};

/// As in the program: otherwise fresh memory pages would cost as much as the arithmetic of a short sequence.
#[cfg(feature = "cli")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HEADS: usize = 8;
const HEAD_DIM: usize = 64;
const TOKENS: usize = 2048;
const LENGTHS: [usize; 10] = [8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

#[derive(Clone, Copy)]
struct Size {
    batch: usize,
    seq: usize,
}

impl Size {
    /// All sizes up to a sequence length.
    fn up_to(longest: usize) -> impl Iterator<Item = Self> {
        let lengths = LENGTHS.into_iter().filter(move |seq| *seq <= longest);
        lengths.map(|seq| Self { batch: (TOKENS / seq).max(1), seq })
    }

    fn id(self, pass: &str) -> BenchmarkId {
        BenchmarkId::new(pass, format!("{}x{HEADS}x{}x{HEAD_DIM}", self.batch, self.seq))
    }

    fn operations(self, both: bool) -> Throughput {
        let forward = 4 * self.batch * HEADS * self.seq * self.seq * HEAD_DIM;
        Throughput::Elements((if both { 3 * forward } else { forward }) as u64)
    }

    /// `[batch, heads, seq, head_dim]`, normally distributed.
    fn input(self) -> Result<Tensor> {
        Tensor::randn(0_f32, 1.0, (self.batch, HEADS, self.seq, HEAD_DIM), &Device::Cpu)
    }
}

/// Measures `forward` on three inputs, alone and with gradients.
fn measure(
    c: &mut Criterion,
    name: &str,
    longest: usize,
    forward: impl Fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>,
) {
    let mut group = c.benchmark_group(name);
    for size in Size::up_to(longest) {
        let [q, k, v] = [(); 3].map(|()| size.input().unwrap());
        group.throughput(size.operations(false));
        group.bench_function(size.id("forward"), |b| {
            b.iter(|| forward(black_box(&q), black_box(&k), black_box(&v)).unwrap());
        });
        let [q, k, v] = [q, k, v].map(|x| Var::from_tensor(&x).unwrap());
        group.throughput(size.operations(true));
        group.bench_function(size.id("both"), |b| {
            // The gradient of the output is ones: candle sums nothing, but it adds each gradient of an input to zeros.
            b.iter(|| forward(black_box(&q), black_box(&k), black_box(&v)).unwrap().backward().unwrap());
        });
    }
    group.finish();
}

fn on_ndarray(c: &mut Criterion) {
    let mut group = c.benchmark_group("ndarray");
    for size in Size::up_to(512) {
        let cell = |(i, j): (usize, usize)| ((i * 31 + j * 7) % 13) as f32 / 13.0;
        let x = Array2::from_shape_fn((size.seq, HEADS * HEAD_DIM), cell);
        group.throughput(size.operations(false));
        group.bench_function(size.id("forward"), |b| {
            b.iter(|| {
                for _ in 0..size.batch {
                    let x = black_box(x.view());
                    black_box(multi_head_attention(x, x, x, HEADS, None, Scale::InverseSqrt).unwrap());
                }
            });
        });
    }
    group.finish();
}

fn on_candle(c: &mut Criterion) {
    measure(c, "candle", 1024, |q, k, v| {
        let scores = (q.matmul(&k.t()?)? / (HEAD_DIM as f64).sqrt())?; // [batch, heads, query, key]
        candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(v)
    });
}

fn block(c: &mut Criterion) {
    let config = TransformerConfig { model_dim: HEADS * HEAD_DIM, heads: HEADS, ..Default::default() };
    let parameters = Parameters::new(1);
    let block = SelfAttention::new(&config, parameters.builder(DType::F32, &Device::Cpu)).unwrap();
    let mut group = c.benchmark_group("block");
    for size in Size::up_to(512) {
        let segments = Segments::from_lengths(vec![size.seq; size.batch]);
        let rows = (size.batch * size.seq, HEADS * HEAD_DIM);
        let x = Var::from_tensor(&size.input().unwrap().reshape(rows).unwrap()).unwrap();
        let forward = || block.forward(black_box(&x), &segments, &Pass::inference()).unwrap();
        group.throughput(size.operations(false));
        group.bench_function(size.id("forward"), |b| b.iter(forward));
        group.throughput(size.operations(true));
        group.bench_function(size.id("both"), |b| {
            b.iter(|| forward().sum_all().unwrap().backward().unwrap());
        });
    }
    group.finish();
}

fn flash(c: &mut Criterion) {
    for (name, precision) in [("flash f32", Precision::F32), ("flash bf16", Precision::Bf16)] {
        let config = AttentionConfig { precision, ..Default::default() };
        measure(c, name, 4096, |q, k, v| attention(q, k, v, None, &config));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500));
    targets = on_ndarray, on_candle, block, flash
}
criterion_main!(benches);
