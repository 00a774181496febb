//! Tokens to numbers.
//!
//! A [`Featurizer`] is fitted on the training texts and then turns the tokens of any
//! message into sparse entries: one row per token (`sequence`) and one row for the whole
//! message (`sentence`). [`FeatureSet`] places the columns of several featurizers side by
//! side. Strings end here: what leaves is [`SparseRows`](crate::numbers::SparseRows).
//!
//! | file | what a column means |
//! | --- | --- |
//! | `ngram` | this word or character n-gram occurs |
//! | `words`, `units` | what n-grams are made of |
//! | `vocabulary` | how n-grams are found and saved |
//! | `lexical` | this token, or its neighbour, is lower case, a number, the first … |
//! | `patterns` | a regular expression or a lookup table matches here |
//! | `label` | this word occurs in the name of an intent |
//! | `origins` | which column of an earlier feature set meant the same |
//! | `dense` | one dimension of an encoder |
//! | `custom` | whatever a featurizer from outside this crate says; `registry` builds, fits and restores such components |
//! | `leave_one_out` | the features that a message would have had the featurizers been fitted without it |
//!
//! A new featurizer costs one file, one variant of [`Featurizer`] and one of [`FeaturizerConfig`].

mod custom;
mod dense;
mod error;
mod featurizer;
mod label;
mod leave_one_out;
mod lexical;
mod message;
mod ngram;
mod origins;
mod patterns;
mod registry;
mod units;
mod vocabulary;
mod words;

pub use custom::{Custom, CustomFeaturizer};
pub(crate) use custom::{CustomFeaturizers, FEATURIZER};
pub use dense::DenseFeatures;
pub use error::FeatureError;
pub use featurizer::{FeatureSet, Featurizer, FeaturizerConfig};
pub use label::LabelFeatures;
pub(crate) use leave_one_out::Known;
pub use lexical::{Lexical, LexicalConfig};
pub use message::{Features, Message, UnitRanges};
pub use ngram::{Analyzer, DocumentLimit, NGramConfig, NGrams, StripAccents, Weighting};
pub use origins::ColumnOrigins;
pub use patterns::{Patterns, PatternsConfig};
pub use registry::{ComponentError, CustomConfig};
pub(crate) use registry::{Registry, State};
pub(crate) use vocabulary::name_origins;
