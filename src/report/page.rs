//! `report.html`: sections in the order in which someone asks.

use std::fmt::Write as _;

use super::drawing::Drawing;
use super::html::{bar, escape, table, tile};
use super::{Other, Report, Tested, percent, range, svg};
use crate::data::Utterance;
use crate::metrics::{Difference, Interval, LabelSetReport};
use crate::pipeline::{
    Answer, CalibrationScores, CurveSeries, Evaluation, ModelCalibration, OutOfScopeScores,
};
use crate::text::Span;

/// Errors that are shown; `intent_errors.json` has them all.
const MOST_ERRORS: usize = 30;
/// Pairs of intents that are shown.
const MOST_PAIRS: usize = 25;
/// Rows that are shown at once; the rest is folded.
const MOST_ROWS: usize = 40;

type Drawings = [(&'static str, Drawing)];

/// A part of the page: the name of its anchor, its heading, its HTML.
type Section = (&'static str, &'static str, String);

impl Report<'_> {
    pub(super) fn page(&self, drawings: &Drawings) -> String {
        let sections = self.sections(drawings);
        let title = escape(self.title);
        let mut out = format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{}\n{}</style>\n\
             </head>\n<body>\n<main>\n<h1>{title}</h1>\n",
            svg::style(),
            include_str!("page.css"),
        );
        if !self.facts.is_empty() {
            let fact =
                |(name, text): &(&str, String)| format!("<dt>{}</dt><dd>{}</dd>", escape(name), escape(text));
            let _ = writeln!(out, "<dl>{}</dl>", self.facts.iter().map(fact).collect::<String>());
        }
        if sections.len() > 1 {
            let link = |(anchor, heading, _): &Section| format!("<a href=\"#{anchor}\">{heading}</a>");
            let _ = writeln!(out, "<nav>{}</nav>", sections.iter().map(link).collect::<String>());
        }
        for note in self.notes {
            let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(note));
        }
        if let Some(tested) = &self.tested {
            out.push_str(&tiles(tested.evaluation));
        }
        for (anchor, heading, body) in sections {
            let _ = writeln!(out, "<section id=\"{anchor}\">\n<h2>{heading}</h2>\n{body}</section>");
        }
        let _ = writeln!(
            out,
            "<footer>talkformer {}. Ranges hold the true score in 95 of 100 cases, as far as future messages are like \
             these: bootstrap over messages.</footer>\n</main>\n</body>\n</html>",
            env!("CARGO_PKG_VERSION")
        );
        out
    }

    fn sections(&self, drawings: &Drawings) -> Vec<Section> {
        let mut sections: Vec<Section> = Vec::new();
        let mut add = |anchor, heading, body: Option<String>| {
            sections.extend(body.map(|body| (anchor, heading, body)));
        };
        let evaluation = self.tested.map(|tested| tested.evaluation);
        add("folds", "Parts of the cross-validation", (!self.folds.is_empty()).then(|| self.folds_table()));
        add(
            "comparison",
            "Two models",
            self.other.as_ref().zip(evaluation).map(|(other, ours)| comparison(ours, other)),
        );
        add(
            "intents",
            "Intents",
            self.tested.filter(|_| self.has_intents()).map(|tested| intents(tested, drawings)),
        );
        add(
            "sets",
            "Several intents in one message",
            evaluation.and_then(|one| one.intent_sets.as_ref()).map(sets),
        );
        let scores = evaluation.and_then(|one| one.calibration.as_ref());
        let model = evaluation.map(|one| one.model).unwrap_or_default();
        add(
            "calibration",
            "Confidence",
            scores.map(|scores| calibration(scores, evaluation, model, drawings)),
        );
        let scope = evaluation.and_then(|one| one.out_of_scope.as_ref());
        add("scope", "Out of scope", scope.map(|scores| out_of_scope(scores, model)));
        add(
            "entities",
            "Entities",
            evaluation.filter(|_| self.has_entities()).map(|one| entities(one, drawings)),
        );
        add("errors", "Most certain errors", self.tested.and_then(errors));
        add("curve", "Learning curve", (!self.curve.is_empty()).then(|| curve(self.curve, drawings)));
        sections
    }

    fn folds_table(&self) -> String {
        let rows = self.folds.iter().map(|score| {
            let (mean, deviation) = score.mean_and_deviation();
            let parts: Vec<String> =
                score.values.iter().map(|value| format!("{:.1}", 100.0 * value)).collect();
            vec![
                escape(&score.name),
                format!("{:.1}", 100.0 * mean),
                format!("{:.1}", 100.0 * deviation),
                format!("<span class=\"soft\">{}</span>", parts.join(" &nbsp; ")),
            ]
        });
        let text = "<p>Each message was answered by a model that had not seen it. All other scores on this page are those \
                    of all answers together; here is each part alone, in percent.</p>\n";
        format!("{text}{}", table(&["score", "mean", "deviation", "each part"], rows))
    }
}

