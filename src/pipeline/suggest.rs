//! What to annotate next: the messages that would teach a model most.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use serde::Serialize;

use crate::data::{Entity, Utterance, base_intent, keep_sane};
use crate::diet::FALLBACK;
use crate::prediction::{Prediction, Scored};
use crate::text::lower_case;

/// From this likeness on, two messages say the same.
const NEAR_DUPLICATE: f32 = 0.8;

/// What a model is unsure of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsure {
    /// Two intents are almost equally likely, or one is neither likely nor unlikely.
    Intent,
    /// An entity may have other borders, another type, or be none.
    Entity,
    /// The message may be about nothing that the model knows.
    Scope,
    /// No word of the message, and no part of a word, occurs in the training data.
    Words,
}

/// A message that is worth annotating.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Suggestion<'p> {
    /// Its place among the predictions.
    pub at: usize,
    /// The model's answer to it.
    pub prediction: &'p Prediction,
    /// What the model is most unsure of.
    pub unsure: Unsure,
    /// How unsure, in `[0, 1]`.
    pub uncertainty: f32,
    /// How little it is like the suggestions before it, in `[0, 1]`.
    pub novelty: f32,
}

impl Suggestion<'_> {
    /// The model's `count` best intents; a fallback is none.
    pub fn guesses(&self, count: usize) -> impl Iterator<Item = &Scored> {
        intents(self.prediction).take(count)
    }

    /// The message with the model's guesses as its labels, for a person to correct. Entities that are no part of its text
    /// are left out.
    #[must_use]
    pub fn utterance(&self) -> Utterance {
        let text = &self.prediction.text;
        let annotate = |found: &crate::prediction::PredictedEntity| Entity {
            value: Some(found.value.clone()).filter(|value| Some(value.as_str()) != found.span.get(text)),
            role: found.role.as_ref().map(|role| role.name.clone()),
            group: found.group.as_ref().map(|group| group.name.clone()),
            ..Entity::new(&found.entity, found.span)
        };
        let mut entities: Vec<Entity> = self.prediction.entities.iter().map(annotate).collect();
        entities.retain(|entity| entity.lies_in(text));
        keep_sane(&mut entities);
        // Two extractors may have found the same.
        entities.dedup_by(|a, b| (a.span, &a.entity) == (b.span, &b.entity));
        let intent = self.guesses(1).next().map(|best| best.name.as_str());
        // Of a retrieval intent the full name, for that is what examples have.
        let keys = self.prediction.response_selector.iter().flat_map(|selection| selection.selected.values());
        let mut keys = keys.map(|selected| selected.response.intent_response_key.as_str());
        let intent = keys.find(|key| Some(base_intent(key)) == intent).or(intent);
        Utterance { entities, ..Utterance::new(text.as_str(), intent) }
    }
}

