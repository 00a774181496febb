//! One DIET training step, forward, backward and `AdamW`: 64 messages of 12 tokens, width 256, two layers of
//! four heads, on one thread. In messages a second.

use std::collections::HashMap;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use talkformer::data::TagSet;
use talkformer::diet::{DietConfig, Example, Labels, Learner, Widths};
use talkformer::features::{Features, LabelFeatures};
use talkformer::nn::{Pass, Workspace};
use talkformer::text::WhitespaceTokenizer;
use talkformer::train::{AdamW, AdamWConfig, Gradients, Trainable};

const MESSAGES: usize = 64;
const TOKENS: usize = 12;
const ENTRIES: usize = 24;
const WIDTHS: Widths = Widths { sequence: 4000, sentence: 4000 };
const INTENTS: usize = 60;

/// Numbers that look random and never change.
fn number(seed: usize, below: usize) -> usize {
    seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_right(17) % below
}

fn example(at: usize, tags: usize) -> Example {
    let mut features = Features::default();
    let column = |seed: usize| (number(seed, WIDTHS.sequence) as u32, 1.0);
    for token in 0..TOKENS {
        features.sequence.push((0..ENTRIES).map(|entry| column((at * TOKENS + token) * ENTRIES + entry)));
    }
    features.sentence.push((0..TOKENS * ENTRIES).map(|entry| column(at * 7919 + entry)));
    // Only outside and one-token entities, so that every sequence is legal.
    let tag = |token| {
        if number(at * 31 + token, 3) == 0 { 4 * (1 + number(at + token, tags / 4) as u32) } else { 0 }
    };
    Example {
        features,
        intent: Some(number(at, INTENTS) as u32),
        entities: (0..TOKENS).map(tag).collect(),
        roles: Vec::new(),
        groups: Vec::new(),
    }
}

fn step(c: &mut Criterion) {
    let mut group = c.benchmark_group("DIET training step, 64 messages of 12 tokens");
    group.throughput(Throughput::Elements(MESSAGES as u64)).sample_size(20);
    for types in [8, 54] {
        let entities = TagSet::new((0..types).map(|at| format!("type {at:02}")), true);
        let tags = entities.len();
        let labels = Labels {
            intents: (0..INTENTS).map(|at| format!("intent_{at:02}")).collect(),
            entities: Some(entities),
            roles: None,
            groups: None,
        };
        let config = DietConfig { connection_density: 1.0, ..Default::default() };
        let label_features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
        let examples = (0..MESSAGES).map(|at| example(at, tags)).collect();
        let learner = Learner::new(&config, WIDTHS, &labels, &label_features, examples, None).unwrap();
        let names: HashMap<_, _> =
            learner.parameters().all().into_iter().map(|(name, var)| (var.as_tensor().id(), name)).collect();
        let all: Vec<usize> = (0..MESSAGES).collect();
        let mut optimizer = AdamW::new(AdamWConfig::default());
        let (mut seed, workspace) = (0, Workspace::default());
        group.bench_function(format!("{tags} tags"), |b| {
            b.iter(|| {
                seed += 1;
                let pass = Pass::training(seed).fused(workspace.clone());
                let store = learner.loss(&all, &pass).unwrap().total.backward().unwrap();
                let found = Gradients::collect(&names, &store, pass).unwrap();
                optimizer.step(learner.parameters(), vec![found], 1e-3).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, step);
criterion_main!(benches);
