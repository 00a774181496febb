//! DIET: intents and entities from one transformer, learnt together.
//!
//! [Bunk et al., 2020](https://arxiv.org/abs/2004.09936), "DIET: Lightweight Language Understanding for
//! Dialogue Systems". Sparse features of tokens and of the whole message become dense rows, a
//! transformer mixes them, one head reads the intent off the message's row, another the tags off the
//! tokens' rows, and all losses are learnt in one gradient update.
//!
//! ```text
//! tokens   sparse → dense ┐                ┌ token rows  → CRF → entities (→ roles, groups)
//!                         ├→ transformer → ┤
//! message  sparse → dense ┘                └ message row → similarity to labels → intent
//! ```
//!
//! Read `config`, then `network`, then `training` and `predict`. Where Rasa's implementation has an accident,
//! this one does what was meant; each such place says so.

mod config;
mod labels;
mod network;
mod predict;
mod training;

pub use config::{BatchSize, Confidence, ConfigError, DietConfig, PerSide, SplitByComma};
pub use labels::{Example, Labels, TagKind};
pub use network::{Network, Widths};
pub use predict::{Diet, TokenEntity};
pub use training::{HeldOut, Learner};
