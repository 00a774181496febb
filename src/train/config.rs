//! Settings of training, as a person writes them.

use serde::{Deserialize, Serialize};

use super::{AdamWConfig, BatchStrategy, Decay, Schedule, TrainerConfig};
use crate::settings::{ConfigError, Range, Rule, Settings, Tell, Visit};

/// A fixed batch size, or one that grows in a straight line from the first to the last epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum BatchSize {
    /// The same all the time.
    Fixed(usize),
    /// In the first epoch and in the last.
    Growing([usize; 2]),
}

impl BatchSize {
    /// In the first epoch and in the last.
    #[must_use]
    pub fn first_and_last(self) -> (usize, usize) {
        match self {
            Self::Fixed(size) => (size, size),
            Self::Growing([first, last]) => (first, last),
        }
    }
}

/// How a model is trained, whatever the model. [`TrainingConfig::trainer`] makes the settings of the loop of it, once
/// the number of examples is known.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainingConfig {
    /// Rounds through the data, at least 1. Rasa's `epochs`.
    pub epochs: usize,
    /// Small data gets more epochs, until there are about this many steps or 300 epochs; zero: as many as `epochs`
    /// says. Ours.
    pub minimum_steps: usize,
    /// Examples per batch, at least 1. Rasa's `batch_size`.
    pub batch_size: BatchSize,
    /// How an epoch is ordered. Rasa's `batch_strategy`.
    pub batch_strategy: BatchStrategy,
    /// Largest learning rate, above 0. Rasa's `learning_rate`.
    pub learning_rate: f64,
    /// Share of training during which the learning rate rises, in `[0, 1)`. Ours.
    pub warm_up: f64,
    /// What the learning rate does afterwards. Ours, `learning_rate_decay`.
    pub decay: Decay,
    /// Share of the weights that is taken away per step and unit of learning rate (decoupled weight decay); of which ones,
    /// [`AdamWConfig::weight_decay`] says. Rasa's
    /// `regularization_constant` is a term of the loss, which reaches only entries whose gradient happens to be
    /// positive.
    pub weight_decay: f64,
    /// Longer gradients are scaled down to this length; zero: never. Ours, `gradient_clipping`.
    pub clip_norm: f64,
    /// Decides every random draw. Rasa's `random_seed`; where none is given, Rasa takes the time of day, and here it
    /// is 1.
    pub random_seed: Option<u64>,
    /// Epochs between evaluations on held-out examples; −1: only at the end. Rasa's
    /// `evaluate_every_number_of_epochs`.
    pub evaluate_every: i64,
    /// Examples held out of training; zero: none. Rasa's `evaluate_on_number_of_examples`.
    pub held_out_examples: usize,
    /// Whether the weights with the best held-out score are kept, not the last ones. Rasa's `checkpoint_model`.
    pub keep_best: bool,
    /// Evaluations without progress after which training stops; zero: never. Ours, `early_stopping_patience`.
    pub patience: usize,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 300,
            minimum_steps: 0,
            batch_size: BatchSize::Growing([64, 256]),
            batch_strategy: BatchStrategy::Balanced,
            learning_rate: 0.001,
            warm_up: 0.0,
            decay: Decay::Constant,
            weight_decay: 0.002,
            clip_norm: 0.0,
            random_seed: None,
            evaluate_every: 20,
            held_out_examples: 0,
            keep_best: false,
            patience: 0,
        }
    }
}

