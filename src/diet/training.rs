//! DIET with its examples, as the training loop sees it.

use candle_core::{DType, Device, Result};

use super::answer::Engine;
use super::fusion::{Scales, Unseen};
use super::linear_path::LinearPath;
use super::{DietConfig, Example, Labels, Network, Widths};
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
    /// How many of them are learnt from for now; the rest is for calibration.
    learning: usize,
    held_out: Option<HeldOut<'a>>,
    linear: Option<LinearPath>,
    scales: Scales,
    config: DietConfig,
    widths: Widths,
    labels: Labels,
    label_features: LabelFeatures,
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
        mut examples: Vec<Example>,
        unseen: usize,
        held_out: Option<HeldOut<'a>>,
        threads: usize,
    ) -> Result<Self> {
        let parameters = Parameters::new(config.seed());
        let vb = parameters.builder(DType::F32, &Device::Cpu);
        let network = Network::new(config, widths, labels, label_features, vb)?;
        let mut scales = Scales { transformer: 1.0, linear: 0.0 };
        let linear = (config.use_linear_path && !labels.intents.is_empty()).then(|| {
            let path = LinearPath::fit(config, widths, labels.intents.len(), &mut examples, threads);
            scales.linear = path.scale;
            path
        });
        eprintln!("linear scale {}", scales.linear);
        let ok = examples.iter().filter(|e| {
            let best = (0..e.linear.len()).max_by(|a, b| e.linear[*a].total_cmp(&e.linear[*b]));
            best.map(|b| b as u32) == e.intent
        });
        eprintln!("linear out of fold {:.4}", ok.count() as f64 / examples.len() as f64);
        if std::env::var("TF_OFFSET").is_err() {
            // kept for calibration only
        }
        let learning = examples.len() - unseen;
        let (config, labels, label_features) = (config.clone(), labels.clone(), label_features.clone());
        Ok(Self {
            network,
            parameters,
            examples,
            learning,
            held_out,
            linear,
            scales,
            config,
            widths,
            labels,
            label_features,
        })
    }

    /// Fits the scales on the examples that were not learnt from, then lets them be learnt from as well.
    pub fn calibrate(&mut self) -> Result<()> {
        let weights = {
            let kept = self.scales;
            self.scales = Scales { transformer: 1.0, linear: 0.0 };
            let weights = self.weights();
            self.scales = kept;
            weights?
        };
        let engine = Engine::new(
            &self.config,
            self.widths,
            &self.labels,
            &self.label_features,
            &weights,
            crate::kernels::Precision::Bf16,
        )
        .map_err(candle_core::Error::wrap)?;
        let mut unseen = Unseen { labels: self.labels.intents.len(), ..Default::default() };
        let own: Vec<&Example> =
            self.examples[self.learning..].iter().filter(|example| example.intent.is_some()).collect();
        for example in &own {
            engine.answer(&[&example.features], |_, found| {
                unseen.similarities.extend_from_slice(found.similarities);
            });
            let scale = self.linear.as_ref().map_or(1.0, |linear| linear.scale);
            unseen.linear.extend(example.linear.iter().map(|x| x / scale));
            unseen.gold.extend(example.intent);
        }
        let before = unseen.loss(self.scales).0;
        let ones = Scales { transformer: 1.0, linear: 0.0 };
        let deep = unseen.loss(ones).0;
        self.scales = unseen.fit(self.scales);
        eprintln!(
            "calibration on {}: before {before:.4} deep {deep:.4} after {:.4} {:?} linear alone {:?}",
            own.len(),
            unseen.loss(self.scales).0,
            self.scales,
            self.linear.as_ref().map(|x| x.scale)
        );
        self.learning = self.examples.len();
        Ok(())
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
                "sentence.table" => Some(|example| &example.features.sentence),
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
        if let Some(linear) = &self.linear {
            linear.save(&mut weights);
        }
        let scales = vec![self.scales.transformer, self.scales.linear];
        weights.insert("intent.scales".to_owned(), Weight::f32(vec![2], scales));
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
        self.learning
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
