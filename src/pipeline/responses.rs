//! Answers to messages with a retrieval intent, such as `faq/ask_name`.
//!
//! The network learns full names, as intents of their own: it has as many examples for `faq`, and tells `faq/ask_name`
//! from `faq/ask_age` with the same layers. What is reported is what Rasa reports: the intent `faq`, whose confidence is
//! that of all its keys together, and beside it the key, ranked among those of the intent.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Component, PipelineConfig};
use crate::data::{TrainingData, Utterance, base_intent};
use crate::diet::Labels;
use crate::prediction::{RankedResponse, Response, ResponseSelection, Scored, SelectedResponse};

/// Where a selector that is not for one retrieval intent puts its answer.
const DEFAULT: &str = "default";

/// Most response keys in a ranking, as in Rasa.
const RANKED: usize = 10;

/// What a model answers to retrieval intents. A model without has none, though its intents may have a `/`: before there
/// were answers, such names were intents like any other.
#[derive(Debug)]
pub(super) struct Responses {
    pub(super) texts: ResponseTexts,
    /// The intents whose labels have keys, in alphabetical order.
    retrieval_intents: Vec<String>,
    /// The intent that each selector of the pipeline is for, `None` where it is for all; one of these if there is none.
    selectors: Vec<Option<String>>,
}

/// What a bundle keeps of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResponseTexts {
    /// What to answer, by `utter_faq/ask_name`, in Rasa's form.
    pub(super) texts: BTreeMap<String, Vec<Value>>,
}

impl Responses {
    /// Those of this data, if there are retrieval intents.
    pub(super) fn of(config: &PipelineConfig, labels: &Labels, data: &TrainingData) -> Option<Self> {
        let responses = Self::new(config, labels, ResponseTexts { texts: data.responses.clone() });
        (!responses.retrieval_intents.is_empty()).then_some(responses)
    }

    /// These texts for a model of this pipeline and these labels.
    pub(super) fn new(config: &PipelineConfig, labels: &Labels, texts: ResponseTexts) -> Self {
        let keys = labels.intents.iter().filter(|label| is_key(label));
        let retrieval_intents: BTreeSet<&str> = keys.map(|label| base_intent(label)).collect();
        let own = config.components.iter().filter_map(|component| match component {
            Component::ResponseSelector(config) => Some(config.retrieval_intent.clone()),
            _ => None,
        });
        let mut selectors: Vec<Option<String>> = own.collect();
        if selectors.is_empty() {
            selectors.push(None);
        }
        let retrieval_intents = retrieval_intents.into_iter().map(str::to_owned).collect();
        Self { texts, retrieval_intents, selectors }
    }

    /// The ranking of full names as one of intents: the best one, or the sum where a message has one intent only.
    pub(super) fn intents(ranking: &[Scored], several: bool) -> Vec<Scored> {
        let mut intents: Vec<Scored> = Vec::new();
        for Scored { name, confidence } in ranking {
            let name = base_intent(name);
            match intents.iter_mut().find(|intent| intent.name == name) {
                Some(_) if several => {}
                Some(intent) => intent.confidence += confidence,
                None => intents.push(Scored { name: name.to_owned(), confidence: *confidence }),
            }
        }
        intents.iter_mut().for_each(|intent| intent.confidence = intent.confidence.min(1.0));
        intents.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        intents
    }

    /// The answers to a message with this intent and this ranking of full names.
    pub(super) fn select(&self, intent: Option<&str>, ranking: &[Scored]) -> ResponseSelection {
        let mut selection = ResponseSelection {
            all_retrieval_intents: self.retrieval_intents.clone(),
            ..ResponseSelection::default()
        };
        let known = intent.filter(|intent| self.retrieval_intents.iter().any(|own| own == intent));
        for wanted in self.selectors.iter().map(Option::as_deref) {
            // An answer to another intent than the one that is reported would make no sense.
            let of = wanted.or(known);
            let keys = ranking.iter().filter(|scored| is_key(&scored.name));
            let keys: Vec<&Scored> =
                keys.filter(|key| of.is_none_or(|of| base_intent(&key.name) == of)).collect();
            if let Some(selected) = self.selected(&keys) {
                selection.selected.insert(wanted.unwrap_or(DEFAULT).to_owned(), selected);
            }
        }
        selection
    }

