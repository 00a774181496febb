//! The engine against the network that learnt, for every option that an answer depends on.

use std::sync::Arc;

use candle_core::{DType, Device};

use super::*;
use crate::batch::Batch;
use crate::bundle::Weight;
use crate::data::{Entity, Utterance};
use crate::diet::{Network, PerSide, TagKind};
use crate::features::DenseFeatures;
use crate::heads::{LossType, SimilarityType};
use crate::kernels::dropout::bits;
use crate::nn::Parameters;
use crate::numbers::Table;
use crate::text::{Span, WhitespaceTokenizer};

/// Hidden layers that messages and labels share leave no room for dense features.
fn widths(config: &DietConfig) -> Widths {
    Widths { sequence: 37, sentence: 23, dense: if config.layers.share_hidden { 0 } else { 3 } }
}

fn config() -> DietConfig {
    DietConfig::default().with(|c| {
        (c.transformer.model_dim, c.transformer.heads, c.transformer.layers) = (24, 3, 2);
        c.layers.dense_dimension = PerSide { text: 13, label: 7 };
        (c.layers.embedding_dimension, c.transformer.connection_density) = (11, 1.0);
    })
}

fn variants() -> Vec<(&'static str, DietConfig)> {
    let with = |change: fn(&mut DietConfig)| {
        let mut config = config();
        change(&mut config);
        config.validate().unwrap();
        config
    };
    vec![
        ("plain", config()),
        (
            "relative keys, linear path",
            with(|c| (c.transformer.relative_keys, c.intents.linear_path) = (true, true)),
        ),
        (
            "relative keys and values, causal",
            with(|c| {
                (c.transformer.relative_keys, c.transformer.relative_values) = (true, true);
                (c.transformer.causal, c.transformer.relative_reach) = (true, 2);
            }),
        ),
        (
            "hidden layers, few connections, masked tokens",
            with(|c| {
                c.layers.hidden_sizes = PerSide { text: vec![17, 9], label: vec![5] };
                (c.transformer.connection_density, c.masking.enabled) = (0.3, true);
            }),
        ),
        (
            "shared hidden layers",
            with(|c| {
                c.layers.hidden_sizes = PerSide { text: vec![9], label: vec![9] };
                c.layers.dense_dimension.label = 13;
                (c.layers.share_hidden, c.transformer.connection_density) = (true, 0.5);
            }),
        ),
        (
            "cosine, margin, linear path",
            with(|c| {
                (c.similarity.loss_type, c.similarity.similarity_type) =
                    (LossType::Margin, SimilarityType::Cosine);
                c.intents.linear_path = true;
            }),
        ),
        (
            "several intents, linear path",
            with(|c| (c.intents.multi_label, c.intents.linear_path) = (true, true)),
        ),
        ("no transformer, no BILOU", with(|c| (c.transformer.layers, c.entities.bilou) = (0, false))),
        ("intents alone", with(|c| c.entities.enabled = false)),
        ("entities alone", with(|c| c.intents.enabled = false)),
    ]
}

/// Names for everything that can be predicted: two intents and more, types, roles and groups.
fn labels(config: &DietConfig) -> Labels {
    let utterance = |at: usize| {
        let mut one = Utterance::new("a b", Some(["x", "y_z", "z_y"][at % 3]));
        one.entities = vec![Entity {
            role: (at != 2).then(|| ["from", "to"][at % 2].to_owned()),
            group: (at == 1).then(|| "1".to_owned()),
            ..Entity::new(["city", "date", "time", "food"][at % 4], Span::new(0, 1))
        }];
        one
    };
    Labels::new(&(0..5).map(utterance).collect::<Vec<_>>(), config)
}

