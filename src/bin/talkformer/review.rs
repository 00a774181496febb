//! `talkformer data review`

use std::io::Write as _;

use serde_json::{Value, json};
use talkformer::data::Utterance;
use talkformer::pipeline::{
    EntityDoubt, EntityProblem, IntentDoubt, Mistaken, Review, name_intent_sets, reported_intents, review,
};
use talkformer::text::CharOffsets;

use super::args::Review as Args;
use super::output::{json_line, say, warn};
use super::train;
use super::trainings::out_of_fold;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (mut config, recipe) = args.pipeline.resolve()?;
    let separator = config.intent_separator();
    config.change_diet(|diet| {
        args.overrides.apply(diet);
        // The confidence of the given intent is needed even if it ranks last.
        diet.intents.ranking_length = 0;
        // A set of intents is right or wrong as a whole.
        diet.intents.multi_label = false;
    });
    let mut data = train::read(&args.data)?;
    name_intent_sets(&mut data.utterances, separator.as_deref());
    say(&format!("recipe {recipe}, data {}, {} folds", args.data.display(), args.folds));
    let answers =
        out_of_fold(&config, &data, args.folds.into(), args.overrides.seed, args.threads, args.computing)?;
    warn(&answers.warnings);
    let utterances = reported_intents(&data.utterances, &answers.predictions);
    let review = review(&utterances, &answers.predictions);
    let most = args.most as usize;
    if args.json {
        json_line(&as_json(&review, data.utterances.len(), most))
    } else {
        print(&review, data.utterances.len(), most)
    }
}

fn print(review: &Review<'_>, examples: usize, most: usize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let count = review.intents.len();
    writeln!(out, "{count} of {examples} examples look mislabelled{}", shown(count, most, "likeliest"))?;
    for doubt in review.intents.iter().take(most) {
        let IntentDoubt { utterance, given, suggested, .. } = doubt;
        writeln!(out, "  {}: {}", utterance.source, utterance.text)?;
        let (given_confidence, confidence) = (doubt.given_confidence, doubt.suggested_confidence);
        writeln!(
            out,
            "      is `{given}` ({given_confidence:.2}), looks like `{suggested}` ({confidence:.2})"
        )?;
    }
    let count = review.confused.len();
    writeln!(out, "\n{count} pairs of intents are confused{}", shown(count, most, "most frequent"))?;
    for pair in review.confused.iter().take(most) {
        for mistaken in pair.directions.iter().filter(|mistaken| mistaken.count > 0) {
            let Mistaken { intent, taken_for, count, of, examples, .. } = mistaken;
            writeln!(out, "  {count} of {of} of `{intent}` are taken for `{taken_for}`")?;
            for example in examples {
                writeln!(out, "      {}: {}", example.source, example.text)?;
            }
        }
    }
    let count = review.entities.len();
    writeln!(out, "\n{count} annotations look wrong or are missing{}", shown(count, most, "likeliest"))?;
    for doubt in review.entities.iter().take(most) {
        let EntityDoubt { utterance, span, confidence, .. } = doubt;
        writeln!(out, "  {}: {}", utterance.source, utterance.text)?;
        let problem = match doubt.problem {
            EntityProblem::NotFound { annotated } => format!("is `{annotated}`, looks like no entity"),
            EntityProblem::OtherType { annotated, found } => {
                format!("is `{annotated}`, looks like `{found}`")
            }
            EntityProblem::NotAnnotated { found, elsewhere } => {
                format!("is not annotated, looks like `{found}` as elsewhere ({elsewhere})")
            }
        };
        writeln!(out, "      \"{}\" {problem} ({confidence:.2})", span.of(&utterance.text))?;
    }
    Ok(())
}

/// The end of a heading: which of the entries are listed.
fn shown(count: usize, most: usize, which: &str) -> String {
    match count {
        0 => String::new(),
        count if count > most => format!("; the {most} {which}:"),
        _ => format!(", {which} first:"),
    }
}

fn as_json(review: &Review<'_>, examples: usize, most: usize) -> Value {
    let intent = |doubt: &IntentDoubt<'_>| {
        let mut value = place(doubt.utterance);
        value["intent"] = json!({"name": doubt.given, "confidence": doubt.given_confidence});
        value["suggested"] = json!({"name": doubt.suggested, "confidence": doubt.suggested_confidence});
        value["margin"] = json!(doubt.margin());
        value
    };
    let mistaken = |mistaken: &Mistaken<'_>| {
        json!({
            "intent": mistaken.intent,
            "taken_for": mistaken.taken_for,
            "count": mistaken.count,
            "of": mistaken.of,
            "examples": mistaken.examples.iter().map(|one| place(one)).collect::<Vec<_>>(),
        })
    };
    let entity = |doubt: &EntityDoubt<'_>| {
        let (start, end) = CharOffsets::new(&doubt.utterance.text).to_chars(doubt.span);
        let (problem, annotated, found) = match doubt.problem {
            EntityProblem::NotFound { annotated } => ("not_found", Some(annotated), None),
            EntityProblem::OtherType { annotated, found } => ("other_type", Some(annotated), Some(found)),
            EntityProblem::NotAnnotated { found, .. } => ("not_annotated", None, Some(found)),
        };
        let mut value = place(doubt.utterance);
        value["problem"] = json!(problem);
        value["entity"] = json!({"start": start, "end": end, "annotated": annotated, "suggested": found});
        value["confidence"] = json!(doubt.confidence);
        value
    };
    json!({
        "examples": examples,
        "mislabelled": review.intents.len(),
        "intents": review.intents.iter().take(most).map(intent).collect::<Vec<_>>(),
        "confused": review.confused.iter().take(most)
            .map(|pair| pair.directions.each_ref().map(mistaken)).collect::<Vec<_>>(),
        "entities": review.entities.iter().take(most).map(entity).collect::<Vec<_>>(),
    })
}

/// File, line and text of an example.
fn place(utterance: &Utterance) -> Value {
    let source = &utterance.source;
    json!({"file": source.path.display().to_string(), "line": source.line, "text": utterance.text})
}
