//! `talkformer test nlu`

use std::io::Write as _;

use talkformer::pipeline::{Evaluation, Nlu};

use super::args::TestNlu;
use super::output::{json_line, percent, warn};
use super::threads::limited;

pub(crate) fn run(args: &TestNlu) -> anyhow::Result<()> {
    let nlu = limited(Nlu::open(&args.model)?, args.threads);
    let data = talkformer::data::read(&args.data)?;
    warn(&data.warnings);
    anyhow::ensure!(!data.utterances.is_empty(), "{}: there is no example to test on", args.data.display());
    let scores = nlu.evaluate(&data.utterances)?;
    if args.json { json_line(&scores) } else { print(&scores) }
}

/// Scores as a table, then the intents that are taken for others.
pub(crate) fn print(scores: &Evaluation) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{} messages", scores.messages)?;
    let intent = &scores.intent;
    if intent.messages > 0 {
        writeln!(out, "\nintents ({} messages)", intent.messages)?;
        writeln!(out, "  accuracy          {:>9}", percent(intent.accuracy))?;
        writeln!(out, "  macro F1          {:>9}", percent(intent.macro_f1))?;
        writeln!(out, "  weighted F1       {:>9}", percent(intent.weighted_f1))?;
    }
    let entity = &scores.entity;
    if entity.entities > 0 {
        writeln!(out, "\nentities ({})         precision    recall        F1", entity.entities)?;
        for (name, rule) in
            [("exact span (conlleval)", entity.exact_span), ("overlap (DIET paper)", entity.overlap)]
        {
            let [precision, recall, f1] = [rule.precision, rule.recall, rule.f1].map(percent);
            writeln!(out, "  {name:<22} {precision:>9} {recall:>9} {f1:>9}")?;
        }
    }
    if intent.messages > 0 && intent.accuracy < 1.0 {
        writeln!(out, "\nmistaken intents (right one: taken for, how often)")?;
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