/// Messages of several lengths, with unknown and empty tokens among them.
fn messages(config: &DietConfig) -> Vec<Features> {
    let widths = widths(config);
    let message = |at: usize| {
        let mut features = Features::default();
        let entry = |token: usize, i: usize, width: usize| {
            let draw = bits(at as u64, (token * 10 + i) as u64);
            ((draw % width as u64) as u32, (draw >> 40) as f32 / (1 << 24) as f32)
        };
        for token in 0..[1, 7, 0, 90, 3][at] {
            features
                .sequence
                .push((0..token % 6).map(|i| entry(token, i, widths.sequence)).collect::<Vec<_>>());
        }
        features.sentence.push((0..9).map(|i| entry(99, i, widths.sentence)).collect::<Vec<_>>());
        let numbers = |rows: usize, salt: usize| -> Vec<f32> {
            (0..rows * widths.dense).map(|i| entry(salt, i, 1).1 - 0.5).collect()
        };
        // As encoders give them: rows as long as one.
        let unit = |mut rows: Vec<f32>| {
            for row in rows.chunks_mut(widths.dense.max(1)) {
                let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                row.iter_mut().for_each(|x| *x /= length);
            }
            rows
        };
        let dense = DenseFeatures::new(&unit(numbers([1, 7, 0, 90, 3][at], 11)), unit(numbers(1, 12)));
        features.dense = (widths.dense > 0).then(|| Arc::new(dense));
        features
    };
    (0..5).map(message).collect()
}

/// Random weights for this configuration, all away from zero, as the network and as an engine take them.
fn weights(config: &DietConfig, labels: &Labels, label_features: &LabelFeatures) -> Weights {
    let parameters = Parameters::new(5);
    let vb = parameters.builder(DType::F32, &Device::Cpu);
    Network::new(config, widths(config), labels, label_features, vb).unwrap();
    let weight = |(name, var): (String, candle_core::Var)| {
        let values = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let noise = |i: usize| (bits(name.len() as u64, i as u64) >> 40) as f32 / (1 << 24) as f32 - 0.5;
        let values = values.iter().enumerate().map(|(i, x)| x + 0.4 * noise(i)).collect();
        (name.clone(), Weight::f32(var.dims().to_vec(), values))
    };
    let mut weights: Weights = parameters.all().into_iter().map(weight).collect();
    if config.intents.enabled {
        weights.insert("intent.scale".to_owned(), Weight::f32(vec![1], vec![0.75]));
    }
    if config.intents.linear_path {
        let (count, columns) = (labels.intents.len(), widths(config).joined());
        let noise = |at: usize| (bits(77, at as u64) >> 40) as f32 / (1 << 24) as f32 - 0.5;
        let table = Weight::f32(vec![columns, count], (0..columns * count).map(noise).collect());
        weights.insert("intent.linear.table".to_owned(), table);
        weights.insert("intent.linear.bias".to_owned(), Weight::f32(vec![count], vec![0.25; count]));
    }
    if config.intents.multi_label {
        let numbers = Decision::unfitted(config.intents.linear_path).numbers();
        weights.insert("intent.decision".to_owned(), Weight::f32(vec![numbers.len()], numbers.to_vec()));
    }
    weights
}

/// What a message should score: the network's similarities, weighed, and the linear path.
fn fused(similarities: &[f32], message: &Features, weights: &Weights) -> Vec<f32> {
    let numbers = |name: &str| weights.get(name).map_or_else(Vec::new, |weight| weight.to_f32().into_owned());
    let (scale, table, bias) =
        (numbers("intent.scale"), numbers("intent.linear.table"), numbers("intent.linear.bias"));
    let score = |(label, similarity): (usize, &f32)| {
        let joined = message.joined(23, 1.0);
        let path = joined.row(0).map(|(column, value)| {
            table.get(column as usize * similarities.len() + label).map_or(0.0, |weight| value * weight)
        });
        scale[0] * similarity + path.sum::<f32>() + bias.get(label).copied().unwrap_or(0.0)
    };
    similarities.iter().enumerate().map(score).collect()
}

