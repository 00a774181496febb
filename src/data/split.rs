//! Two parts of a collection, each with the intents in the same proportions.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Utterance;

/// How large the second part of a split shall be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HoldOut {
    /// A share of all examples, cut to `0..=1`; not-a-number counts as 0.
    Share(f64),
    /// This many examples.
    Count(usize),
}

impl HoldOut {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn of(self, total: usize) -> usize {
        match self {
            Self::Share(share) => (total as f64 * share.clamp(0.0, 1.0)).round() as usize,
            Self::Count(count) => count.min(total),
        }
    }
}

/// Splits utterances at random in two parts, keeping the proportions of the intents.
///
/// The second part gets the wanted size as nearly as it can: each intent gives its share, rounded so that
/// the total fits (largest remainders first), but always keeps one example in the first part. So an
/// intent with a single example stays there, and the second part may turn out smaller than wanted.
/// Utterances without an intent form a class of their own. Both parts keep the order of the input.
///
/// The same input and seed give the same parts.
///
/// # Example
///
/// ```
/// use talkformer::data::{HoldOut, Utterance, stratified_split};
///
/// let all: Vec<_> = (0..10).map(|i| Utterance::new(i.to_string(), Some(["a", "b"][i % 2]))).collect();
/// let (train, test) = stratified_split(&all, HoldOut::Share(0.2), 7);
/// assert_eq!((train.len(), test.len()), (8, 2));
/// assert_ne!(test[0].intent, test[1].intent);
/// ```
#[must_use]
pub fn stratified_split<U: Borrow<Utterance>>(
    utterances: &[U],
    second: HoldOut,
    seed: u64,
) -> (Vec<&Utterance>, Vec<&Utterance>) {
    let utterances: Vec<&Utterance> = utterances.iter().map(Borrow::borrow).collect();
    let mut classes: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for (index, utterance) in utterances.iter().enumerate() {
        classes.entry(utterance.intent.as_deref()).or_default().push(index);
    }
    let sizes: Vec<usize> = classes.values().map(Vec::len).collect();
    let mut held_out = vec![false; utterances.len()];
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for (mut members, quota) in classes.into_values().zip(quotas(&sizes, second.of(utterances.len()))) {
        members.shuffle(&mut random);
        for &index in &members[..quota] {
            held_out[index] = true;
        }
    }
    let part = |wanted: bool| {
        utterances.iter().zip(&held_out).filter(|&(_, &out)| out == wanted).map(|(one, _)| *one).collect()
    };
    (part(false), part(true))
}

/// How many of `wanted` each class gives, one less than its size at most.
fn quotas(sizes: &[usize], wanted: usize) -> Vec<usize> {
    let total = sizes.iter().sum::<usize>().max(1);
    let capacity = |class: usize| sizes[class].saturating_sub(1);
    let mut quotas: Vec<usize> =
        sizes.iter().enumerate().map(|(class, size)| (size * wanted / total).min(capacity(class))).collect();
    let mut missing = wanted.saturating_sub(quotas.iter().sum());
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(sizes[class] * wanted % total));
    while missing > 0 && (0..sizes.len()).any(|class| quotas[class] < capacity(class)) {
        for &class in &by_remainder {
            if missing > 0 && quotas[class] < capacity(class) {
                quotas[class] += 1;
                missing -= 1;
            }
        }
    }
    quotas
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utterances(sizes: &[usize]) -> Vec<Utterance> {
        let class = |(class, &size): (usize, &usize)| {
            (0..size).map(move |i| Utterance::new(format!("{class}/{i}"), Some(&format!("intent {class}"))))
        };
        sizes.iter().enumerate().flat_map(class).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_parts_and_another_does_not() {
        let all = utterances(&[30, 30]);
        let once = stratified_split(&all, HoldOut::Share(0.5), 1);
        assert_eq!(once, stratified_split(&all, HoldOut::Share(0.5), 1));
        assert_ne!(once, stratified_split(&all, HoldOut::Share(0.5), 2));
    }

    #[test]
    fn a_single_example_stays_in_the_first_part() {
        let all = utterances(&[1, 1, 4]);
        let (first, second) = stratified_split(&all, HoldOut::Count(6), 3);
        assert_eq!((first.len(), second.len()), (3, 3));
        assert!(second.iter().all(|one| one.intent.as_deref() == Some("intent 2")));
        assert!(stratified_split::<Utterance>(&[], HoldOut::Share(0.3), 0).0.is_empty());
        assert!(stratified_split(&all, HoldOut::Share(f64::NAN), 0).1.is_empty());
    }

    #[test]
    fn what_is_missing_goes_to_the_largest_remainders() {
        assert_eq!(quotas(&[12, 14, 14], 10), [3, 4, 3]); // fair would be 3, 3.5 and 3.5
        assert_eq!(quotas(&[10, 13, 17], 10), [3, 3, 4]); // 2.5, 3.25, 4.25
        assert_eq!(quotas(&[11, 19, 10], 10), [3, 5, 2]); // 2.75, 4.75, 2.5
    }

    proptest! {
        #[test]
        fn parts_are_complete_proportional_and_in_order(
            sizes in prop::collection::vec(1usize..20, 1..8), share in 0.0f64..1.0, seed: u64,
        ) {
            let all = utterances(&sizes);
            let (first, second) = stratified_split(&all, HoldOut::Share(share), seed);
            prop_assert_eq!(first.len() + second.len(), all.len());
            let place = |one: &&Utterance| all.iter().position(|other| other == *one).unwrap();
            prop_assert!(first.iter().map(place).is_sorted() && second.iter().map(place).is_sorted());
            let held = |class: usize| {
                let name = format!("intent {class}");
                second.iter().filter(|one| one.intent.as_deref() == Some(&name)).count()
            };
            prop_assert!((0..sizes.len()).all(|class| held(class) < sizes[class]));
            let any_drained = (0..sizes.len()).any(|class| held(class) + 1 == sizes[class]);
            for (class, &size) in sizes.iter().enumerate() {
                let (held, fair) = (held(class) * all.len(), size * second.len()); // both times the total
                prop_assert!(any_drained || held.abs_diff(fair) <= all.len());
            }
        }
    }
}
