//! Scores of each intent, and which are confused.

use maud::{Markup, html};

use super::Drawings;
use super::elements::{Row, bar, drawing, folded, lowest_first, percent, scores, table};
use crate::metrics::Confusion;
use crate::pipeline::Evaluation;

/// Pairs of intents that are shown.
const MOST_PAIRS: usize = 25;

pub(super) fn intents(evaluation: &Evaluation, drawings: &Drawings) -> Markup {
    let (report, confusion) = (&evaluation.intent.report, evaluation.confusion());
    let row = |label: &str, score: &crate::metrics::LabelScore| {
        let wrong = confusion.confused_with(label, 2).into_iter();
        let wrong: Vec<String> =
            wrong.map(|(name, count)| format!("{} {count}", name.unwrap_or("(none)"))).collect();
        let found = score.scores;
        let row = Row::new(label).cell(bar(found.f1)).shares([found.precision, found.recall]);
        (found.f1, row.cell(score.support).remark(wrong.join(", ")))
    };
    let rows = report.labels.iter().map(|(label, score)| row(label, score)).collect();
    let head = ["intent", "F1", "precision", "recall", "messages", "taken for"];
    html! {
        p {
            "Accuracy " (percent(report.accuracy)) ", macro F1 " (percent(report.macro_average.f1))
            ", weighted F1 " (percent(report.weighted_average.f1)) ". Instead of a fallback the best intent counts, "
            "whatever its confidence. The weakest intents come first."
        }
        (folded(&head, &lowest_first(rows)))
        @if let Some(pairs) = pairs(confusion) { (pairs) }
        @if let Some(drawing) = drawing(drawings, "intent_confusion_matrix") { (drawing) }
    }
}

/// Pairs of intents that are taken for each other, both ways together.
fn pairs(confusion: &Confusion) -> Option<Markup> {
    let labels = confusion.labels();
    let mut pairs: Vec<(usize, [&str; 2], [usize; 2])> = Vec::new();
    for (at, one) in labels.iter().enumerate() {
        for other in &labels[at + 1..] {
            let counts = [confusion.count(one, Some(other)), confusion.count(other, Some(one))];
            let sum = counts[0] + counts[1];
            if sum > 0 {
                pairs.push((sum, [one, other], counts));
            }
        }
    }
    pairs.sort_by_key(|(sum, _, _)| std::cmp::Reverse(*sum));
    let row = |(sum, [one, other], counts): &(usize, [&str; 2], [usize; 2])| {
        let ways = [(one, other, counts[0]), (other, one, counts[1])].into_iter().filter(|way| way.2 > 0);
        let ways: Vec<String> = ways.map(|(from, to, count)| format!("{from} → {to}: {count}")).collect();
        Row::new(format!("{one} and {other}")).cell(*sum).remark(ways.join(", "))
    };
    let rows: Vec<Row> = pairs.iter().take(MOST_PAIRS).map(row).collect();
    (!rows.is_empty()).then(|| {
        html! {
            details {
                summary { "Pairs of intents that are confused: " (rows.len()) " of " (pairs.len()) }
                (table(&["pair", "messages", "right one → answer"], &rows))
            }
        }
    })
}

/// Scores of sets of intents, where a message may have several.
pub(super) fn sets(evaluation: &Evaluation) -> Option<Markup> {
    let found = evaluation.intent_sets.as_ref()?;
    let averages = [
        ("all intents together (micro)", found.micro_average),
        ("mean of intents (macro)", found.macro_average),
    ];
    let labels = found.labels.iter().map(|(label, scores)| (label.as_str(), *scores));
    let rows = averages.into_iter().chain(labels).map(|(name, found)| Row::new(name).shares(scores(found)));
    Some(html! {
        p {
            "A message may have several intents. " (percent(found.exact_match)) " of " (found.messages)
            " messages get exactly the right set."
        }
        (folded(&["intent", "precision", "recall", "F1"], &rows.collect::<Vec<_>>()))
    })
}
