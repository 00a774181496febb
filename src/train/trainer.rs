//! The loop: epochs, steps, evaluation, early stopping.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use candle_core::{Result, Tensor};

use super::device_optimizer::DeviceAdamW;
use super::epoch::EpochSums;
use super::step::Optimizer;
use super::workers::{Work, Workers};
use super::{AdamW, AdamWConfig, BatchStrategy, EpochReport, Event, Sampler, Schedule, Score, Trainable};
use crate::nn::Parameters;
use crate::nn::op::has_kernels;

/// Settings of the loop.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainerConfig {
    /// Rounds through the data.
    pub epochs: usize,
    /// Examples per batch in the first and in the last epoch.
    pub batch_size: (usize, usize),
    /// How an epoch is ordered.
    pub batch_strategy: BatchStrategy,
    /// Learning rate over time.
    pub schedule: Schedule,
    /// How parameters are updated.
    pub optimizer: AdamWConfig,
    /// Decides every random draw.
    pub seed: u64,
    /// Worker threads on the processor; results depend on how many.
    pub threads: usize,
    /// Epochs between evaluations; zero: only at the end.
    pub evaluate_every: usize,
    /// Evaluations without a better score after which training stops; zero: never.
    pub patience: usize,
    /// Whether the weights with the best score are kept, not the last ones.
    pub keep_best: bool,
    /// Training ends after this time even if epochs are left. The schedule follows whichever of epochs and time is
    /// further on, so that the learning rate has fallen by then. None: all epochs are done, however long they take,
    /// and what is learnt does not depend on the clock.
    pub time: Option<Duration>,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All epochs are done.
    Finished,
    /// The score had not risen for a while.
    NoProgress,
    /// Its time was up.
    OutOfTime,
    /// The caller asked for it.
    Interrupted,
}

/// How training ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub stopped: Stopped,
    /// Epochs begun.
    pub epochs: usize,
    /// Steps made.
    pub steps: u64,
    /// The last epoch.
    pub last: EpochReport,
    /// The score of the weights that were kept, where examples were held out, and its epoch.
    pub best: Option<(usize, Score)>,
}

/// Runs the loop.
#[derive(Debug)]
pub struct Trainer<'a> {
    config: TrainerConfig,
    stop: &'a AtomicBool,
}

impl<'a> Trainer<'a> {
    /// A trainer that ends after the current step once `stop` is true.
    #[must_use]
    pub fn new(config: TrainerConfig, stop: &'a AtomicBool) -> Self {
        Self { config, stop }
    }

    /// Trains the model; `observe` is called with every [`Event`].
    ///
    /// # Errors
    ///
    /// If candle cannot compute a step, or the training diverges.
    pub fn run(&self, model: &impl Trainable, mut observe: impl FnMut(Event)) -> Result<Outcome> {
        // A GPU takes a batch whole, from one thread.
        let threads = if model.parameters().device().is_cpu() { self.config.threads } else { 1 };
        let config = &TrainerConfig { threads, ..self.config.clone() };
        let classes = (0..model.examples()).map(|example| model.class(example)).collect();
        observe(Event::Started {
            examples: model.examples(),
            epochs: config.epochs,
            parameters: model.parameters().count(),
            threads: config.threads,
        });
        let work = Work::new(model);
        std::thread::scope(|scope| {
            let run = TrainingRun {
                config,
                stop: self.stop,
                model,
                workers: Workers::start(scope, &work, config.threads),
                sampler: Sampler::new(classes, config.batch_strategy, config.batch_size, config.seed),
                optimizer: optimizer(model.parameters(), config.optimizer),
                begun: Instant::now(),
                best: Best::default(),
                outcome: Outcome {
                    stopped: Stopped::Finished,
                    epochs: 0,
                    steps: 0,
                    last: EpochReport::default(),
                    best: None,
                },
                observe: &mut observe,
            };
            run.run()
        })
    }
}

/// The optimizer for the device of these parameters.
fn optimizer(parameters: &Parameters, config: AdamWConfig) -> Box<dyn Optimizer> {
    let on_slices = parameters.all().first().is_none_or(|(_, var)| has_kernels(var.as_tensor()));
    if on_slices { Box::new(AdamW::new(config)) } else { Box::new(DeviceAdamW::new(config)) }
}

/// A training run in progress.
struct TrainingRun<'r, M> {
    config: &'r TrainerConfig,
    stop: &'r AtomicBool,
    model: &'r M,
    workers: Workers<'r, M>,
    sampler: Sampler,
    optimizer: Box<dyn Optimizer>,
    begun: Instant,
    best: Best,
    outcome: Outcome,
    observe: &'r mut dyn FnMut(Event),
}

