//! The threads that compute gradients, each with a graph of its own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use candle_core::{Result, TensorId, bail};

use super::sampler::{pieces, shares};
use super::{BatchLoss, Gradients, Trainable};
use crate::kernels::dropout::bits;
use crate::nn::{GradientSink, Pass, Workspace};

/// Rows that go through the network together at most; a longer share of a batch is done in pieces.
const MOST_ROWS: usize = 8192;

/// The same on a GPU, which takes as long for a few rows as for many.
const MOST_ROWS_ON_DEVICE: usize = 65_536;

/// Pieces are not made smaller than this where memory does not suffice.
const FEWEST_ROWS: usize = 64;

/// Whether this is what a GPU says when it has no more memory.
fn is_out_of_memory(error: &candle_core::Error) -> bool {
    let text = format!("{error:?}");
    text.contains("OUT_OF_MEMORY") || text.contains("ALLOC_FAILED") || text.contains("out of memory")
}

/// What one worker found: gradients, and the losses with the number of examples behind each.
pub(super) type Found = (Gradients, Vec<(usize, BatchLoss)>);

/// A share of a batch.
struct Job {
    examples: Vec<usize>,
    /// Examples of the whole batch.
    batch: usize,
    seed: u64,
    done: f64,
}

/// What all workers share.
pub(super) struct Work<'m, M> {
    model: &'m M,
    names: HashMap<TensorId, String>,
    workspace: Workspace,
    most_rows: AtomicUsize,
}

impl<'m, M: Trainable> Work<'m, M> {
    pub(super) fn new(model: &'m M) -> Self {
        let name = |(name, var): (String, candle_core::Var)| (var.as_tensor().id(), name);
        let names = model.parameters().all().into_iter().map(name).collect();
        let on_processor = model.parameters().device().is_cpu();
        let most_rows = if on_processor { MOST_ROWS } else { MOST_ROWS_ON_DEVICE };
        Self { model, names, workspace: Workspace::default(), most_rows: most_rows.into() }
    }

    /// Rows that go through the network together at most.
    pub(super) fn most_rows(&self) -> usize {
        self.most_rows.load(Ordering::Relaxed)
    }

    /// Forward and backward, in pieces half as large each time that memory does not suffice.
    fn gradients(&self, job: &Job) -> Result<Found> {
        loop {
            let most_rows = self.most_rows();
            match self.in_pieces(job, most_rows) {
                Err(error) if is_out_of_memory(&error) && most_rows > FEWEST_ROWS => {
                    // A piece may have been smaller than it could be.
                    let rows = job.examples.iter().map(|example| self.model.rows(*example)).sum::<usize>();
                    self.most_rows.store(rows.min(most_rows).div_ceil(2), Ordering::Relaxed);
                }
                found => return found,
            }
        }
    }

    /// Forward and backward, piece by piece.
    fn in_pieces(&self, job: &Job, most_rows: usize) -> Result<Found> {
        let mut sum = Found::default();
        let pieces = pieces(&job.examples, most_rows, |example| self.model.rows(example));
        for (at, piece) in pieces.into_iter().enumerate() {
            let sink = GradientSink::new(self.workspace.clone());
            let pass = Pass::training(bits(job.seed, at as u64)).after(job.done).with_sink(&sink);
            let loss = self.model.loss(piece, &pass)?;
            let part = piece.len() as f64 / job.batch as f64;
            let store = (&loss.total * part)?.backward()?;
            let found = Gradients::collect(&self.names, &store, &sink)?;
            sum.0.add(found)?;
            sum.1.push((piece.len(), BatchLoss { total: loss.total.detach(), ..loss }));
        }
        Ok(sum)
    }
}

/// Threads that wait for their share of the next batch.
///
/// They live as long as the training, so that their memory does.
pub(super) struct Workers<'m, M> {
    work: &'m Work<'m, M>,
    /// To and from each thread; none where the caller's own thread is enough.
    lines: Vec<(Sender<Job>, Receiver<Result<Found>>)>,
}

