//! `talkformer data suggest`

use std::collections::HashSet;
use std::io::Write as _;

use serde::Serialize;
use talkformer::data::Entity;
use talkformer::pipeline::{Nlu, Suggestion, Unsure, suggest};
use talkformer::prediction::Scored;
use talkformer::text::CharOffsets;

use super::args::Suggest;
use super::lines::Lines;
use super::output::{json_line, say};
use super::texts::BadLines;
use super::threads::limited;

pub(crate) fn run(args: &Suggest) -> anyhow::Result<()> {
    let nlu = limited(Nlu::open_with(&args.model, &args.opening.options())?, args.threads);
    let (numbers, texts, bad) = read(Lines::open(args.input.as_deref())?)?;
    let answers = nlu.parse_batch(&texts)?;
    let suggestions = suggest(&answers, args.most as usize);
    say(&format!("{} of {} different messages", suggestions.len(), texts.len()));
    for suggestion in &suggestions {
        let line = numbers[suggestion.at];
        if args.json { json_line(&Draft::new(line, suggestion))? } else { print(line, suggestion)? }
    }
    bad.report()
}

/// The distinct messages, with the line where each occurs first, and the lines that hold none.
fn read(mut lines: Lines) -> anyhow::Result<(Vec<usize>, Vec<String>, BadLines)> {
    let (mut numbers, mut texts, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    let mut bad = BadLines::default();
    while let Some(line) = lines.next_line()? {
        let line = match line {
            Ok(line) => line,
            Err(line) => {
                bad.add(&line);
                continue;
            }
        };
        let text = line.trim();
        if !text.is_empty() && seen.insert(text.to_owned()) {
            numbers.push(lines.number());
            texts.push(text.to_owned());
        }
    }
    Ok((numbers, texts, bad))
}

fn print(line: usize, suggestion: &Suggestion<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let why = match suggestion.unsure {
        Unsure::Intent => "intents close together",
        Unsure::Entity => "unsure of an entity",
        Unsure::Scope => "maybe out of scope",
        Unsure::Words => "only unknown words",
    };
    writeln!(out, "line {line}: {}", suggestion.prediction.text)?;
    let guesses: Vec<String> =
        suggestion.guesses(2).map(|guess| format!("{} {:.2}", guess.name, guess.confidence)).collect();
    let guesses = if guesses.is_empty() { String::new() } else { format!(": {}", guesses.join(", ")) };
    Ok(writeln!(out, "    {why} ({:.2}){guesses}", suggestion.uncertainty)?)
}

/// A line that can be corrected and used as training data; the keys after `entities` are ignored when it is read.
#[derive(Serialize)]
struct Draft<'a> {
    text: String,
    intent: Option<String>,
    entities: Vec<Annotation>,
    line: usize,
    unsure: Unsure,
    uncertainty: f32,
    novelty: f32,
    guesses: Vec<&'a Scored>,
}

#[derive(Serialize)]
struct Annotation {
    start: usize,
    end: usize,
    entity: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

impl<'a> Draft<'a> {
    fn new(line: usize, suggestion: &'a Suggestion<'a>) -> Self {
        let example = suggestion.utterance();
        let offsets = CharOffsets::new(&example.text);
        let annotate = |entity: Entity| {
            let (start, end) = offsets.to_chars(entity.span);
            let value = entity.value_in(&example.text).to_owned();
            Annotation { start, end, value, entity: entity.entity, role: entity.role, group: entity.group }
        };
        let entities = example.entities.into_iter().map(annotate).collect();
        Self {
            entities,
            text: example.text,
            intent: example.intent,
            line,
            unsure: suggestion.unsure,
            uncertainty: suggestion.uncertainty,
            novelty: suggestion.novelty,
            guesses: suggestion.guesses(2).collect(),
        }
    }
}
