//! From a configuration and examples to a model, and from a text to an answer.
//!
//! A pipeline is the list of components of a Rasa `config.yml`: a tokenizer, featurizers, DIET, and what
//! comes after it. [`PipelineConfig`] reads that list, [`Nlu::train`] makes a model of it,
//! [`Nlu::save`] and [`Nlu::open`] keep it in a bundle, [`Nlu::parse`] answers, [`Nlu::finetune`] learns from more.
//! [`CrossValidation`] answers every message of a data set by a model that has not seen it.

mod card;
mod config;
mod cross_validation;
mod custom;
mod dense;
mod embedder;
mod entity_scores;
mod error;
mod evaluate;
mod examples;
mod explain;
mod finetune;
mod learning_curve;
mod memory;
mod nlu;
mod options;
mod out_of_scope;
mod overlap;
mod parts;
mod post;
mod responses;
mod review;
mod saved;
mod suggest;
mod tokenizer;
mod train;

pub use card::Card;
pub use config::{
    Component, ConfigWarning, DenseConfig, FallbackConfig, Fitted, PipelineConfig, Recipe,
    ResponseSelectorConfig, Threshold,
};
pub use cross_validation::{CrossValidation, Fold, OutOfFold};
pub use custom::{Components, PostProcessor};
pub use embedder::{embedder, embedder_with};
pub use entity_scores::{EntityScoresByRule, ExtractorScores, NO_ENTITY, TokenAnswer};
pub use error::PipelineError;
pub use evaluate::{
    Answer, CalibrationScores, Evaluation, EvaluationOptions, IntentScores, ModelCalibration, ResponseScores,
    name_intent_sets,
};
pub use explain::{Evidence, Explanation};
pub use finetune::FinetunePreview;
pub use learning_curve::{CurveMean, CurvePoint, CurveSeries, LearningCurve};
pub use nlu::Nlu;
pub use options::{OpeningOptions, Training, TrainingOptions};
pub use out_of_scope::{OutOfScopeScores, is_out_of_scope};
pub use overlap::TrainingOverlap;
pub use responses::reported_intents;
pub use review::{ConfusedIntents, EntityDoubt, EntityProblem, IntentDoubt, Mistaken, Review, review};
pub use suggest::{Suggestion, Unsure, suggest};

pub use crate::diet::OUT_OF_SCOPE_NAMES;
