//! What happens to an answer after DIET.

use std::collections::{BTreeMap, HashMap};

use super::FallbackConfig;
use crate::diet::FALLBACK;
use crate::features::Patterns;
use crate::prediction::{PredictedEntity, Prediction, REGEX_EXTRACTOR, SYNONYM_MAPPER, Scored};
use crate::text::fold;

/// Adds every match of a pattern that is named like an entity type. These have no confidence, and entities that others
/// found at the same place stay.
pub(super) fn extract_patterns(patterns: &Patterns, prediction: &mut Prediction) {
    let found = patterns
        .find(&prediction.text)
        .into_iter()
        .map(|(name, span)| PredictedEntity::new(REGEX_EXTRACTOR, name, span, &prediction.text));
    let found: Vec<_> = found.collect();
    prediction.entities.extend(found);
}

/// What values stand for, however they are spelled.
#[derive(Clone, Debug)]
pub(super) struct Synonyms {
    /// As the data has them.
    pub(super) table: BTreeMap<String, String>,
    /// By what variants, and values themselves, are looked up by.
    folded: HashMap<String, String>,
}

impl Synonyms {
    pub(super) fn new(table: BTreeMap<String, String>) -> Self {
        // A value stands for itself in any spelling, unless another value has the same: `Apple` and `apple`.
        let mut own: HashMap<String, Option<&String>> = HashMap::new();
        for value in table.values() {
            own.entry(fold(value))
                .and_modify(|only| *only = only.filter(|own| *own == value))
                .or_insert(Some(value));
        }
        let own = own.into_iter().filter_map(|(key, value)| Some((key, value?.clone())));
        let mut folded: HashMap<String, String> = own.collect();
        folded.extend(table.iter().map(|(variant, value)| (fold(variant), value.clone())));
        Self { table, folded }
    }

    /// Replaces values that stand for something else.
    pub(super) fn map(&self, prediction: &mut Prediction) {
        if self.folded.is_empty() {
            return;
        }
        for entity in &mut prediction.entities {
            match self.folded.get(&fold(&entity.value)) {
                Some(value) if *value != entity.value => {
                    entity.value.clone_from(value);
                    entity.processors.push(SYNONYM_MAPPER.into());
                }
                _ => {}
            }
        }
    }
}

/// Puts [`FALLBACK`] first, with the threshold as its confidence, where the best intent is below the threshold
/// or too close to the next.
pub(super) fn fall_back(config: FallbackConfig, fitted: Option<f32>, prediction: &mut Prediction) {
    let confidence = |at: usize| prediction.intent_ranking.get(at).map(|scored| scored.confidence);
    let first = confidence(0).unwrap_or(0.0);
    // Several intents may be equally sure where a message may have several.
    let ambiguous = prediction.intents.is_empty()
        && confidence(1).is_some_and(|second| first - second < config.ambiguity_threshold);
    let threshold = config.threshold.or(fitted);
    if first < threshold || ambiguous {
        let fallback = Scored { name: FALLBACK.to_owned(), confidence: threshold };
        prediction.intent_ranking.insert(0, fallback.clone());
        prediction.intent = Some(fallback);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Span;

    fn ranked(confidences: &[f32]) -> Prediction {
        let scored = |confidence: &f32| Scored { name: format!("i{confidence}"), confidence: *confidence };
        let intent_ranking: Vec<Scored> = confidences.iter().map(scored).collect();
        Prediction { intent: intent_ranking.first().cloned(), intent_ranking, ..Default::default() }
    }

    #[test]
    fn falls_back_when_low_or_close() {
        let config = FallbackConfig::default();
        for (confidences, falls) in [
            (&[0.9, 0.1][..], false),
            (&[0.2, 0.0], true),
            (&[0.5, 0.45], true),
            (&[0.31], false),
            (&[], true),
        ] {
            let mut prediction = ranked(confidences);
            fall_back(config, None, &mut prediction);
            let intent = prediction.intent.unwrap();
            assert_eq!(intent.name == FALLBACK, falls, "{confidences:?}");
            assert_eq!(prediction.intent_ranking.len(), confidences.len() + usize::from(falls));
        }
    }

    #[test]
    fn two_sure_intents_are_no_ambiguity_where_a_message_may_have_several() {
        let mut prediction = ranked(&[0.9, 0.9]);
        prediction.intents = prediction.intent_ranking.clone();
        fall_back(FallbackConfig::default(), None, &mut prediction);
        assert_eq!(prediction.intent_ranking.len(), 2);
        prediction.intent_ranking[0].confidence = 0.2;
        fall_back(FallbackConfig::default(), None, &mut prediction);
        assert_eq!(prediction.intent.unwrap().name, FALLBACK);
    }

    #[test]
    fn a_fitted_threshold_is_that_of_the_training() {
        let config: FallbackConfig = serde_json::from_str(r#"{"threshold": "fitted"}"#).unwrap();
        for (fitted, falls) in [(Some(0.7), true), (Some(0.5), false), (None, false)] {
            let mut prediction = ranked(&[0.6, 0.1]);
            fall_back(config, fitted, &mut prediction);
            assert_eq!(prediction.intent.unwrap().name == FALLBACK, falls, "{fitted:?}");
        }
        assert!(serde_json::from_str::<FallbackConfig>(r#"{"threshold": "high"}"#).is_err());
    }

    #[test]
    fn synonyms_ignore_spelling_and_leave_a_trace() {
        let entity = |value: &str| PredictedEntity {
            entity: "city".into(),
            span: Span::new(0, 3),
            value: value.into(),
            confidence: Some(0.5),
            role: None,
            group: None,
            extractor: "DIETClassifier".into(),
            processors: vec![],
        };
        let mut prediction =
            Prediction { entities: vec![entity("NyC"), entity("Rome")], ..Default::default() };
        Synonyms::new([("nyc".to_owned(), "New York City".to_owned())].into()).map(&mut prediction);
        assert_eq!(prediction.entities[0].value, "New York City");
        assert_eq!(prediction.entities[0].processors, ["EntitySynonymMapper"]);
        assert_eq!(prediction.entities[1], entity("Rome"));

        let pairs = [
            ("big apple", "New York City"),
            ("hauptstr.", "Hauptstraße"),
            ("fruit", "apple"),
            ("mac", "Apple"),
        ];
        let synonyms =
            Synonyms::new(pairs.map(|(variant, value)| (variant.to_owned(), value.to_owned())).into());
        for (words, expected) in [
            ("NEW YORK CITY", "New York City"),
            ("new  york\ncity", "New York City"),
            ("Big \t Apple", "New York City"),
            ("HAUPTSTRASSE", "Hauptstraße"),
            ("APPLE", "APPLE"),
            ("apple", "apple"),
            ("big", "big"),
        ] {
            let mut prediction = Prediction { entities: vec![entity(words)], ..Default::default() };
            synonyms.map(&mut prediction);
            assert_eq!(prediction.entities[0].value, expected);
        }
    }
}
