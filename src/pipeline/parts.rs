//! A model without its weights: what is there before the network learns, and what a bundle keeps beside the weights.

use std::sync::Arc;

use candle_core::Device;

use super::PipelineConfig;
use super::custom::{Components, FittedPostProcessor};
use super::dense::DenseEncoders;
use super::memory::Memory;
use super::post::Synonyms;
use super::responses::Responses;
use super::tokenizer::MessageTokenizer;
use crate::diet::{DietConfig, HeldOut, Labels, Learner, TrainingSet, Widths};
use crate::error::ComputationError;
use crate::features::{FeatureSet, LabelFeatures, Patterns};

/// Everything that a model is made of, but its weights and what was fitted with them.
#[derive(Debug)]
pub(super) struct Parts {
    /// The pipeline that it was trained with.
    pub(super) config: PipelineConfig,
    /// The options of DIET in `config`.
    pub(super) diet: DietConfig,
    pub(super) tokenizer: MessageTokenizer,
    pub(super) labels: Labels,
    /// The features of the names of the intents.
    pub(super) label_features: LabelFeatures,
    pub(super) features: FeatureSet,
    /// Where dense features come from, if there are any.
    pub(super) encoders: Option<Arc<DenseEncoders>>,
    pub(super) extractor: Option<Patterns>,
    /// The custom ones, in the order of the pipeline.
    pub(super) post_processors: Vec<FittedPostProcessor>,
    /// Those that it was trained or opened with, for fine-tuning.
    pub(super) components: Components,
    pub(super) synonyms: Synonyms,
    /// What it answers to retrieval intents, where it learnt any.
    pub(super) responses: Option<Responses>,
    /// The examples that it was trained on, unless it was told to forget them.
    pub(super) memory: Option<Memory>,
}

impl Parts {
    pub(super) fn widths(&self) -> Widths {
        let (sequence, sentence) = self.features.widths();
        Widths { sequence, sentence, dense: self.encoders.as_ref().map_or(0, |encoders| encoders.dim()) }
    }

    /// Why expressions of the training data were left out.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &String> {
        self.features.left_out().chain(self.extractor.iter().flat_map(Patterns::left_out))
    }

    /// A fresh network on this device that is to learn from these examples.
    pub(super) fn learner<'h>(
        &self,
        set: TrainingSet,
        held_out: Option<HeldOut<'h>>,
        device: &Device,
    ) -> Result<Learner<'h>, ComputationError> {
        Learner::new(&self.diet, self.widths(), &self.labels, &self.label_features, set, held_out, device)
            .map_err(ComputationError::new)
    }
}