impl Settings for TrainingConfig {
    fn options(&mut self, visit: &mut Visit<'_>) {
        use Rule::{Any, Range as In};
        visit("epochs", &mut self.epochs, In(Range::between(1, Self::MOST)));
        visit("minimum_steps", &mut self.minimum_steps, In(Range::between(0, 100 * Self::MOST)));
        visit("batch_size", &mut self.batch_size, In(Range::between(1, Self::MOST)));
        visit("batch_strategy", &mut self.batch_strategy, Any);
        visit("learning_rate", &mut self.learning_rate, In(Range::above(0.0)));
        visit("warm_up", &mut self.warm_up, In(Range::SHARE));
        visit("learning_rate_decay", &mut self.decay, Any);
        visit("regularization_constant", &mut self.weight_decay, In(Range::at_least(0.0)));
        visit("gradient_clipping", &mut self.clip_norm, In(Range::at_least(0.0)));
        visit("random_seed", &mut self.random_seed, Any);
        visit("evaluate_every_number_of_epochs", &mut self.evaluate_every, Any);
        visit("evaluate_on_number_of_examples", &mut self.held_out_examples, Any);
        visit("checkpoint_model", &mut self.keep_best, Any);
        visit("early_stopping_patience", &mut self.patience, Any);
    }

    fn check_relations(&self) -> Result<(), ConfigError> {
        let step = self.learning_rate * self.weight_decay;
        ConfigError::unless(step < 1.0, "regularization_constant", "times learning_rate must be below 1")?;
        let every = self.evaluate_every;
        ConfigError::unless(
            every == -1 || every > 0,
            "evaluate_every_number_of_epochs",
            "must be −1 or at least 1",
        )
    }

    fn idle(&self, tell: &mut Tell<'_>) {
        if self.held_out_examples == 0 {
            tell(
                &["evaluate_every_number_of_epochs", "checkpoint_model", "early_stopping_patience"],
                "no examples are held out (`evaluate_on_number_of_examples`)",
            );
        } else if self.evaluate_every == -1 {
            tell(
                &["checkpoint_model", "early_stopping_patience"],
                "held-out examples are scored at the end only (`evaluate_every_number_of_epochs`)",
            );
        }
    }
}

impl TrainingConfig {
    /// More epochs, or more examples in a batch, are a typing error.
    const MOST: u32 = 1_000_000;

    /// Sets the exact number of epochs, however few examples there are.
    pub fn set_epochs(&mut self, epochs: usize) {
        (self.epochs, self.minimum_steps) = (epochs, 0);
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.random_seed.unwrap_or(1)
    }

    /// Epochs for this number of examples.
    fn epochs_for(&self, examples: usize) -> usize {
        const MOST: usize = 300;
        let (first, last) = self.batch_size.first_and_last();
        let steps = examples.div_ceil(usize::midpoint(first, last)).max(1);
        self.minimum_steps.div_ceil(steps).min(MOST).max(self.epochs)
    }

    /// Settings of the loop for this number of examples.
    #[must_use]
    pub fn trainer(&self, examples: usize, threads: usize) -> TrainerConfig {
        TrainerConfig {
            epochs: self.epochs_for(examples),
            batch_size: self.batch_size.first_and_last(),
            batch_strategy: self.batch_strategy,
            schedule: Schedule { peak: self.learning_rate, warm_up: self.warm_up, decay: self.decay },
            optimizer: AdamWConfig {
                weight_decay: self.weight_decay,
                clip_norm: self.clip_norm,
                ..Default::default()
            },
            seed: self.seed(),
            threads,
            evaluate_every: usize::try_from(self.evaluate_every).unwrap_or(0),
            patience: self.patience,
            keep_best: self.keep_best,
            time: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_data_gets_more_epochs() {
        let config = TrainingConfig {
            epochs: 20,
            batch_size: BatchSize::Fixed(50),
            minimum_steps: 1000,
            ..Default::default()
        };
        let epochs = [10_000, 1000, 100, 1].map(|examples| config.epochs_for(examples));
        assert_eq!(epochs, [20, 50, 300, 300]);
        assert_eq!(TrainingConfig { minimum_steps: 0, ..config }.epochs_for(100), 20);
    }

    #[test]
    fn a_step_never_takes_more_than_there_is() {
        let config = TrainingConfig { learning_rate: 2.0, weight_decay: 0.5, ..Default::default() };
        assert_eq!(config.validate().unwrap_err().option(), "regularization_constant");
        let config = TrainingConfig { evaluate_every: 0, ..Default::default() };
        assert_eq!(config.validate().unwrap_err().option(), "evaluate_every_number_of_epochs");
    }
}
