//! What the tests share: a small data set, tiny encoders, and a way to run the program.

#![allow(dead_code, reason = "each test file uses a part")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use talkformer::data::{Format, TrainingData, read_str};
use talkformer::pipeline::{Nlu, PipelineConfig, TrainingOptions};

/// Three intents, an entity with roles, a synonym.
pub(crate) const DATA: &str = r#"
version: "3.1"
nlu:
- intent: order_ride
  examples: |
    - a ride from [Berlin]{"entity": "city", "role": "from"} to [Vienna]{"entity": "city", "role": "to"}
    - take me to [Prague]{"entity": "city", "role": "to"} please
    - I need a car from [Vienna]{"entity": "city", "role": "from"}
    - from [Rome]{"entity": "city", "role": "from"} to [Milan]{"entity": "city", "role": "to"}
    - get me a taxi to [NYC]{"entity": "city", "role": "to", "value": "New York City"}
    - 来[东京]{"entity": "city", "role": "to"}的车
- intent: cancel
  examples: |
    - cancel my ride
    - please cancel the taxi
    - forget it
    - call it off
- intent: thank
  examples: |
    - thank you
    - thanks a lot
    - many thanks
    - cheers 🎉
"#;

/// A small pipeline that learns [`DATA`] by heart in about a second.
pub(crate) const CONFIG: &str = "
pipeline:
- name: WhitespaceTokenizer
- name: LexicalSyntacticFeaturizer
- name: CountVectorsFeaturizer
- name: CountVectorsFeaturizer
  analyzer: char_wb
  min_ngram: 1
  max_ngram: 4
- name: DIETClassifier
  epochs: 60
  batch_size: 8
  transformer_size: 32
  number_of_attention_heads: 2
  connection_density: 1.0
  learning_rate: 0.005
  learning_rate_decay: linear
- name: EntitySynonymMapper
";

pub(crate) fn data() -> TrainingData {
    read_str(Format::RasaYaml, DATA, "nlu.yml").unwrap()
}

pub(crate) fn config() -> PipelineConfig {
    PipelineConfig::from_yaml(CONFIG, "config.yml").unwrap()
}

pub(crate) fn train(config: &PipelineConfig, data: &TrainingData, threads: usize) -> Nlu {
    let options = TrainingOptions::default().threads(threads);
    Nlu::train_with(config, data, &options, |_| {}).unwrap().0
}

/// The folder of a tiny encoder, made by `tests/golden/encoders.py`.
pub(crate) fn encoder(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoders").join(family)
}

/// Copies a tiny encoder.
pub(crate) fn copy_encoder(family: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        fs::copy(encoder(family).join(file), to.join(file)).unwrap();
    }
}

/// Makes the folder of a tiny encoder one of sentence-transformers, whose texts have vectors of 5 numbers and tokens of 12.
pub(crate) fn add_dense_module(folder: &Path) {
    use candle_core::{Device, Tensor, safetensors};

    let modules = r#"[{"path": "", "type": "Transformer"}, {"path": "1_Pooling", "type": "Pooling"},
        {"path": "2_Dense", "type": "Dense"}]"#;
    fs::write(folder.join("modules.json"), modules).unwrap();
    for (module, config) in [
        ("1_Pooling", r#"{"pooling_mode": "mean"}"#),
        ("2_Dense", r#"{"in_features": 12, "out_features": 5, "bias": false}"#),
    ] {
        fs::create_dir_all(folder.join(module)).unwrap();
        fs::write(folder.join(module).join("config.json"), config).unwrap();
    }
    let weight: Vec<f32> = (0..60).map(|at| (at as f32 * 0.7).sin()).collect();
    let weight = Tensor::from_vec(weight, (5, 12), &Device::Cpu).unwrap();
    let tensors = [("linear.weight".to_owned(), weight)].into();
    safetensors::save(&tensors, folder.join("2_Dense/model.safetensors")).unwrap();
}

/// Runs the program in a folder and waits for it.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_talkformer"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with `nlu.yml` and `config.yml`, and a model in `model` where asked for.
pub(crate) fn workplace(with_model: bool) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("nlu.yml"), DATA).unwrap();
    fs::write(folder.path().join("config.yml"), CONFIG).unwrap();
    if with_model {
        train(&config(), &data(), 1).save(folder.path().join("model")).unwrap();
    }
    folder
}
