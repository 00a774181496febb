use std::sync::atomic::AtomicBool;

use super::*;
use crate::data::{Entity, Utterance};
use crate::features::Features;
use crate::nn::testing::without_kernels;
use crate::numbers::SparseRows;
use crate::text::{Span, WhitespaceTokenizer};
use crate::train::{BatchSize, BatchStrategy, Event, Trainer};

/// Enough messages for `r_drop` and `drop_rate_rare` to count in full.
const MANY: usize = 10_000;

/// `count` messages of two intents; only the first has column 3.
fn training_set(count: usize) -> (Labels, TrainingSet, Widths) {
    let message = |at: usize| Utterance {
        entities: vec![Entity::new(["city", "date"][at % 2], Span::new(0, 1))],
        ..Utterance::new("a", Some(["x", "y"][at % 2]))
    };
    let messages: Vec<Utterance> = (0..count).map(message).collect();
    let config = DietConfig::default();
    let labels = Labels::new(&messages, &config);
    let example = |(at, message): (usize, &Utterance)| {
        let mut features = Features::default();
        let own = if at == 0 { 3 } else { 2 };
        features.sequence.push([((at % 2) as u32, 1.0), (own, 0.5)]);
        features.sentence.push([((at % 2) as u32, 1.0), (own, 0.5)]);
        labels.example(message, &[Span::new(0, 1)], features)
    };
    let examples = messages.iter().enumerate().map(example).collect();
    (labels.clone(), TrainingSet::all(examples), Widths { sequence: 4, sentence: 4, dense: 0 })
}

fn learner(config: &DietConfig, count: usize, change: impl FnOnce(&mut TrainingSet)) -> Learner<'static> {
    let (labels, mut set, widths) = training_set(count);
    change(&mut set);
    let label_features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
    Learner::new(config, widths, &labels, &label_features, set, None, &Device::Cpu).unwrap()
}

fn loss(learner: &Learner<'_>, examples: &[usize]) -> f64 {
    let loss = learner.loss(examples, &Pass::training(5)).unwrap().total;
    f64::from(loss.to_scalar::<f32>().unwrap())
}

#[test]
fn what_no_other_message_has_is_left_out_of_readings() {
    let config =
        DietConfig::default().with(|c| (c.transformer.model_dim, c.layers.drop_rate_rare) = (8, 1.0));
    let plain = config.clone().with(|c| c.layers.drop_rate_rare = 0.0);
    let without = |set: &mut TrainingSet| {
        let features = &mut set.examples[0].features;
        for rows in [&mut features.sequence, &mut features.sentence] {
            *rows = SparseRows::default();
            rows.push([(0, 1.0)]);
        }
    };
    let (rare, never) = (learner(&config, MANY, |_| ()), learner(&plain, MANY, without));
    assert_eq!(loss(&rare, &[0, 1]), loss(&never, &[0, 1]));
    assert_ne!(loss(&rare, &[0, 1]), loss(&learner(&plain, MANY, |_| ()), &[0, 1]));
    assert_eq!(loss(&rare, &[1, 2]), loss(&learner(&plain, MANY, |_| ()), &[1, 2]));
}

#[test]
fn many_messages_are_read_twice_and_few_once() {
    let config = DietConfig::default().with(|c| (c.transformer.model_dim, c.similarity.r_drop) = (8, 1.0));
    let once = config.clone().with(|c| c.similarity.r_drop = 0.0);
    let ratio = |config: &DietConfig, count| {
        let found = learner(config, count, |_| ()).loss(&[0, 1, 2], &Pass::training(5)).unwrap();
        found.ratios[0].1.whole
    };
    assert_eq!([ratio(&config, MANY), ratio(&once, MANY), ratio(&config, 100)], [6.0, 3.0, 3.0]);
    // Each head learns from the other reading.
    let far = |config: &DietConfig| loss(&learner(config, MANY, |_| ()), &[0, 1]);
    for (intents, entities) in [(true, false), (false, true)] {
        let one = config.clone().with(|c| (c.intents.enabled, c.entities.enabled) = (intents, entities));
        assert!(far(&one) < far(&one.clone().with(|c| c.similarity.r_drop = 2.0)));
    }
    // Readings of different examples cannot be pulled together.
    let learner = learner(&config, MANY, |_| ());
    let readings = [0, 1].map(|at| Reading::of(&learner.set.examples[at]));
    assert!(learner.network.loss(&readings, &Pass::training(5)).is_err());
}

/// Ten steps in the way of a GPU are those of our kernels.
#[test]
fn other_devices_take_the_same_steps() {
    let config = DietConfig::default().with(|c| {
        (c.transformer.model_dim, c.transformer.heads, c.transformer.layers) = (16, 4, 2);
        c.transformer.precision = crate::kernels::Precision::F32;
        c.transformer.relative_keys = true;
        (c.transformer.dropout, c.transformer.attention_dropout) = (0.2, 0.1);
        (c.layers.sparse_dropout, c.layers.dense_dropout, c.masking.enabled) = (true, true, true);
        c.training.epochs = 5;
        c.training.batch_size = BatchSize::Fixed(7);
        c.training.batch_strategy = BatchStrategy::Balanced;
        (c.training.weight_decay, c.training.clip_norm, c.training.learning_rate) = (0.1, 1.0, 0.003);
    });
    let train = || {
        let learner = learner(&config, 14, |_| ());
        let (stop, mut losses) = (AtomicBool::new(false), Vec::new());
        let observe = |event| {
            if let Event::Step { report, .. } = event {
                losses.push(report.loss);
            }
        };
        let outcome = Trainer::new(config.training.trainer(14, 1), &stop).run(&learner, observe).unwrap();
        assert_eq!(outcome.steps, 10);
        (losses, learner.parameters)
    };
    let (ours, theirs) = (train(), without_kernels(train));
    assert!(ours.0[9] < 0.9 * ours.0[0], "{:?}", ours.0);
    let apart = ours.0.iter().zip(&theirs.0).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(apart < 1e-3, "{:?} {:?}", ours.0, theirs.0);
    for ((name, ours), (_, theirs)) in ours.1.all().into_iter().zip(theirs.1.all()) {
        let worst = (ours.as_tensor() - theirs.as_tensor()).unwrap().abs().unwrap().max_all().unwrap();
        assert!(worst.to_scalar::<f32>().unwrap() < 1e-3, "{name}: {worst}");
    }
}
