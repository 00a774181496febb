//! The network compared with the trainable block, for the same weights.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device};

use super::*;
use crate::nn::{Pass, Segments};

fn folder(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoders").join(family)
}

#[test]
fn however_it_is_divided_the_network_computes_what_the_block_does() {
    for family in ["bert", "roberta", "mpnet"] {
        let folder = folder(family);
        let parts = Parts::open(&folder, None).unwrap();
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

#[test]
fn layers_come_back_as_they_were_from_the_tensors_of_the_block() {
    for family in ["bert", "mpnet"] {
        let folder = folder(family);
        let tensors =
            blocks::block_tensors(&Parts::open(&folder, None).unwrap(), DType::F32, &Device::Cpu).unwrap();
        let plain = |tensor: &candle_core::Tensor| tensor.flatten_all().unwrap().to_vec1().unwrap();
        let tensors =
            tensors.iter().map(|(name, tensor)| (name.clone(), (tensor.dims().to_vec(), plain(tensor))));
        let tuned = Tuned::new(tensors.collect());
        let run = |parts: &Parts<'_>| {
            let network = Network::new(parts, crate::kernels::Precision::F32, 1).unwrap();
            network.encode(Sequences { ids: &[1, 5, 2, 7], offsets: &[0, 4] }, 1)
        };
        let found = run(&Parts::open(&folder, Some(&tuned)).unwrap());
        assert_eq!(found, run(&Parts::open(&folder, None).unwrap()), "{family}");
    }
}

#[test]
fn no_more_tokens_than_fit_go_through_at_once() {
    let pieces = |count| Pieces { ids: vec![0; count], ..Default::default() };
    let parts = [pieces(4000), pieces(90), pieces(7), pieces(5000), pieces(0), pieces(1)];
    let found = groups(&parts.iter().collect::<Vec<_>>());
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 2]);
    assert!(groups(&[]).is_empty());
}