impl<M: Trainable> TrainingRun<'_, M> {
    fn run(mut self) -> Result<Outcome> {
        for epoch in 0..self.config.epochs {
            self.epoch(epoch)?;
            if self.is_time(epoch)
                || matches!(self.outcome.stopped, Stopped::Interrupted | Stopped::OutOfTime)
            {
                self.optimizer.catch_up(self.model.parameters())?;
                self.evaluate(epoch + 1)?;
                let patience = self.config.patience;
                if self.outcome.stopped == Stopped::Finished && patience > 0 && self.best.waited >= patience {
                    self.outcome.stopped = Stopped::NoProgress;
                }
            }
            if self.outcome.stopped != Stopped::Finished {
                break;
            }
        }
        self.optimizer.catch_up(self.model.parameters())?;
        if let Some(weights) = self.best.weights.filter(|_| self.config.keep_best) {
            self.model.parameters().restore(&weights)?;
        } else {
            self.best.score = self.best.last;
        }
        Ok(Outcome { best: self.best.score, ..self.outcome })
    }

    fn epoch(&mut self, epoch: usize) -> Result<()> {
        let epochs = self.config.epochs;
        self.outcome.epochs = epoch + 1;
        let mut report = EpochSums::new(epoch + 1, epochs);
        let batches = self.sampler.batches(epoch, epochs);
        for (at, batch) in batches.iter().enumerate() {
            let share = |at: usize| (epoch as f64 + at as f64 / batches.len() as f64) / epochs as f64;
            let done = share(at).max(self.share_of_time());
            let rows = self.workers.most_rows();
            let found = self.workers.gradients(batch, self.sampler.next_seed(), done)?;
            if self.workers.most_rows() < rows {
                (self.observe)(Event::OutOfMemory { rows: self.workers.most_rows() });
            }
            let (gradients, losses): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            let rate = self.config.schedule.rate(done);
            self.optimizer.step(self.model.parameters(), gradients, rate)?;
            self.outcome.steps += 1;
            losses.iter().flatten().for_each(|(count, loss)| report.add(*count, loss));
            let time = self.share_of_time();
            (self.observe)(Event::Step { report: report.report(), done: share(at + 1).max(time) });
            if self.stop.load(Ordering::Relaxed) {
                self.outcome.stopped = Stopped::Interrupted;
                break;
            }
            if time >= 1.0 && share(at + 1) < 1.0 {
                self.outcome.stopped = Stopped::OutOfTime;
                break;
            }
        }
        self.outcome.last = report.report();
        (self.observe)(Event::Epoch(self.outcome.last.clone()));
        Ok(())
    }

    /// Share of the time that is over, in `[0, 1]`; zero where there is no limit.
    fn share_of_time(&self) -> f64 {
        let share =
            |time: Duration| self.begun.elapsed().as_secs_f64() / time.as_secs_f64().max(f64::EPSILON);
        self.config.time.map_or(0.0, share).min(1.0)
    }

    fn is_time(&self, epoch: usize) -> bool {
        let every = self.config.evaluate_every;
        epoch + 1 == self.config.epochs || (every > 0 && (epoch + 1).is_multiple_of(every))
    }

    fn evaluate(&mut self, epoch: usize) -> Result<()> {
        let Some(score) = self.model.evaluate()? else { return Ok(()) };
        let best = &mut self.best;
        let better = best.score.as_ref().is_none_or(|(_, best)| score.value > best.value);
        best.waited = if better { 0 } else { best.waited + 1 };
        best.last = Some((epoch, score.clone()));
        if better {
            best.score = best.last.clone();
            if self.config.keep_best {
                best.weights = Some(self.model.parameters().snapshot()?);
            }
        }
        (self.observe)(Event::Evaluated { epoch, score, best: better });
        Ok(())
    }
}

/// The best evaluation so far.
#[derive(Default)]
struct Best {
    score: Option<(usize, Score)>,
    last: Option<(usize, Score)>,
    weights: Option<BTreeMap<String, Tensor>>,
    waited: usize,
}

#[cfg(test)]
pub(super) mod tests {
    use candle_core::{DType, Device};

    use super::super::{BatchLoss, Decay};
    use super::*;
    use crate::nn::{Linear, Parameters, Pass};

    /// Learns `y = 3x`.
    pub(in crate::train) struct Line {
        parameters: Parameters,
        layer: Linear,
        score: Vec<f64>,
        scored: std::sync::atomic::AtomicUsize,
    }

    impl Line {
        pub(in crate::train) fn new(score: Vec<f64>) -> Self {
            let parameters = Parameters::new(1);
            let layer = Linear::new(1, 1, parameters.builder(DType::F32, &Device::Cpu)).unwrap();
            Self { parameters, layer, score, scored: 0.into() }
        }

