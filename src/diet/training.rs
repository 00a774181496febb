//! DIET with its examples, as the training loop sees it.

use candle_core::{DType, Device, Result};

use super::{DietConfig, Example, Labels, Network, Widths};
use crate::features::LabelFeatures;
use crate::nn::{Parameters, Pass};
use crate::train::{BatchLoss, Score, Trainable};

/// Scores a network on messages that it does not learn from.
pub type HeldOut<'a> = Box<dyn Fn(&Network) -> Result<Score> + Sync + 'a>;

/// A network that learns.
pub struct Learner<'a> {
    /// The layers.
    pub network: Network,
    parameters: Parameters,
    examples: Vec<Example>,
    held_out: Option<HeldOut<'a>>,
}

impl<'a> Learner<'a> {
    /// A fresh network for these examples, drawn from the seed of the config.
    ///
    /// # Errors
    ///
    /// If an option makes no sense.
    pub fn new(
        config: &DietConfig,
        widths: Widths,
        labels: &Labels,
        label_features: &LabelFeatures,
        examples: Vec<Example>,
        held_out: Option<HeldOut<'a>>,
    ) -> Result<Self> {
        let parameters = Parameters::new(config.seed());
        let vb = parameters.builder(DType::F32, &Device::Cpu);
        let network = Network::new(config, widths, labels, label_features, vb)?;
        Ok(Self { network, parameters, examples, held_out })
    }
}

impl Trainable for Learner<'_> {
    fn examples(&self) -> usize {
        self.examples.len()
    }

    fn rows(&self, example: usize) -> usize {
        self.examples[example].features.sequence.len() + 1
    }

    fn class(&self, example: usize) -> Option<u32> {
        self.examples[example].intent
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn loss(&self, examples: &[usize], pass: &Pass) -> Result<BatchLoss> {
        let examples: Vec<&Example> = examples.iter().map(|at| &self.examples[*at]).collect();
        self.network.loss(&examples, pass)
    }

    fn evaluate(&self) -> Result<Option<Score>> {
        self.held_out.as_ref().map(|score| score(&self.network)).transpose()
    }
}
