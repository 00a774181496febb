//! The same seed, data and number of threads give the same bytes.

mod common;

use talkformer::nn::Precision;
use talkformer::pipeline::PipelineConfig;

fn bytes(config: &PipelineConfig, threads: usize) -> Vec<(&'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("model");
    common::train(config, &common::data(), threads).save(&place).unwrap();
    let read = |name| (name, std::fs::read(place.join(name)).unwrap());
    ["model.safetensors", "features.json", "labels.json", "synonyms.json", "extractor.json", "examples.jsonl"]
        .map(read)
        .into()
}

/// Everything that draws: dropout of all kinds, hidden tokens, negatives, held-out examples.
fn config() -> PipelineConfig {
    let mut config = common::config();
    config.change_diet(|diet| {
        diet.training.epochs = 4;
        diet.transformer.connection_density = 0.5;
        diet.transformer.attention_dropout = 0.1;
        diet.masking.enabled = true;
        diet.transformer.relative_keys = true;
        diet.training.held_out_examples = 3;
        diet.training.evaluate_every = 2;
    });
    config
}

#[test]
fn on_one_thread_and_on_three_in_either_precision() {
    for precision in [Precision::F32, Precision::Bf16] {
        let mut config = config();
        config.change_diet(|diet| diet.transformer.precision = precision);
        for threads in [1, 3] {
            let same = bytes(&config, threads) == bytes(&config, threads);
            assert!(same, "{threads} threads, {precision:?}");
        }
    }
}

#[test]
fn another_seed_gives_another_model() {
    let mut other = config();
    other.change_diet(|diet| diet.training.random_seed = Some(2));
    assert_ne!(bytes(&config(), 1)[0], bytes(&other, 1)[0]);
}
