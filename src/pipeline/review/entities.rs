//! Annotations that are probably wrong or missing.

use std::collections::{BTreeMap, HashMap};

use crate::data::{Entity, Utterance};
use crate::prediction::{PredictedEntity, Prediction};
use crate::text::{Span, fold};

/// A type that models find less often than this in messages they have not learnt is not missed anywhere.
const FOUND_OFTEN_ENOUGH: f32 = 0.5;

/// A place where the annotation is probably wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct EntityDoubt<'d> {
    /// The example.
    pub utterance: &'d Utterance,
    /// The bytes of its text that are in question.
    pub span: Span,
    /// What seems to be wrong.
    pub problem: EntityProblem<'d>,
    /// How sure, in `[0, 1]`: the model's confidence in what it found; where it found nothing, the share of the
    /// annotations of this type that are found.
    pub confidence: f32,
}

/// What seems to be wrong with an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntityProblem<'d> {
    /// Annotated, and nothing was found there although its type usually is.
    NotFound {
        /// The type.
        annotated: &'d str,
    },
    /// Found with another type.
    OtherType {
        /// The type it has.
        annotated: &'d str,
        /// The type it should probably have.
        found: &'d str,
    },
    /// Found, not annotated, and the same words are annotated elsewhere.
    NotAnnotated {
        /// The type.
        found: &'d str,
        /// How often the same words are annotated with this type.
        elsewhere: usize,
    },
}

/// How well a type is found: sums over its annotations.
#[derive(Clone, Copy, Default)]
struct TypeSums {
    annotated: f32,
    found: f32,
    confidence: f32,
}

impl TypeSums {
    /// Share of the annotations that are found.
    fn recall(self) -> f32 {
        self.found / self.annotated.max(1.0)
    }

    /// Mean confidence in those: the threshold of confident learning, as for intents.
    fn threshold(self) -> f32 {
        if self.found > 0.0 { self.confidence / self.found } else { f32::INFINITY }
    }
}

/// Doubts about annotations, surest first.
///
/// A found entity is believed where its confidence reaches the mean of those that agree with an annotation of
/// the same type. Two agree if type and at least one byte are the same: borders are left alone.
pub(super) fn doubts<'d>(utterances: &'d [Utterance], predictions: &'d [Prediction]) -> Vec<EntityDoubt<'d>> {
    let mut types: BTreeMap<&str, TypeSums> = BTreeMap::new();
    let mut words: HashMap<(&str, String), usize> = HashMap::new();
    for (utterance, prediction) in utterances.iter().zip(predictions) {
        for entity in &utterance.entities {
            let surface = fold(entity.span.get(&utterance.text).unwrap_or_default());
            *words.entry((&entity.entity, surface)).or_default() += 1;
            let sums = types.entry(&entity.entity).or_default();
            sums.annotated += 1.0;
            let same = learnt(prediction).filter(|(found, _)| found.entity == entity.entity);
            let over = same.filter(|(found, _)| found.span.overlaps(entity.span));
            if let Some(confidence) = over.map(|(_, confidence)| confidence).max_by(f32::total_cmp) {
                (sums.found, sums.confidence) = (sums.found + 1.0, sums.confidence + confidence);
            }
        }
    }
    let of_type = |name: &str| types.get(name).copied().unwrap_or_default();
    let mut doubts = Vec::new();
    for (utterance, prediction) in utterances.iter().zip(predictions) {
        let mut doubt = |span, problem, confidence| {
            doubts.push(EntityDoubt { utterance, span, problem, confidence });
        };
        for entity in &utterance.entities {
            let annotated = entity.entity.as_str();
            match seen_at(entity, &utterance.entities, prediction) {
                Seen::Nothing if of_type(annotated).recall() >= FOUND_OFTEN_ENOUGH => {
                    doubt(entity.span, EntityProblem::NotFound { annotated }, of_type(annotated).recall());
                }
                Seen::OtherType(found, confidence) if confidence >= of_type(found).threshold() => {
                    doubt(entity.span, EntityProblem::OtherType { annotated, found }, confidence);
                }
                _ => {}
            }
        }
        for (found, confidence) in learnt(prediction) {
            let taken = utterance.entities.iter().any(|entity| entity.span.overlaps(found.span));
            let name = found.entity.as_str();
            if taken || confidence < of_type(name).threshold() {
                continue;
            }
            if let Some(elsewhere) =
                words.get(&(name, fold(found.span.get(&utterance.text).unwrap_or_default())))
            {
                let problem = EntityProblem::NotAnnotated { found: name, elsewhere: *elsewhere };
                doubt(found.span, problem, confidence);
            }
        }
    }
    doubts.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
    doubts
}

/// What a model sees where something is annotated.
enum Seen<'d> {
    /// Nothing at all.
    Nothing,
    /// What is annotated there.
    TheSame,
    /// Something else, and how sure it is.
    OtherType(&'d str, f32),
}

