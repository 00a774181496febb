//! DIET with its examples, as the training loop sees it.

use candle_core::{DType, Device, Result};

use super::answer::Engine;
use super::confidence::{CalibrationSplit, DEFAULT_WEIGHTS, FittedConfidence};
use super::linear_path::LinearPath;
use super::several::Decision;
use super::transplant::{Ancestor, Inherited};
use super::{DietConfig, Example, Labels, Network, Reading, WeightsError, Widths};
use crate::bundle::{Weight, Weights};
use crate::features::{Features, Known, LabelFeatures, UnitRanges};
use crate::kernels::dropout::{drops, threshold};
use crate::nn::{Parameters, Pass};
use crate::numbers::SparseRows;
use crate::numbers::Table;
use crate::train::{BatchLoss, Score, Trainable};

/// Scores weights on messages that they are not learnt from.
pub type HeldOut<'a> = Box<dyn Fn(&Weights) -> Result<Score> + Sync + 'a>;

/// Examples in the order of their use.
#[derive(Clone, Debug, Default)]
pub struct Lessons {
    /// All of them.
    pub examples: Vec<Example>,
    /// How many at the beginning are no messages but names of intents.
    pub names: usize,
    /// How many at the end are not learnt from before [`Learner::calibrate`].
    pub unseen: usize,
    /// Columns that are scaled together.
    pub unit_ranges: UnitRanges,
}

impl Lessons {
    /// Examples that are all learnt from.
    #[must_use]
    pub fn all(examples: Vec<Example>) -> Self {
        Self { examples, ..Self::default() }
    }

    /// The features of each without what no other has.
    fn as_new(&self, widths: Widths) -> Vec<Features> {
        let features = || self.examples.iter().map(|example| &example.features);
        let known = Known::of(features(), (widths.sequence, widths.sentence), 2);
        features().map(|one| one.as_new(&known, &self.unit_ranges)).collect()
    }
}