/// How far the engine is from the network: similarities, probabilities of entities; and how many tags differ.
fn distance(
    config: &DietConfig,
    weights: &Weights,
    of_engine: &Weights,
    precision: Precision,
    rows_of_network: bool,
) -> (f32, f32, usize) {
    let labels = labels(config);
    let label_features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
    let network =
        Network::trained(config, widths(config), &labels, &label_features, weights, &Device::Cpu).unwrap();
    let engine = Engine::new(config, widths(config), &labels, &label_features, of_engine, precision).unwrap();
    let messages = messages(config);
    let expected = network.scores(&Batch::new(&messages)).unwrap();
    let (mut similarity, mut probability, mut tags) = (0.0_f32, 0.0_f32, 0);
    let mut count = 0;
    let check = |at: usize, mut found: Found<'_>| {
        assert_eq!(at, count);
        count += 1;
        let wanted = expected.intents.get(at).map_or_else(Vec::new, |row| fused(row, &messages[at], weights));
        assert_eq!(found.similarities.len(), wanted.len());
        let worst = found.similarities.iter().zip(&wanted).map(|(a, b)| (a - b).abs());
        similarity = worst.fold(similarity, f32::max);
        for kind in [TagKind::Entity, TagKind::Role, TagKind::Group] {
            let wanted = expected.tags.iter().find(|(own, _)| *own == kind).map(|(_, tags)| &tags[at]);
            let Some(wanted) = wanted else {
                assert!(found.tags(kind).is_none());
                continue;
            };
            let path = found.tags(kind).unwrap().to_vec();
            assert_eq!(path.len(), wanted.tags.len());
            tags += path.iter().zip(&wanted.tags).filter(|(a, b)| a != b).count();
            for first in 0..path.len() {
                for len in 1..=(path.len() - first).min(3) {
                    if path[first..first + len] == wanted.tags[first..first + len] {
                        let apart = found.probability(kind, first, len) - wanted.probability(first, len);
                        probability = probability.max(apart.abs());
                    }
                }
            }
        }
    };
    if rows_of_network {
        engine.answer_rows(&messages, network.rows(&messages).unwrap(), check);
    } else {
        engine.answer(&messages, check);
    }
    assert_eq!(count, messages.len());
    (similarity, probability, tags)
}

#[test]
fn at_full_precision_the_engine_is_the_network() {
    for (name, config) in variants() {
        let labels = labels(&config);
        let label_features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
        let weights = weights(&config, &labels, &label_features);
        for of_network in [false, true] {
            let (similarity, probability, tags) =
                distance(&config, &weights, &weights, Precision::F32, of_network);
            assert!(
                similarity < 1e-4 && probability < 1e-4 && tags == 0,
                "{name}, {of_network}: {similarity} {probability} {tags}"
            );
        }
    }
}

#[test]
fn with_rounded_weights_the_engine_is_near_the_network_of_the_same_weights() {
    for (name, config) in variants() {
        let labels = labels(&config);
        let label_features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
        let mut weights = weights(&config, &labels, &label_features);
        for (name, weight) in &mut weights {
            let values = weight.to_f32().into_owned();
            if ["sequence.table", "sentence.table", "intent.linear.table"].contains(&name.as_str()) {
                *weight = Weight::table(Table::new(&values, weight.shape[1], |row| row != 3));
            } else if weight.shape.len() > 1 {
                *weight = Weight::bf16(weight.shape.clone(), &values);
            }
        }
        // Rounding the other side of the products too costs up to one part in 256 at each; similarities are up to 10. Of
        // some three hundred tags a few are nearly as good as others.
        let (similarity, probability, tags) = distance(&config, &weights, &weights, Precision::Bf16, false);
        assert!(
            similarity < 0.2 && probability < 0.1 && tags <= 6,
            "{name}: {similarity} {probability} {tags}"
        );
    }
}

#[test]
fn one_message_after_a_long_one_is_answered_as_before() {
    let config = variants().remove(1).1;
    let labels = labels(&config);
    let label_features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
    let weights = weights(&config, &labels, &label_features);
    let engine =
        Engine::new(&config, widths(&config), &labels, &label_features, &weights, Precision::F32).unwrap();
    let messages = messages(&config);
    let answer = |message: usize| {
        let mut found = Vec::new();
        engine.answer(&[&messages[message]], |_, answer| {
            found.extend_from_slice(answer.similarities);
            found.extend(answer.tags(TagKind::Role).unwrap().iter().map(|tag| *tag as f32));
        });
        found
    };
    let before = answer(1);
    answer(3);
    assert_eq!(answer(1), before);
    engine.answer(&[] as &[Features], |_, _| panic!("there is no message"));
}

#[test]
fn weights_that_do_not_fit_are_named() {
    let config = config();
    let labels = labels(&config);
    let label_features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
    let whole = weights(&config, &labels, &label_features);
    let problem = |weights: &Weights| {
        let engine = Engine::new(&config, widths(&config), &labels, &label_features, weights, Precision::F32);
        engine.unwrap_err().to_string()
    };
    for name in whole.keys() {
        let mut weights = whole.clone();
        weights.remove(name);
        assert_eq!(problem(&weights), format!("there is no tensor `{name}`"));
        weights.insert(name.clone(), Weight::f32(vec![2, 1], vec![0.0; 2]));
        assert!(problem(&weights).starts_with(&format!("tensor `{name}` has the shape [2, 1] instead of")));
    }
}
