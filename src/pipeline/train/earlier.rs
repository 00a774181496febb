//! What a training takes over from an earlier model.

use crate::diet::{DietConfig, Learner, Predecessor};
use crate::error::Result;
use crate::features::FeatureSet;
use crate::pipeline::{Nlu, PipelineError};
use crate::train::TrainerConfig;

/// The share of fine-tuning during which the learning rate rises. It rises as high as in training from scratch; with half
/// of that, less was learnt.
const WARM_UP: f64 = 0.1;

impl Nlu {
    /// Options for fine-tuning: hidden tokens are for the beginning of training, the ensemble weights are known, and
    /// without the earlier examples the linear path would lose their intents.
    pub(super) fn prepare(&self, diet: &mut DietConfig) {
        diet.masking.until = 0.0;
        diet.intents.calibration_share = 0.0;
        if !self.remembers() {
            // What is rare among new examples may be well known.
            (diet.intents.linear_path, diet.layers.drop_rate_rare) = (false, 0.0);
        }
    }

    /// Lets a fresh network begin with what this model has learnt.
    pub(super) fn warm_start(&self, learner: &mut Learner<'_>, features: &FeatureSet) -> Result<()> {
        let predecessor = Predecessor {
            weights: &self.weights,
            columns: &features.origins(&self.parts.features),
            labels: &self.parts.labels,
            label_features: &self.parts.label_features,
            confidence: self.confidence.as_ref(),
        };
        Ok(learner.warm_start(&predecessor).map_err(PipelineError::from)?)
    }
}

/// Settings of the loop after a warm start: few epochs, and a learning rate that rises anew.
pub(super) fn shorten(trainer: &mut TrainerConfig, fraction: f64) {
    trainer.epochs = (trainer.epochs as f64 * fraction.clamp(0.0, 1.0)).ceil() as usize;
    trainer.schedule.warm_up = WARM_UP;
}
