//! A model without its weights: what is there before the network learns, and what a bundle keeps beside the weights.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::custom::{Components, FittedPostProcessor};
use super::dense::DenseEncoders;
use super::memory::Memory;
use super::tokenizer::MessageTokenizer;
use super::{Nlu, PipelineConfig};
use crate::bundle::Weights;
use crate::diet::{
    Diet, DietConfig, FittedConfidence, HeldOut, Labels, Learner, TrainingSet, WeightsError, Widths,
};
use crate::error::ComputationError;
use crate::features::{FeatureSet, LabelFeatures, Patterns};

/// Everything that a model is made of, but its weights and what was fitted with them.
pub(super) struct Parts {
    pub(super) config: PipelineConfig,
    /// The options of DIET in `config`.
    pub(super) diet: DietConfig,
    pub(super) tokenizer: MessageTokenizer,
    pub(super) labels: Labels,
    pub(super) features: FeatureSet,
    pub(super) encoders: Option<Arc<DenseEncoders>>,
    pub(super) extractor: Option<Patterns>,
    pub(super) post_processors: Vec<FittedPostProcessor>,
    pub(super) components: Components,
    pub(super) synonyms: BTreeMap<String, String>,
    pub(super) memory: Option<Arc<Memory>>,
    pub(super) threads: usize,
}

impl Parts {
    fn widths(&self) -> Widths {
        let (sequence, sentence) = self.features.widths();
        Widths { sequence, sentence, dense: self.encoders.as_ref().map_or(0, |encoders| encoders.dim()) }
    }

    fn label_features(&self) -> LabelFeatures {
        LabelFeatures::new(&self.labels.intents, self.tokenizer.of_labels())
    }

    /// A fresh network that is to learn from these examples.
    pub(super) fn learner<'h>(
        &self,
        set: TrainingSet,
        held_out: Option<HeldOut<'h>>,
    ) -> Result<Learner<'h>, ComputationError> {
        let (widths, label_features) = (self.widths(), self.label_features());
        Learner::new(&self.diet, widths, &self.labels, &label_features, set, held_out)
            .map_err(ComputationError::new)
    }

    /// The model with these weights.
    pub(super) fn model(
        &self,
        weights: Weights,
        confidence: Option<FittedConfidence>,
    ) -> Result<Nlu, WeightsError> {
        let (diet, labels) = (self.diet.clone(), self.labels.clone());
        Ok(Nlu {
            config: self.config.clone(),
            tokenizer: self.tokenizer.clone(),
            features: self.features.clone(),
            encoders: self.encoders.clone(),
            diet: Diet::new(diet, self.widths(), labels, &self.label_features(), &weights)?,
            extractor: self.extractor.clone(),
            post_processors: self.post_processors.clone(),
            components: self.components.clone(),
            synonyms: self.synonyms.clone(),
            weights: Arc::new(weights),
            memory: self.memory.clone(),
            confidence,
            threads: self.threads,
        })
    }
}