/// Picks `most` messages that a model should be taught next, from its answers to them, best first.
///
/// A message scores `uncertainty · novelty`, and the choice is greedy: the best of all, then the best beside
/// that one, and so on. So the suggestions are hard and differ from each other, where the hardest alone
/// would be the same question in twenty wordings.
///
/// **Uncertainty** is the largest of
///
/// - `1 − (p₁ − p₂)`, the margin between the two best intents ([Scheffer et al., 2001]; with many intents the better
///   measure than entropy, which depends on the unlikely ones as well, [Joshi et al., 2009]);
/// - where a message may have several intents instead `1 − |2p − 1|` of the intent whose `p` is nearest to ½;
/// - `1 − p` of the least sure entity (least confidence, [Settles, 2009], 2.1);
/// - the out-of-scope score, where there is one: what it rejects either belongs to an intent whose examples
///   do not say so yet, or makes an example of what is out of scope;
/// - 1 where the model knows no part of the message.
///
/// **Novelty** is one minus the largest likeness to a message chosen before, as in maximal marginal relevance
/// ([Carbonell and Goldstein, 1998]). Likeness is the Dice coefficient of the sets of character trigrams, without case
/// and punctuation: it needs no words, so it works in every script. From 0.8 on the message is left out.
///
/// Messages that the model is sure of in every respect, and blank ones, are never suggested. The same input gives the
/// same suggestions; of equals the earlier wins.
///
/// [Scheffer et al., 2001]: https://doi.org/10.1007/3-540-44816-0_31
/// [Joshi et al., 2009]: https://doi.org/10.1109/CVPR.2009.5206627
/// [Settles, 2009]: https://burrsettles.com/pub/settles.activelearning.pdf
/// [Carbonell and Goldstein, 1998]: https://doi.org/10.1145/290941.291025
///
/// # Example
///
/// ```
/// use talkformer::pipeline::suggest;
/// use talkformer::prediction::{Prediction, Scored};
///
/// let said = |text: &str, confidences: [f32; 2]| {
///     let scored = |(name, confidence): (&str, f32)| Scored { name: name.into(), confidence };
///     let mut answer = Prediction::default();
///     answer.text = text.into();
///     answer.intent_ranking = ["greet", "bye"].into_iter().zip(confidences).map(scored).collect();
///     answer
/// };
/// let answers = [said("hello", [0.9, 0.1]), said("so there", [0.5, 0.4]), said("so there!", [0.5, 0.5])];
/// let places: Vec<usize> = suggest(&answers, 2).iter().map(|suggestion| suggestion.at).collect();
/// assert_eq!(places, [2, 0]);
/// ```
#[must_use]
pub fn suggest(predictions: &[Prediction], most: usize) -> Vec<Suggestion<'_>> {
    let knows_intents = predictions.iter().any(|prediction| !prediction.intent_ranking.is_empty());
    let mut queue: BinaryHeap<Candidate> = predictions
        .iter()
        .enumerate()
        .filter(|(_, prediction)| !prediction.text.trim().is_empty())
        .map(|(at, prediction)| {
            let (uncertainty, unsure) = uncertainty(prediction, knows_intents);
            Candidate { at, unsure, uncertainty, likeness: 0.0, compared: 0 }
        })
        .filter(|candidate| candidate.uncertainty > 0.0)
        .collect();
    let mut chosen: Vec<Suggestion<'_>> = Vec::new();
    let mut chosen_trigrams: Vec<Vec<u64>> = Vec::new();
    // Scores only fall as more is chosen, so the first with an up-to-date score is the best of all, and most messages
    // are never compared with anything.
    while chosen.len() < most
        && let Some(mut best) = queue.pop()
    {
        let prediction = &predictions[best.at];
        let own = trigrams(&prediction.text);
        if best.compared < chosen.len() {
            let fresh = chosen_trigrams[best.compared..].iter().map(|other| dice(&own, other));
            best.likeness = fresh.fold(best.likeness, f32::max);
            best.compared = chosen.len();
            if best.likeness < NEAR_DUPLICATE {
                queue.push(best);
            }
            continue;
        }
        let Candidate { at, unsure, uncertainty, likeness, .. } = best;
        chosen.push(Suggestion { at, prediction, unsure, uncertainty, novelty: 1.0 - likeness });
        chosen_trigrams.push(own);
    }
    chosen
}

/// A message that may be chosen, with its likeness to the first few that were.
#[derive(Debug)]
struct Candidate {
    at: usize,
    unsure: Unsure,
    uncertainty: f32,
    likeness: f32,
    compared: usize,
}