fn drawing(drawings: &Drawings, name: &str) -> String {
    let found = drawings.iter().find(|(other, _)| *other == name);
    found.map(|(_, drawing)| drawing.to_inline_svg()).unwrap_or_default()
}

fn between(interval: Option<Interval>) -> String {
    interval.map(range).unwrap_or_default()
}

fn tiles(found: &Evaluation) -> String {
    let mut tiles = String::new();
    let mut add = |name: &str, value: String, remark: String| tiles.push_str(&tile(name, &value, &remark));
    if found.intent.messages > 0 {
        add("intent accuracy", percent(found.intent.accuracy), between(found.intervals.accuracy));
        add("intent macro F1", percent(found.intent.macro_f1), between(found.intervals.macro_f1));
    }
    if found.entity.entities > 0 {
        let f1 = found.entity.exact_span.f1;
        add("entity F1, exact span", percent(f1), between(found.intervals.exact_span_f1));
    }
    if let Some(sets) = &found.intent_sets {
        let remark = format!("exact sets {}", percent(sets.exact_match));
        add("micro F1 of intent sets", percent(sets.micro_average.f1), remark);
    }
    if let Some(scores) = &found.calibration {
        let error = scores.calibration.expected_calibration_error;
        add("calibration error", percent(error), between(found.intervals.expected_calibration_error));
    }
    if let Some(auroc) = found.out_of_scope.and_then(|scores| scores.auroc) {
        add("out of scope, AUROC", format!("{auroc:.3}"), "0.5 is chance, 1 perfect".to_owned());
    }
    let texts = format!("{} with an intent, {} entities", found.intent.messages, found.entity.entities);
    add("messages", found.messages.to_string(), texts);
    format!("<div class=\"tiles\">\n{tiles}</div>\n")
}

fn intents(Tested { evaluation, .. }: Tested<'_>, drawings: &Drawings) -> String {
    let confusion = evaluation.confusion();
    let report = &evaluation.intent.report;
    let mut rows: Vec<(f64, Vec<String>)> = Vec::new();
    for (label, score) in &report.labels {
        let wrong = confusion.confused_with(label, 2).into_iter();
        let wrong: Vec<String> =
            wrong.map(|(name, count)| format!("{} {count}", escape(name.unwrap_or("(none)")))).collect();
        let scores = score.scores;
        rows.push((
            scores.f1,
            vec![
                escape(label),
                bar(scores.f1),
                format!("{:.1}", 100.0 * scores.precision),
                format!("{:.1}", 100.0 * scores.recall),
                score.support.to_string(),
                format!("<span class=\"soft\">{}</span>", wrong.join(", ")),
            ],
        ));
    }
    rows.sort_by(|one, other| one.0.total_cmp(&other.0)); // stable: equals stay alphabetical
    let head = ["intent", "F1", "precision", "recall", "messages", "taken for"];
    let table = folded(&head, rows.into_iter().map(|(_, row)| row).collect());
    let averages = format!(
        "<p>Accuracy {}, macro F1 {}, weighted F1 {}. A fallback is undone: the best intent counts, however unsure. \
         The weakest intents come first.</p>\n",
        percent(report.accuracy),
        percent(report.macro_average.f1),
        percent(report.weighted_average.f1),
    );
    format!("{averages}{table}{}{}", pairs(evaluation), drawing(drawings, "intent_confusion_matrix"))
}

