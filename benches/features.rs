//! From text to sparse rows: tokenizer and featurizers, in messages per second.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use talkformer::data::{Format, TrainingData, read_str};
use talkformer::features::{
    Analyzer, FeatureSet, FeaturizerConfig, LexicalConfig, Message, NGramConfig, PatternsConfig, Weighting,
};
use talkformer::text::{Span, Tokenizer, WhitespaceTokenizer};

const DATA: &str = include_str!("../examples/conference/train.yml");

fn tokenize(data: &TrainingData) -> Vec<(&str, Vec<Span>)> {
    let tokenizer = WhitespaceTokenizer::default();
    data.utterances.iter().map(|one| (one.text.as_str(), tokenizer.tokenize(&one.text))).collect()
}

fn features(c: &mut Criterion) {
    let data = read_str(Format::RasaYaml, DATA, "train.yml").unwrap();
    let texts = tokenize(&data);
    let messages: Vec<Message<'_>> = texts.iter().map(|(text, tokens)| Message { text, tokens }).collect();
    let words = NGramConfig { max_ngram: 2, weighting: Weighting::TfIdf, ..Default::default() };
    let characters = NGramConfig { analyzer: Analyzer::CharWb, min_ngram: 2, max_ngram: 5, ..words.clone() };
    let configs = [
        FeaturizerConfig::Patterns(PatternsConfig::default()),
        FeaturizerConfig::Lexical(LexicalConfig::default()),
        FeaturizerConfig::NGrams(words),
        FeaturizerConfig::NGrams(characters),
    ];
    let set = FeatureSet::fit(&configs, &messages, &data).unwrap();

    let mut group = c.benchmark_group(format!("{} conference messages", messages.len()));
    group.throughput(Throughput::Elements(messages.len() as u64));
    group.bench_function("tokens", |b| b.iter(|| black_box(tokenize(&data))));
    group.bench_function("features", |b| {
        b.iter(|| messages.iter().map(|message| set.transform(*message).sequence.entries()).sum::<usize>());
    });
    group.bench_function("fit", |b| b.iter(|| FeatureSet::fit(&configs, &messages, &data).unwrap()));
    group.finish();
}

criterion_group!(benches, features);
criterion_main!(benches);
