//! Answers a second: one message at a time, and in batches, with a model of the conference data.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use talkformer::data::{Format, read_str};
use talkformer::pipeline::{Nlu, Recipe, TrainingOptions};

const TRAIN: &str = include_str!("../examples/conference/train.yml");
const TEST: &str = include_str!("../examples/conference/test.yml");

fn parse(c: &mut Criterion) {
    let data = read_str(Format::RasaYaml, TRAIN, "train.yml").unwrap();
    let test = read_str(Format::RasaYaml, TEST, "test.yml").unwrap();
    let mut config = Recipe::ALL[0].config().unwrap();
    // How well it answers does not matter here, how large it is does.
    config.change_diet(|diet| (diet.epochs, diet.minimum_steps) = (1, 0));
    let (nlu, _) = Nlu::train(&config, &data, &TrainingOptions::default(), |_| {}).unwrap();
    let texts: Vec<&str> = test.utterances.iter().map(|one| one.text.as_str()).collect();

    let mut group = c.benchmark_group("parse");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one message of eight tokens", |b| {
        b.iter(|| nlu.parse("when does the talk about Rust begin").unwrap());
    });
    group.throughput(Throughput::Elements(texts.len() as u64));
    group.bench_function(format!("{} messages together", texts.len()), |b| {
        b.iter(|| nlu.parse_batch(&texts).unwrap());
    });
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