/// Pairs of intents that are taken for each other, both ways together.
fn pairs(evaluation: &Evaluation) -> String {
    let confusion = evaluation.confusion();
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
    if pairs.is_empty() {
        return String::new();
    }
    pairs.sort_by_key(|(sum, _, _)| std::cmp::Reverse(*sum));
    let told = pairs.len().min(MOST_PAIRS);
    let rows = pairs[..told].iter().map(|(sum, names, counts)| {
        let arrow = |from: usize, to: usize, count: usize| {
            format!("{} → {}: {count}", escape(names[from]), escape(names[to]))
        };
        let ways = [(0, 1, counts[0]), (1, 0, counts[1])].into_iter().filter(|way| way.2 > 0);
        let ways: Vec<String> = ways.map(|(from, to, count)| arrow(from, to, count)).collect();
        vec![
            format!("{} and {}", escape(names[0]), escape(names[1])),
            sum.to_string(),
            format!("<span class=\"soft\">{}</span>", ways.join(", ")),
        ]
    });
    format!(
        "<details><summary>Pairs of intents that are confused: {told} of {}</summary>\n{}</details>\n",
        pairs.len(),
        table(&["pair", "messages", "right one → answer"], rows)
    )
}

fn sets(found: &LabelSetReport) -> String {
    let row = |name: &str, scores: crate::metrics::Prf| {
        let [precision, recall, f1] =
            [scores.precision, scores.recall, scores.f1].map(|share| format!("{:.1}", 100.0 * share));
        vec![escape(name), precision, recall, f1]
    };
    let averages = [
        row("all intents together (micro)", found.micro_average),
        row("mean of intents (macro)", found.macro_average),
    ];
    let labels = found.labels.iter().map(|(label, scores)| row(label, *scores));
    format!(
        "<p>Labels such as <code>thank+bye</code> are sets. {} of {} messages get exactly the right set.</p>\n{}",
        percent(found.exact_match),
        found.messages,
        folded(&["intent", "precision", "recall", "F1"], averages.into_iter().chain(labels).collect())
    )
}

fn calibration(
    scores: &CalibrationScores,
    found: Option<&Evaluation>,
    model: ModelCalibration,
    drawings: &Drawings,
) -> String {
    let found_in = &scores.calibration;
    let lean = if found_in.overconfidence >= 0.0 { "more" } else { "less" };
    let mut rows = vec![
        vec![
            "expected calibration error".to_owned(),
            percent(found_in.expected_calibration_error),
            between(found.and_then(|one| one.intervals.expected_calibration_error)),
        ],
        vec!["in the worst bin".to_owned(), percent(found_in.maximum_calibration_error), String::new()],
        vec![
            "Brier score".to_owned(),
            format!("{:.4}", scores.brier_score),
            "0 is perfect, 2 the worst".to_owned(),
        ],
        vec![
            "negative log-likelihood".to_owned(),
            format!("{:.4}", scores.negative_log_likelihood),
            "nats a message".to_owned(),
        ],
    ];
    let fitted = "fitted while the model was trained, on held-out messages";
    for (name, value) in [
        ("temperature", model.temperature.map(|value| format!("{value:.3}"))),
        ("calibration error before", model.expected_calibration_error_before.map(percent)),
        ("calibration error after", model.expected_calibration_error_after.map(percent)),
    ] {
        rows.extend(value.map(|value| vec![name.to_owned(), value, fitted.to_owned()]));
    }
    let rows = rows.into_iter().map(|mut row| {
        row[2] = format!("<span class=\"soft\">{}</span>", escape(&row[2]));
        row
    });
    format!(
        "<p>Of the answers given with 80 %, eight in ten should be right. On average the model promises {} {lean} than it \
         keeps. Messages that are out of scope are not counted here.</p>\n{}<div class=\"pair\">{}{}</div>\n",
        percent(found_in.overconfidence.abs()),
        table(&["", "value", ""], rows),
        drawing(drawings, "intent_reliability"),
        drawing(drawings, "intent_histogram"),
    )
}

