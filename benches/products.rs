//! Matrix products on one thread with the right-hand side packed beforehand: square sizes, and those of DIET.
//!
//! Ids name rows × inner size × columns. Throughput counts floating-point operations; `talkformer bench`
//! shows the share of the ceiling.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use talkformer::speed::{Precision, Product};

/// One short message; the tokens of fifty messages through a projection and both feed-forward layers; tags.
const DIET: [[usize; 3]; 6] =
    [[12, 256, 256], [12, 256, 1024], [600, 256, 256], [600, 256, 1024], [600, 1024, 256], [600, 256, 217]];

fn products(c: &mut Criterion) {
    let squares = [64, 128, 256, 512, 1024].map(|side| [side; 3]);
    for (precision, name) in [(Precision::F32, "product, f32"), (Precision::Bf16, "product, bf16")] {
        let mut group = c.benchmark_group(name);
        for [m, k, n] in squares.into_iter().chain(DIET) {
            let mut product = Product::new(m, k, n, precision);
            group.throughput(Throughput::Elements(product.operations() as u64));
            group.bench_function(BenchmarkId::from_parameter(format!("{m}x{k}x{n}")), |b| {
                b.iter(|| product.run());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