/// A network that learns, and the linear path beside it.
pub struct Learner<'a> {
    /// The layers.
    pub network: Network,
    parameters: Parameters,
    lessons: Lessons,
    /// The features of each example as if nobody had seen it; empty where none is read so.
    as_new: Vec<Features>,
    config: DietConfig,
    widths: Widths,
    labels: Labels,
    label_features: LabelFeatures,
    linear: Option<LinearPath>,
    confidence: Option<FittedConfidence>,
    held_out: Option<HeldOut<'a>>,
    inherited: Inherited,
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
        lessons: Lessons,
        held_out: Option<HeldOut<'a>>,
    ) -> Result<Self> {
        let config = &config.clone().for_messages(lessons.examples.len() - lessons.names);
        let parameters = Parameters::new(config.seed());
        let vb = parameters.builder(DType::F32, &Device::Cpu);
        let network = Network::new(config, widths, labels, label_features, vb)?;
        let as_new = if config.layers.drop_rate_rare > 0.0 { lessons.as_new(widths) } else { Vec::new() };
        let several = labels.separator.is_some() && !labels.intents.is_empty();
        let decision = several.then(|| Decision::unfitted(config.intents.linear_path));
        Ok(Self {
            network,
            parameters,
            lessons,
            as_new,
            config: config.clone(),
            widths,
            labels: labels.clone(),
            label_features: label_features.clone(),
            linear: None,
            confidence: None,
            held_out,
            decision,
            inherited: Inherited::new(),
        })
    }

    /// Lets the network begin with what another has learnt; its labels are these.
    ///
    /// # Errors
    ///
    /// If the other network has another shape.
    pub fn inherit(&mut self, ancestor: &Ancestor<'_>) -> std::result::Result<(), WeightsError> {
        let has_linear_path = self.config.intents.linear_path;
        self.confidence = ancestor.confidence.map(|found| found.with_linear_path(has_linear_path));
        // A decision that counts on a linear path says nothing without one.
        let decision = ancestor.decision().filter(|own| own.linear == 0.0 || has_linear_path);
        self.decision = self.decision.and(decision).or(self.decision);
        self.inherited = ancestor.transplant(&self.parameters, &self.labels, &self.label_features)?;
        Ok(())
    }

    /// Fits the weights of the ensemble on the examples that were not learnt from, and then the linear path on all; from now
    /// on the network learns from all as well. What was found, where there was something to fit.
    ///
    /// # Errors
    ///
    /// If a number is not finite: the training diverged.
    pub fn calibrate(&mut self, threads: usize) -> Result<Option<FittedConfidence>> {
        let of_intents = |examples: &[Example]| examples.iter().filter(|one| one.intent.is_some()).count();
        let count = self.lessons.examples.len();
        let unseen = of_intents(&self.lessons.examples[count - self.lessons.unseen..]);
        let intents = !self.labels.intents.is_empty();
        if intents && (unseen > 0 || self.config.intents.linear_path) {
            let split = CalibrationSplit {
                config: &self.config,
                intents: &self.labels.intents,
                widths: self.widths,
                examples: self.lessons.examples.iter().filter(|example| example.intent.is_some()).collect(),
                names: self.lessons.names,
                unit_ranges: &self.lessons.unit_ranges,
                held_out: unseen,
                threads,
                dense_length: 1.0,
            };
            let split = if self.config.intents.linear_path { split.with_best_dense_length() } else { split };
            let engine = if unseen > 0 { Some(self.engine()?) } else { None };
            let several = self.decision.is_some();
            let decision = engine.as_ref().filter(|_| several).map(|engine| split.decide(engine));
            let confidence = engine.as_ref().filter(|_| !several).map(|engine| split.fit(engine));
            let linear = self.config.intents.linear_path.then(|| split.linear_path());
            self.linear = linear;
            self.decision = decision.or(self.decision);
            self.confidence = confidence.or(self.confidence.take());
        }
        self.lessons.unseen = 0;
        Ok(self.confidence.clone())
    }

    /// The network as it is, for answering, without the linear path.
    fn engine(&self) -> Result<Engine> {
        let config = self.config.clone().with(|own| own.intents.linear_path = false);
        let precision = crate::kernels::Precision::Bf16;
        Engine::new(&config, self.widths, &self.labels, &self.label_features, &self.weights()?, precision)
            .map_err(candle_core::Error::wrap)
    }

    /// What was learnt, in the form in which it is kept: large tables in five bits and without the rows that no
    /// example has touched, neither here nor in an ancestor, matrices in `bf16`, the rest as it is. Held-out examples are scored with this form,
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
                "sentence.table" => Some(|example| &example.features.sentence),
                _ => None,
            };
            let weight = match (columns, &shape[..]) {
                (Some(columns), [rows, dim]) => {
                    let touched = self.touched(&name, *rows, columns);
                    Weight::table(Table::new(&values, *dim, |row| touched[row]))
                }
                (_, [] | [_]) => Weight::f32(shape, values),
                _ => Weight::bf16(shape, &values),
            };
            weights.insert(name, weight);
        }
        if !self.labels.intents.is_empty() {
            let weights_of_parts = match (&self.decision, &self.confidence, &self.linear) {
                (Some(decision), ..) => [1.0, 0.0, decision.linear],
                (None, Some(confidence), _) => confidence.weights(),
                (None, None, Some(_)) => DEFAULT_WEIGHTS,
                (None, None, None) => [1.0, 0.0, 0.0],
            };
            weights.insert("intent.scale".to_owned(), Weight::f32(vec![1], vec![weights_of_parts[0]]));
            if self.config.intents.linear_path && self.linear.is_none() {
                LinearPath::nothing(self.widths.joined(), self.labels.intents.len(), &mut weights);
            }
            if let Some(linear) = &self.linear {
                let mut touched =
                    self.touched("", self.widths.sentence, |example| &example.features.sentence);
                touched.resize(self.widths.joined(), true);
                linear.save(weights_of_parts, &touched, &mut weights);
            }
        }
        if let Some(decision) = self.decision {
            let decision = Weight::f32(vec![Decision::NUMBERS], decision.numbers().to_vec());
            weights.insert("intent.decision".to_owned(), decision);
        }
        Ok(weights)
    }

    /// How often each message is read in a step.
    fn times(&self) -> usize {
        if self.config.similarity.r_drop > 0.0 { 2 } else { 1 }
    }

    /// Which columns occur in the examples, or did in those of the ancestor.
    fn touched(&self, table: &str, columns: usize, rows: fn(&Example) -> &SparseRows) -> Vec<bool> {
        let mut touched = self.inherited.get(table).cloned().unwrap_or_else(|| vec![false; columns]);
        for column in self.lessons.examples.iter().flat_map(|example| rows(example).columns()) {
            touched[*column as usize] = true;
        }
        touched
    }
}