fn out_of_scope(scores: &OutOfScopeScores, model: ModelCalibration) -> String {
    let some = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
    let row = |name: &str, value: String, text: &str| {
        vec![escape(name), value, format!("<span class=\"soft\">{}</span>", escape(text))]
    };
    let mut rows = vec![
        row(
            "AUROC",
            scores.auroc.map_or_else(|| "–".to_owned(), |area| format!("{area:.3}")),
            "how often the score puts a pair in the right order",
        ),
        row(
            "FPR95",
            some(scores.fpr95),
            "out-of-scope messages that get through where 95 % of the others do; lower is better",
        ),
        row(
            "recall at 95 % accuracy kept",
            some(scores.recall_keeping_95),
            "refused, while 95 % of the right in-scope answers stay",
        ),
        row(
            "recall at 90 % accuracy kept",
            some(scores.recall_keeping_90),
            "refused, while 90 % of the right in-scope answers stay",
        ),
        row("in-scope accuracy", percent(scores.in_scope_accuracy), "a fallback is undone"),
        row(
            "in-scope accuracy as answered",
            percent(scores.in_scope_accuracy_as_answered),
            "a fallback is wrong",
        ),
        row(
            "recall as answered",
            percent(scores.refused.recall),
            "out-of-scope messages that the pipeline refuses",
        ),
        row(
            "precision as answered",
            percent(scores.refused.precision),
            "refused messages that are out of scope",
        ),
    ];
    if let Some(threshold) = model.out_of_scope_threshold {
        let text = "score from which on the answer is the fallback, fitted while the model was trained";
        rows.push(row("threshold", format!("{threshold:.3}"), text));
    }
    format!(
        "<p>{} messages are in scope, {} are not.</p>\n{}",
        scores.in_scope,
        scores.out_of_scope,
        table(&["", "value", ""], rows)
    )
}

fn entities(found: &Evaluation, drawings: &Drawings) -> String {
    let scores = &found.entity;
    let numbers = |prf: crate::metrics::Prf| {
        [prf.precision, prf.recall, prf.f1].map(|share| format!("{:.1}", 100.0 * share))
    };
    let rules = [
        ("exact span: type, start and end agree (conlleval)", scores.exact_span),
        ("overlap: same type, a word shared (DIET paper)", scores.overlap),
        ("token by token, weighted (Rasa)", scores.by_token.weighted_average),
    ];
    let rules = rules.into_iter().map(|(name, prf)| {
        let mut row = vec![escape(name)];
        row.extend(numbers(prf));
        row
    });
    let mut types: Vec<(f64, Vec<String>)> = Vec::new();
    for (label, exact) in &scores.report.exact_by_label {
        let overlap = scores.report.overlap_by_label.get(label).map_or(0.0, |score| score.scores.f1);
        let [precision, recall, _] = numbers(exact.scores);
        let gold = exact.counts.true_positives + exact.counts.false_negatives;
        let row = vec![
            escape(label),
            bar(exact.scores.f1),
            precision,
            recall,
            format!("{:.1}", 100.0 * overlap),
            gold.to_string(),
        ];
        types.push((exact.scores.f1, row));
    }
    types.sort_by(|one, other| one.0.total_cmp(&other.0));
    let head = ["type", "F1, exact", "precision", "recall", "F1, overlap", "in the data"];
    format!(
        "{}{}{}{}",
        table(&["rule", "precision", "recall", "F1"], rules),
        folded(&head, types.into_iter().map(|(_, row)| row).collect()),
        drawing(drawings, "DIETClassifier_confusion_matrix"),
        drawing(drawings, "DIETClassifier_histogram"),
    )
}

