//! A transformer learns to sort, and shows how to train a model of your own.
//!
//! The input is a row of digits, one per position; the output should be the same digits in order. The first
//! output is the smallest digit, wherever it is in the input, so every position must attend to all others,
//! compare and count. The model is not told what sorting is: it learns from examples and the loss.
//!
//! ```text
//! cargo run --release --example transformer
//! ```
//!
//! It takes two seconds once built, and prints
//!
//! ```text
//! 17642 numbers to learn, 4500 sequences
//!
//! epoch   loss  digits right | unseen: digits right  whole sequences right
//!     2  1.029        62.1 % |               77.4 %                 18.2 %
//!     4  0.211        95.0 % |               96.5 %                 81.8 %
//!     6  0.081        98.3 % |               98.5 %                 91.4 %
//!     8  0.040        99.2 % |               98.4 %                 90.2 %
//!    10  0.024        99.5 % |               99.6 %                 97.2 %
//!    12  0.009        99.9 % |               99.8 %                 98.6 %
//!    14  0.005       100.0 % |               99.9 %                 99.4 %
//!    16  0.002       100.0 % |              100.0 %                 99.8 %
//!    18  0.002       100.0 % |              100.0 %                 99.8 %
//!    20  0.002       100.0 % |              100.0 %                 99.8 %
//!
//! Unseen sequences, and what became of them:
//!
//!  4 2 4 6 3 0 4 7 2  →  0 2 2 3 4 4 4 6 7  right
//!  9 3 6 0 4 5 6 5 6  →  0 3 4 5 5 6 6 6 9  right
//!          6 6 6 6 6  →  6 6 6 6 6          right
//!            3 8 2 6  →  2 3 6 8            right
//!    0 1 0 2 9 5 9 0  →  0 0 0 1 2 5 9 9    right
//! ```
//!
//! Guessing gets one digit in ten right. The columns on the right are for sequences that were not trained on.
//!
//! For a model of your own, implement [`Trainable`] as [`Sorter`] does: say how many examples there are,
//! compute the loss of some of them, and score the held-out ones. Batches, threads, gradients, the
//! optimizer and the best weights are handled by [`Trainer`].

use std::collections::HashSet;
use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use candle_core::{D, DType, Device, Tensor};
use candle_nn::loss::cross_entropy;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use talkformer::nn::{Linear, Parameters, Pass, Segments, Transformer, TransformerConfig};
use talkformer::train::{
    AdamWConfig, BatchLoss, BatchStrategy, Decay, Event, Ratio, Schedule, Score, Trainable, Trainer,
    TrainerConfig,
};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const DIGITS: usize = 10;
const SEED: u64 = 7;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail("the loss did not fall"),
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(reason: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "transformer: {reason}");
    ExitCode::FAILURE
}

/// Trains, shows the progress, and returns whether the loss fell to a fifth.
fn run() -> Result<bool> {
    let mut out = io::stdout();
    let sorter = Sorter::new()?;
    let config = TrainerConfig {
        epochs: 20,
        batch_size: (64, 64),
        batch_strategy: BatchStrategy::Sequence,
        schedule: Schedule { peak: 2e-3, warm_up: 0.1, decay: Decay::Cosine },
        optimizer: AdamWConfig { clip_norm: 1.0, ..Default::default() },
        seed: SEED,
        threads: 2,
        evaluate_every: 2,
        patience: 0,
        keep_best: true,
        time: None,
    };

    writeln!(out, "{} numbers to learn, {} sequences\n", sorter.parameters.count(), sorter.examples())?;
    writeln!(out, "epoch   loss  digits right | unseen: digits right  whole sequences right")?;
    let mut epochs = Vec::new();
    let mut lines = Vec::new();
    let never = AtomicBool::new(false);
    Trainer::new(config, &never).run(&sorter, |event| match event {
        Event::Epoch(report) => epochs.push(report),
        Event::Evaluated { epoch, score, .. } => {
            let report = &epochs[epoch - 1];
            let shares = [report.shares[0].1, score.parts[0].1, score.parts[1].1].map(|share| 100.0 * share);
            let [learnt, digits, sequences] = shares;
            lines.push(writeln!(
                out,
                "{epoch:>5}  {:.3}  {learnt:>10.1} % | {digits:>18.1} %  {sequences:>19.1} %",
                report.loss
            ));
        }
        _ => {}
    })?;
    lines.into_iter().collect::<io::Result<()>>()?;

    writeln!(out, "\nUnseen sequences, and what became of them:\n")?;
    for digits in &sorter.unseen[..5] {
        let answer = sorter.sort(digits)?;
        let verdict = if answer == sorted(digits) { "right" } else { "wrong" };
        writeln!(out, "{:>18}  →  {:<18} {verdict}", text(digits), text(&answer))?;
    }
    Ok(epochs[epochs.len() - 1].loss < 0.2 * epochs[0].loss)
}

