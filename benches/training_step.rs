//! One DIET training step, forward, backward and `AdamW`: 64 messages of 12 tokens, width 256, two layers of
//! four heads. In messages per second.

use std::num::NonZero;
use std::thread::available_parallelism;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use talkformer::speed::DietTraining;

fn step(c: &mut Criterion) {
    let mut threads = vec![1, available_parallelism().map_or(1, NonZero::get)];
    threads.dedup();
    for (entity_types, tags) in [(8, 33), (54, 217)] {
        let work = DietTraining { entity_types, drop_rate: 0.2, ..Default::default() };
        let DietTraining { messages, tokens, .. } = work;
        let name = format!("DIET training step, {messages} messages of {tokens} tokens, {tags} tags");
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(messages as u64)).sample_size(20);
        for threads in &threads {
            group.bench_function(BenchmarkId::new("threads", threads), |b| {
                b.iter_custom(|steps| work.steps(*threads, steps as usize).unwrap().total());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, step);
criterion_main!(benches);