/// Wrong answers that the model was most certain of: often the data is wrong, not the model.
fn errors(tested: Tested<'_>) -> Option<String> {
    let answers = tested.evaluation.answers();
    let confidence = |at: usize| answers[at].intent.as_ref().map_or(0.0, |scored| scored.confidence);
    let mut wrong: Vec<usize> = (0..answers.len())
        .filter(|at| answers[*at].outcome.gold.is_some() && !answers[*at].outcome.is_right())
        .collect();
    wrong.sort_by(|one, other| confidence(*other).total_cmp(&confidence(*one)));
    let mut out = String::new();
    if !wrong.is_empty() {
        let rows = wrong.iter().take(MOST_ERRORS).map(|at| {
            let (gold, answer) = (&tested.utterances[*at], &answers[*at]);
            let name = answer.intent.as_ref().map_or("(none)", |scored| scored.name.as_str());
            vec![
                escape(&gold.text),
                format!(
                    "<span class=\"right\">{}</span>",
                    escape(gold.intent.as_deref().unwrap_or_default())
                ),
                format!("<span class=\"wrong\">{}</span>", escape(name)),
                format!("{:.1} %", 100.0 * confidence(*at)),
            ]
        });
        let _ = write!(
            out,
            "<p>The {} of {} wrong intents that the model was most certain of. Look at the labels first: here mislabelled \
             examples gather.</p>\n<div class=\"words\">{}</div>",
            wrong.len().min(MOST_ERRORS),
            wrong.len(),
            table(&["message", "right", "answer", "confidence"], rows)
        );
    }
    out.push_str(&entity_errors(tested, answers));
    (!out.is_empty()).then_some(out)
}

/// Messages whose entities are wrong, those with the most certain wrong token first.
fn entity_errors(tested: Tested<'_>, answers: &[Answer]) -> String {
    let worst = |at: usize| {
        let wrong = answers[at].tokens.iter().filter(|token| token.gold != token.predicted);
        wrong.map(|token| token.confidence).fold(-1.0, f32::max)
    };
    let mut wrong: Vec<(f32, usize)> =
        (0..answers.len()).map(|at| (worst(at), at)).filter(|(confidence, _)| *confidence >= 0.0).collect();
    if wrong.is_empty() {
        return String::new();
    }
    wrong.sort_by(|one, other| other.0.total_cmp(&one.0));
    let rows = wrong.iter().take(MOST_ERRORS).map(|(_, at)| {
        let (gold, found) = (&tested.utterances[*at], &tested.predictions[*at]);
        let name = |parts: [Option<&str>; 3]| parts.into_iter().flatten().collect::<Vec<_>>().join(".");
        let wanted = gold
            .entities
            .iter()
            .map(|one| (one.span, name([Some(&one.entity), one.group.as_deref(), one.role.as_deref()])));
        let wanted: Vec<(Span, String)> = wanted.collect();
        let ours =
            found.entities.iter().filter(|entity| entity.extractor == super::rasa::EXTRACTOR).map(|one| {
                let part = |scored: &'_ Option<crate::prediction::Scored>| {
                    scored.as_ref().map(|scored| scored.name.clone())
                };
                (one.span, name([Some(&one.entity), part(&one.group).as_deref(), part(&one.role).as_deref()]))
            });
        let ours: Vec<(Span, String)> = ours.collect();
        vec![marked(gold, &wanted), marked(gold, &ours)]
    });
    format!(
        "<h3>Entities</h3>\n<p>{} of {} messages with a wrong token, the most certain first.</p>\n<div class=\"words\">{}</div>",
        wrong.len().min(MOST_ERRORS),
        wrong.len(),
        table(&["right", "found"], rows)
    )
}

/// The text with its entities underlined and their types behind them.
fn marked(gold: &Utterance, entities: &[(Span, String)]) -> String {
    let (mut out, mut at) = (String::new(), 0);
    let mut entities = entities.to_vec();
    entities.sort_unstable_by_key(|(span, _)| span.start);
    for (span, label) in entities {
        if span.start < at || span.end > gold.text.len() {
            let _ = write!(out, " <span class=\"soft\">{}</span>", escape(&label));
            continue;
        }
        let _ = write!(
            out,
            "{}<mark>{}</mark> <span class=\"soft\">{}</span>",
            escape(&gold.text[at..span.start]),
            escape(span.of(&gold.text)),
            escape(&label)
        );
        at = span.end;
    }
    out.push_str(&escape(&gold.text[at..]));
    out
}

