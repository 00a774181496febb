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
//! Read `config`, then `network` with `intent_head` and `tag_head`, then `training`. `parameters` declares all that the
//! network learns, `warm_start` lets a network begin with what another has learnt, `answer` is the same network for answering,
//! and `predict` turns its scores into intents and entities.
//!
//! # Where this differs from Rasa
//!
//! | Rasa 3.6 | here |
//! | --- | --- |
//! | weight decay is a term of the loss, applied only where the gradient is positive | decoupled decay of all weight matrices (`AdamW`) |
//! | sparse dropout does not scale what it keeps | it does |
//! | GELU after the last layer norm of the transformer | none |
//! | the CRF may end in any tag sequence, which is repaired afterwards | only legal sequences, in training as in decoding |
//! | an entity's confidence is a by-product of decoding | the probability of exactly this span, a marginal of the CRF |
//! | neighbouring entities of one type are joined | only where `split_entities_by_comma` is off, across `.,;` and blanks |
//! | `scale_loss` also weighs the CRF | only the intent |
//! | several intents in one message are one class of their own | that, or by `multi_label_intents` a set of intents, each with a sigmoid |
//! | a retrained model differs: the seed is the time of day | the seed is 1 unless given |

mod answer;
mod confidence;
mod config;
mod ensemble;
mod intent_head;
mod labels;
mod linear_path;
mod logistic;
mod multi_label;
mod network;
mod parameters;
mod predict;
mod tag_head;
mod training;
mod warm_start;
mod widths;

pub use confidence::FittedConfidence;
pub use config::{
    DietConfig, EntityConfig, IntentConfig, LayersConfig, MaskingConfig, PerSide, SplitByComma,
};
pub(crate) use labels::FALLBACK;
pub use labels::{Example, Labels, OUT_OF_SCOPE_NAMES, TagKind, is_out_of_scope};
#[doc(hidden)]
pub use network::{Network, Reading};
pub(crate) use predict::Readable;
pub use predict::{Answer, Diet, TokenEntity};
#[doc(hidden)]
pub use training::{HeldOut, Learner, TrainingSet};
#[doc(hidden)]
pub use warm_start::Predecessor;
#[doc(hidden)]
pub use widths::Widths;

pub use crate::infer::WeightsError;
