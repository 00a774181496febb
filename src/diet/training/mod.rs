//! DIET with its examples, as the training loop sees it.

mod columns;
mod set;
#[cfg(test)]
mod tests;
mod weights;

use std::borrow::Cow;

use candle_core::{DType, Device, Result};

use super::answer::Engine;
use super::confidence::{CalibrationSplit, FittedConfidence};
use super::linear_path::LinearPath;
use super::multi_label::Decision;
use super::parameters::Declarations;
use super::warm_start::{EarlierRows, Predecessor};
use super::{DietConfig, Labels, Network, Reading, WeightsError, Widths};
use crate::bundle::Weights;
use crate::features::{Known, LabelFeatures};
use crate::kernels::dropout::{drops, threshold};
use crate::nn::{Parameters, Pass, SparseLinear};
use crate::train::{BatchLoss, Score, Trainable};
use columns::TokenColumns;

pub use set::TrainingSet;

/// Scores weights on messages that they are not learnt from.
pub type HeldOut<'a> = Box<dyn Fn(&Weights) -> std::result::Result<Score, AnyError> + Sync + 'a>;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// A network that learns, and the linear path beside it.
pub struct Learner<'a> {
    network: Network,
    parameters: Parameters,
    declarations: Declarations,
    set: TrainingSet,
    /// What more than one example has, where examples are also read with leave-one-out features. These are made when they
    /// are read: all of them would take as much memory as the features themselves.
    shared: Option<Known>,
    config: DietConfig,
    /// With as many columns of tokens as occur.
    widths: Widths,
    token_columns: TokenColumns,
    labels: Labels,
    label_features: LabelFeatures,
    linear: Option<LinearPath>,
    confidence: Option<FittedConfidence>,
    held_out: Option<HeldOut<'a>>,
    earlier_rows: EarlierRows,
    /// Where a message may have more than one intent.
    decision: Option<Decision>,
}

impl<'a> Learner<'a> {
    /// A fresh network on this device for these examples, drawn from the seed of the config.
    ///
    /// # Errors
    ///
    /// If an option makes no sense.
    pub fn new(
        config: &DietConfig,
        widths: Widths,
        labels: &Labels,
        label_features: &LabelFeatures,
        mut set: TrainingSet,
        held_out: Option<HeldOut<'a>>,
        device: &Device,
    ) -> Result<Self> {
        let config = &config.clone().for_messages(set.examples.len() - set.names);
        let parameters = Parameters::new(config.training.seed());
        let token_columns = TokenColumns::count(&mut set, widths.sequence);
        let (widths, all) = (Widths { sequence: token_columns.len(), ..widths }, token_columns.all());
        let shape = (all, config.layers.dense_dimension.text);
        SparseLinear::draw_rows(&parameters, "sequence", shape, token_columns.occurring(), device)?;
        let vb = parameters.builder(DType::F32, device);
        let network = Network::new(config, widths, labels, label_features, vb)?;
        let declarations = Declarations::new(config, labels);
        declarations.check(&parameters, widths, labels, label_features)?;
        let rare_left_out = config.layers.drop_rate_rare > 0.0;
        let shared = rare_left_out.then(|| set.shared(widths));
        let multi_label = labels.is_multi_label() && !labels.intents.is_empty();
        let decision = multi_label.then(|| Decision::unfitted(config.intents.linear_path));
        Ok(Self {
            network,
            parameters,
            declarations,
            set,
            shared,
            config: config.clone(),
            widths,
            token_columns,
            labels: labels.clone(),
            label_features: label_features.clone(),
            linear: None,
            confidence: None,
            held_out,
            decision,
            earlier_rows: EarlierRows::new(),
        })
    }

    /// Lets the network begin with what another has learnt.
    ///
    /// # Errors
    ///
    /// If the other network has another shape.
    pub fn warm_start(&mut self, earlier: &Predecessor<'_>) -> std::result::Result<(), WeightsError> {
        let has_linear_path = self.config.intents.linear_path;
        self.confidence = earlier.confidence.filter(|found| found.holds(has_linear_path)).cloned();
        // A decision that was fitted with a linear path does not hold without one.
        let decision = earlier.decision().filter(|own| own.linear == 0.0 || has_linear_path);
        self.decision = self.decision.and(decision).or(self.decision);
        let (declared, parameters) = (&self.declarations, &self.parameters);
        self.earlier_rows = earlier.move_weights(declared, parameters, &self.labels, &self.label_features)?;
        Ok(())
    }

