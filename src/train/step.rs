//! What the optimizers of all devices share: settings, what a step does to every parameter, which ones decay.

use candle_core::{Result, Var};
use serde::{Deserialize, Serialize};

use super::Gradients;
use crate::kernels::adamw;
use crate::nn::Parameters;

/// Settings of [`AdamW`](super::AdamW).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdamWConfig {
    /// Decay of the mean gradient.
    pub beta1: f64,
    /// Decay of the mean squared gradient.
    pub beta2: f64,
    /// Keeps the division finite.
    pub epsilon: f64,
    /// Share of a matrix or a table that is taken away per step and unit of learning rate. Vectors (the biases of maps, and
    /// norms) keep all, and so does whatever else is called a bias, such as those of relative positions.
    pub weight_decay: f64,
    /// Longer gradients (all parameters together) are scaled down to this length; none where zero.
    pub clip_norm: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-7, weight_decay: 0.0, clip_norm: 0.0 }
    }
}

/// What a training cannot go on from.
pub(super) const DIVERGED: &str =
    "the gradient is not finite: the training diverged; a smaller learning_rate may help";

/// Steps of parameters on one kind of device.
pub(super) trait Optimizer: Send {
    /// As [`AdamW::step`](super::AdamW::step).
    fn step(&mut self, parameters: &Parameters, found: Vec<Gradients>, rate: f64) -> Result<f64>;

    /// As [`AdamW::catch_up`](super::AdamW::catch_up).
    fn catch_up(&mut self, parameters: &Parameters) -> Result<()>;
}

/// How many steps there have been, and what all parameters share in the next.
#[derive(Debug)]
pub(super) struct Clock {
    config: AdamWConfig,
    step: u64,
    /// `Σ ln(1 − rate · decay)` over the steps so far.
    log_shrink: f64,
}

impl Clock {
    pub(super) fn new(config: AdamWConfig) -> Self {
        Self { config, step: 0, log_shrink: 0.0 }
    }

    pub(super) fn log_shrink(&self) -> f64 {
        self.log_shrink
    }

    /// The next step, with a gradient of length `norm`.
    pub(super) fn step(&mut self, norm: f64, rate: f64) -> Step {
        self.step += 1;
        let shrink = 1.0 - rate * self.config.weight_decay;
        self.log_shrink += shrink.ln();
        let clip = self.config.clip_norm;
        let constants = adamw::AdamW {
            beta1: self.config.beta1,
            beta2: self.config.beta2,
            faded: (1.0, 1.0),
            epsilon: self.config.epsilon,
            rate: rate / (1.0 - self.config.beta1.powf(self.step as f64)),
            correction: 1.0 / (1.0 - self.config.beta2.powf(self.step as f64)),
            shrink,
            gradient_scale: if clip > 0.0 && norm > clip { clip / norm } else { 1.0 },
        };
        Step { constants, number: self.step, log_shrink: self.log_shrink }
    }
}

/// What all parameters share in one step.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) constants: adamw::AdamW,
    number: u64,
    log_shrink: f64,
}

impl Step {
    pub(super) fn without_decay(self) -> Self {
        Self { constants: adamw::AdamW { shrink: 1.0, ..self.constants }, log_shrink: 0.0, ..self }
    }

    /// What is left of both means of a row, and of its weight, since it was touched last.
    pub(super) fn missed(&self, (last, seen): (u64, f64)) -> (f64, f64, f64) {
        let missed = i32::try_from(self.number - 1 - last).unwrap_or(i32::MAX);
        let of = &self.constants;
        (of.beta1.powi(missed), of.beta2.powi(missed), (self.log_shrink - seen).exp())
    }

    /// What a row remembers of the step that touched it.
    pub(super) fn touched(&self) -> (u64, f64) {
        (self.number, self.log_shrink)
    }
}

/// Whether [`weight_decay`](AdamWConfig::weight_decay) reaches a parameter.
pub(super) fn decays(name: &str, var: &Var) -> bool {
    let own = name.rsplit('.').next().unwrap_or(name);
    var.rank() >= 2 && !own.contains("bias")
}
