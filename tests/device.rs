//! What a GPU computes is what the processor computes.
//!
//! Only with the feature `cuda` or `metal`. Without a GPU each test says why it was left out, and passes; what can be tested
//! without one is tested beside the code, on the processor. `TALKFORMER_TEST_DEVICE` names another GPU.

#![cfg(any(feature = "cuda", feature = "metal"))]

mod common;

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device as Opened, Result, Tensor};
use talkformer::embed::{EmbedOptions, Embedder};
use talkformer::heads::{Crf, TagRules};
use talkformer::nn::{
    Device, GradientSink, Parameters, Pass, Precision, Segments, SparseLinear, Transformer, TransformerConfig,
};
use talkformer::numbers::SparseRows;
use talkformer::pipeline::{Nlu, OpeningOptions, PipelineConfig, TrainingOptions};
use talkformer::prediction::Prediction;
use talkformer::text::Span;
use talkformer::train::Event;

/// The GPU to test, where there is one.
fn gpu() -> Option<Device> {
    let own = if cfg!(feature = "cuda") { "cuda" } else { "metal" };
    let device: Device = std::env::var("TALKFORMER_TEST_DEVICE").as_deref().unwrap_or(own).parse().unwrap();
    match device.open() {
        Ok(_) => Some(device),
        Err(error) => {
            println!("left out: {error}");
            None
        }
    }
}

/// The folder of a tiny encoder, also where the test was built elsewhere.
fn encoder(family: &str) -> PathBuf {
    std::env::var_os("TALKFORMER_GOLDEN")
        .map_or_else(|| common::encoder(family), |golden| PathBuf::from(golden).join(family))
}

fn values(x: &Tensor) -> Result<Vec<f32>> {
    x.to_device(&Opened::Cpu)?.flatten_all()?.to_dtype(DType::F32)?.to_vec1()
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let apart = found.iter().zip(expected).map(|(a, b)| (a - b).abs() / b.abs().max(1.0));
    let worst = apart.fold(0.0, f32::max);
    assert!(worst <= tolerance, "{what}: {worst:e}");
}

/// The value of a loss on a device, and the gradients that it gives the parameters.
fn loss_and_gradients(
    device: &Opened,
    loss: impl Fn(&Parameters, &Opened, &Pass) -> Result<Tensor>,
) -> Result<(f32, BTreeMap<String, Vec<f32>>)> {
    let parameters = Parameters::new(3);
    let sink = GradientSink::default();
    let loss = loss(&parameters, device, &Pass::training(5).with_sink(&sink))?;
    let store = loss.backward()?;
    let mut gradients = BTreeMap::new();
    let handed = sink.take();
    for (name, var) in parameters.all() {
        let own = handed.iter().find(|gradient| gradient.parameter == var.as_tensor().id());
        let gradient = match own {
            Some(gradient) => gradient.to_f64().into_iter().map(|x| x as f32).collect(),
            None => values(store.get(var.as_tensor()).unwrap())?,
        };
        gradients.insert(name, gradient);
    }
    Ok((values(&loss)?[0], gradients))
}

fn assert_the_same(loss: impl Fn(&Parameters, &Opened, &Pass) -> Result<Tensor>) -> Result<()> {
    let Some(gpu) = gpu() else { return Ok(()) };
    let (found, gradients) = loss_and_gradients(&gpu.open().unwrap(), &loss)?;
    let (expected, others) = loss_and_gradients(&Opened::Cpu, &loss)?;
    assert_close(&[found], &[expected], 1e-4, "loss");
    assert_eq!(gradients.keys().collect::<Vec<_>>(), others.keys().collect::<Vec<_>>());
    for (name, gradient) in gradients {
        assert_close(&gradient, &others[&name], 1e-4, &name);
    }
    Ok(())
}

fn input(shape: (usize, usize), device: &Opened) -> Result<Tensor> {
    let numbers = (0..shape.0 * shape.1).map(|at| (at as f32 * 0.7).sin());
    Tensor::from_iter(numbers, device)?.reshape(shape)
}

#[test]
fn a_transformer_has_the_same_gradients() -> Result<()> {
    for relative in [false, true] {
        let config = TransformerConfig {
            model_dim: 32,
            heads: 4,
            ff_dim: 72,
            layers: 2,
            dropout: 0.2,
            attention_dropout: 0.1,
            connection_density: 0.7,
            relative_keys: relative,
            relative_values: relative,
            causal: relative,
            precision: Precision::F32,
            ..Default::default()
        };
        assert_the_same(|parameters, device, pass| {
            let transformer = Transformer::new(11, &config, parameters.builder(DType::F32, device))?;
            let segments = Segments::from_lengths([5, 0, 1, 13]);
            let out = transformer.forward(&input((19, 11), device)?, &segments, pass)?;
            (out * input((19, 32), device)?)?.sum_all()
        })?;
    }
    Ok(())
}

#[test]
fn the_sparse_input_has_the_same_gradients() -> Result<()> {
    let mut rows = SparseRows::default();
    (0..9_u32).for_each(|row| rows.push((0..row).map(|entry| (entry * entry % 50, 0.5 + entry as f32))));
    assert_the_same(|parameters, device, pass| {
        let layer = SparseLinear::new(50, 40, 0.3, parameters.builder(DType::F32, device))?;
        (layer.forward(&rows, pass)? * input((9, 40), device)?)?.sum_all()
    })
}

