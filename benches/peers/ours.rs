//! Our side of `just bench-peers`: it reads a case as a line of JSON and writes how long the work takes.
//!
//! `run.py` starts it, and its counterparts in Python, with a number of threads; README.md explains the rest.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use talkformer::data::{Format, read_str};
use talkformer::embed::{EmbedOptions, Embedder};
use talkformer::pipeline::{Nlu, Recipe};
use talkformer::speed::{
    Attention, AttentionBlock, DietTraining, Machine, Precision, Product, Times, ceiling,
};

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const DATA: &str = include_str!("../../examples/conference/train.yml");

#[derive(Debug, Deserialize)]
struct Work {
    kind: String,
    #[serde(default)]
    size: Vec<usize>,
    #[serde(default)]
    precision: Option<Precision>,
    #[serde(default)]
    backward: bool,
    #[serde(default)]
    drop_rate: f64,
    #[serde(default)]
    columns: usize,
    /// Texts to embed, and the folder of the encoder to do it with.
    #[serde(default)]
    texts: Vec<String>,
    #[serde(default)]
    model: PathBuf,
    /// How long to measure.
    seconds: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // `cargo bench` gives no number of threads; then there is nothing to do.
    let Some(threads) = std::env::args().find_map(|word| word.parse().ok()) else { return Ok(()) };
    let mut nlu = None;
    for line in std::io::stdin().lines() {
        let work: Work = serde_json::from_str(&line?)?;
        let answer =
            if work.kind == "machine" { machine(threads) } else { measure(&work, threads, &mut nlu)? };
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

fn machine(threads: usize) -> Value {
    let [f32, bf16] = [Precision::F32, Precision::Bf16].map(|precision| ceiling(precision, threads));
    json!({"machine": Machine::this(), "threads": threads, "f32": f32, "bf16": bf16})
}

/// How long the work takes, or `null` if this number of threads or this precision is not supported.
fn measure(work: &Work, threads: usize, nlu: &mut Option<Nlu>) -> Result<Value, Box<dyn std::error::Error>> {
    let time = Duration::from_secs_f64(work.seconds);
    let precision = work.precision.unwrap_or_default();
    let times = match (&work.kind[..], &work.size[..]) {
        ("product", [m, k, n]) if threads == 1 => {
            let mut product = Product::new(*m, *k, *n, precision);
            Times::measure(time, || product.run())
        }
        ("attention", [batch, heads, seq, head_dim]) => {
            let attention = Attention::new([*batch, *heads, *seq, *head_dim], precision, threads)?;
            if work.backward {
                Times::measure(time, || attention.forward_and_backward().expect("sizes fit"))
            } else {
                Times::measure(time, || drop(attention.forward().expect("sizes fit")))
            }
        }
        ("block", [batch, heads, seq, head_dim]) if threads == 1 && precision == Precision::F32 => {
            let block = AttentionBlock::new(*batch, *heads, *seq, *head_dim)?;
            if work.backward {
                Times::measure(time, || block.forward_and_backward().expect("sizes fit"))
            } else {
                Times::measure(time, || drop(block.forward().expect("sizes fit")))
            }
        }
        ("training", [messages, tokens]) => {
            let (messages, tokens) = (*messages, *tokens);
            let (drop_rate, columns) = (work.drop_rate, work.columns);
            let work = DietTraining { messages, tokens, drop_rate, columns, precision, ..Default::default() };
            let first = work.steps(threads, 1)?.median();
            work.steps(threads, (time.as_secs_f64() / first.as_secs_f64()).ceil() as usize)?
        }
        ("answer", [tokens]) if threads == 1 => {
            let nlu = if let Some(nlu) = nlu { nlu } else { nlu.insert(train()?) };
            let words =
                ["when", "does", "the", "talk", "about", "Rust", "begin", "in", "hall", "two", "please"];
            let text = words[words.len() - tokens..].join(" ");
            Times::measure(time, || drop(nlu.parse(&text)))
        }
        ("embed", _) => {
            let embedder =
                Embedder::open(&work.model, &EmbedOptions::default().threads(threads).precision(precision))?;
            match &work.texts[..] {
                [text] => Times::measure(time, || drop(embedder.embed(&[text]))),
                texts => {
                    embedder.embed(&texts[..texts.len().min(32)])?;
                    let begun = Instant::now();
                    // Without any time, the question is only whether the case is supported.
                    if !time.is_zero() {
                        embedder.embed(texts)?;
                    }
                    Times::new(vec![begun.elapsed()])
                }
            }
        }
        _ => return Ok(Value::Null),
    };
    Ok(json!(times.median().as_secs_f64()))
}

/// The quality of the answers does not matter here, only the size of the model.
fn train() -> talkformer::Result<Nlu> {
    let data = read_str(Format::RasaYaml, DATA, "train.yml")?;
    let mut config = Recipe::accurate();
    config.change_diet(|diet| diet.training.set_epochs(1));
    Nlu::train(&config, &data)
}
