//! The parts around the transformer: the sparse input layer, the CRF and the optimizer.
//!
//! 64 messages of 12 tokens, tables of 4000 rows, 217 tags (54 entity types): the sizes of `training_step`.

use std::collections::HashMap;
use std::hint::black_box;

use candle_core::{DType, Device, Tensor, Var};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use talkformer::data::TagSet;
use talkformer::heads::{Crf, TagRules};
use talkformer::nn::{GradientSink, Parameters, Pass, Segments, SparseLinear};
use talkformer::numbers::SparseRows;
use talkformer::train::{AdamW, AdamWConfig, Gradients};

const MESSAGES: usize = 64;
const TOKENS: usize = 12;
const ROWS: usize = MESSAGES * TOKENS;
const DIM: usize = 256;

fn crf(c: &mut Criterion) {
    let tags = TagSet::new((0..54).map(|at| format!("type {at:02}")), true);
    let rules = TagRules::new(
        tags.len(),
        |previous, next| tags.is_legal(previous, next),
        |tag| tags.may_start(tag),
        |tag| tags.may_end(tag),
    );
    let parameters = Parameters::new(1);
    let head = Crf::new(DIM, rules, parameters.builder(DType::F32, &Device::Cpu)).unwrap();
    let rows = (0..ROWS * DIM).map(|at| ((at * 31) % 17) as f32 / 17.0 - 0.5);
    let rows = Tensor::from_iter(rows, &Device::Cpu).unwrap().reshape((ROWS, DIM)).unwrap();
    let rows = Var::from_tensor(&rows).unwrap();
    let segments = Segments::from_lengths(vec![TOKENS; MESSAGES]);
    let one = (rows.as_tensor().narrow(0, 0, TOKENS).unwrap(), Segments::from_lengths([TOKENS]));
    let gold: Vec<u32> =
        (0..ROWS).map(|at| if at % 3 == 0 { 4 * (1 + (at % 54) as u32) } else { 0 }).collect();

    let mut group = c.benchmark_group("CRF of 217 tags");
    group.throughput(Throughput::Elements(MESSAGES as u64)).sample_size(20);
    group.bench_function("loss of 64x12 tokens, forward and backward", |b| {
        b.iter(|| head.loss(black_box(&rows), &segments, &gold).unwrap().loss.backward().unwrap());
    });
    group.bench_function("best tags of 64x12 tokens", |b| {
        b.iter(|| head.decode(black_box(&rows), &segments).unwrap());
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("best tags of one message of 12 tokens", |b| {
        b.iter(|| head.decode(black_box(&one.0), &one.1).unwrap());
    });
    group.finish();
}

fn sparse_input(c: &mut Criterion) {
    const COLUMNS: usize = 4000;
    const ENTRIES: usize = 24;
    const WIDTH: usize = 128;
    let parameters = Parameters::new(1);
    let vb = parameters.builder(DType::F32, &Device::Cpu);
    let layer = SparseLinear::new(COLUMNS, WIDTH, 0.0, vb).unwrap();
    let mut rows = SparseRows::default();
    for row in 0..ROWS {
        rows.push((0..ENTRIES).map(|entry| (((row * ENTRIES + entry) * 7919 % COLUMNS) as u32, 1.0)));
    }
    let mut group = c.benchmark_group("sparse input, 768 rows of 24 features into 128");
    group.throughput(Throughput::Elements(rows.entries() as u64));
    group.bench_function("forward", |b| {
        b.iter(|| layer.forward(black_box(&rows), &Pass::inference()).unwrap());
    });
    group.bench_function("forward and backward", |b| {
        b.iter(|| {
            let sink = GradientSink::default();
            let pass = Pass::training(1).with_sink(&sink);
            let out = layer.forward(black_box(&rows), &pass).unwrap();
            (out.sum_all().unwrap().backward().unwrap(), sink)
        });
    });
    group.finish();
}

fn optimizer(c: &mut Criterion) {
    const SIDE: usize = 1024;
    let parameters = Parameters::new(1);
    let vb = parameters.builder(DType::F32, &Device::Cpu);
    let weights = ["a", "b"].map(|name| vb.get((SIDE, SIDE), name).unwrap());
    let sum = (weights[0].sum_all().unwrap() + weights[1].sum_all().unwrap()).unwrap();
    let names: HashMap<_, _> =
        parameters.all().into_iter().map(|(name, var)| (var.as_tensor().id(), name)).collect();
    let store = sum.backward().unwrap();
    let gradients = || vec![Gradients::collect(&names, &store, &GradientSink::default()).unwrap()];
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let mut group = c.benchmark_group("AdamW");
    group.throughput(Throughput::Elements((2 * SIDE * SIDE) as u64));
    group.bench_function("a step over 2.1 M parameters", |b| {
        b.iter_batched(
            gradients,
            |found| optimizer.step(&parameters, found, 1e-3).unwrap(),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, crf, sparse_input, optimizer);
criterion_main!(benches);
