//! Calibration of confidences, and detection of messages that are out of scope.

use maud::{Markup, html};

use super::Drawings;
use super::elements::{Row, drawing, percent, range, table};
use crate::pipeline::Evaluation;

pub(super) fn calibration(evaluation: &Evaluation, drawings: &Drawings) -> Option<Markup> {
    let scores = evaluation.calibration.as_ref()?;
    let (found, model) = (&scores.calibration, &evaluation.model);
    let side = if found.overconfidence >= 0.0 { "above" } else { "below" };
    let interval = range(evaluation.intervals.expected_calibration_error);
    let measured = [
        ("expected calibration error", percent(found.expected_calibration_error), interval.as_str()),
        ("in the worst bin", percent(found.maximum_calibration_error), ""),
        ("Brier score", format!("{:.4}", scores.brier_score), "0 is perfect, 2 the worst"),
        ("negative log-likelihood", format!("{:.4}", scores.negative_log_likelihood), "nats a message"),
    ];
    let fitted = [
        ("temperature", model.temperature.map(|value| format!("{value:.3}"))),
        ("calibration error before", model.expected_calibration_error_before.map(percent)),
        ("calibration error after", model.expected_calibration_error_after.map(percent)),
    ];
    let remark = "fitted in training, on held-out messages";
    let fitted = fitted.into_iter().filter_map(|(name, value)| Some((name, value?, remark)));
    let rows: Vec<Row> = measured.into_iter().chain(fitted).map(row).collect();
    Some(html! {
        p {
            "Of the answers given with a confidence of 80 %, eight in ten should be right. On average, confidence is "
            (percent(found.overconfidence.abs())) " " (side) " accuracy. Messages that are out of scope are not counted "
            "here."
        }
        (table(&["", "value", ""], &rows))
        .pair {
            @for name in ["intent_reliability", "intent_histogram"] {
                @if let Some(drawing) = drawing(drawings, name) { (drawing) }
            }
        }
    })
}

pub(super) fn out_of_scope(evaluation: &Evaluation) -> Option<Markup> {
    let scores = evaluation.out_of_scope.as_ref()?;
    let some = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    let measured = [
        (
            "AUROC",
            some(scores.auroc.map(|area| format!("{area:.3}"))),
            "how often the score puts a pair in the right order",
        ),
        (
            "FPR95",
            some(scores.fpr95.map(percent)),
            "out-of-scope messages accepted where 95 % of the others are; lower is better",
        ),
        (
            "recall at 95 % accuracy kept",
            some(scores.recall_keeping_95.map(percent)),
            "rejected, while 95 % of the correct in-scope answers are kept",
        ),
        (
            "recall at 90 % accuracy kept",
            some(scores.recall_keeping_90.map(percent)),
            "rejected, while 90 % of the correct in-scope answers are kept",
        ),
        (
            "in-scope accuracy",
            percent(scores.in_scope_accuracy),
            "instead of a fallback the best intent counts",
        ),
        (
            "in-scope accuracy as answered",
            percent(scores.in_scope_accuracy_as_answered),
            "a fallback counts as wrong",
        ),
        (
            "recall as answered",
            percent(scores.refused.recall),
            "out-of-scope messages that the pipeline rejects",
        ),
        (
            "precision as answered",
            percent(scores.refused.precision),
            "rejected messages that are out of scope",
        ),
    ];
    let remark = "score from which on the answer is the fallback, fitted in training";
    let threshold = evaluation.model.out_of_scope_threshold;
    let threshold = threshold.map(|value| ("threshold", format!("{value:.3}"), remark));
    let rows: Vec<Row> = measured.into_iter().chain(threshold).map(row).collect();
    Some(html! {
        p { (scores.in_scope) " messages are in scope, " (scores.out_of_scope) " are not." }
        (table(&["", "value", ""], &rows))
    })
}

fn row((name, value, remark): (&str, String, &str)) -> Row {
    Row::new(name).cell(value).remark(remark)
}