    /// The best of these keys, and all of them ranked; confidences are shares of what they have together.
    fn selected(&self, keys: &[&Scored]) -> Option<SelectedResponse> {
        let sum: f32 = keys.iter().map(|key| key.confidence).sum();
        let ranked = |key: &&Scored| RankedResponse {
            confidence: key.confidence / sum.max(f32::MIN_POSITIVE),
            intent_response_key: key.name.clone(),
        };
        let ranking: Vec<RankedResponse> = keys.iter().take(RANKED).map(ranked).collect();
        let best = ranking.first()?.clone();
        let utter_action = format!("utter_{}", best.intent_response_key);
        let responses = self.texts.texts.get(&utter_action).cloned().unwrap_or_default();
        let RankedResponse { confidence, intent_response_key } = best;
        Some(SelectedResponse {
            response: Response { responses, confidence, intent_response_key, utter_action },
            ranking,
        })
    }
}

/// Whether a label is a full name such as `faq/ask_name`.
fn is_key(label: &str) -> bool {
    base_intent(label) != label
}

/// The examples with the intents that answers to them would report: of a retrieval intent `faq/ask_name` that is `faq`, if
/// the model selects responses.
#[must_use]
pub fn reported_intents<'u>(
    utterances: &'u [Utterance],
    predictions: &[crate::prediction::Prediction],
) -> Cow<'u, [Utterance]> {
    if predictions.iter().all(|prediction| prediction.response_selector.is_none()) {
        return Cow::Borrowed(utterances);
    }
    let reported = |utterance: &Utterance| {
        let intent = utterance.intent.as_deref().map(base_intent).map(str::to_owned);
        Utterance { intent, ..utterance.clone() }
    };
    Cow::Owned(utterances.iter().map(reported).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(pairs: &[(&str, f32)]) -> Vec<Scored> {
        pairs
            .iter()
            .map(|(name, confidence)| Scored { name: (*name).to_owned(), confidence: *confidence })
            .collect()
    }

    #[test]
    fn an_intent_is_as_likely_as_its_keys_together() {
        let ranking = scored(&[("greet", 0.4), ("faq/b", 0.3), ("faq/a", 0.2), ("A/b/c", 0.1)]);
        assert_eq!(Responses::intents(&ranking, false), scored(&[("faq", 0.5), ("greet", 0.4), ("A", 0.1)]));
        assert_eq!(Responses::intents(&ranking, true), scored(&[("greet", 0.4), ("faq", 0.3), ("A", 0.1)]));
    }

    #[test]
    fn a_key_is_ranked_within_its_intent() {
        let labels = ["A/b/c", "faq/a", "faq/b", "greet"].map(|name| Utterance::new("x", Some(name)));
        let labels = Labels::new(&labels, &crate::diet::DietConfig::default());
        let mut data = TrainingData::default();
        data.responses.insert("utter_faq/b".into(), vec![serde_json::json!({"text": "B"})]);
        let responses = |config: &PipelineConfig| Responses::of(config, &labels, &data).unwrap();
        let ranking = scored(&[("A/b/c", 0.4), ("faq/b", 0.3), ("faq/a", 0.2), ("greet", 0.1)]);
        let default = responses(&super::super::Recipe::accurate());
        let found = default.select(Some("faq"), &ranking);
        assert_eq!(found.all_retrieval_intents, ["A", "faq"]);
        let selected = &found.selected["default"];
        assert_eq!(selected.response.intent_response_key, "faq/b");
        assert_eq!((selected.response.utter_action.as_str(), selected.ranking.len()), ("utter_faq/b", 2));
        assert!((selected.response.confidence - 0.6).abs() < 1e-6);
        assert_eq!(selected.response.responses[0]["text"], "B");
        // Without a retrieval intent, the best key of all is the best guess.
        let found = default.select(Some("greet"), &ranking);
        assert_eq!(found.selected["default"].response.intent_response_key, "A/b/c");
        assert!(default.select(None, &[]).selected.is_empty());
        let yaml = "pipeline:\n- name: ResponseSelector\n  retrieval_intent: faq\n- name: ResponseSelector\n";
        let config = PipelineConfig::from_yaml(yaml, "config.yml").unwrap();
        let found = responses(&config).select(Some("greet"), &ranking);
        assert_eq!(found.selected["faq"].response.intent_response_key, "faq/b");
        assert_eq!(found.selected["default"].response.intent_response_key, "A/b/c");
    }
}
