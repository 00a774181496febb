//! Answers per second with a model of the conference data: single messages, batches, and opening plus one answer.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use talkformer::data::{Format, read_str};
use talkformer::pipeline::{Nlu, Recipe};

const TRAIN: &str = include_str!("../examples/conference/train.yml");
const TEST: &str = include_str!("../examples/conference/test.yml");

/// Repeated to make messages of any length.
const WORDS: [&str; 8] = ["when", "does", "the", "talk", "about", "Rust", "begin", "today"];

fn model() -> Nlu {
    let data = read_str(Format::RasaYaml, TRAIN, "train.yml").unwrap();
    let mut config = Recipe::accurate();
    // The quality of the answers does not matter here, only the size of the model.
    config.change_diet(|diet| diet.training.set_epochs(1));
    Nlu::train(&config, &data).unwrap()
}

fn parse(c: &mut Criterion) {
    let nlu = model();
    let test = read_str(Format::RasaYaml, TEST, "test.yml").unwrap();
    let mut group = c.benchmark_group("parse");
    for tokens in [8, 16, 50] {
        let text = WORDS.iter().copied().cycle().take(tokens).collect::<Vec<_>>().join(" ");
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("one message", format!("{tokens} tokens")), |b| {
            b.iter(|| nlu.parse(&text).unwrap());
        });
    }
    for messages in [64, 2048] {
        let texts: Vec<&str> =
            test.utterances.iter().map(|one| one.text.as_str()).cycle().take(messages).collect();
        for threads in [1, 2] {
            let nlu = nlu.clone().with_threads(threads);
            group.throughput(Throughput::Elements(messages as u64));
            let id = BenchmarkId::new("together", format!("{messages} messages, {threads} threads"));
            group.bench_function(id, |b| b.iter(|| nlu.parse_batch(&texts).unwrap()));
        }
    }
    group.finish();
}

fn open(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("model");
    model().save(&place).unwrap();
    c.bench_function("open and answer once", |b| {
        b.iter(|| Nlu::open(&place).unwrap().parse("when does the talk about Rust begin").unwrap());
    });
}

criterion_group!(benches, parse, open);
criterion_main!(benches);
