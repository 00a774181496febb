//! DIET with its examples, as the training loop sees it.

use candle_core::{DType, Device, Result};

use super::several::Decision;
use super::{Diet, DietConfig, Example, Labels, Network, Widths};
use crate::bundle::{Weight, Weights};
use crate::features::LabelFeatures;
use crate::nn::{Parameters, Pass};
use crate::sparse::SparseRows;
use crate::table::Table;
use crate::train::{BatchLoss, Score, Trainable};

/// Scores weights on messages that they are not learnt from.
pub type HeldOut<'a> = Box<dyn Fn(&Weights) -> Result<Score> + Sync + 'a>;

/// A network that learns.
pub struct Learner<'a> {
    /// The layers.
    pub network: Network,
    parameters: Parameters,
    examples: Vec<Example>,
    held_out: Option<HeldOut<'a>>,
    /// Where a message may have several intents.
    decision: Option<Decision>,
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
        let several = labels.separator.is_some() && !labels.intents.is_empty();
        let decision = several.then(Decision::default);
        Ok(Self { network, parameters, examples, held_out, decision })
    }

    /// Fits how a message gets its intents, where it may have several, to examples that were not learnt from. `diet` answers
    /// with what was learnt.
    pub fn decide(&mut self, diet: &Diet, unseen: &[Example]) {
        let known: Vec<&Example> = unseen.iter().filter(|example| example.intent.is_some()).collect();
        let sets: Vec<&[u32]> = known.iter().map(|example| &example.intents[..]).collect();
        let scores = diet.scores(known.iter().map(|example| &example.features));
        if let Some(decision) = &mut self.decision {
            *decision = Decision::fit(&scores, &sets);
        }
    }

    /// What was learnt, in the form in which it is kept: large tables in five bits and without the rows that no
    /// example has touched, matrices in `bf16`, the rest as it is. Held-out examples are scored with this form,
    /// so the score is that of the model that is saved.
    ///
    /// # Errors
    ///
    /// If a number is not finite: the training diverged.
    pub fn weights(&self) -> Result<Weights> {
        let mut weights = Weights::new();
        for (name, var) in self.parameters.all() {
            let shape = var.dims().to_vec();
            let values = var.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                candle_core::bail!(
                    "tensor `{name}` holds {value}; training diverged: lower the learning rate"
                );
            }
            let columns: Option<fn(&Example) -> &SparseRows> = match name.as_str() {
                "sequence.table" => Some(|example| &example.features.sequence),
                "sentence.table" | "intent.shortcut.table" => Some(|example| &example.features.sentence),
                _ => None,
            };
            let weight = match (columns, &shape[..]) {
                (Some(columns), [rows, dim]) => {
                    let touched = self.touched(*rows, columns);
                    Weight::table(Table::new(&values, *dim, |row| touched[row]))
                }
                (_, [] | [_]) => Weight::f32(shape, values),
                _ => Weight::bf16(shape, &values),
            };
            weights.insert(name, weight);
        }
        if let Some(Decision { scale, offset, threshold }) = self.decision {
            let decision = Weight::f32(vec![3], vec![scale, offset, threshold]);
            weights.insert("intent.decision".to_owned(), decision);
        }
        Ok(weights)
    }

    /// Which columns occur in the examples.
    fn touched(&self, columns: usize, rows: fn(&Example) -> &SparseRows) -> Vec<bool> {
        let mut touched = vec![false; columns];
        for column in self.examples.iter().flat_map(|example| rows(example).columns()) {
            touched[*column as usize] = true;
        }
        touched
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
        self.held_out.as_ref().map(|score| score(&self.weights()?)).transpose()
    }
}
