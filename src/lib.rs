//! Understands what people say, with self-attention: the intents of messages and the entities in them, learnt from
//! labelled examples on your own machine; vectors of texts and words in context; and the transformer blocks behind them.
//!
//! # Train, save, answer
//!
//! ```no_run
//! use talkformer::pipeline::{Nlu, Recipe};
//!
//! let data = talkformer::data::read("nlu.yml")?;
//! let nlu = Nlu::train(&Recipe::accurate(), &data)?;
//! nlu.save("models")?;
//! println!("{:?}", nlu.parse("a table in Paris")?.intent);
//! # Ok::<(), talkformer::Error>(())
//! ```
//!
//! Training data is Rasa YAML or JSON Lines ([`data`]). [`Nlu::open`](pipeline::Nlu::open) opens a saved model,
//! [`Nlu::train_with`](pipeline::Nlu::train_with) takes options, a stop flag and a callback for the progress, and
//! [`PipelineConfig`](pipeline::PipelineConfig) reads a `config.yml` as Rasa has it. [`Components`](pipeline::Components) brings
//! a tokenizer, a featurizer or a post-processor of your own into a pipeline, and [`embed`] turns texts into vectors.
//!
//! The same with data from a string, and fewer epochs for a first look:
//!
//! ```
//! use talkformer::data::{Format, read_str};
//! use talkformer::pipeline::{Nlu, Recipe};
//!
//! let data = read_str(Format::RasaYaml, "
//! nlu:
//! - intent: greet
//!   examples: |
//!     - hello
//!     - good morning
//! - intent: book_table
//!   examples: |
//!     - a table in [Rome](city) please
//!     - book me a place to eat in [Paris](city)
//! ", "nlu.yml")?;
//! let mut config = Recipe::accurate();
//! config.change_diet(|diet| diet.training.set_epochs(30));
//! let nlu = Nlu::train(&config, &data)?;
//!
//! let answer = nlu.parse("a table in Paris")?;
//! assert_eq!(answer.intent.unwrap().name, "book_table");
//! assert_eq!(answer.entities[0].value, "Paris");
//! # Ok::<(), talkformer::Error>(())
//! ```
//!
//! The same seed, data and number of threads give the same model, byte for byte: whatever is random takes a seed.
//!
//! # Features
//!
//! The defaults are those of the program. A library needs none of them:
//!
//! ```toml
//! talkformer = { version = "0.1", default-features = false }
//! ```
//!
//! | feature | what it adds | by default |
//! | --- | --- | --- |
//! | `cli` | the program `talkformer`, which does all this from the command line | yes |
//! | `png` | drawings of reports as PNG; without it they are SVG only | yes, with `cli` |
//! | `arrow` | the program writes vectors as Arrow files | no |
//! | `hub` | downloads encoders from the Hugging Face hub; nothing else uses the network | no |
//! | `cuda`, `metal` | training and embedding on a GPU ([`nn::Device`]); not run on a real one yet | no |
//!
//! candle, the tensor library, runs threads of its own, which slow down training. Set `CANDLE_NUM_THREADS=1` and
//! `RAYON_NUM_THREADS=1` in the environment of a program that trains; answering does not need it.
//!
//! # What is not supported
//!
//! - Dialogues: there are no stories, policies and actions, and no server.
//! - The spaCy, MITIE, `ConveRT` and Duckling components of Rasa: they are left out of a pipeline, or served by others
//!   ([`pipeline::ConfigWarning`]). For `JiebaTokenizer`, Chinese, Japanese, Thai and other writing without blanks is cut
//!   into characters.
//! - Answering on a GPU: there, models are trained and texts embedded.
//!
//! # To read the code
//!
//! 1. [`attention`]: dot-product attention with nothing to learn, on ndarray;
//! 2. [`nn`]: the same idea with learnable weights, on candle: self-attention, transformer;
//! 3. [`diet`]: intents and entities from one transformer, learnt together;
//! 4. [`pipeline`]: from a `config.yml` and training data to answers.
//!
//! ```text
//! text → tokens → features → batch → transformer → heads → prediction
//! text            features   batch   nn            heads   diet, pipeline
//! ```

#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests ask for exact numbers where they are exact"))]

/// Methods that set one public field each: options can get further fields without breaking their users.
macro_rules! setters {
    ($($name:ident: $kind:ty),+ $(,)?) => {$(
        #[doc = concat!("Sets [`", stringify!($name), "`](#structfield.", stringify!($name), ").")]
        #[must_use]
        pub fn $name(self, $name: $kind) -> Self {
            Self { $name, ..self }
        }
    )+};
}

pub mod attention;
#[doc(hidden)]
pub mod batch;
pub mod bundle;
pub mod data;
pub mod diet;
pub mod embed;
mod error;
pub mod features;
#[doc(hidden)]
pub mod files;
pub mod heads;
mod infer;
mod kernels;
#[doc(hidden)]
pub mod linear;
pub mod metrics;
pub mod nn;
#[doc(hidden)]
pub mod numbers;
pub mod pipeline;
pub mod prediction;
pub mod report;
pub mod settings;
#[doc(hidden)]
pub mod speed;
pub mod text;
mod threads;
pub mod train;

pub use error::{ComputationError, Error, Result};
pub use {candle_core, candle_nn, ndarray};
