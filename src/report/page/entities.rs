//! Scores of entities, by rule and by type.

use maud::{Markup, html};

use super::Drawings;
use super::elements::{Row, bar, drawing, folded, lowest_first, scores, table};
use crate::pipeline::Evaluation;

pub(super) fn entities(evaluation: &Evaluation, drawings: &Drawings) -> Markup {
    let found = &evaluation.entity;
    let rules = [
        ("exact span: type, start and end agree (conlleval)", found.exact_span),
        ("overlap: same type, a word shared (DIET paper)", found.overlap),
        ("token by token, weighted (Rasa)", found.by_token.weighted_average),
    ];
    let rules = rules.map(|(name, found)| Row::new(name).shares(scores(found)));
    let types = found.report.exact_by_label.iter().map(|(label, exact)| {
        let overlap = found.report.overlap_by_label.get(label).map_or(0.0, |score| score.scores.f1);
        let [precision, recall, f1] = scores(exact.scores);
        let gold = exact.counts.true_positives + exact.counts.false_negatives;
        (f1, Row::new(label).cell(bar(f1)).shares([precision, recall, overlap]).cell(gold))
    });
    let head = ["type", "F1, exact", "precision", "recall", "F1, overlap", "in the data"];
    html! {
        (table(&["rule", "precision", "recall", "F1"], &rules))
        (folded(&head, &lowest_first(types.collect())))
        @for name in ["DIETClassifier_confusion_matrix", "DIETClassifier_histogram"] {
            @if let Some(drawing) = drawing(drawings, name) { (drawing) }
        }
    }
}
