//! Comparisons of several models: parts of a cross-validation, two models, a learning curve.

use maud::{Markup, html};

use super::super::contents::{FoldScores, Other};
use super::Drawings;
use super::elements::{Row, drawing, in_percent, soft, table};
use crate::metrics::Difference;
use crate::pipeline::{CalibrationScores, CurveMean, CurveSeries, Evaluation};

pub(super) fn folds(folds: &[FoldScores]) -> Markup {
    let rows = folds.iter().map(|score| {
        let (mean, deviation) = score.mean_and_deviation();
        let parts: Vec<String> = score.values.iter().copied().map(in_percent).collect();
        Row::new(&score.name).shares([mean, deviation]).remark(parts.join(" \u{a0} "))
    });
    html! {
        p {
            "Each message was answered by a model that had not seen it. All other scores on this page are those of all "
            "answers together; here is each part alone, in percent."
        }
        (table(&["score", "mean", "deviation", "each part"], &rows.collect::<Vec<_>>()))
    }
}

pub(super) fn comparison(ours: &Evaluation, other: &Other<'_>) -> Markup {
    let (theirs, found) = (other.evaluation, &other.comparison);
    let mut rows = Vec::new();
    if ours.intent.messages > 0 {
        let (first, second) = (&ours.intent, &theirs.intent);
        rows.push(difference("intent accuracy", [first.accuracy, second.accuracy], found.accuracy));
        rows.push(difference("intent macro F1", [first.macro_f1, second.macro_f1], None));
    }
    if ours.entity.entities > 0 {
        let scores = [ours.entity.exact_span.f1, theirs.entity.exact_span.f1];
        rows.push(difference("entity F1, exact span", scores, found.exact_span_f1));
    }
    if let (Some(first), Some(second)) = (&ours.calibration, &theirs.calibration) {
        let error = |scores: &CalibrationScores| scores.calibration.expected_calibration_error;
        rows.push(difference("calibration error", [error(first), error(second)], None));
    }
    html! {
        p {
            "On the same messages, in percent: the tested model, then " code { (other.name) } ". "
            (found.only_first_right) " intents are right by the tested model alone, " (found.only_second_right)
            " by the other alone. Tests: McNemar, exact, for intents; paired bootstrap for entities."
        }
        @if let Some(overlap) = &theirs.training_overlap { p { "The other model: " (overlap) "." } }
        (table(&["score", "tested", "other", "difference", "95 % range", "p-value"], &rows))
    }
}

/// Two scores, and the test of their difference where there is one.
fn difference(name: &str, [first, second]: [f64; 2], tested: Option<Difference>) -> Row {
    let row = Row::new(name).shares([first, second]);
    let signed = |share: f64| format!("{:+.1}", 100.0 * share);
    let Some(Difference { difference, interval, p_value, .. }) = tested else {
        return row.cell(signed(second - first)).cell("").cell("");
    };
    let p = if p_value < 0.001 { "< 0.001".to_owned() } else { format!("{p_value:.3}") };
    row.cell(signed(difference))
        .cell(format!("{} – {}", signed(interval.low), signed(interval.high)))
        .cell(html! { (p) @if p_value >= 0.05 { " " (soft("(could be chance)")) } })
}

pub(super) fn curve(series: &[CurveSeries], drawings: &Drawings) -> Markup {
    let means = series.iter().flat_map(|one| one.means().into_iter().map(|mean| (&one.name, mean)));
    let rows: Vec<Row> = means.map(|(name, mean)| point(name, &mean)).collect();
    let head =
        ["pipeline", "examples", "of the data", "intent accuracy", "weighted F1", "entity F1, exact", "runs"];
    html! {
        p {
            "In each run a fifth of the data is held out and scored, and models learn from shares of the rest. If a "
            "line still rises at its right end, more examples are likely to help."
        }
        .pair {
            @for name in ["nlu_model_comparison_graph", "entity_model_comparison_graph"] {
                @if let Some(drawing) = drawing(drawings, name) { (drawing) }
            }
        }
        (table(&head, &rows))
    }
}

fn point(name: &str, mean: &CurveMean) -> Row {
    Row::new(name)
        .cell(format!("{:.0}", mean.examples))
        .cell(format!("{} %", 100 - u16::from(mean.percentage)))
        .shares([mean.accuracy, mean.weighted_f1])
        .cell(mean.exact_span_f1.map_or_else(|| "–".to_owned(), in_percent))
        .cell(mean.runs)
}
