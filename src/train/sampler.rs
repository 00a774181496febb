//! The order of the examples, and how they are divided into batches.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// How an epoch is ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BatchStrategy {
    /// Every batch has about the share of each class that the data has, at least one example; rare classes
    /// are repeated within an epoch, so that it is somewhat longer than the data.
    #[default]
    Balanced,
    /// In random order, each example once.
    Sequence,
}

/// Cuts each epoch into batches. The same seed gives the same batches.
#[derive(Clone, Debug)]
pub struct Sampler {
    classes: Vec<Option<u32>>,
    strategy: BatchStrategy,
    batch_size: (usize, usize),
    random: ChaCha8Rng,
}

impl Sampler {
    /// A sampler of examples with these classes; batches grow from the first size to the second.
    #[must_use]
    pub fn new(
        classes: Vec<Option<u32>>,
        strategy: BatchStrategy,
        batch_size: (usize, usize),
        seed: u64,
    ) -> Self {
        let balanced = strategy == BatchStrategy::Balanced && classes.iter().all(Option::is_some);
        let strategy = if balanced { BatchStrategy::Balanced } else { BatchStrategy::Sequence };
        Self { classes, strategy, batch_size, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Batch size in epoch `epoch` (from zero) of `epochs`: the sizes lie on a straight line.
    #[must_use]
    pub fn size(&self, epoch: usize, epochs: usize) -> usize {
        let (first, last) = (self.batch_size.0 as f64, self.batch_size.1 as f64);
        let place = if epochs > 1 { epoch as f64 / (epochs - 1) as f64 } else { 0.0 };
        ((first + place * (last - first)) as usize).max(1)
    }

    /// The batches of one epoch.
    pub fn batches(&mut self, epoch: usize, epochs: usize) -> Vec<Vec<usize>> {
        let size = self.size(epoch, epochs);
        let mut order: Vec<usize> = (0..self.classes.len()).collect();
        order.shuffle(&mut self.random);
        if self.strategy == BatchStrategy::Balanced {
            order = self.balance(&order, size);
        }
        order.chunks(size).map(<[usize]>::to_vec).collect()
    }

    /// Takes from each class in turn its share of a batch, until each has been through once. A class that has
    /// been through sits out every other round.
    fn balance(&mut self, order: &[usize], size: usize) -> Vec<usize> {
        struct Class {
            examples: Vec<usize>,
            next: usize,
            finished: bool,
            skipped: bool,
        }
        let count = self.classes.iter().flatten().max().map_or(0, |last| *last as usize + 1);
        let mut groups = vec![Vec::new(); count];
        for example in order {
            if let Some(class) = self.classes[*example] {
                groups[class as usize].push(*example);
            }
        }
        groups.retain(|examples| !examples.is_empty());
        let new = |examples| Class { examples, next: 0, finished: false, skipped: false };
        let mut classes: Vec<Class> = groups.into_iter().map(new).collect();
        let mut open = classes.len();
        let mut turn: Vec<usize> = (0..classes.len()).collect();
        let mut out = Vec::with_capacity(order.len());
        while open > 0 {
            turn.shuffle(&mut self.random);
            for at in &turn {
                let class = &mut classes[*at];
                if class.finished && !class.skipped {
                    class.skipped = true;
                    continue;
                }
                class.skipped = false;
                let share = class.examples.len() * size / order.len() + 1;
                let end = (class.next + share).min(class.examples.len());
                out.extend_from_slice(&class.examples[class.next..end]);
                class.next = end;
                if end == class.examples.len() {
                    class.next = 0;
                    open -= usize::from(!class.finished);
                    class.finished = true;
                    if open == 0 {
                        break;
                    }
                }
            }
        }
        out
    }

    /// A fresh seed, for the draws of one step.
    pub fn next_seed(&mut self) -> u64 {
        self.random.next_u64()
    }
}

/// Divides a batch among workers so that their rows are about even: longest first, each to the worker with
/// the fewest rows. Workers that would get nothing are left out.
pub(super) fn shares(batch: &[usize], workers: usize, rows: impl Fn(usize) -> usize) -> Vec<Vec<usize>> {
    let mut longest_first = batch.to_vec();
    longest_first.sort_by_key(|example| std::cmp::Reverse(rows(*example)));
    let mut shares = vec![(0, Vec::new()); workers.clamp(1, batch.len().max(1))];
    for example in longest_first {
        if let Some(share) = shares.iter_mut().min_by_key(|share| share.0) {
            share.0 += rows(example);
            share.1.push(example);
        }
    }
    shares.into_iter().map(|(_, share)| share).filter(|share| !share.is_empty()).collect()
}

/// Cuts a share into pieces of no more than `most` rows, or of one example.
pub(super) fn pieces(share: &[usize], most: usize, rows: impl Fn(usize) -> usize) -> Vec<&[usize]> {
    let (mut pieces, mut start, mut sum) = (Vec::new(), 0, 0);
    for (at, example) in share.iter().enumerate() {
        if at > start && sum + rows(*example) > most {
            pieces.push(&share[start..at]);
            (start, sum) = (at, 0);
        }
        sum += rows(*example);
    }
    pieces.push(&share[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(counts: &[usize], strategy: BatchStrategy, size: (usize, usize)) -> Sampler {
        let classes = counts.iter().zip(0..).flat_map(|(count, class)| vec![Some(class); *count]);
        Sampler::new(classes.collect(), strategy, size, 7)
    }

    #[test]
    fn batch_sizes_grow_in_a_straight_line() {
        let sampler = sampler(&[10], BatchStrategy::Sequence, (64, 256));
        let sizes: Vec<usize> = (0..4).map(|epoch| sampler.size(epoch, 100)).collect();
        assert_eq!(sizes, [64, 65, 67, 69]);
        assert_eq!((sampler.size(99, 100), sampler.size(0, 1)), (256, 64));
    }

    #[test]
    fn a_plain_epoch_sees_each_example_once() {
        let mut sampler = sampler(&[5, 8], BatchStrategy::Sequence, (4, 4));
        let mut seen = sampler.batches(0, 2).concat();
        let again = sampler.batches(1, 2).concat();
        assert_ne!(seen, again);
        seen.sort_unstable();
        assert_eq!(seen, (0..13).collect::<Vec<_>>());
    }

    #[test]
    fn a_balanced_epoch_sees_all_and_repeats_rare_classes() {
        let mut sampler = sampler(&[100, 3, 40], BatchStrategy::Balanced, (16, 16));
        let batches = sampler.batches(0, 1);
        let count =
            |from: usize, to: usize| batches.concat().iter().filter(|at| (from..to).contains(*at)).count();
        assert_eq!(count(0, 100), 100);
        assert!(count(100, 103) > 3 && count(103, 143) >= 40);
        for batch in &batches[..batches.len() - 1] {
            assert!(batch.len() == 16 && batch.iter().any(|example| *example < 100));
        }
    }

    #[test]
    fn without_classes_the_order_is_plain() {
        let mut sampler = Sampler::new(vec![Some(0), None, Some(1)], BatchStrategy::Balanced, (2, 2), 1);
        assert_eq!(sampler.batches(0, 1).concat().len(), 3);
    }

    #[test]
    fn pieces_hold_no_more_rows_than_they_may() {
        let rows = [9, 1, 1, 5, 5];
        assert_eq!(pieces(&[0, 1, 2, 3, 4], 6, |example| rows[example]), [&[0][..], &[1, 2], &[3], &[4]]);
        assert_eq!(pieces(&[0, 1], 100, |example| rows[example]), [&[0, 1]]);
    }

    #[test]
    fn shares_are_even_and_complete() {
        let rows = [9, 1, 1, 1, 5, 1];
        let shares = shares(&[0, 1, 2, 3, 4, 5], 2, |example| rows[example]);
        assert_eq!(shares, [vec![0], vec![4, 1, 2, 3, 5]]);
        assert_eq!(super::shares(&[3], 4, |_| 1), [vec![3]]);
    }
}
