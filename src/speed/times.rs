//! How long something takes, over and over.

use std::time::{Duration, Instant};

/// How long each of several runs took, from the shortest to the longest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Fewer runs say little about any of them.
    const LEAST_RUNS: usize = 3;

    /// Sorts measured times.
    ///
    /// # Panics
    ///
    /// If there are none.
    #[must_use]
    pub fn new(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "no run was timed");
        times.sort_unstable();
        Self(times)
    }

    /// Runs `work` once to warm up, then for at least so long and at least three times.
    pub fn measure(least: Duration, mut work: impl FnMut()) -> Self {
        work();
        let mut times = Vec::new();
        let mut whole = Duration::ZERO;
        while whole < least || times.len() < Self::LEAST_RUNS {
            let begun = Instant::now();
            work();
            let time = begun.elapsed();
            whole += time;
            times.push(time);
        }
        Self::new(times)
    }

    /// The time that this share of all runs did not exceed; 0.5 gives the median.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        self.0[((self.0.len() - 1) as f64 * share.clamp(0.0, 1.0)).round() as usize]
    }

    /// The median time.
    #[must_use]
    pub fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    /// Operations a second, by the median run of so many operations.
    #[must_use]
    pub fn rate(&self, operations: f64) -> f64 {
        operations / self.median().as_secs_f64()
    }

    /// All runs together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.0.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_runs_that_were_timed() {
        let times = Times::new([5, 1, 4, 2, 3].map(Duration::from_secs).to_vec());
        let seconds = |share| times.quantile(share).as_secs();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(seconds), [1, 3, 5, 5]);
        assert_eq!((times.total().as_secs(), times.rate(6.0)), (15, 2.0));
    }

    #[test]
    fn work_is_run_at_least_three_times_after_warming_up() {
        let mut runs = 0;
        Times::measure(Duration::ZERO, || runs += 1);
        assert_eq!(runs, 4);
    }
}
