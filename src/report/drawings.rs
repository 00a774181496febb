//! Which drawings a report has.

use super::charts::{confusion_matrix, histogram, learning_curve, reliability};
use super::contents::{Report, Tested};
use super::drawing::Drawing;
use crate::pipeline::CurvePoint;

impl Report<'_> {
    /// Drawings by the names of their files.
    pub(super) fn drawings(&self) -> Vec<(String, Drawing)> {
        let mut drawings = Vec::new();
        let mut add = |name: &str, drawing: Option<Drawing>| {
            drawings.extend(drawing.map(|drawing| (name.to_owned(), drawing)));
        };
        if let Some(Tested { evaluation, .. }) = self.tested.filter(|_| self.has_intents()) {
            let title = "Intents taken for others";
            add("intent_confusion_matrix", confusion_matrix(evaluation.confusion(), title, "intents"));
            let of = |right: bool| -> Vec<f32> {
                let answers = evaluation.answers().iter();
                let with_intent =
                    answers.filter(|one| one.outcome.gold.is_some() && one.outcome.is_right() == right);
                with_intent.map(|one| one.intent.as_ref().map_or(0.0, |scored| scored.confidence)).collect()
            };
            add("intent_histogram", histogram(&of(true), &of(false), "Confidence in intents"));
            let calibration = evaluation.calibration.as_ref().map(|scores| &scores.calibration);
            add(
                "intent_reliability",
                calibration.and_then(|one| reliability(one, "Reliability of confidences")),
            );
        }
        for part in self.entity_parts() {
            let of = part.extractor.map_or_else(String::new, |extractor| format!(", {extractor}"));
            let title = format!("Entities taken for others, token by token{of}");
            add(
                &format!("{}_confusion_matrix", part.stem),
                confusion_matrix(part.confusion, &title, "labels of tokens"),
            );
            // Of components that tell no confidence, such as RegexEntityExtractor, there is none to draw.
            let confidences = |right: bool| -> Vec<f32> {
                let tokens = part.tokens.iter().copied().flatten();
                tokens
                    .filter(|one| (one.gold == one.predicted) == right)
                    .filter_map(|one| one.confidence)
                    .collect()
            };
            add(
                &format!("{}_histogram", part.stem),
                histogram(
                    &confidences(true),
                    &confidences(false),
                    &format!("Confidence in entities, token by token{of}"),
                ),
            );
        }
        let has_entities =
            self.curve.iter().flat_map(|one| &one.points).any(|one| one.exact_span_f1.is_some());
        add(
            "nlu_model_comparison_graph",
            learning_curve(self.curve, |point| point.weighted_f1, "Weighted F1 of intents"),
        );
        let entities = has_entities.then(|| {
            let score = |point: &CurvePoint| point.exact_span_f1.unwrap_or(0.0);
            learning_curve(self.curve, score, "F1 of entities, exact span")
        });
        add("entity_model_comparison_graph", entities.flatten());
        drawings
    }
}
