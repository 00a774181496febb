//! Fine-tuning of the small encoders that the tests of this project bring.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::super::super::parts::Map;
use super::super::super::tokenizer::PieceTokenizer;
use super::*;
use crate::embed::{EmbedOptions, Embedder, LongTexts, Pretrained, Source};
use crate::nn::testing::central_differences;
use crate::text::Span;

fn folder(family: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoders").join(family)
}

fn tuner(family: &str, texts: &[FineTuningExample<'_>], dtype: DType) -> Tuner {
    tuner_behind(family, Vec::new(), texts, dtype)
}

/// With these stages behind the encoder.
fn tuner_behind(family: &str, stages: Vec<Stage>, texts: &[FineTuningExample<'_>], dtype: DType) -> Tuner {
    let mut parts = Parts::open(&Source::at(folder(family)), None).unwrap();
    if !stages.is_empty() {
        parts.folder.poolings = vec![Pooling::Mean, Pooling::LastToken, Pooling::WeightedMean];
        parts.folder.stages = stages;
    }
    let tokenizer = PieceTokenizer::open(&parts, 32).unwrap();
    let read = |example: &FineTuningExample<'_>| {
        tokenizer.read(example.text, LongTexts::Truncate).unwrap().0.remove(0)
    };
    let examples = texts.iter().map(|example| Example::new(read(example), example)).collect();
    let config = FineTuning { dropout: 0.0, ..Default::default() };
    Tuner::new(&config, &parts, examples, dtype, &Opened::Cpu).unwrap()
}

#[test]
fn every_parameter_has_the_right_gradient() {
    let words = [Span::new(0, 5), Span::new(6, 9)];
    let texts = [
        FineTuningExample { text: "money now", classes: vec![0, 2], words: &words, tags: vec![1, 0] },
        FineTuningExample::new("the river", 1),
        FineTuningExample { text: "a bank", classes: vec![], words: &[], tags: vec![] },
        FineTuningExample::new("money river", 2),
    ];
    let dense = || {
        let weight = (0..3 * 12 * 5).map(|at| (at as f32 * 0.7).sin()).collect();
        let map = Map { weight, bias: vec![0.1, -0.2, 0.3, 0.0, 0.5] };
        vec![Stage::Normalize, Stage::Dense { map, activation: Activation::Tanh }]
    };
    for (family, stages) in [("bert", vec![]), ("distilbert", vec![]), ("mpnet", vec![]), ("bert", dense())] {
        let tuner = tuner_behind(family, stages, &texts, DType::F64);
        crate::nn::testing::shake(&tuner.parameters).unwrap();
        let loss = || tuner.loss(&[0, 1, 2, 3], &Pass::inference()).unwrap().total;
        let found = loss().backward().unwrap();
        for (name, var) in tuner.parameters.all() {
            let gradient = found.get(var.as_tensor()).expect(&name).flatten_all().unwrap();
            let gradient: Vec<f64> = gradient.to_vec1().unwrap();
            assert!(gradient.iter().any(|x| x.abs() > 1e-9), "{name}");
            let slopes = central_differences(&var, || loss().to_scalar()).unwrap();
            for (found, slope) in gradient.iter().zip(slopes) {
                assert!((found - slope).abs() < 1e-5 * slope.abs().max(1e-2), "{name}: {found} {slope}");
            }
        }
    }
}

#[test]
fn classes_begin_as_the_mean_direction_of_their_texts() {
    let texts = [
        FineTuningExample::new("money", 0),
        FineTuningExample::new("the river bank", 1),
        FineTuningExample::new("a bank", 0),
    ];
    let tuner = tuner("bert", &texts, DType::F64);
    let means: Vec<Vec<f64>> = tuner.classes.as_ref().unwrap().to_vec2().unwrap();
    let options = EmbedOptions { normalize: Some(true), ..Default::default() };
    let embedder = Embedder::open(folder("bert"), &options).unwrap();
    let vectors = embedder.embed(&["money", "the river bank", "a bank"]).unwrap().vectors.mapv(f64::from);
    let first = &vectors.row(0) + &vectors.row(2);
    let first = &first / first.dot(&first).sqrt();
    for (mean, expected) in means.iter().zip([first, vectors.row(1).to_owned()]) {
        assert!(mean.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
    }
}

#[test]
fn each_text_learns_beside_another_of_its_class() {
    let mut texts = ["money", "the bank", "a bank", "river", "a river", "bank"]
        .into_iter()
        .zip([0, 0, 0, 1, 1, 2])
        .map(|(text, class)| FineTuningExample::new(text, class))
        .collect::<Vec<_>>();
    texts.push(FineTuningExample { text: "now", classes: vec![], words: &[], tags: vec![] });
    let tuner = tuner("bert", &texts, DType::F64);
    let mut seen = [[false; 6]; 6];
    for seed in 0..50 {
        let all = tuner.with_others(&[0, 1, 2, 3, 4, 5, 6], &Pass::training(seed));
        assert_eq!(all[..7], [0, 1, 2, 3, 4, 5, 6]);
        all[7..].iter().enumerate().for_each(|(of, other)| seen[of][*other] = true);
    }
    let others: Vec<Vec<usize>> = seen.iter().map(|seen| (0..6).filter(|at| seen[*at]).collect()).collect();
    assert_eq!(others, [vec![1, 2], vec![0, 2], vec![0, 1], vec![4], vec![3], vec![5]]);
    assert_eq!(tuner.with_others(&[2, 0], &Pass::inference()), [2, 0]);
}

#[test]
fn texts_of_a_class_are_drawn_together_and_those_of_none_are_left_out() {
    let mut texts = [0, 0, 1].map(|class| FineTuningExample::new("money", class)).to_vec();
    texts.push(FineTuningExample { text: "now", classes: vec![], words: &[], tags: vec![] });
    let tuner = tuner("bert", &texts, DType::F64);
    let vectors = Tensor::new(&[[1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [0.8, 0.6]], &Opened::Cpu).unwrap();
    let found = tuner.contrast(&[0, 1, 2, 3], &vectors).unwrap().unwrap().to_scalar::<f64>().unwrap();
    // Cosines: 0.6 of the two, 0 and 0.8 of each with the third.
    let loss = |own: f64, other: f64| ((own / 0.07).exp() + (other / 0.07).exp()).ln() - own / 0.07;
    let expected = f64::midpoint(loss(0.6, 0.0), loss(0.6, 0.8));
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    assert!(tuner.contrast(&[1, 2, 3], &vectors.narrow(0, 0, 3).unwrap()).unwrap().is_none());
}

#[test]
fn tokens_have_the_tag_of_the_word_they_touch() {
    let spans = [(0, 0), (0, 3), (3, 5), (6, 7), (8, 12), (12, 12)].map(|(from, to)| Span::new(from, to));
    let special = [true, false, false, false, false, true].to_vec();
    let pieces = Pieces { ids: (0..6).collect(), spans: spans.to_vec(), special };
    let words = [Span::new(0, 5), Span::new(8, 10), Span::new(10, 12)];
    let example = FineTuningExample { text: "", classes: vec![], words: &words, tags: vec![4, 5, 6] };
    assert_eq!(Example::new(pieces, &example).tags, [(1, 4), (2, 4), (4, 5)]);
}

#[test]
fn what_was_learnt_tells_the_classes_apart_better() {
    let texts = ["money in the bank", "a bank with money", "the bank of the river", "river and bank"];
    let labelled: Vec<FineTuningExample<'_>> =
        texts.iter().zip([0, 0, 1, 1]).map(|(text, class)| FineTuningExample::new(text, class)).collect();
    for family in ["bert", "roberta", "mpnet"] {
        let path = folder(family);
        let tuning = FineTuning { minimum_steps: 60, learning_rate: 3e-3, threads: 2, ..Default::default() };
        let learn = || tuning.run(&path, &labelled, &AtomicBool::new(false), |_| {}).unwrap();
        let tuned = learn();
        assert_eq!(tuned, learn(), "the same seed gives the same numbers");
        let apart = |encoder: Pretrained| {
            let options = EmbedOptions { normalize: Some(true), ..Default::default() };
            let vectors = Embedder::new(Box::new(encoder), options).embed(&texts).unwrap().vectors;
            let cosine = |a: usize, b: usize| vectors.row(a).dot(&vectors.row(b));
            cosine(0, 1) + cosine(2, 3) - cosine(0, 2) - cosine(1, 3)
        };
        let before = apart(Pretrained::open(&path, &EmbedOptions::default()).unwrap());
        let after = apart(Pretrained::open_tuned(&path, &tuned, &EmbedOptions::default()).unwrap());
        assert!(after > before + 0.3, "{family}: {before} {after}");
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let path = folder("bert");
    let run = |texts: &[FineTuningExample<'_>]| {
        FineTuning::default().run(&path, texts, &AtomicBool::new(false), |_| {})
    };
    assert!(matches!(run(&[]), Err(EmbedError::NothingToTune)));
    assert!(matches!(
        run(&[FineTuningExample::new("money", 0), FineTuningExample::new("river", 0)]),
        Err(EmbedError::NothingToTune)
    ));
    let error = Pretrained::open_tuned(&path, &Tuned::default(), &EmbedOptions::default()).unwrap_err();
    assert!(error.to_string().contains("there is no `layers.0.attention.query_key_value.weight`"), "{error}");
}
