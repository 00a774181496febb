//! Parts of a collection that take turns in being tested, each with the intents in the same proportions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::Utterance;
use crate::text::fold;

/// Deals utterances at random to `folds` parts, keeping the proportions of the intents; the part of each
/// utterance, counted from 0, in the order of the input.
///
/// Utterances with the same text in whatever spelling ([`fold`]), whatever their intent, go to the same part: nobody shall
/// be tested on a text that he has learnt. Among texts that occur once the parts of an intent differ by one utterance at
/// most, and so do the parts as a whole. Utterances without an intent form a class of their own. An intent with fewer
/// texts than parts is missing in some parts; nothing is left out. Fewer than one part counts as one.
///
/// The same input and seed give the same parts.
///
/// # Example
///
/// ```
/// use talkformer::data::{Utterance, stratified_folds};
///
/// let all: Vec<_> = (0..10).map(|i| Utterance::new(i.to_string(), Some(["a", "b"][i % 2]))).collect();
/// let folds = stratified_folds(&all, 5, 7);
/// let of_a: Vec<usize> = folds.iter().copied().step_by(2).collect();
/// assert_eq!((0..5).map(|fold| of_a.iter().filter(|&&of| of == fold).count()).max(), Some(1));
/// ```
#[must_use]
pub fn stratified_folds(utterances: &[Utterance], folds: usize, seed: u64) -> Vec<usize> {
    let folds = folds.max(1);
    let keys: Vec<String> = utterances.iter().map(|utterance| fold(&utterance.text)).collect();
    let mut texts: HashMap<&str, Vec<usize>> = HashMap::with_capacity(utterances.len());
    for (at, key) in keys.iter().enumerate() {
        texts.entry(key).or_default().push(at);
    }
    // A text belongs to the class of its first utterance; walking over those keeps the order of the input.
    let mut classes: BTreeMap<Option<&str>, Vec<&[usize]>> = BTreeMap::new();
    for (at, utterance) in utterances.iter().enumerate() {
        let same = &texts[keys[at].as_str()];
        if same[0] == at {
            classes.entry(utterance.intent.as_deref()).or_default().push(same);
        }
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut part = vec![0; utterances.len()];
    let mut sizes = vec![0; folds];
    for (_, mut members) in classes {
        members.shuffle(&mut random);
        let mut of_class = vec![0; folds];
        for same in members {
            let emptiest = (0..folds).min_by_key(|&fold| (of_class[fold], sizes[fold])).unwrap_or(0);
            of_class[emptiest] += same.len();
            sizes[emptiest] += same.len();
            same.iter().for_each(|&at| part[at] = emptiest);
        }
    }
    part
}

/// The different texts of each intent; `intents` says which ones a label stands for.
pub(crate) fn texts_by_intent(
    utterances: &[Utterance],
    intents: impl Fn(&str) -> Vec<&str>,
) -> BTreeMap<&str, BTreeSet<String>> {
    let mut texts: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (utterance, label) in utterances.iter().filter_map(|one| Some((one, one.intent.as_deref()?))) {
        for intent in intents(label) {
            texts.entry(intent).or_default().insert(fold(&utterance.text));
        }
    }
    texts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utterances(sizes: &[usize]) -> Vec<Utterance> {
        let class = |(class, &size): (usize, &usize)| {
            let intent = (class > 0).then(|| format!("intent {class}"));
            (0..size).map(move |i| Utterance::new(format!("{class}/{i}"), intent.as_deref()))
        };
        sizes.iter().enumerate().flat_map(class).collect()
    }

    #[test]
    fn the_same_text_is_never_on_both_sides() {
        let texts = ["a", "b", " a", "c", "A ", "d", "B", "e"];
        let intents = ["x", "x", "y", "y", "x", "y", "x", "y"];
        let all: Vec<_> =
            texts.iter().zip(intents).map(|(text, intent)| Utterance::new(*text, Some(intent))).collect();
        for seed in 0..20 {
            let folds = stratified_folds(&all, 3, seed);
            assert_eq!((folds[0], folds[0], folds[1]), (folds[2], folds[4], folds[6]));
        }
    }

    #[test]
    fn another_seed_deals_differently() {
        let all = utterances(&[20, 20]);
        assert_eq!(stratified_folds(&all, 4, 1), stratified_folds(&all, 4, 1));
        assert_ne!(stratified_folds(&all, 4, 1), stratified_folds(&all, 4, 2));
        assert_eq!(stratified_folds(&all, 0, 1), [0; 40]);
        assert!(stratified_folds(&[], 4, 1).is_empty());
    }

    proptest! {
        #[test]
        fn parts_are_even_as_a_whole_and_by_intent(
            sizes in prop::collection::vec(0usize..20, 1..8), folds in 1usize..7, seed: u64,
        ) {
            let all = utterances(&sizes);
            let parts = stratified_folds(&all, folds, seed);
            prop_assert_eq!(parts.len(), all.len());
            let is_even = |members: &[usize]| {
                let count = |fold| members.iter().filter(|&&part| part == fold).count();
                let counts: Vec<usize> = (0..folds).map(count).collect();
                counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
                    && counts.iter().sum::<usize>() == members.len()
            };
            prop_assert!(is_even(&parts));
            let mut rest = &parts[..];
            for &size in &sizes {
                let (class, after) = rest.split_at(size);
                prop_assert!(is_even(class));
                rest = after;
            }
        }
    }
}