#[test]
fn the_crf_has_the_same_gradients_also_where_sums_would_underflow() -> Result<()> {
    let rules = || TagRules::new(5, |from, to| to != 4 || from >= 3, |tag| tag != 4, |_| true);
    for (scale, r_drop) in [(1.0, 0.0), (1.0, 0.7), (300.0, 0.0)] {
        assert_the_same(|parameters, device, _| {
            let vb = parameters.builder(DType::F32, device);
            let crf = Crf::new(16, rules(), vb)?.with_r_drop(r_drop);
            let rows = (input((8, 16), device)? * scale)?;
            let loss =
                crf.loss(&rows, &Segments::from_lengths([3, 1, 3, 1]), &[0, 3, 4, 1, 0, 3, 4, 1])?.loss;
            loss / scale
        })?;
    }
    Ok(())
}

/// Everything that draws, in `f32`.
fn config() -> PipelineConfig {
    let mut config = common::config();
    config.change_diet(|diet| {
        diet.transformer.attention_dropout = 0.1;
        diet.transformer.relative_keys = true;
        diet.transformer.precision = Precision::F32;
        diet.masking.enabled = true;
    });
    config
}

fn train(config: &PipelineConfig, device: Device) -> (Nlu, Vec<f64>) {
    let mut losses = Vec::new();
    let observe = |event| {
        if let Event::Epoch(report) = event {
            losses.push(report.loss);
        }
    };
    let options = TrainingOptions::default().threads(1).device(device);
    let nlu = Nlu::train_with(config, &common::data(), &options, observe).unwrap().0;
    (nlu, losses)
}

#[test]
fn ten_steps_have_the_same_losses() {
    let Some(gpu) = gpu() else { return };
    let mut config = config();
    config.change_diet(|diet| {
        diet.training.set_epochs(10);
        diet.training.batch_size = talkformer::train::BatchSize::Fixed(1000);
    });
    let (found, expected) = (train(&config, gpu).1, train(&config, Device::Cpu).1);
    let apart = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(found.len() == 10 && apart < 1e-3, "{found:?} {expected:?}");
}

#[test]
fn a_model_trained_there_answers_here() {
    let Some(gpu) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    train(&config(), gpu).0.save(folder.path().join("model")).unwrap();
    let nlu = Nlu::open(folder.path().join("model")).unwrap();
    let data = common::data();
    let right = |utterance: &&talkformer::data::Utterance| {
        nlu.parse(&utterance.text).unwrap().intent.map(|intent| intent.name) == utterance.intent
    };
    assert_eq!(data.utterances.iter().filter(right).count(), data.utterances.len());
}

#[test]
fn a_model_answers_there_as_it_does_here() {
    let Some(gpu) = gpu() else { return };
    let folder = tempfile::tempdir().unwrap();
    let given = std::env::var_os("TALKFORMER_MODEL").map(PathBuf::from);
    let model = given.unwrap_or_else(|| {
        let place = folder.path().join("model");
        train(&config(), Device::Cpu).0.save(&place).unwrap();
        place
    });
    let texts: Vec<String> = match std::env::var_os("TALKFORMER_TEXTS") {
        Some(file) => std::fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect(),
        None => common::data().utterances.iter().map(|one| one.text.clone()).collect(),
    };
    let answers = |device| {
        let nlu = Nlu::open_with(&model, &OpeningOptions::default().device(device)).unwrap();
        let name = |answer: Prediction| answer.intent.map(|intent| intent.name);
        let entities = |answer: &Prediction| -> Vec<(Span, String)> {
            answer.entities.iter().map(|entity| (entity.span, entity.entity.clone())).collect()
        };
        let of = |answer: Prediction| (entities(&answer), name(answer));
        nlu.parse_batch(&texts).unwrap().into_iter().map(of).collect::<Vec<_>>()
    };
    let (found, expected) = (answers(gpu), answers(Device::Cpu));
    let apart = found.iter().zip(&expected).filter(|(a, b)| a != b).count();
    // Rounding may turn what is as good as even.
    assert!(apart * 1000 <= texts.len(), "{apart} of {}", texts.len());
}

#[test]
fn a_thousand_texts_have_the_same_vectors() {
    let Some(gpu) = gpu() else { return };
    let words = ["money", "in", "the", "bank", "of", "a", "river", "Vienna", "🎉", "unlikely"];
    let text = |at: usize| {
        let word = |place: usize| words[(at * 7 + place * (3 + at % 5)) % words.len()];
        (0..at % 40).map(word).collect::<Vec<_>>().join(" ")
    };
    let texts: Vec<String> = (0..1000).map(text).collect();
    let given = std::env::var_os("TALKFORMER_MINILM").map(PathBuf::from);
    for folder in [encoder("bert"), encoder("mpnet")].into_iter().chain(given) {
        let embed = |device| {
            let embedder = Embedder::open(&folder, &EmbedOptions::default().device(device)).unwrap();
            embedder.embed(&texts).unwrap().vectors
        };
        let (found, expected) = (embed(gpu), embed(Device::Cpu));
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-4, "{}: {worst:e}", folder.display());
    }
}
