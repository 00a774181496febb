//! Scores as text.

use std::io::Write;

use talkformer::metrics::{Interval, Prf};
use talkformer::pipeline::{CurveSeries, Evaluation, OutOfScopeScores};
use talkformer::report::{FoldScores, Other};

use super::output::percent;

/// Scores as a table, then the intents that are confused.
pub(crate) fn print(scores: &Evaluation) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let out = &mut out;
    writeln!(out, "{} messages", scores.messages)?;
    if let Some(overlap) = &scores.training_overlap {
        writeln!(out, "{overlap}")?;
    }
    let (intent, intervals) = (&scores.intent, &scores.intervals);
    if intent.messages > 0 {
        writeln!(out, "\nintents ({} messages)", intent.messages)?;
        writeln!(out, "  accuracy          {:>9}{}", percent(intent.accuracy), range(intervals.accuracy))?;
        writeln!(out, "  macro F1          {:>9}{}", percent(intent.macro_f1), range(intervals.macro_f1))?;
        writeln!(out, "  weighted F1       {:>9}", percent(intent.weighted_f1))?;
    }
    if let Some(sets) = &scores.intent_sets {
        writeln!(out, "  micro F1 of sets  {:>9}", percent(sets.micro_average.f1))?;
        writeln!(out, "  macro F1 of sets  {:>9}", percent(sets.macro_average.f1))?;
        writeln!(out, "  whole set right   {:>9}", percent(sets.exact_match))?;
    }
    if let Some(responses) = &scores.responses {
        let accuracy = percent(responses.accuracy);
        writeln!(
            out,
            "  right answers     {accuracy:>9} of {} messages with a retrieval intent",
            responses.messages
        )?;
    }
    if let Some(found) = &scores.calibration {
        let error = percent(found.calibration.expected_calibration_error);
        let interval = range(intervals.expected_calibration_error);
        writeln!(out, "  calibration error {error:>9}{interval}")?;
    }
    for (name, value) in [
        ("error before", scores.model.expected_calibration_error_before.map(percent)),
        ("error after", scores.model.expected_calibration_error_after.map(percent)),
        ("temperature", scores.model.temperature.map(|value| format!("{value:.3}"))),
    ] {
        if let Some(value) = value {
            writeln!(out, "    held out, {name:<12} {value:>9}")?;
        }
    }
    if let Some(found) = &scores.out_of_scope {
        print_out_of_scope(found, out)?;
    }
    let entity = &scores.entity;
    if entity.entities > 0 {
        writeln!(out, "\nentities ({})         precision    recall        F1", entity.entities)?;
        for (name, rule, interval) in [
            ("exact span (conlleval)", entity.exact_span, intervals.exact_span_f1),
            ("exact span and value", entity.exact_value, None),
            ("overlap (DIET paper)", entity.overlap, None),
        ] {
            print_rule(name, rule, range(interval), out)?;
        }
        if scores.extractors.len() > 1 {
            writeln!(out, "  of these, each component alone by exact span:")?;
            for one in &scores.extractors {
                print_rule(&one.extractor, one.scores.exact_span, String::new(), out)?;
            }
        }
    }
    if intent.messages > 0 && intent.accuracy < 1.0 {
        writeln!(out, "\nconfused intents (correct one: answer, how often)")?;
        let confusion = scores.confusion();
        for gold in confusion.gold_labels() {
            let wrong = confusion.confused_with(gold, 3);
            let wrong: Vec<String> =
                wrong.iter().map(|(name, count)| format!("{} {count}", name.unwrap_or("none"))).collect();
            if !wrong.is_empty() {
                writeln!(out, "  {gold}: {}", wrong.join(", "))?;
            }
        }
    }
    Ok(())
}

fn print_rule(name: &str, rule: Prf, interval: String, out: &mut impl Write) -> anyhow::Result<()> {
    let [precision, recall, f1] = [rule.precision, rule.recall, rule.f1].map(percent);
    Ok(writeln!(out, "  {name:<22} {precision:>9} {recall:>9} {f1:>9}{interval}")?)
}

fn print_out_of_scope(found: &OutOfScopeScores, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "\nout of scope ({} messages, {} in scope)", found.out_of_scope, found.in_scope)?;
    let some = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
    for (name, value) in [
        ("in-scope accuracy", percent(found.in_scope_accuracy)),
        ("AUROC", found.auroc.map_or_else(|| "–".to_owned(), |area| format!("{area:.4}"))),
        ("FPR95", some(found.fpr95)),
        ("recall, 95 % of in-scope accuracy kept", some(found.recall_keeping_95)),
        ("recall, 90 % of in-scope accuracy kept", some(found.recall_keeping_90)),
        ("recall as answered", percent(found.refused.recall)),
        ("precision as answered", percent(found.refused.precision)),
    ] {
        writeln!(out, "  {name:<40} {value:>9}")?;
    }
    Ok(())
}

/// Mean and deviation of each score over the parts of a cross-validation.
pub(crate) fn print_folds(folds: &[FoldScores]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\neach part alone              mean deviation")?;
    for score in folds {
        let (mean, deviation) = score.mean_and_deviation();
        writeln!(out, "  {:<22} {:>9} {:>9}", score.name, percent(mean), percent(deviation))?;
    }
    Ok(())
}

/// The difference from another model.
pub(crate) fn print_comparison(other: &Other<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let Other { name, evaluation, comparison: found } = other;
    writeln!(out, "\ncompared with {name}")?;
    if let Some(overlap) = &evaluation.training_overlap {
        writeln!(out, "  {overlap}")?;
    }
    for (score, difference, test) in [
        ("intent accuracy", found.accuracy, "McNemar"),
        ("entity F1, exact span", found.exact_span_f1, "paired bootstrap"),
    ] {
        if let Some(found) = difference {
            let Interval { low, high } = found.interval;
            writeln!(
                out,
                "  {score:<22} {:>+7.2} points ({:+.2} to {:+.2}), p = {:.4} ({test})",
                100.0 * found.difference,
                100.0 * low,
                100.0 * high,
                found.p_value
            )?;
        }
    }
    Ok(())
}

/// Means over the runs, for each share of the data.
pub(crate) fn print_curve(curve: &[CurveSeries]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for series in curve {
        writeln!(out, "{}\n  examples  accuracy weighted F1 entity F1", series.name)?;
        for mean in series.means() {
            writeln!(
                out,
                "  {:>8.0} {:>9} {:>11} {:>9}",
                mean.examples,
                percent(mean.accuracy),
                percent(mean.weighted_f1),
                mean.exact_span_f1.map_or_else(|| "–".to_owned(), percent)
            )?;
        }
    }
    Ok(())
}

fn range(interval: Option<Interval>) -> String {
    interval.map_or_else(String::new, |Interval { low, high }| {
        format!("  ({:.2} – {:.2})", 100.0 * low, 100.0 * high)
    })
}
