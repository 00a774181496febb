//! `report.html`, section by section.

mod confidence;
mod elements;
mod entities;
mod errors;
mod intents;
mod models;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::contents::Report;
use super::drawing::Drawing;
use super::markup::finished;
use super::svg;
use crate::pipeline::Evaluation;
use elements::{percent, range, tile};

type Drawings = [(String, Drawing)];

/// A part of the page.
struct Section {
    anchor: &'static str,
    heading: &'static str,
    body: Markup,
}

impl Report<'_> {
    pub(super) fn page(&self, drawings: &Drawings) -> String {
        let sections = self.sections(drawings);
        finished(html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    style { (PreEscaped(svg::style())) (PreEscaped(include_str!("page.css"))) }
                }
                body { main { (self.head(&sections)) @for section in &sections { (section.element()) } (footer()) } }
            }
        })
    }

    fn head(&self, sections: &[Section]) -> Markup {
        html! {
            h1 { (self.title) }
            @if !self.facts.is_empty() {
                dl { @for (name, text) in self.facts { dt { (name) } dd { (text) } } }
            }
            @if sections.len() > 1 {
                nav { @for Section { anchor, heading, .. } in sections { a href={ "#" (anchor) } { (heading) } } }
            }
            @for note in self.notes { p.note { (note) } }
            @if let Some(tested) = self.tested {
                @if let Some(overlap) = &tested.evaluation.training_overlap {
                    p.note[overlap.messages != Some(0)] { "Training data: " (overlap) "." }
                }
                (tiles(tested.evaluation))
            }
        }
    }

    fn sections(&self, drawings: &Drawings) -> Vec<Section> {
        let tested = self.tested;
        let evaluation = tested.map(|tested| tested.evaluation);
        let with_intents = evaluation.filter(|_| self.has_intents());
        let entities = self.entity_parts();
        let with_entities = evaluation.zip(entities.first());
        let other = evaluation.zip(self.other.as_ref());
        let folds = (!self.folds.is_empty()).then_some(self.folds);
        let curve = (!self.curve.is_empty()).then_some(self.curve);
        let sections = [
            ("folds", "Parts of the cross-validation", folds.map(models::folds)),
            ("comparison", "Two models", other.map(|(ours, other)| models::comparison(ours, other))),
            ("intents", "Intents", with_intents.map(|found| intents::intents(found, drawings))),
            ("sets", "Several intents in one message", evaluation.and_then(intents::sets)),
            ("calibration", "Confidence", evaluation.and_then(|one| confidence::calibration(one, drawings))),
            ("scope", "Out of scope", evaluation.and_then(confidence::out_of_scope)),
            (
                "entities",
                "Entities",
                with_entities.map(|(found, all)| entities::entities(found, &all.stem, drawings)),
            ),
            ("errors", "Most certain errors", tested.and_then(errors::errors)),
            ("curve", "Learning curve", curve.map(|curve| models::curve(curve, drawings))),
        ];
        let section = |(anchor, heading, body)| Some(Section { anchor, heading, body: body? });
        sections.into_iter().filter_map(section).collect()
    }
}

impl Section {
    fn element(&self) -> Markup {
        html! { section id=(self.anchor) { h2 { (self.heading) } (self.body) } "\n" }
    }
}

fn tiles(found: &Evaluation) -> Markup {
    let (intent, entity, ranges) = (&found.intent, &found.entity, &found.intervals);
    html! {
        .tiles {
            @if intent.messages > 0 {
                (tile("intent accuracy", percent(intent.accuracy), range(ranges.accuracy)))
                (tile("intent macro F1", percent(intent.macro_f1), range(ranges.macro_f1)))
            }
            @if entity.entities > 0 {
                (tile("entity F1, exact span", percent(entity.exact_span.f1), range(ranges.exact_span_f1)))
            }
            @if let Some(sets) = &found.intent_sets {
                (tile("micro F1 of intent sets", percent(sets.micro_average.f1),
                    format!("exact sets {}", percent(sets.exact_match))))
            }
            @if let Some(scores) = &found.calibration {
                (tile("calibration error", percent(scores.calibration.expected_calibration_error),
                    range(ranges.expected_calibration_error)))
            }
            @if let Some(auroc) = found.out_of_scope.and_then(|scores| scores.auroc) {
                (tile("out of scope, AUROC", format!("{auroc:.3}"), "0.5 is chance, 1 perfect"))
            }
            (tile("messages", found.messages,
                format!("{} with an intent, {} entities", intent.messages, entity.entities)))
        }
    }
}

fn footer() -> Markup {
    html! {
        footer {
            "talkformer " (env!("CARGO_PKG_VERSION")) ". Ranges are 95 % confidence intervals from a bootstrap over messages."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::contents::{Report, Tested};
    use crate::data::Utterance;
    use crate::pipeline::{Evaluation, EvaluationOptions};
    use crate::prediction::{Prediction, Scored};

    #[test]
    fn texts_labels_and_facts_never_become_elements() {
        let script = "<script>\"a\" & 'b'</script>\u{1}";
        let utterances = [Utterance::new(script, Some(script)), Utterance::new("hello", Some("greet"))];
        let found = Scored { name: format!("other {script}"), confidence: 0.9 };
        let predictions = [0, 1].map(|_| Prediction {
            intent: Some(found.clone()),
            intent_ranking: vec![found.clone()],
            ..Prediction::default()
        });
        let evaluation = Evaluation::new(&utterances, &predictions, &EvaluationOptions::default());
        let tested = Tested { utterances: &utterances, predictions: &predictions, evaluation: &evaluation };
        let (facts, notes) = ([(script, script.to_owned())], [script.to_owned()]);
        let page =
            Report { title: script, facts: &facts, notes: &notes, tested: Some(tested), ..Report::default() };
        let page = page.page(&page.drawings());
        assert!(!page.contains("<script") && !page.contains('\u{1}'), "{page}");
        for place in ["<h1>", "<title>", "<dt>", "<dd>", "<p class=\"note\">", "<span class=\"wrong\">other "]
        {
            assert!(page.contains(&format!("{place}&lt;script&gt;&quot;a&quot; &amp; ")), "{place}: {page}");
        }
    }
}