        fn slope(&self) -> f32 {
            self.parameters.all()[1].1.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]
        }
    }

    impl Trainable for Line {
        fn examples(&self) -> usize {
            20
        }

        fn rows(&self, _: usize) -> usize {
            1
        }

        fn class(&self, _: usize) -> Option<u32> {
            None
        }

        fn parameters(&self) -> &Parameters {
            &self.parameters
        }

        fn loss(&self, examples: &[usize], _: &Pass) -> Result<BatchLoss> {
            let x: Vec<f32> = examples.iter().map(|example| *example as f32 / 10.0 - 1.0).collect();
            let x = Tensor::from_vec(x, (examples.len(), 1), &Device::Cpu)?;
            let total = (self.layer.forward(&x)? - (&x * 3.0)?)?.sqr()?.mean_all()?;
            let value = f64::from(total.to_scalar::<f32>()?);
            Ok(BatchLoss { total, parts: vec![("square", value)], ratios: vec![] })
        }

        fn evaluate(&self) -> Result<Option<Score>> {
            let at = self.scored.fetch_add(1, Ordering::Relaxed);
            Ok(self.score.get(at).map(|value| Score { value: *value, parts: vec![] }))
        }
    }

    fn config(threads: usize) -> TrainerConfig {
        TrainerConfig {
            epochs: 60,
            batch_size: (4, 4),
            batch_strategy: BatchStrategy::Sequence,
            schedule: Schedule { peak: 0.1, warm_up: 0.1, decay: Decay::Linear },
            optimizer: AdamWConfig::default(),
            seed: 3,
            threads,
            evaluate_every: 1,
            patience: 0,
            keep_best: false,
            time: None,
        }
    }

    #[test]
    fn learns_a_line_and_the_same_bytes_each_time() {
        let train = |threads| {
            let line = Line::new(vec![]);
            let stop = AtomicBool::new(false);
            let mut losses = Vec::new();
            let observe = |event| {
                if let Event::Epoch(report) = event {
                    losses.push(report.loss);
                }
            };
            Trainer::new(config(threads), &stop).run(&line, observe).unwrap();
            assert!(losses[59] < 1e-3 * losses[0], "{losses:?}");
            line.slope()
        };
        assert!((train(1) - 3.0).abs() < 0.05);
        assert_eq!(train(2).to_bits(), train(2).to_bits());
    }

    #[test]
    fn stops_without_progress_and_keeps_the_best_weights() {
        let line = Line::new(vec![1.0, 2.0, 1.5, 1.4, 9.0]);
        let stop = AtomicBool::new(false);
        let mut slopes = Vec::new();
        let config = TrainerConfig { patience: 2, keep_best: true, ..config(1) };
        let observe = |event| {
            if matches!(event, Event::Evaluated { .. }) {
                slopes.push(line.slope());
            }
        };
        let outcome = Trainer::new(config, &stop).run(&line, observe).unwrap();
        assert_eq!((outcome.stopped, outcome.epochs), (Stopped::NoProgress, 4));
        assert_eq!(outcome.best.unwrap().0, 2);
        assert_eq!(line.slope(), slopes[1]);
    }

    #[test]
    fn in_a_given_time_the_learning_rate_falls_all_the_way() {
        let line = Line::new(vec![]);
        let stop = AtomicBool::new(false);
        let mut shares = Vec::new();
        let observe = |event| {
            if let Event::Step { done, .. } = event {
                shares.push(done);
            }
        };
        let config = TrainerConfig { epochs: 1_000_000, time: Some(Duration::from_millis(200)), ..config(1) };
        let outcome = Trainer::new(config, &stop).run(&line, observe).unwrap();
        assert_eq!(outcome.stopped, Stopped::OutOfTime);
        assert!(shares.is_sorted() && shares[0] < 0.5 && shares.ends_with(&[1.0]), "{shares:?}");
        assert!((line.slope() - 3.0).abs() < 0.05);

        let line = Line::new(vec![]);
        let config = TrainerConfig { time: Some(Duration::from_secs(1000)), ..self::config(1) };
        let outcome = Trainer::new(config, &stop).run(&line, |_| {}).unwrap();
        assert_eq!((outcome.stopped, outcome.epochs), (Stopped::Finished, 60));
    }

    #[test]
    fn an_interruption_ends_after_the_step() {
        let line = Line::new(vec![]);
        let stop = AtomicBool::new(false);
        let observe = |event| {
            if matches!(event, Event::Step { .. }) {
                stop.store(true, Ordering::Relaxed);
            }
        };
        let outcome = Trainer::new(config(1), &stop).run(&line, observe).unwrap();
        assert_eq!((outcome.stopped, outcome.steps), (Stopped::Interrupted, 1));
    }
}
