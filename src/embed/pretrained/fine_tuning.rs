//! Fine-tuning: an encoder learns to tell apart the classes of some texts.

mod tuner;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use candle_core::DType;

use super::Tuned;
use super::parts::Parts;
use super::tokenizer::PieceTokenizer;
use crate::embed::{EmbedError, LongTexts, Source};
use crate::nn::Device;
use crate::text::Span;
use crate::train::{
    AdamWConfig, BatchStrategy, Decay, Event, Schedule, Trainable as _, Trainer, TrainerConfig,
};

use tuner::{Example, Tuner};

/// A text that an encoder learns from, with its labels.
#[derive(Clone, Debug, PartialEq)]
pub struct FineTuningExample<'t> {
    /// The text.
    pub text: &'t str,
    /// What it is about, counted from zero: usually one class; none where that is not known.
    pub classes: Vec<u32>,
    /// Its words.
    pub words: &'t [Span],
    /// What each word is, counted from zero; empty where that is not known.
    pub tags: Vec<u32>,
}

impl<'t> FineTuningExample<'t> {
    /// A text of this class, without tags.
    #[must_use]
    pub fn new(text: &'t str, class: u32) -> Self {
        Self { text, classes: vec![class], words: &[], tags: Vec::new() }
    }
}

/// Lets the layers of an encoder learn from texts with classes and tags; vectors of tokens and places stay as they are.
///
/// A text's vector `v` is compared with one vector `p` a class, which begins as the mean of the texts of the class, and with
/// those `u` of the other texts of a batch, in which each has one of its class (supervised contrastive learning;
/// [Khosla et al., 2020](https://arxiv.org/abs/2004.11362)); a token's row `r` with one a tag:
///
/// ```text
/// loss = cross_entropy(cos(v, p) / 0.07, class) + cross_entropy(cos(v, u) / 0.07, those of the class)
///        + cross_entropy(r·W + b, tag)
/// ```
///
/// # Example
///
/// ```no_run
/// use std::sync::atomic::AtomicBool;
/// use talkformer::embed::{Embedder, FineTuning, FineTuningExample, Pretrained};
///
/// let example = FineTuningExample::new;
/// let examples = [example("where is my card", 0), example("the card is late", 0), example("change my pin", 1)];
/// let path = "all-MiniLM-L6-v2";
/// let tuned = FineTuning::default().run(path, &examples, &AtomicBool::new(false), |_| {})?;
/// let encoder = Pretrained::open_tuned(path, &tuned, &Default::default())?;
/// let embedder = Embedder::new(Box::new(encoder), Default::default());
/// # Ok::<(), talkformer::embed::EmbedError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FineTuning {
    /// Rounds through the texts, at least.
    pub epochs: usize,
    /// Steps, at least: few texts are gone through more often.
    pub minimum_steps: usize,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Texts per step, each with another of its class.
    pub batch_size: usize,
    /// Share of what is between two parts of a layer that is dropped while learning.
    pub dropout: f64,
    /// Decides every random draw.
    pub seed: u64,
    /// Worker threads; results depend on how many.
    pub threads: usize,
    /// What computes.
    pub device: Device,
}

impl Default for FineTuning {
    /// One thread per core.
    fn default() -> Self {
        Self {
            epochs: 2,
            minimum_steps: 120,
            learning_rate: 1e-4,
            batch_size: 32,
            dropout: 0.1,
            seed: 1,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            device: Device::Cpu,
        }
    }
}

impl FineTuning {
    setters! {
        epochs: usize,
        minimum_steps: usize,
        learning_rate: f64,
        batch_size: usize,
        dropout: f64,
        seed: u64,
        threads: usize,
        device: Device,
    }

    /// No more tokens of a text are learnt from: the beginning says what a text is about, and attention compares each with each.
    const LONGEST: usize = 128;

    /// Learns from these texts; `observe` hears of every step.
    ///
    /// # Errors
    ///
    /// As [`Embedder::open`](crate::embed::Embedder::open); if there is nothing to tell apart; or if the training diverges.
    pub fn run(
        &self,
        path: impl AsRef<Path>,
        examples: &[FineTuningExample<'_>],
        stop: &AtomicBool,
        observe: impl FnMut(Event),
    ) -> Result<Tuned, EmbedError> {
        let path = path.as_ref();
        let device = self.device.open()?;
        let parts = Parts::open(&Source::at(path), None)?;
        let longest = parts.longest().min(Self::LONGEST);
        let tokenizer = PieceTokenizer::open(&parts, longest)?;
        let read = |example: &FineTuningExample<'_>| -> Result<Example, EmbedError> {
            let (mut parts, _) = tokenizer.read(example.text, LongTexts::Truncate)?;
            Ok(Example::new(parts.pop().unwrap_or_default(), example))
        };
        let examples = examples.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let failed = |error: candle_core::Error| EmbedError::file(path, format!("cannot be tuned: {error}"));
        let tuner = Tuner::new(self, &parts, examples, DType::F32, &device)?;
        Trainer::new(self.trainer(tuner.examples()), stop).run(&tuner, observe).map_err(failed)?;
        tuner.tuned().map_err(failed)
    }

    fn trainer(&self, examples: usize) -> TrainerConfig {
        let batch_size = self.batch_size.max(1);
        let steps = examples.div_ceil(batch_size).max(1);
        TrainerConfig {
            epochs: self.epochs.max(self.minimum_steps.div_ceil(steps)),
            batch_size: (batch_size, batch_size),
            batch_strategy: BatchStrategy::Sequence,
            schedule: Schedule { peak: self.learning_rate, warm_up: 0.1, decay: Decay::Linear },
            optimizer: AdamWConfig { weight_decay: 0.01, clip_norm: 1.0, ..Default::default() },
            seed: self.seed,
            threads: self.threads.max(1),
            evaluate_every: 0,
            time: None,
            patience: 0,
            keep_best: false,
        }
    }
}