    /// Fits the ensemble weights to the network as it is, on the examples that are held out for calibration, and then
    /// the linear path to all examples. Returns the ensemble weights, where there are any.
    ///
    /// # Errors
    ///
    /// If a number is not finite: the training diverged.
    pub fn calibrate(&mut self, threads: usize) -> Result<Option<FittedConfidence>> {
        let held_out = self.set.calibration_intents();
        let intents = !self.labels.intents.is_empty();
        if intents && (held_out > 0 || self.config.intents.linear_path) {
            let split = CalibrationSplit {
                config: &self.config,
                intents: &self.labels.intents,
                widths: self.widths,
                examples: self.set.with_intent(),
                unit_ranges: &self.set.unit_ranges,
                held_out,
                threads,
                dense_length: 1.0,
            };
            let split = if self.config.intents.linear_path { split.with_best_dense_length() } else { split };
            let engine = if held_out > 0 { Some(self.engine()?) } else { None };
            let multi_label = self.decision.is_some();
            let decision = engine.as_ref().filter(|_| multi_label).map(|engine| split.decide(engine));
            let confidence = engine.as_ref().filter(|_| !multi_label).map(|engine| split.fit(engine));
            let (decision, some) = decision.unzip();
            let (confidence, others) = confidence.unzip();
            let solutions = some.or(others).unwrap_or_default();
            let linear = self.config.intents.linear_path.then(|| split.linear_path(&solutions));
            self.linear = linear;
            self.decision = decision.or(self.decision);
            self.confidence = confidence.or(self.confidence.take());
        }
        Ok(self.confidence.clone())
    }

    /// The network as it is, for answering, without the linear path.
    fn engine(&self) -> Result<Engine> {
        let config = self.config.clone().with(|own| own.intents.linear_path = false);
        let precision = crate::kernels::Precision::Bf16;
        Engine::new(&config, self.widths, &self.labels, &self.label_features, &self.rounded()?, precision)
            .map_err(candle_core::Error::wrap)
    }

    /// How often each message is read in a step.
    fn times(&self) -> usize {
        if self.config.similarity.r_drop > 0.0 { 2 } else { 1 }
    }
}

impl Trainable for Learner<'_> {
    fn examples(&self) -> usize {
        self.set.learnt()
    }

    fn rows(&self, example: usize) -> usize {
        self.times() * (self.set.examples[example].features.sequence.len() + 1)
    }

    fn class(&self, example: usize) -> Option<u32> {
        self.set.examples[example].intent
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn loss(&self, examples: &[usize], pass: &Pass) -> Result<BatchLoss> {
        let limit = threshold(self.config.layers.drop_rate_rare);
        let mut features = Vec::with_capacity(self.times() * examples.len());
        for _ in 0..self.times() {
            let seed = pass.next_seed();
            features.extend(examples.iter().map(|at| {
                let own = &self.set.examples[*at].features;
                let is_left_out = |_: &&Known| seed.is_some_and(|seed| drops(seed, *at as u64, limit));
                match self.shared.as_ref().filter(is_left_out) {
                    Some(shared) => Cow::Owned(own.restricted_to(shared, &self.set.unit_ranges)),
                    None => Cow::Borrowed(own),
                }
            }));
        }
        let examples = examples.iter().cycle().map(|at| &self.set.examples[*at]);
        let readings = examples.zip(&features).map(|(example, features)| Reading { example, features });
        self.network.loss(&readings.collect::<Vec<_>>(), pass)
    }

    fn evaluate(&self) -> Result<Option<Score>> {
        let score = |held_out: &HeldOut<'_>| held_out(&self.weights()?).map_err(candle_core::Error::wrap);
        self.held_out.as_ref().map(score).transpose()
    }
}
