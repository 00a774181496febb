//! Attention: the idea on ndarray, and the learnable block on candle with our kernels.
//!
//! Ids name batch × heads × sequence × head width. Throughput counts the floating-point operations of the
//! two products of attention, `4 · batch · heads · seq² · head_dim`; the block's projections come on top.

use std::hint::black_box;

use candle_core::{DType, Device, Tensor, Var};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use talkformer::attention::{Scale, multi_head_attention};
use talkformer::nn::{Parameters, Pass, Segments, SelfAttention, TransformerConfig};

const HEADS: usize = 4;
const HEAD_DIM: usize = 64;
const SIZES: [(usize, usize); 4] = [(64, 8), (64, 16), (16, 128), (1, 512)];

fn flops(batch: usize, seq: usize) -> Throughput {
    Throughput::Elements((4 * batch * HEADS * seq * seq * HEAD_DIM) as u64)
}

fn without_weights(c: &mut Criterion) {
    let mut group = c.benchmark_group("attention on ndarray");
    for (_, seq) in SIZES {
        let x =
            Array2::from_shape_fn((seq, HEADS * HEAD_DIM), |(i, j)| ((i * 31 + j * 7) % 13) as f32 / 13.0);
        group.throughput(flops(1, seq));
        group.bench_function(BenchmarkId::from_parameter(format!("1x{HEADS}x{seq}x{HEAD_DIM}")), |b| {
            b.iter(|| multi_head_attention(x.view(), x.view(), x.view(), HEADS, None, Scale::InverseSqrt));
        });
    }
    group.finish();
}

fn learnable(c: &mut Criterion) {
    let device = Device::Cpu;
    let config = TransformerConfig { model_dim: HEADS * HEAD_DIM, heads: HEADS, ..Default::default() };
    let parameters = Parameters::new(1);
    let block = SelfAttention::new(&config, parameters.builder(DType::F32, &device)).unwrap();
    for backward in [false, true] {
        let mut group = c.benchmark_group(if backward {
            "self-attention block, forward and backward"
        } else {
            "self-attention block, forward"
        });
        for (batch, seq) in SIZES {
            let segments = Segments::from_lengths(vec![seq; batch]);
            let x = Tensor::ones((batch * seq, HEADS * HEAD_DIM), DType::F32, &device).unwrap();
            let x = Var::from_tensor(&x).unwrap();
            group.throughput(flops(batch, seq));
            group.bench_function(
                BenchmarkId::from_parameter(format!("{batch}x{HEADS}x{seq}x{HEAD_DIM}")),
                |b| {
                    b.iter(|| {
                        let y =
                            block.forward(black_box(x.as_tensor()), &segments, &Pass::inference()).unwrap();
                        if backward {
                            black_box(y.sum_all().unwrap().backward().unwrap());
                        }
                        y
                    });
                },
            );
        }
        group.finish();
    }
}

criterion_group!(benches, without_weights, learnable);
criterion_main!(benches);
