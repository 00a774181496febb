//! How far a score could be off because there are only so many test messages.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// A range that holds the true score in 95 of 100 cases, as far as the test messages are like those to come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The percentile bootstrap ([Efron and Tibshirani, 1993](https://doi.org/10.1201/9780429246593), chapter 13).
///
/// Draws as many messages as there are, with replacement, computes the score of those, and again; the middle 95 %
/// of the scores are the interval. Messages are drawn as a whole, since the entities of one are not independent.
///
/// # Example
///
/// ```
/// use talkformer::metrics::Bootstrap;
///
/// let right: Vec<bool> = (0..200).map(|i| i % 10 != 0).collect(); // 90 %
/// let [interval] = Bootstrap::default().intervals(right.len(), |times| {
///     let drawn = right.iter().zip(times).map(|(right, times)| f64::from(u8::from(*right)) * f64::from(*times));
///     [drawn.sum::<f64>() / right.len() as f64]
/// });
/// assert!(interval.low > 0.84 && interval.low < 0.88 && interval.high > 0.92 && interval.high < 0.96);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// How many times the score is computed; 0 leaves out what needs draws.
    pub draws: usize,
    /// Decides what is drawn.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// A thousand draws.
    fn default() -> Self {
        Self { draws: 1000, seed: 0 }
    }
}

impl Bootstrap {
    /// The intervals of some scores of the same draws. `scores` is told how many times each message was drawn.
    ///
    /// Without messages or draws the intervals are empty, from 0 to 0.
    pub fn intervals<const N: usize>(
        self,
        messages: usize,
        scores: impl FnMut(&[u32]) -> [f64; N],
    ) -> [Interval; N] {
        let draws = self.scores(messages, scores);
        std::array::from_fn(|at| interval(draws.iter().map(|scores| scores[at]).collect()))
    }

    /// The scores of each draw.
    pub(super) fn scores<const N: usize>(
        self,
        messages: usize,
        mut scores: impl FnMut(&[u32]) -> [f64; N],
    ) -> Vec<[f64; N]> {
        if messages == 0 {
            return Vec::new();
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut times = vec![0; messages];
        let draw = |_| {
            times.fill(0);
            for _ in 0..messages {
                // A multiplication instead of a remainder; no message is favoured by more than messages / 2³².
                let at = (u64::from(random.next_u32()) * messages as u64) >> 32;
                times[at as usize] += 1;
            }
            scores(&times)
        };
        (0..self.draws).map(draw).collect()
    }
}

/// From the 2.5th to the 97.5th percentile.
pub(super) fn interval(mut scores: Vec<f64>) -> Interval {
    if scores.is_empty() {
        return Interval::default();
    }
    scores.sort_by(f64::total_cmp);
    let quantile = |share: f64| {
        let place = share * (scores.len() - 1) as f64;
        let (below, above) = (scores[place.floor() as usize], scores[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    Interval { low: quantile(0.025), high: quantile(0.975) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share_of_right(right: &[bool], times: &[u32]) -> [f64; 1] {
        let drawn = right.iter().zip(times).filter(|(right, _)| **right).map(|(_, times)| f64::from(*times));
        [drawn.sum::<f64>() / right.len() as f64]
    }

    #[test]
    fn percentiles_lie_between_two_scores() {
        let scores: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        assert_eq!(interval(scores), Interval { low: 2.5, high: 97.5 });
        assert_eq!(interval(vec![0.5]), Interval { low: 0.5, high: 0.5 });
        assert_eq!(interval(Vec::new()), Interval::default());
    }

    /// For a share `p` of `n` messages the normal approximation is `p ± 1.96 · √(p (1 − p) / n)`.
    #[test]
    fn a_share_has_the_interval_of_the_textbook() {
        let right: Vec<bool> = (0..1000).map(|at| at % 4 != 0).collect();
        let [found] =
            Bootstrap { draws: 2000, seed: 3 }.intervals(1000, |times| share_of_right(&right, times));
        let wide = 1.96 * (0.75_f64 * 0.25 / 1000.0).sqrt();
        assert!(
            (found.low - (0.75 - wide)).abs() < 0.003 && (found.high - (0.75 + wide)).abs() < 0.003,
            "{found:?}"
        );
    }

    #[test]
    fn seeds_decide_and_nothing_is_empty() {
        let right = [true, false, true, true, false];
        let run = |draws, seed| Bootstrap { draws, seed }.scores(5, |times| share_of_right(&right, times));
        assert_eq!(run(20, 1), run(20, 1));
        assert_ne!(run(20, 1), run(20, 2));
        assert!(run(0, 1).is_empty());
        assert_eq!(Bootstrap::default().intervals(0, |_| [1.0]), [Interval::default()]);
    }

    proptest! {
        #[test]
        fn every_draw_has_as_many_messages_as_there_are(messages in 1usize..50, seed: u64) {
            let sums = Bootstrap { draws: 5, seed }.scores(messages, |times| [f64::from(times.iter().sum::<u32>())]);
            prop_assert!(sums.iter().all(|sum| sum[0] == messages as f64));
        }

        #[test]
        fn what_never_varies_has_no_width(messages in 1usize..50, seed: u64) {
            let right = vec![true; messages];
            let [found] = Bootstrap { draws: 20, seed }.intervals(messages, |times| share_of_right(&right, times));
            prop_assert_eq!(found, Interval { low: 1.0, high: 1.0 });
        }
    }
}
