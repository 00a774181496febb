//! The JSON files of `rasa test nlu`, key by key.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::contents::EntityPart;
use crate::data::{Entity, Utterance};
use crate::metrics::{ClassificationReport, Confusion, Prf};
use crate::pipeline::{Answer, CurveSeries, NO_ENTITY};
use crate::prediction::Prediction;
use crate::text::CharOffsets;

/// Rasa looks for confusions among so many cells of a row, the right one included.
const CANDIDATES: usize = 3;

/// A JSON object in the order of its entries.
struct Object(Vec<(String, Row)>);

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, row) in &self.0 {
            map.serialize_entry(key, row)?;
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
#[serde(untagged)]
enum Row {
    Share(f64),
    Scores {
        precision: f64,
        recall: f64,
        #[serde(rename = "f1-score")]
        f1: f64,
        support: usize,
        #[serde(skip_serializing_if = "Option::is_none")]
        confused_with: Option<BTreeMap<String, usize>>,
    },
}

impl Row {
    fn new(scores: Prf, support: usize, confused_with: Option<BTreeMap<String, usize>>) -> Self {
        let Prf { precision, recall, f1 } = scores;
        Self::Scores { precision, recall, f1, support, confused_with }
    }
}

/// `intent_report.json` or `DIETClassifier_report.json`: a row per label, then `accuracy`, or `micro avg` where some
/// answers have a label that is no row, then `macro avg` and `weighted avg`.
pub(super) fn report(report: &ClassificationReport, confusion: &Confusion) -> String {
    let mut rows: Vec<(String, Row)> = Vec::new();
    for (label, score) in &report.labels {
        let confused = confused_with(label, report, confusion);
        rows.push((label.clone(), Row::new(score.scores, score.support, Some(confused))));
    }
    let support = report.labels.values().map(|score| score.support).sum();
    let labels = confusion.labels();
    let only_rows = labels.iter().all(|label| report.labels.contains_key(*label))
        && labels.iter().all(|label| confusion.count(label, None) == 0);
    rows.push(if only_rows {
        ("accuracy".to_owned(), Row::Share(report.accuracy))
    } else {
        ("micro avg".to_owned(), Row::new(report.micro_average, support, None))
    });
    rows.push(("macro avg".to_owned(), Row::new(report.macro_average, support, None)));
    rows.push(("weighted avg".to_owned(), Row::new(report.weighted_average, support, None)));
    pretty(&Object(rows))
}

/// Of the three largest cells of a row those that are another label.
fn confused_with(
    label: &str,
    report: &ClassificationReport,
    confusion: &Confusion,
) -> BTreeMap<String, usize> {
    let right = confusion.count(label, Some(label));
    let wrong = confusion.confused_with(label, CANDIDATES);
    // The right cell takes one of the three places, unless three others are larger.
    let places = if wrong.iter().filter(|(_, count)| *count > right).count() == CANDIDATES {
        CANDIDATES
    } else {
        CANDIDATES - 1
    };
    // The label that the report leaves out, `no_entity`, takes a place but is not listed.
    let is_listed = |other: &str| other != NO_ENTITY || report.labels.contains_key(NO_ENTITY);
    let others = wrong.into_iter().take(places).filter_map(|(other, count)| Some((other?, count)));
    others.filter(|(other, _)| is_listed(other)).map(|(other, count)| (other.to_owned(), count)).collect()
}

/// `intent_errors.json` or, for the right ones, `intent_successes.json`.
pub(super) fn intents(utterances: &[Utterance], answers: &[Answer], right: bool) -> String {
    let record = |(gold, answer): (&Utterance, &Answer)| {
        let intent = gold.intent.as_deref()?;
        (answer.outcome.is_right() == right).then(|| {
            let name = answer.intent.as_ref().map(|scored| scored.name.as_str());
            let confidence = answer.intent.as_ref().map_or(0.0, |scored| scored.confidence);
            json!({
                "text": gold.text,
                "intent": intent,
                "intent_prediction": {"name": name, "confidence": confidence},
            })
        })
    };
    pretty(&utterances.iter().zip(answers).filter_map(record).collect::<Vec<Value>>())
}

/// `DIETClassifier_errors.json`, and so on for each component and for all together: messages with a token whose label is
/// wrong. Or `DIETClassifier_successes.json`: those with a token of an entity whose label is right.
pub(super) fn entities(
    utterances: &[Utterance],
    predictions: &[Prediction],
    part: &EntityPart<'_>,
    right: bool,
) -> String {
    let mut records = Vec::new();
    for ((gold, found), tokens) in utterances.iter().zip(predictions).zip(&part.tokens) {
        let counts = tokens.iter().any(|token| {
            let agrees = token.gold == token.predicted;
            agrees == right && !(right && token.gold == NO_ENTITY)
        });
        if counts {
            records.push(json!({
                "text": gold.text,
                "entities": gold_entities(gold),
                "predicted_entities": found_entities(found, part.extractor),
            }));
        }
    }
    pretty(&records)
}

/// Entities as training data writes them, offsets in characters.
pub(super) fn gold_entities(gold: &Utterance) -> Vec<Value> {
    let offsets = CharOffsets::new(&gold.text);
    let record = |entity: &Entity| {
        let (start, end) = offsets.to_chars(entity.span);
        let mut record = json!({
            "start": start, "end": end, "entity": entity.entity, "value": entity.value_in(&gold.text)
        });
        for (key, part) in [("role", &entity.role), ("group", &entity.group)] {
            if let Some(part) = part {
                record[key] = json!(part);
            }
        }
        record
    };
    gold.entities.iter().map(record).collect()
}

/// Entities as answers write them: those of one component or of all.
fn found_entities(found: &Prediction, extractor: Option<&str>) -> Vec<Value> {
    let answer = serde_json::to_value(found).unwrap_or_default();
    let all = answer["entities"].as_array().cloned().unwrap_or_default();
    all.into_iter().filter(|entity| extractor.is_none_or(|own| entity["extractor"] == own)).collect()
}

/// `results.json` of a comparison: for each pipeline and run the weighted F1 of the intents, percentage by percentage.
pub(super) fn results(curve: &[CurveSeries]) -> String {
    let scores = |series: &CurveSeries| -> Vec<Vec<f64>> {
        let runs = series.points.iter().map(|point| point.run + 1).max().unwrap_or(0);
        let of =
            |run| series.points.iter().filter(move |point| point.run == run).map(|point| point.weighted_f1);
        (0..runs).map(|run| of(run).collect()).collect()
    };
    let all: BTreeMap<&str, Vec<Vec<f64>>> =
        curve.iter().map(|series| (series.name.as_str(), scores(series))).collect();
    pretty(&all)
}

fn pretty(value: &impl Serialize) -> String {
    // Nothing here has keys that are not strings, which is all that could fail.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confusion(cells: &[(&str, Option<&str>, usize)]) -> Confusion {
        let mut confusion = Confusion::default();
        for (gold, found, count) in cells {
            (0..*count).for_each(|_| confusion.add(gold, *found));
        }
        confusion
    }

    fn read(confusion: &Confusion, excluded: Option<&str>) -> Value {
        serde_json::from_str(&report(&ClassificationReport::excluding(confusion, excluded), confusion))
            .unwrap()
    }

    #[test]
    fn a_report_has_the_keys_of_rasa() {
        let found = confusion(&[
            ("a", Some("a"), 5),
            ("a", Some("b"), 2),
            ("a", Some("c"), 1),
            ("b", Some("b"), 3),
            ("c", Some("c"), 1),
        ]);
        let json = read(&found, None);
        assert_eq!(json["a"]["f1-score"], 10.0 / 13.0);
        assert_eq!(json["a"]["support"], 8);
        assert_eq!(json["a"]["confused_with"], json!({"b": 2, "c": 1}));
        assert_eq!(json["b"]["confused_with"], json!({}));
        assert_eq!(json["accuracy"], 9.0 / 12.0);
        assert_eq!(json["weighted avg"]["support"], 12);
        assert!(json["macro avg"].get("confused_with").is_none() && json.get("micro avg").is_none());
        let text = report(&ClassificationReport::new(&found), &found);
        let place = |key: &str| text.find(key).unwrap();
        assert!(place("\"c\": {") < place("\"accuracy\"") && place("\"accuracy\"") < place("\"macro avg\""));
        assert!(place("\"precision\"") < place("\"recall\"") && place("\"recall\"") < place("\"f1-score\""));
    }

    #[test]
    fn answers_beyond_the_rows_make_a_micro_average() {
        assert!(read(&confusion(&[("a", Some("z"), 1)]), None).get("micro avg").is_some());
        assert!(read(&confusion(&[("a", None, 1)]), None).get("micro avg").is_some());
        let tokens = confusion(&[
            (NO_ENTITY, Some(NO_ENTITY), 9),
            ("city", Some("city"), 2),
            ("city", Some(NO_ENTITY), 1),
        ]);
        let json = read(&tokens, Some(NO_ENTITY));
        assert!(json.get(NO_ENTITY).is_none() && json.get("accuracy").is_none());
        assert_eq!(json["micro avg"]["support"], 3);
        assert_eq!(json["city"]["confused_with"], json!({}));
    }

    #[test]
    fn the_right_answers_take_a_place_among_the_three() {
        let found =
            confusion(&[("a", Some("a"), 1), ("a", Some("b"), 4), ("a", Some("c"), 3), ("a", Some("d"), 2)]);
        assert_eq!(read(&found, None)["a"]["confused_with"], json!({"b": 4, "c": 3, "d": 2}));
        let found =
            confusion(&[("a", Some("a"), 3), ("a", Some("b"), 4), ("a", Some("c"), 2), ("a", Some("d"), 1)]);
        assert_eq!(read(&found, None)["a"]["confused_with"], json!({"b": 4, "c": 2}));
    }

    #[test]
    fn results_are_listed_by_pipeline_and_run() {
        let point = |run, percentage, weighted_f1| crate::pipeline::CurvePoint {
            run,
            percentage,
            examples: 1,
            accuracy: 0.0,
            weighted_f1,
            exact_span_f1: None,
        };
        let points = vec![point(0, 0, 0.9), point(0, 50, 0.8), point(1, 0, 0.7), point(1, 50, 0.6)];
        let json: Value =
            serde_json::from_str(&results(&[CurveSeries { name: "small".to_owned(), points }])).unwrap();
        assert_eq!(json, json!({"small": [[0.9, 0.8], [0.7, 0.6]]}));
    }
}
