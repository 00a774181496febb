//! Wrong answers that the model was most certain of: often the data is wrong, not the model.

use maud::{Markup, html};

use super::super::contents::Tested;
use super::elements::{Row, soft, table};
use crate::data::Utterance;
use crate::pipeline::Answer;
use crate::prediction::{Prediction, Scored};
use crate::text::Span;

/// Errors that are shown; `intent_errors.json` has them all.
const MOST_ERRORS: usize = 30;

pub(super) fn errors(tested: Tested<'_>) -> Option<Markup> {
    let parts = [intent_errors(tested), entity_errors(tested)];
    parts.iter().any(Option::is_some).then(|| html! { @for part in parts.iter().flatten() { (part) } })
}

fn intent_errors(tested: Tested<'_>) -> Option<Markup> {
    let confidence = |answer: &Answer| answer.intent.as_ref().map_or(0.0, |scored| scored.confidence);
    let answers = tested.utterances.iter().zip(tested.evaluation.answers());
    let mut wrong: Vec<(&Utterance, &Answer)> =
        answers.filter(|(_, answer)| answer.outcome.gold.is_some() && !answer.outcome.is_right()).collect();
    wrong.sort_by(|one, other| confidence(other.1).total_cmp(&confidence(one.1)));
    let rows = wrong.iter().take(MOST_ERRORS).map(|(gold, answer)| {
        let name = answer.intent.as_ref().map_or("(none)", |scored| scored.name.as_str());
        Row::new(&gold.text)
            .cell(html! { span.right { (gold.intent.as_deref().unwrap_or_default()) } })
            .cell(html! { span.wrong { (name) } })
            .cell(format!("{:.1} %", 100.0 * confidence(answer)))
    });
    let rows: Vec<Row> = rows.collect();
    (!rows.is_empty()).then(|| {
        html! {
            p {
                "The " (rows.len()) " of " (wrong.len()) " wrong intents that the model was most certain of. Check the "
                "labels first: many of these examples may be mislabelled."
            }
            .words { (table(&["message", "right", "answer", "confidence"], &rows)) }
        }
    })
}

/// Messages whose entities are wrong, those with the most certain wrong token first.
fn entity_errors(tested: Tested<'_>) -> Option<Markup> {
    let worst = |answer: &Answer| {
        let wrong = answer.tokens.iter().filter(|token| token.gold != token.predicted);
        wrong.map(|token| token.confidence.unwrap_or(0.0)).fold(-1.0, f32::max)
    };
    let confidences = tested.evaluation.answers().iter().map(worst).enumerate();
    let mut wrong: Vec<(usize, f32)> = confidences.filter(|(_, confidence)| *confidence >= 0.0).collect();
    wrong.sort_by(|one, other| other.1.total_cmp(&one.1));
    let rows = wrong.iter().take(MOST_ERRORS).map(|(at, _)| {
        let (gold, found) = (&tested.utterances[*at], &tested.predictions[*at]);
        Row::new(marked(&gold.text, labelled(gold))).cell(marked(&gold.text, predicted(found)))
    });
    let rows: Vec<Row> = rows.collect();
    (!rows.is_empty()).then(|| {
        html! {
            h3 { "Entities" }
            p { (rows.len()) " of " (wrong.len()) " messages with a wrong token, the most certain first." }
            .words { (table(&["right", "found"], &rows)) }
        }
    })
}

fn labelled(gold: &Utterance) -> Vec<(Span, String)> {
    let entities = gold.entities.iter();
    entities.map(|one| (one.span, label(&one.entity, one.group.as_deref(), one.role.as_deref()))).collect()
}

fn predicted(found: &Prediction) -> Vec<(Span, String)> {
    let name = |part: &Option<Scored>| part.as_ref().map(|scored| scored.name.clone());
    let labels = found
        .entities
        .iter()
        .map(|one| (one.span, label(&one.entity, name(&one.group).as_deref(), name(&one.role).as_deref())));
    labels.collect()
}

fn label(entity: &str, group: Option<&str>, role: Option<&str>) -> String {
    [Some(entity), group, role].into_iter().flatten().collect::<Vec<_>>().join(".")
}

/// The text with its entities underlined and their types behind them.
fn marked(text: &str, mut entities: Vec<(Span, String)>) -> Markup {
    entities.sort_unstable_by_key(|(span, _)| span.start);
    let (mut pieces, mut at) = (Vec::new(), 0);
    for (span, label) in &entities {
        // A mark can neither begin before the last one ended nor lie outside the text or inside a character.
        match (text.get(at..span.start), span.get(text)) {
            (Some(before), Some(inside)) => {
                pieces.push((before, inside, label));
                at = span.end;
            }
            _ => pieces.push(("", "", label)),
        }
    }
    html! {
        @for (before, inside, label) in pieces {
            (before) @if !inside.is_empty() { mark { (inside) } } " " (soft(label))
        }
        (text[at..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_marked_and_those_that_overlap_are_named() {
        let entities = [(7..8, "<b>"), (0..4, "city"), (2..5, "c.to"), (5..99, "far")];
        let entities = entities.map(|(bytes, label)| (Span::new(bytes.start, bytes.end), label.to_owned()));
        let inside_a_letter = vec![(Span::new(1, 2), "odd".to_owned()), (Span::new(1, 0), "odd".to_owned())];
        let odd = " <span class=\"soft\">odd</span>";
        assert_eq!(marked("é", inside_a_letter).into_string(), format!("{odd}{odd}é"));
        assert_eq!(
            marked("Rome & X", entities.to_vec()).into_string(),
            "<mark>Rome</mark> <span class=\"soft\">city</span> <span class=\"soft\">c.to</span> \
             <span class=\"soft\">far</span> &amp; <mark>X</mark> <span class=\"soft\">&lt;b&gt;</span>"
        );
    }
}
