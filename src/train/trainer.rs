//! Epochs, steps, evaluation and the end.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use candle_core::{Result, Tensor, TensorId};

use super::sampler::{pieces, shares};
use super::{
    AdamW, AdamWConfig, BatchLoss, BatchStrategy, EpochReport, Event, Gradients, Ratio, Sampler, Schedule,
    Score, Trainable,
};
use crate::kernels::dropout::bits;
use crate::nn::Pass;

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
    /// How parameters move.
    pub optimizer: AdamWConfig,
    /// Decides every random draw.
    pub seed: u64,
    /// Worker threads; results depend on how many.
    pub threads: usize,
    /// Epochs between evaluations; zero: only at the end.
    pub evaluate_every: usize,
    /// Evaluations without a better score after which training stops; zero: never.
    pub patience: usize,
    /// Whether the weights with the best score are kept, not the last ones.
    pub keep_best: bool,
}

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All epochs are done.
    Finished,
    /// The score had not risen for a while.
    NoProgress,
    /// The caller asked for it.
    Interrupted,
}

/// How training ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why.
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

/// Rows that go through the network together at most; a longer share of a batch is done in pieces.
const MOST_ROWS: usize = 8192;

/// Gradients, and the losses with the number of examples behind each.
type Found = (Gradients, Vec<(usize, BatchLoss)>);

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

    /// Trains the model; `observe` hears of every step.
    ///
    /// # Errors
    ///
    /// If candle cannot compute a step, or the training diverges.
    pub fn run(&self, model: &impl Trainable, mut observe: impl FnMut(Event)) -> Result<Outcome> {
        let config = &self.config;
        let classes = (0..model.examples()).map(|example| model.class(example)).collect();
        let mut sampler = Sampler::new(classes, config.batch_strategy, config.batch_size, config.seed);
        let mut optimizer = AdamW::new(config.optimizer);
        let mut best = Best::default();
        let mut outcome = Outcome {
            stopped: Stopped::Finished,
            epochs: 0,
            steps: 0,
            last: EpochReport::default(),
            best: None,
        };
        observe(Event::Started {
            examples: model.examples(),
            epochs: config.epochs,
            parameters: model.parameters().count(),
            threads: config.threads,
        });
        for epoch in 0..config.epochs {
            outcome.epochs = epoch + 1;
            let mut report = Running::new(epoch + 1, config.epochs);
            let batches = sampler.batches(epoch, config.epochs);
            for (at, batch) in batches.iter().enumerate() {
                let done = (epoch as f64 + at as f64 / batches.len() as f64) / config.epochs as f64;
                let (gradients, losses) = self.gradients(model, batch, sampler.next_seed(), done)?;
                optimizer.step(model.parameters(), &gradients, config.schedule.rate(done))?;
                outcome.steps += 1;
                losses.iter().for_each(|(count, loss)| report.add(*count, loss));
                let done = (epoch as f64 + (at + 1) as f64 / batches.len() as f64) / config.epochs as f64;
                observe(Event::Step { report: report.report(), done });
                if self.stop.load(Ordering::Relaxed) {
                    outcome.stopped = Stopped::Interrupted;
                    break;
                }
            }
            outcome.last = report.report();
            observe(Event::Epoch(outcome.last.clone()));
            if self.is_time(epoch) || outcome.stopped == Stopped::Interrupted {
                optimizer.settle(model.parameters())?;
                self.evaluate(model, epoch + 1, &mut best, &mut observe)?;
                if outcome.stopped == Stopped::Finished
                    && config.patience > 0
                    && best.waited >= config.patience
                {
                    outcome.stopped = Stopped::NoProgress;
                }
            }
            if outcome.stopped != Stopped::Finished {
                break;
            }
        }
        optimizer.settle(model.parameters())?;
        if let Some(weights) = best.weights.filter(|_| config.keep_best) {
            model.parameters().restore(&weights)?;
        } else {
            best.score = best.last;
        }
        outcome.best = best.score;
        Ok(outcome)
    }

    fn is_time(&self, epoch: usize) -> bool {
        let every = self.config.evaluate_every;
        epoch + 1 == self.config.epochs || (every > 0 && (epoch + 1).is_multiple_of(every))
    }

    fn evaluate(
        &self,
        model: &impl Trainable,
        epoch: usize,
        best: &mut Best,
        observe: &mut impl FnMut(Event),
    ) -> Result<()> {
        let Some(score) = model.evaluate()? else { return Ok(()) };
        let better = best.score.as_ref().is_none_or(|(_, best)| score.value > best.value);
        best.waited = if better { 0 } else { best.waited + 1 };
        best.last = Some((epoch, score.clone()));
        if better {
            best.score = best.last.clone();
            if self.config.keep_best {
                best.weights = Some(model.parameters().snapshot()?);
            }
        }
        observe(Event::Evaluated { epoch, score, best: better });
        Ok(())
    }

    /// Forward and backward of one batch, each worker with its share and a graph of its own.
    fn gradients(&self, model: &impl Trainable, batch: &[usize], seed: u64, done: f64) -> Result<Found> {
        let names: HashMap<TensorId, String> =
            model.parameters().all().into_iter().map(|(name, var)| (var.as_tensor().id(), name)).collect();
        let shares = shares(batch, self.config.threads, |example| model.rows(example));
        let work = |worker: usize, share: &[usize]| -> Result<Found> {
            let mut sum = Found::default();
            for (at, piece) in pieces(share, MOST_ROWS, |example| model.rows(example)).into_iter().enumerate()
            {
                let pass = Pass::training(bits(bits(seed, worker as u64), at as u64)).after(done);
                let loss = model.loss(piece, &pass)?;
                let store = loss.total.backward()?;
                let part = piece.len() as f64 / batch.len() as f64;
                sum.0.add(Gradients::collect(&names, &store, &pass.into_touched(), part)?)?;
                sum.1.push((piece.len(), BatchLoss { total: loss.total.detach(), ..loss }));
            }
            Ok(sum)
        };
        let results: Vec<Result<Found>> = match &shares[..] {
            [share] => vec![work(0, share)],
            shares => std::thread::scope(|scope| {
                let work = &work;
                let spawn = |(worker, share)| scope.spawn(move || work(worker, share));
                let handles: Vec<_> = shares.iter().map(Vec::as_slice).enumerate().map(spawn).collect();
                let join = |handle: std::thread::ScopedJoinHandle<'_, _>| match handle.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                handles.into_iter().map(join).collect()
            }),
        };
        let mut sum = Found::default();
        for result in results {
            let (gradients, losses) = result?;
            sum.0.add(gradients)?;
            sum.1.extend(losses);
        }
        Ok(sum)
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

/// Sums of an epoch in progress.
struct Running {
    report: EpochReport,
    begun: Instant,
    loss: f64,
    parts: Vec<(&'static str, f64)>,
    ratios: Vec<(&'static str, Ratio)>,
}

impl Running {
    fn new(epoch: usize, epochs: usize) -> Self {
        let report = EpochReport { epoch, epochs, ..Default::default() };
        Self { report, begun: Instant::now(), loss: 0.0, parts: Vec::new(), ratios: Vec::new() }
    }

    fn add(&mut self, count: usize, loss: &BatchLoss) {
        let count_f = count as f64;
        self.report.examples += count;
        for (name, part) in &loss.parts {
            *entry(&mut self.parts, name) += part * count_f;
            self.loss += part * count_f;
        }
        for (name, ratio) in &loss.ratios {
            entry(&mut self.ratios, name).add(*ratio);
        }
    }

    fn report(&self) -> EpochReport {
        let count = self.report.examples.max(1) as f64;
        let share = |(name, ratio): &(&'static str, Ratio)| Some((*name, ratio.share()?));
        EpochReport {
            loss: self.loss / count,
            parts: self.parts.iter().map(|(name, part)| (*name, part / count)).collect(),
            shares: self.ratios.iter().filter_map(share).collect(),
            elapsed: self.begun.elapsed(),
            ..self.report.clone()
        }
    }
}

/// The value of a name, made where it is missing.
fn entry<'a, T: Default>(entries: &'a mut Vec<(&'static str, T)>, name: &'static str) -> &'a mut T {
    let at = entries.iter().position(|(own, _)| *own == name).unwrap_or_else(|| {
        entries.push((name, T::default()));
        entries.len() - 1
    });
    &mut entries[at].1
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::super::Decay;
    use super::*;
    use crate::nn::{Linear, Parameters};

    /// Learns `y = 3x`.
    struct Line {
        parameters: Parameters,
        layer: Linear,
        score: Vec<f64>,
        scored: std::sync::atomic::AtomicUsize,
    }

    impl Line {
        fn new(score: Vec<f64>) -> Self {
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
