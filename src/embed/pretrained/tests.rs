//! The network compared with the trainable block, for the same weights.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};

use super::*;
use crate::nn::testing::without_kernels;
use crate::nn::{Pass, Segments};

fn folder(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoders").join(family)
}

fn source(family: &str) -> Source {
    Source::at(folder(family))
}

#[test]
fn however_it_is_divided_the_network_computes_what_the_block_does() {
    for family in ["bert", "distilbert", "roberta", "mpnet"] {
        let folder = folder(family);
        let parts = Parts::open(&source(family), None).unwrap();
        let config = &parts.config;
        let block = pretrained_block(&folder, DType::F64, &Device::Cpu).unwrap();
        let lengths = [5, 1, 0, config.longest(), 17];
        let segments = Segments::from_lengths(lengths);
        let ids: Vec<u32> = (0..segments.rows()).map(|at| (at * 7919 % config.vocabulary) as u32).collect();
        let rows = block.forward(&ids, &segments, &Pass::inference()).unwrap();
        let expected: Vec<f64> = rows.flatten_all().unwrap().to_vec1().unwrap();
        for threads in [1, 2, 3, 8] {
            let network = Network::new(&parts, crate::kernels::Precision::F32, threads).unwrap();
            assert_eq!(network.shards(), threads.min(config.heads));
            for at_work in [1, threads] {
                let sequences = Sequences { ids: &ids, offsets: segments.offsets() };
                let found = network.encode(sequences, at_work);
                assert_eq!(found.len(), expected.len());
                let wrong = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs());
                let wrong = wrong.fold(0.0, f64::max);
                assert!(wrong < 1e-5, "{family}, {at_work} of {threads}: {wrong:e}");
            }
        }
    }
}

/// The block computes them with candle.
#[test]
fn every_activation_is_the_one_of_the_block() {
    let copy = tempfile::tempdir().unwrap();
    for file in ["model.safetensors", "tokenizer.json"] {
        std::fs::copy(folder("bert").join(file), copy.path().join(file)).unwrap();
    }
    let config = std::fs::read_to_string(folder("bert").join("config.json")).unwrap();
    let ids: Vec<u32> = (0..9).map(|at| at * 7 % 60).collect();
    let mut before = Vec::new();
    for name in [
        "gelu", "gelu_python", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "silu", "relu", "tanh",
        "sigmoid",
    ] {
        let config = config.replace("\"hidden_act\": \"gelu\"", &format!("\"hidden_act\": \"{name}\""));
        std::fs::write(copy.path().join("config.json"), config).unwrap();
        let parts = Parts::open(&Source::at(copy.path()), None).unwrap();
        let network = Network::new(&parts, crate::kernels::Precision::F32, 1).unwrap();
        let found = network.encode(Sequences { ids: &ids, offsets: &[0, 9] }, 1);
        let block = pretrained_block(copy.path(), DType::F64, &Device::Cpu).unwrap();
        let rows = block.forward(&ids, &Segments::from_lengths([9]), &Pass::inference()).unwrap();
        let expected: Vec<f64> = rows.flatten_all().unwrap().to_vec1().unwrap();
        let wrong = found.iter().zip(&expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(wrong < 1e-5, "{name}: {wrong:e}");
        let same = ["gelu_python", "gelu_pytorch_tanh"].contains(&name);
        assert_eq!(found == before, same, "{name} is another function than the one before");
        before = found;
    }
}

#[test]
fn layers_come_back_as_they_were_from_the_tensors_of_the_block() {
    for family in ["bert", "mpnet"] {
        let source = source(family);
        let tensors =
            blocks::block_tensors(&Parts::open(&source, None).unwrap(), DType::F32, &Device::Cpu).unwrap();
        let plain = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
        let tensors =
            tensors.iter().map(|(name, tensor)| (name.clone(), (tensor.dims().to_vec(), plain(tensor))));
        let tuned = Tuned::new(tensors.collect());
        let run = |parts: &Parts<'_>| {
            let network = Network::new(parts, crate::kernels::Precision::F32, 1).unwrap();
            network.encode(Sequences { ids: &[1, 5, 2, 7], offsets: &[0, 4] }, 1)
        };
        let found = run(&Parts::open(&source, Some(&tuned)).unwrap());
        assert_eq!(found, run(&Parts::open(&source, None).unwrap()), "{family}");
    }
}

#[test]
fn the_way_of_a_gpu_gives_the_same_rows_and_attention() {
    for family in ["bert", "mpnet"] {
        let parts = Parts::open(&source(family), None).unwrap();
        let network = Network::new(&parts, crate::kernels::Precision::F32, 1).unwrap();
        let device = DeviceNetwork::new(&parts, &Device::Cpu).unwrap();
        let (ids, offsets) = ([1, 5, 2, 7, 3, 3, 1], [0, 4, 4, 7]);
        let sequences = Sequences { ids: &ids, offsets: &offsets };
        let close = |found: &[f32], expected: &[f32]| {
            assert_eq!(found.len(), expected.len());
            assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{family}");
        };
        without_kernels(|| {
            close(&device.encode(sequences).unwrap(), &network.encode(sequences, 1));
            let found = device.attention(&ids[..4]).unwrap();
            close(&found.concat(), &network.attention(&ids[..4]).concat());
        });
    }
}

#[test]
fn no_more_tokens_than_fit_go_through_at_once() {
    let pieces = |count| Pieces { ids: vec![0; count], ..Default::default() };
    let parts = [pieces(4000), pieces(90), pieces(7), pieces(5000), pieces(0), pieces(1)];
    let found = groups(&parts.iter().collect::<Vec<_>>(), 4096);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 2]);
    assert!(groups(&[], 4096).is_empty());
}
