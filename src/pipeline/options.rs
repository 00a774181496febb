//! The options of a training beside its pipeline, and how it went.

use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::Components;
use crate::nn::Device;
use crate::train::Outcome;

/// How to train, beside what the pipeline says.
///
/// # Example
///
/// ```
/// use talkformer::pipeline::TrainingOptions;
///
/// let options = TrainingOptions::default().threads(2).remember_examples(false);
/// assert_eq!(options.threads, 2);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainingOptions {
    /// Worker threads; results depend on how many.
    pub threads: usize,
    /// What computes the training. The linear path and calibration are always the processor's work.
    pub device: Device,
    /// Training ends after the current step once this is true.
    pub stop: Arc<AtomicBool>,
    /// Whether the model keeps the examples, in order to be fine-tuned with new ones ([`Nlu::finetune`](super::Nlu::finetune)).
    /// A model that is fine-tuned after it forgot its examples never does: those given are not all that it learnt from.
    pub remember_examples: bool,
    /// In how many examples an n-gram, or the value of a property of tokens, must occur for the model to keep it, and a
    /// synonym for annotations to define it; 1 keeps all. With more, what is rare in the examples cannot be read from a
    /// model that forgot them, and answers get worse. Lists (synonyms, lookup tables, regular expressions), names of labels
    /// and what custom components learn stay whole.
    pub min_count: usize,
    /// Share of the epochs that finetuning takes; zero learns nothing and only makes room for new words and labels.
    pub epoch_fraction: f64,
    /// How long training may take, from the call to the model, saving not included; none: as long as the pipeline's epochs
    /// take. Where the time ends first, there are fewer epochs, and the learning rate falls in the time that there is.
    /// What comes after the network (the linear path, calibration) is estimated, and encoders that are fine-tuned are not
    /// counted. With a budget what is learnt depends on the speed of the machine.
    pub budget: Option<Duration>,
    /// Custom components. A model that is fine-tuned keeps those that it has.
    pub components: Components,
}

impl TrainingOptions {
    /// The share of the epochs that finetuning takes unless told otherwise.
    pub const EPOCH_FRACTION: f64 = 0.25;

    setters! {
        threads: usize,
        device: Device,
        stop: Arc<AtomicBool>,
        remember_examples: bool,
        min_count: usize,
        epoch_fraction: f64,
        budget: Option<Duration>,
        components: Components,
    }
}

impl Default for TrainingOptions {
    /// One thread per core.
    fn default() -> Self {
        Self {
            threads: default_threads(),
            device: Device::Cpu,
            stop: Arc::default(),
            remember_examples: true,
            min_count: 1,
            epoch_fraction: Self::EPOCH_FRACTION,
            budget: None,
            components: Components::default(),
        }
    }
}

/// How to open a model.
///
/// # Example
///
/// ```no_run
/// use talkformer::pipeline::{Nlu, OpeningOptions};
///
/// // The encoder was at another place when the model was trained.
/// let options = OpeningOptions::default().encoders(vec!["encoders/all-MiniLM-L6-v2".into()]);
/// let nlu = Nlu::open_with("models", &options)?;
/// # Ok::<(), talkformer::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OpeningOptions {
    /// What computes the network. A GPU pays where many messages are answered at a time
    /// ([`Nlu::parse_batch`](super::Nlu::parse_batch)). What stands around the network is always the processor's work:
    /// features, encoders, the linear path, the likeliest tags.
    pub device: Device,
    /// Custom components: a saved model holds no code, so they are given again.
    pub components: Components,
    /// Where the encoders and the word vectors of the model are by now, or the folders that they lie in, in any order. They are
    /// recognised by their fingerprints.
    ///
    /// Where none of these fits, they are looked for where they were when the model was trained, and then, under the path of
    /// the configuration or under their name, in the two folders above that of the model.
    pub encoders: Vec<PathBuf>,
}

impl OpeningOptions {
    setters! {
        device: Device,
        components: Components,
        encoders: Vec<PathBuf>,
    }
}

/// One thread per core.
pub(super) fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// How training went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Training {
    /// How it ended.
    pub outcome: Outcome,
    /// What was odd about the options and the data: options that have no effect beside the others, annotations whose borders
    /// are not token borders, and the like.
    pub warnings: Vec<String>,
    /// What was decided from the data, such as which features are of use for their language.
    pub choices: Vec<String>,
    /// Examples that were learnt from.
    pub examples: usize,
    /// In how many examples something had to occur to be kept: [`TrainingOptions::min_count`].
    pub min_count: usize,
    /// Examples that were held out.
    pub held_out: usize,
    /// Learnable numbers.
    pub parameters: usize,
}