// 1. The task.

/// Sequences of four to nine digits, all different.
fn sequences(count: usize, random: &mut ChaCha8Rng) -> Vec<Vec<u32>> {
    let mut seen = HashSet::new();
    let draw = || -> Vec<u32> {
        let length = random.random_range(4..10);
        (0..length).map(|_| random.random_range(0..DIGITS as u32)).collect()
    };
    std::iter::repeat_with(draw).filter(|digits| seen.insert(digits.clone())).take(count).collect()
}

fn sorted(digits: &[u32]) -> Vec<u32> {
    let mut digits = digits.to_vec();
    digits.sort_unstable();
    digits
}

fn text(digits: &[u32]) -> String {
    digits.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

// 2. The model: a transformer, and a map from each of its rows to the ten digits.

struct Sorter {
    parameters: Parameters,
    transformer: Transformer,
    digit: Linear,
    examples: Vec<Vec<u32>>,
    unseen: Vec<Vec<u32>>,
}

impl Sorter {
    fn new() -> Result<Self> {
        let parameters = Parameters::new(SEED);
        let vb = parameters.builder(DType::F32, &Device::Cpu);
        let config =
            TransformerConfig { model_dim: 32, heads: 4, layers: 2, ff_dim: 64, ..Default::default() };
        let transformer = Transformer::new(DIGITS, &config, vb.pp("transformer"))?;
        let digit = Linear::new(config.model_dim, DIGITS, vb.pp("digit"))?;

        let mut examples = sequences(5000, &mut ChaCha8Rng::seed_from_u64(SEED));
        let unseen = examples.split_off(4500);
        Ok(Self { parameters, transformer, digit, examples, unseen })
    }

    /// The score of each digit at each position: `[row, digit]`.
    fn scores(&self, batch: &[&[u32]], pass: &Pass) -> candle_core::Result<Tensor> {
        let segments = Segments::from_lengths(batch.iter().map(|digits| digits.len()));
        let one_hot = |digit: u32| (0..DIGITS as u32).map(move |i| f32::from(i == digit));
        let rows: Vec<f32> = batch.iter().copied().flatten().flat_map(|digit| one_hot(*digit)).collect();
        let x = Tensor::from_vec(rows, (segments.rows(), DIGITS), &Device::Cpu)?; // [row, digit]
        let y = self.transformer.forward(&x, &segments, pass)?; // [row, model_dim]
        self.digit.forward(&y)
    }

    fn sort(&self, digits: &[u32]) -> candle_core::Result<Vec<u32>> {
        self.scores(&[digits], &Pass::inference())?.argmax(D::Minus1)?.to_vec1()
    }
}

impl Trainable for Sorter {
    fn examples(&self) -> usize {
        self.examples.len()
    }

    fn rows(&self, example: usize) -> usize {
        self.examples[example].len()
    }

    fn class(&self, _: usize) -> Option<u32> {
        None
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn loss(&self, examples: &[usize], pass: &Pass) -> candle_core::Result<BatchLoss> {
        let batch: Vec<&[u32]> = examples.iter().map(|example| &self.examples[*example][..]).collect();
        let gold: Vec<u32> = batch.iter().flat_map(|digits| sorted(digits)).collect();
        let scores = self.scores(&batch, pass)?; // [row, digit]
        let given = scores.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let right = given.iter().zip(&gold).filter(|(a, b)| a == b).count();
        let right = Ratio { part: right as f64, whole: gold.len() as f64 };

        let total = cross_entropy(&scores, &Tensor::new(gold, &Device::Cpu)?)?;
        let value = f64::from(total.to_scalar::<f32>()?);
        Ok(BatchLoss { total, parts: vec![("digit", value)], ratios: vec![("digit", right)] })
    }

    fn evaluate(&self) -> candle_core::Result<Option<Score>> {
        let (mut digits, mut right, mut whole) = (0, 0, 0);
        for sequence in &self.unseen {
            let (answer, gold) = (self.sort(sequence)?, sorted(sequence));
            digits += gold.len();
            right += answer.iter().zip(&gold).filter(|(a, b)| a == b).count();
            whole += usize::from(answer == gold);
        }
        let sequences = whole as f64 / self.unseen.len() as f64;
        let parts = vec![("digits", right as f64 / digits as f64), ("sequences", sequences)];
        Ok(Some(Score { value: sequences, parts }))
    }
}
