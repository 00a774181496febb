//! Scores of entities, by rule and by type.

use maud::{Markup, html};

use super::Drawings;
use super::elements::{Row, bar, drawing, folded, lowest_first, scores, table};
use crate::pipeline::Evaluation;

/// `stem` is what the names of the drawings begin with.
pub(super) fn entities(evaluation: &Evaluation, stem: &str, drawings: &Drawings) -> Markup {
    let found = &evaluation.entity;
    let rules = [
        ("exact span: type, start and end agree (conlleval)", found.exact_span),
        ("exact span and value, as synonyms leave it", found.exact_value),
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
    let several = &evaluation.extractors[..];
    let own = several.iter().map(|one| Row::new(&one.extractor).shares(scores(one.scores.exact_span)));
    html! {
        (table(&["rule", "precision", "recall", "F1"], &rules))
        @if several.len() > 1 {
            p {
                "Several components found entities. The scores above are those of all together, as a user receives them: "
                "what two of them find alike counts once. Here is each alone, by exact span."
            }
            (table(&["component", "precision", "recall", "F1"], &own.collect::<Vec<_>>()))
        }
        (folded(&head, &lowest_first(types.collect())))
        @for kind in ["confusion_matrix", "histogram"] {
            @if let Some(drawing) = drawing(drawings, &format!("{stem}_{kind}")) { (drawing) }
        }
    }
}