fn comparison(ours: &Evaluation, other: &Other<'_>) -> String {
    let theirs = other.evaluation;
    let row = |name: &str, first: f64, second: f64, difference: Option<Difference>| {
        let difference = difference.map_or_else(
            || vec![format!("{:+.1}", 100.0 * (second - first)), String::new(), String::new()],
            |found| {
                let Interval { low, high } = found.interval;
                let clear =
                    if found.p_value < 0.05 { "" } else { " <span class=\"soft\">(could be chance)</span>" };
                vec![
                    format!("{:+.1}", 100.0 * found.difference),
                    format!("{:+.1} – {:+.1}", 100.0 * low, 100.0 * high),
                    format!("{}{clear}", p_value(found.p_value)),
                ]
            },
        );
        let mut row = vec![escape(name), format!("{:.1}", 100.0 * first), format!("{:.1}", 100.0 * second)];
        row.extend(difference);
        row
    };
    let mut rows = Vec::new();
    if ours.intent.messages > 0 {
        rows.push(row(
            "intent accuracy",
            ours.intent.accuracy,
            theirs.intent.accuracy,
            other.comparison.accuracy,
        ));
        rows.push(row("intent macro F1", ours.intent.macro_f1, theirs.intent.macro_f1, None));
    }
    if ours.entity.entities > 0 {
        let (first, second) = (ours.entity.exact_span.f1, theirs.entity.exact_span.f1);
        rows.push(row("entity F1, exact span", first, second, other.comparison.exact_span_f1));
    }
    if let (Some(first), Some(second)) = (&ours.calibration, &theirs.calibration) {
        let error = |scores: &CalibrationScores| scores.calibration.expected_calibration_error;
        rows.push(row("calibration error", error(first), error(second), None));
    }
    format!(
        "<p>On the same messages, in percent: the tested model, then <code>{}</code>. {} intents are right by the tested \
         model alone, {} by the other alone. Tests: McNemar, exact, for intents; paired bootstrap for entities.</p>\n{}",
        escape(other.name),
        other.comparison.only_first_right,
        other.comparison.only_second_right,
        table(&["score", "tested", "other", "difference", "95 % range", "p-value"], rows)
    )
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "&lt; 0.001".to_owned() } else { format!("{p:.3}") }
}

fn curve(series: &[CurveSeries], drawings: &Drawings) -> String {
    let mut rows = Vec::new();
    for one in series {
        for group in one.by_share() {
            let mean =
                |score: &dyn Fn(usize) -> f64| (0..group.len()).map(score).sum::<f64>() / group.len() as f64;
            let entities = group.iter().all(|point| point.exact_span_f1.is_some());
            let f1 = |at: usize| group[at].exact_span_f1.unwrap_or(0.0);
            rows.push(vec![
                escape(&one.name),
                format!("{:.0}", mean(&|at| group[at].examples as f64)),
                format!("{} %", 100 - u16::from(group[0].percentage)),
                format!("{:.1}", 100.0 * mean(&|at| group[at].accuracy)),
                format!("{:.1}", 100.0 * mean(&|at| group[at].weighted_f1)),
                if entities { format!("{:.1}", 100.0 * mean(&f1)) } else { "–".to_owned() },
                group.len().to_string(),
            ]);
        }
    }
    let head =
        ["pipeline", "examples", "of the data", "intent accuracy", "weighted F1", "entity F1, exact", "runs"];
    format!(
        "<p>In each run a fifth of the data is held out and scored, and models learn from shares of the rest. A line that \
         still rises at its right end asks for more examples.</p>\n<div class=\"pair\">{}{}</div>\n{}",
        drawing(drawings, "nlu_model_comparison_graph"),
        drawing(drawings, "entity_model_comparison_graph"),
        table(&head, rows)
    )
}

/// A table of which the end is folded where it is long.
fn folded(head: &[&str], mut rows: Vec<Vec<String>>) -> String {
    if rows.len() <= MOST_ROWS {
        return table(head, rows);
    }
    let rest = rows.split_off(MOST_ROWS);
    format!(
        "{}<details><summary>{} more</summary>\n{}</details>\n",
        table(head, rows),
        rest.len(),
        table(head, rest)
    )
}
