//! A self-attention toolkit that understands what people say.
//!
//! One story from the idea to the product:
//!
//! 1. [`attention`]: dot-product attention with nothing to learn, on ndarray;
//! 2. [`nn`]: the same idea with learnable weights, on candle: self-attention, transformer;
//! 3. [`diet`]: intents and entities from one transformer, learnt together;
//! 4. [`pipeline`]: from a Rasa `config.yml` and training data to answers.
//!
//! ```text
//! text → tokens → features → batch → transformer → heads → prediction
//! text            features   batch   nn            heads   diet, pipeline
//! ```
//!
//! # From examples to an answer
//!
//! ```
//! use talkformer::data::{Format, read_str};
//! use talkformer::pipeline::{Nlu, Recipe, TrainingOptions};
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
//! config.change_diet(|diet| diet.training.set_epochs(30)); // quick, for a first look
//! let (nlu, _) = Nlu::train(&config, &data, &TrainingOptions::default(), |_event| {})?;
//!
//! let answer = nlu.parse("a table in Paris")?;
//! assert_eq!(answer.intent.unwrap().name, "book_table");
//! assert_eq!(answer.entities[0].value, "Paris");
//! # Ok::<(), talkformer::Error>(())
//! ```
//!
//! The program of the same name does all this from the command line. Randomness enters as a seed: the same
//! seed, data and number of threads give the same model, byte for byte.

#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests ask for exact numbers where they are exact"))]

/// Methods that set one public field each, so that options can grow without breaking whoever sets them.
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
pub mod linear;
pub mod metrics;
pub mod nn;
pub mod numbers;
pub mod pipeline;
pub mod prediction;
pub mod report;
pub mod settings;
pub mod speed;
pub mod text;
mod threads;
pub mod train;

pub use error::{ComputationError, Error, Result};
pub use {candle_core, candle_nn, ndarray};