fn seen_at<'d>(entity: &Entity, all: &[Entity], prediction: &'d Prediction) -> Seen<'d> {
    // The same words may have several types; each is as good as the other.
    let is_annotated = |found: &PredictedEntity| {
        all.iter().any(|own| own.span.overlaps(found.span) && own.entity == found.entity)
    };
    // What a pattern finds has no confidence that could speak against the annotation, but it can agree with it.
    if prediction.entities.iter().any(|found| found.span.overlaps(entity.span) && is_annotated(found)) {
        return Seen::TheSame;
    }
    let over = learnt(prediction).filter(|(found, _)| found.span.overlaps(entity.span));
    match over.max_by(|a, b| a.1.total_cmp(&b.1)) {
        None => Seen::Nothing,
        Some((found, confidence)) => Seen::OtherType(&found.entity, confidence),
    }
}

/// Entities that were found by a trained model, not by patterns.
fn learnt(prediction: &Prediction) -> impl Iterator<Item = (&PredictedEntity, f32)> {
    prediction.entities.iter().filter_map(|entity| Some((entity, entity.confidence?)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::example;
    use super::*;

    /// A message whose annotated and found entities are words of it.
    fn message(
        text: &str,
        annotated: &[(&str, &str)],
        found: &[(&str, &str, f32)],
    ) -> (Utterance, Prediction) {
        let (mut utterance, mut prediction) = example(text, "x", 1, &[]);
        let span = |words: &str| {
            let start = text.find(words).unwrap();
            Span::new(start, start + words.len())
        };
        utterance.entities = annotated.iter().map(|(words, name)| Entity::new(*name, span(words))).collect();
        let predicted = |(words, name, confidence): &(&str, &str, f32)| PredictedEntity {
            entity: (*name).into(),
            span: span(words),
            value: (*words).into(),
            confidence: Some(*confidence),
            role: None,
            group: None,
            extractor: "DIETClassifier".into(),
            processors: vec![],
        };
        prediction.entities = found.iter().map(predicted).collect();
        (utterance, prediction)
    }

    #[test]
    fn each_kind_of_slip_is_found_and_agreement_is_not() {
        let (utterances, predictions): (Vec<_>, Vec<_>) = [
            message("to Rome", &[("Rome", "city")], &[("Rome", "city", 0.8)]),
            message("to New York", &[("New York", "city")], &[("York", "city", 0.6)]), // borders differ: fine
            message("to Bonn", &[("Bonn", "city")], &[]),                              // not found
            message("off to rome", &[], &[("rome", "city", 0.9)]),                     // not annotated
            message("off to Paris", &[], &[("Paris", "city", 0.9)]),                   // known nowhere
            message("back to Rome", &[], &[("Rome", "city", 0.5)]),                    // too unsure
            message("at seven", &[("seven", "city")], &[("seven", "time", 0.9)]),      // other type
            message("at nine", &[("nine", "time")], &[("nine", "time", 0.7)]),
        ]
        .into_iter()
        .unzip();
        let found = doubts(&utterances, &predictions);
        let found: Vec<_> =
            found.iter().map(|doubt| (doubt.span.of(&doubt.utterance.text), doubt.problem)).collect();
        // `city` is found in two of four places, with 0.7 on average.
        assert_eq!(
            found,
            [
                ("rome", EntityProblem::NotAnnotated { found: "city", elsewhere: 1 }),
                ("seven", EntityProblem::OtherType { annotated: "city", found: "time" }),
                ("Bonn", EntityProblem::NotFound { annotated: "city" }),
            ]
        );
    }

    #[test]
    fn what_a_pattern_finds_is_not_missing() {
        let (mut utterances, mut predictions): (Vec<_>, Vec<_>) = [
            message("to Rome", &[("Rome", "city")], &[("Rome", "city", 0.8)]),
            message("to Bonn", &[("Bonn", "city")], &[]),
        ]
        .into_iter()
        .unzip();
        assert_eq!(doubts(&utterances, &predictions).len(), 1);
        let pattern = message("to Bonn", &[], &[("Bonn", "city", 1.0)]).1.entities.remove(0);
        predictions[1].entities.push(PredictedEntity { confidence: None, ..pattern });
        assert!(doubts(&utterances, &predictions).is_empty());
        utterances[1].entities[0].entity = "name".to_owned();
        assert!(doubts(&utterances, &predictions).is_empty(), "a pattern alone raises no doubt");
    }

    #[test]
    fn a_type_that_is_hardly_ever_found_is_missed_nowhere() {
        let (utterances, predictions): (Vec<_>, Vec<_>) = [
            message("to Rome", &[("Rome", "city")], &[("Rome", "city", 0.8)]),
            message("to Bonn", &[("Bonn", "city")], &[]),
            message("to Bern", &[("Bern", "city")], &[]),
        ]
        .into_iter()
        .unzip();
        assert!(doubts(&utterances, &predictions).is_empty());
    }

    #[test]
    fn one_of_two_types_over_the_same_words_is_enough() {
        let (utterances, predictions): (Vec<_>, Vec<_>) = [
            message("to Rome", &[("Rome", "city"), ("Rome", "goal")], &[("Rome", "city", 0.8)]),
            message("in Bonn", &[("Bonn", "city")], &[("Bonn", "city", 0.8)]),
        ]
        .into_iter()
        .unzip();
        assert!(doubts(&utterances, &predictions).is_empty());
    }
}