impl Candidate {
    fn score(&self) -> f32 {
        self.uncertainty * (1.0 - self.likeness)
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score().total_cmp(&other.score()).then(other.at.cmp(&self.at))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

/// The intents of the ranking, best first.
fn intents(prediction: &Prediction) -> impl Iterator<Item = &Scored> {
    prediction.intent_ranking.iter().filter(|scored| scored.name != FALLBACK)
}

/// How unsure the model is, and of what.
fn uncertainty(prediction: &Prediction, knows_intents: bool) -> (f32, Unsure) {
    let mut best = intents(prediction).map(|scored| scored.confidence);
    let nearest =
        || intents(prediction).map(|one| 1.0 - (2.0 * one.confidence - 1.0).abs()).fold(0.0, f32::max);
    let intent = match (best.next(), best.next()) {
        (Some(_), _) if !prediction.intents.is_empty() => (nearest(), Unsure::Intent),
        (Some(first), second) => (1.0 - (first - second.unwrap_or(0.0)), Unsure::Intent),
        (None, _) => (f32::from(u8::from(knows_intents)), Unsure::Words),
    };
    let sure = prediction.entities.iter().filter_map(|entity| entity.confidence).fold(1.0, f32::min);
    let scope = prediction.out_of_scope.unwrap_or(0.0);
    let others = [(1.0 - sure, Unsure::Entity), (scope, Unsure::Scope)];
    let (value, unsure) =
        others.into_iter().fold(intent, |most, next| if next.0 > most.0 { next } else { most });
    (value.clamp(0.0, 1.0), unsure)
}

/// The different character trigrams of a text, sorted; a character takes 21 bits.
fn trigrams(text: &str) -> Vec<u64> {
    let letters = lower_case(text).replace(|c: char| c.is_ascii_punctuation(), " ");
    let words: Vec<&str> = letters.split_whitespace().collect();
    let padded: Vec<u64> = format!(" {} ", words.join(" ")).chars().map(u64::from).collect();
    let mut found: Vec<u64> =
        padded.windows(3).map(|three| three[0] << 42 | three[1] << 21 | three[2]).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The Dice coefficient of sorted sets: twice the common elements over the elements of each; two empty ones are alike.
fn dice(a: &[u64], b: &[u64]) -> f32 {
    if a.is_empty() && b.is_empty() {
        return 1.0;
    }
    let (mut i, mut j, mut both) = (0, 0, 0_u32);
    while i < a.len() && j < b.len() {
        match a[i].cmp(&b[j]) {
            Ordering::Less => i += 1,
            Ordering::Greater => j += 1,
            Ordering::Equal => (i, j, both) = (i + 1, j + 1, both + 1),
        }
    }
    2.0 * both as f32 / (a.len() + b.len()) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prediction::PredictedEntity;
    use crate::text::Span;

    fn said(text: &str, confidences: &[f32]) -> Prediction {
        let scored =
            |(at, confidence): (usize, &f32)| Scored { name: format!("i{at}"), confidence: *confidence };
        let intent_ranking: Vec<Scored> = confidences.iter().enumerate().map(scored).collect();
        Prediction {
            text: text.into(),
            intent: intent_ranking.first().cloned(),
            intent_ranking,
            ..Default::default()
        }
    }

    fn with_entity(mut prediction: Prediction, span: Span, confidence: Option<f32>) -> Prediction {
        let value = span.of(&prediction.text).to_uppercase();
        prediction.entities.push(PredictedEntity {
            entity: "city".into(),
            span,
            value,
            confidence,
            role: Some(Scored { name: "to".into(), confidence: 1.0 }),
            group: None,
            extractor: "DIETClassifier".into(),
            processors: vec![],
        });
        prediction
    }

    fn places(predictions: &[Prediction], most: usize) -> Vec<usize> {
        suggest(predictions, most).iter().map(|suggestion| suggestion.at).collect()
    }

    #[test]
    fn what_the_model_is_unsure_of_is_named() {
        let sure = || said("to Rome", &[0.99, 0.01]);
        let out = Prediction { out_of_scope: Some(0.9), ..sure() };
        for (prediction, unsure, uncertainty) in [
            (said("a", &[0.5, 0.3]), Unsure::Intent, 0.8),
            (said("a", &[0.4]), Unsure::Intent, 0.6),
            (said("a", &[]), Unsure::Words, 1.0),
            (with_entity(sure(), Span::new(3, 7), Some(0.6)), Unsure::Entity, 0.4),
            (with_entity(sure(), Span::new(3, 7), None), Unsure::Intent, 0.02),
            (out, Unsure::Scope, 0.9),
        ] {
            let found = super::uncertainty(&prediction, true);
            assert!(found.1 == unsure && (found.0 - uncertainty).abs() < 1e-6, "{prediction:?}: {found:?}");
        }
    }

    #[test]
    fn two_sure_intents_are_not_close_where_a_message_may_have_several() {
        let mut prediction = said("a", &[0.99, 0.98, 0.1]);
        prediction.intents = prediction.intent_ranking[..2].to_vec();
        assert!((super::uncertainty(&prediction, true).0 - 0.2).abs() < 1e-6);
    }

    #[test]
    fn a_fallback_is_no_guess() {
        let mut prediction = said("a", &[0.2, 0.1]);
        prediction.intent_ranking.insert(0, Scored { name: FALLBACK.into(), confidence: 0.3 });
        let answers = [prediction];
        let found = &suggest(&answers, 1)[0];
        assert!((found.uncertainty - 0.9).abs() < 1e-6);
        assert_eq!(found.guesses(2).map(|guess| guess.name.as_str()).collect::<Vec<_>>(), ["i0", "i1"]);
        assert_eq!(found.utterance().intent.as_deref(), Some("i0"));
    }

    #[test]
    fn a_model_without_intents_is_not_unsure_of_them() {
        let answers = [said("a b", &[]), with_entity(said("to Rome", &[]), Span::new(3, 7), Some(0.9))];
        assert_eq!(places(&answers, 5), [1]);
    }

    #[test]
    fn rewordings_of_the_hardest_come_after_what_is_new() {
        let answers = [
            said("", &[]),
            said("where is my parcel now", &[0.5, 0.45]),
            said("Where is my parcel, now?", &[0.5, 0.44]),
            said("where is my parcel today", &[0.5, 0.43]),
            said("do you sell stamps", &[0.6, 0.3]),
            said("good morning", &[1.0, 0.0]),
        ];
        assert_eq!(places(&answers, 9), [1, 4, 3]);
        assert_eq!(places(&answers, 1), [1]);
        assert!(places(&answers, 0).is_empty() && suggest(&[], 3).is_empty());
    }

    #[test]
    fn guesses_become_an_example_to_correct() {
        let place = Span::new(3, 7);
        let found = with_entity(said("to Rome", &[0.6, 0.3]), place, Some(0.4));
        let answers = [with_entity(found, place, None)]; // a pattern found it as well
        let example = suggest(&answers, 1)[0].utterance();
        let mut elsewhere = answers.clone();
        elsewhere[0].entities.iter_mut().for_each(|entity| entity.span = Span::new(3, 70));
        assert!(suggest(&elsewhere, 1)[0].utterance().entities.is_empty());
        let city =
            Entity { value: Some("ROME".into()), role: Some("to".into()), ..Entity::new("city", place) };
        assert_eq!((example.intent.as_deref(), example.entities), (Some("i0"), vec![city]));
    }

    #[test]
    fn likeness_ignores_case_and_punctuation_and_needs_no_blanks() {
        let alike = |a: &str, b: &str| dice(&trigrams(a), &trigrams(b));
        assert_eq!(alike("Hello, World", "hello world!"), 1.0);
        assert_eq!(alike("hello", "quit"), 0.0);
        assert_eq!(alike("…", "…"), 1.0);
        assert_eq!(alike("!", "?"), 1.0);
        assert_eq!(alike("👍", "👎"), 0.0);
        let close = alike("我想去北京", "我想去南京");
        assert!((0.3..0.7).contains(&close), "{close}");
    }

    proptest! {
        /// The queue is a shortcut for comparing everything with everything.
        #[test]
        fn the_choice_is_the_greedy_one(
            pool in prop::collection::vec(("[ab ]{1,6}", 0.0_f32..1.0), 0..20), most in 0_usize..12,
        ) {
            let answers: Vec<Prediction> = pool.iter().map(|(text, margin)| said(text, &[*margin])).collect();
            let mut expected: Vec<usize> = Vec::new();
            while expected.len() < most {
                let likeness = |at: usize| {
                    let others = expected.iter().map(|other| dice(&trigrams(&pool[at].0), &trigrams(&pool[*other].0)));
                    others.fold(0.0, f32::max)
                };
                let open = (0..pool.len()).filter(|at| {
                    !expected.contains(at) && !pool[*at].0.trim().is_empty() && likeness(*at) < NEAR_DUPLICATE
                });
                let score = |at: usize| (1.0 - pool[at].1) * (1.0 - likeness(at));
                let Some(best) = open.max_by(|a, b| score(*a).total_cmp(&score(*b)).then(b.cmp(a))) else { break };
                expected.push(best);
            }
            prop_assert_eq!(places(&answers, most), expected);
        }
    }
}
