//! Name, cores and instructions; the ceiling of arithmetic and the speed of memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Times;
use crate::kernels::{Instructions, Precision, ceiling as kernel, processor};

/// This machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// What the processor calls itself.
    pub processor: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The sets of instructions that our kernels use here, from the least to the most.
    ///
    /// The environment variable `TALKFORMER_INSTRUCTIONS` set to one of these names keeps them from using more.
    pub instructions: Vec<&'static str>,
}

impl Machine {
    /// Asks the processor and the operating system.
    #[must_use]
    pub fn this() -> Self {
        let best = Instructions::best();
        let used = Instructions::ALL.into_iter().filter(|(_, set)| *set <= best);
        Self {
            processor: processor::name(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            instructions: used.map(|(name, _)| name).collect(),
        }
    }
}

/// The most floating-point operations a second that so many threads can do in this precision.
///
/// Takes about a fifth of a second; the best of several tries, as others may use the machine as well.
#[must_use]
pub fn ceiling(precision: Precision, threads: usize) -> f64 {
    const TRIES: usize = 8;
    const TRY: Duration = Duration::from_millis(20);
    const TRIAL: usize = 10_000;
    let work = |rounds| {
        black_box(kernel::multiply_adds(precision, rounds));
    };
    let trial = Times::measure(Duration::ZERO, || work(TRIAL));
    let rounds = (TRIAL as f64 * TRY.as_secs_f64() / trial.quantile(0.0).as_secs_f64()) as usize;
    let operations = threads.max(1) as f64 * kernel::multiply_adds(precision, rounds);
    let times = Times::new((0..TRIES).map(|_| on_threads(threads, |_| work(rounds))).collect());
    operations / times.quantile(0.0).as_secs_f64()
}

/// Bytes a second between the cores and main memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bandwidth {
    /// Reading.
    pub read: f64,
    /// Copying: what is read and what is written.
    pub copy: f64,
}

/// How fast so many threads read and copy memory that is larger than common caches.
#[must_use]
pub fn bandwidth(threads: usize) -> Bandwidth {
    const VALUES: usize = 1 << 25; // 128 MiB
    const TRIES: usize = 3;
    let from = vec![1.0_f32; VALUES];
    let mut to = vec![0.0_f32; VALUES];
    let share = VALUES.div_ceil(threads.max(1));
    let best = |time: &mut dyn FnMut() -> Duration| {
        (0..TRIES).map(|_| time().as_secs_f64()).fold(f64::INFINITY, f64::min)
    };
    let read = best(&mut || {
        let parts: Vec<&[f32]> = from.chunks(share).collect();
        on_threads(parts.len(), |thread| {
            black_box(kernel::read(parts[thread]));
        })
    });
    let copy = best(&mut || {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for (to, from) in to.chunks_mut(share).zip(from.chunks(share)) {
                scope.spawn(move || to.copy_from_slice(black_box(from)));
            }
        });
        begun.elapsed()
    });
    black_box(&to);
    let bytes = (VALUES * size_of::<f32>()) as f64;
    Bandwidth { read: bytes / read, copy: 2.0 * bytes / copy }
}

/// How long the same work takes on each of several threads at once.
fn on_threads(threads: usize, work: impl Fn(usize) + Sync) -> Duration {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let work = &work;
        // The calling thread is one of them.
        (1..threads).for_each(|thread| drop(scope.spawn(move || work(thread))));
        work(0);
    });
    begun.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_a_name_cores_and_at_least_portable_instructions() {
        let machine = Machine::this();
        assert!(!machine.processor.is_empty() && machine.cores > 0);
        assert_eq!(machine.instructions[0], "portable");
    }

    #[test]
    fn nothing_runs_faster_than_the_ceiling_by_much() {
        let mut product = crate::speed::Product::new(128, 128, 128, Precision::F32);
        let rate = Times::measure(Duration::from_millis(20), || product.run()).rate(product.operations());
        let ceiling = ceiling(Precision::F32, 1);
        assert!(ceiling > 1e8 && rate < 1.5 * ceiling, "{rate:e} against {ceiling:e}");
    }
}