impl Trainable for Learner<'_> {
    fn examples(&self) -> usize {
        self.lessons.examples.len() - self.lessons.unseen
    }

    fn rows(&self, example: usize) -> usize {
        self.times() * (self.lessons.examples[example].features.sequence.len() + 1)
    }

    fn class(&self, example: usize) -> Option<u32> {
        self.lessons.examples[example].intent
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn loss(&self, examples: &[usize], pass: &Pass) -> Result<BatchLoss> {
        let limit = threshold(self.config.layers.drop_rate_rare);
        let mut readings = Vec::with_capacity(self.times() * examples.len());
        for _ in 0..self.times() {
            let seed = pass.next_seed().filter(|_| !self.as_new.is_empty());
            readings.extend(examples.iter().map(|at| {
                let example = &self.lessons.examples[*at];
                let rare_left_out = seed.is_some_and(|seed| drops(seed, *at as u64, limit));
                let features = if rare_left_out { &self.as_new[*at] } else { &example.features };
                Reading { example, features }
            }));
        }
        self.network.loss(&readings, pass)
    }

    fn evaluate(&self) -> Result<Option<Score>> {
        self.held_out.as_ref().map(|score| score(&self.weights()?)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Entity, Utterance};
    use crate::text::{Span, WhitespaceTokenizer};

    /// So many messages that all is done with them.
    const MANY: usize = 10_000;

    /// So many messages of two intents, of which the first says something (column 3) that no other does.
    fn lessons(count: usize) -> (Labels, Lessons, Widths) {
        let message = |at: usize| Utterance {
            entities: vec![Entity::new(["city", "date"][at % 2], Span::new(0, 1))],
            ..Utterance::new("a", Some(["x", "y"][at % 2]))
        };
        let messages: Vec<Utterance> = (0..count).map(message).collect();
        let config = DietConfig::default();
        let labels = Labels::new(&messages, &config);
        let example = |(at, message): (usize, &Utterance)| {
            let mut features = Features::default();
            let own = if at == 0 { 3 } else { 2 };
            features.sequence.push([((at % 2) as u32, 1.0), (own, 0.5)]);
            features.sentence.push([((at % 2) as u32, 1.0), (own, 0.5)]);
            labels.example(message, &[Span::new(0, 1)], features)
        };
        let examples = messages.iter().enumerate().map(example).collect();
        (labels.clone(), Lessons::all(examples), Widths { sequence: 4, sentence: 4, dense: 0 })
    }

    fn learner(config: &DietConfig, count: usize, change: impl FnOnce(&mut Lessons)) -> Learner<'static> {
        let (labels, mut lessons, widths) = lessons(count);
        change(&mut lessons);
        let label_features = LabelFeatures::new(&labels.intents, &WhitespaceTokenizer::default());
        Learner::new(config, widths, &labels, &label_features, lessons, None).unwrap()
    }

    fn loss(learner: &Learner<'_>, examples: &[usize]) -> f64 {
        let loss = learner.loss(examples, &Pass::training(5)).unwrap().total;
        f64::from(loss.to_scalar::<f32>().unwrap())
    }

    #[test]
    fn what_no_other_message_has_is_left_out_of_readings() {
        let config =
            DietConfig::default().with(|c| (c.transformer.model_dim, c.layers.drop_rate_rare) = (8, 1.0));
        let plain = config.clone().with(|c| c.layers.drop_rate_rare = 0.0);
        let without = |lessons: &mut Lessons| {
            let features = &mut lessons.examples[0].features;
            for rows in [&mut features.sequence, &mut features.sentence] {
                *rows = SparseRows::default();
                rows.push([(0, 1.0)]);
            }
        };
        let (rare, never) = (learner(&config, MANY, |_| ()), learner(&plain, MANY, without));
        assert_eq!(loss(&rare, &[0, 1]), loss(&never, &[0, 1]));
        assert_ne!(loss(&rare, &[0, 1]), loss(&learner(&plain, MANY, |_| ()), &[0, 1]));
        assert_eq!(loss(&rare, &[1, 2]), loss(&learner(&plain, MANY, |_| ()), &[1, 2]));
    }

    #[test]
    fn many_messages_are_read_twice_and_few_once() {
        let config =
            DietConfig::default().with(|c| (c.transformer.model_dim, c.similarity.r_drop) = (8, 1.0));
        let once = config.clone().with(|c| c.similarity.r_drop = 0.0);
        let ratio = |config: &DietConfig, count| {
            let found = learner(config, count, |_| ()).loss(&[0, 1, 2], &Pass::training(5)).unwrap();
            found.ratios[0].1.whole
        };
        assert_eq!([ratio(&config, MANY), ratio(&once, MANY), ratio(&config, 100)], [6.0, 3.0, 3.0]);
        // Each head learns from the other reading.
        let far = |config: &DietConfig| loss(&learner(config, MANY, |_| ()), &[0, 1]);
        for (intents, entities) in [(true, false), (false, true)] {
            let one = config.clone().with(|c| (c.intents.enabled, c.entities.enabled) = (intents, entities));
            assert!(far(&one) < far(&one.clone().with(|c| c.similarity.r_drop = 2.0)));
        }
        // Readings of different examples have nothing to say to each other.
        let learner = learner(&config, MANY, |_| ());
        let readings = [0, 1].map(|at| Reading::of(&learner.lessons.examples[at]));
        assert!(learner.network.loss(&readings, &Pass::training(5)).is_err());
    }
}