impl<'m, M: Trainable> Workers<'m, M> {
    /// Starts the threads. They end when the workers are dropped.
    pub(super) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        work: &'m Work<'m, M>,
        threads: usize,
    ) -> Self
    where
        'm: 'scope,
    {
        let line = |_| {
            let ((to_worker, jobs), (found, from_worker)) = (channel::<Job>(), channel());
            scope.spawn(move || {
                // Ends when the other side of either line is gone.
                while let Ok(job) = jobs.recv() {
                    if found.send(work.gradients(&job)).is_err() {
                        break;
                    }
                }
            });
            (to_worker, from_worker)
        };
        Self { work, lines: if threads > 1 { (0..threads).map(line).collect() } else { Vec::new() } }
    }

    /// Rows that go through the network together at most.
    pub(super) fn most_rows(&self) -> usize {
        self.work.most_rows()
    }

    /// What each worker finds in its share of a batch.
    ///
    /// # Errors
    ///
    /// If one of them cannot compute its share.
    pub(super) fn gradients(&self, batch: &[usize], seed: u64, done: f64) -> Result<Vec<Found>> {
        let shares = shares(batch, self.lines.len(), |example| self.work.model.rows(example));
        let job =
            |(worker, examples)| Job { examples, batch: batch.len(), seed: bits(seed, worker as u64), done };
        let mut jobs = shares.into_iter().enumerate().map(job);
        if self.lines.is_empty() {
            return jobs.map(|job| self.work.gradients(&job)).collect();
        }
        let busy: Vec<_> = self.lines.iter().zip(&mut jobs).collect();
        let mut waiting = Vec::with_capacity(busy.len());
        for ((to_worker, from_worker), job) in busy {
            if to_worker.send(job).is_err() {
                bail!("a worker has stopped");
            }
            waiting.push(from_worker);
        }
        let receive = |line: &Receiver<Result<Found>>| match line.recv() {
            Ok(found) => found,
            // Its panic reaches the caller when the scope of the threads ends.
            Err(_) => bail!("a worker has stopped"),
        };
        waiting.into_iter().map(receive).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::trainer::tests::Line;
    use super::*;

    /// A model that has memory for two examples.
    struct Narrow(Line);

    impl Trainable for Narrow {
        fn examples(&self) -> usize {
            self.0.examples()
        }

        fn rows(&self, _: usize) -> usize {
            100
        }

        fn class(&self, _: usize) -> Option<u32> {
            None
        }

        fn parameters(&self) -> &crate::nn::Parameters {
            self.0.parameters()
        }

        fn loss(&self, examples: &[usize], pass: &Pass) -> Result<BatchLoss> {
            if examples.len() > 2 {
                bail!("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")");
            }
            self.0.loss(examples, pass)
        }

        fn evaluate(&self) -> Result<Option<super::super::Score>> {
            Ok(None)
        }
    }

    #[test]
    fn where_memory_does_not_suffice_smaller_pieces_find_the_same() {
        let (narrow, wide) = (Narrow(Line::new(vec![])), Line::new(vec![]));
        let job = Job { examples: vec![0, 3, 7, 11, 12, 18, 19], batch: 7, seed: 1, done: 0.0 };
        let (narrow, wide) = (Work::new(&narrow), Work::new(&wide));
        let value = |found: Result<Found>| found.unwrap().0.take("weight").unwrap().values()[0];
        let (found, whole) = (value(narrow.gradients(&job)), value(wide.gradients(&job)));
        assert!((found - whole).abs() < 1e-5 * whole.abs(), "{found} {whole}");
        assert!((64..=200).contains(&narrow.most_rows()) && wide.most_rows() == MOST_ROWS);
    }

    #[test]
    fn workers_together_find_the_gradient_of_the_whole_batch() {
        let line = Line::new(vec![]);
        let work = Work::new(&line);
        let gradient = |threads| {
            std::thread::scope(|scope| {
                let workers = Workers::start(scope, &work, threads);
                // Seven among three: shares of different sizes.
                let found = workers.gradients(&[0, 3, 7, 11, 12, 18, 19], 1, 0.0).unwrap();
                let mut sum = Gradients::default();
                found.into_iter().for_each(|(part, _)| sum.add(part).unwrap());
                sum.take("weight").unwrap().values()[0]
            })
        };
        let whole = gradient(1);
        assert!(whole.abs() > 0.1 && (gradient(3) - whole).abs() < 1e-5 * whole.abs());
    }
}
