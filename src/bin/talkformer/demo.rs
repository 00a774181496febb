//! `talkformer demo`

use std::io::Write as _;
use std::time::Instant;

use serde_json::json;
use talkformer::data::{Format, read_str};
use talkformer::pipeline::{Card, Recipe};
use talkformer::prediction::Prediction;

use super::args::Demo;
use super::output::{Interrupted, json_line, say};
use super::pipelines::Computing;
use super::progress::{Progress, stop_on_interrupt};
use super::{score, train};

pub(crate) const TRAIN: &str = include_str!("../../../examples/conference/train.yml");
pub(crate) const TEST: &str = include_str!("../../../examples/conference/test.yml");

const MESSAGES: [&str; 5] = [
    "When does Mei-Ling Tan speak tomorrow?",
    "what's on in the main hall between 2pm and 4 pm?",
    "please put Rust in Production on my schedule",
    "is there anything about machine learning on Friday",
    "thanks, that's all for now!",
];

pub(crate) fn run(args: &Demo) -> anyhow::Result<()> {
    let data = read_str(Format::RasaYaml, TRAIN, "examples/conference/train.yml")?;
    let held_out = read_str(Format::RasaYaml, TEST, "examples/conference/test.yml")?;
    say("a conference assistant, learnt from the data that comes with talkformer");
    let recipe = Recipe::ALL[0];
    let mut config = recipe.config();
    // Fewer steps than the recipe: this is a first look.
    config.change_diet(|diet| diet.training.minimum_steps = 600);
    let mut progress = Progress::new(args.json);
    let begun = Instant::now();
    let options = train::options(args.threads, Computing::default(), stop_on_interrupt()?);
    let (nlu, training) = train::train(None, &config, &data, &options, &mut progress)?;
    let seconds = begun.elapsed().as_secs_f64();
    if training.outcome.stopped == talkformer::train::Stopped::Interrupted {
        return Err(Interrupted.into());
    }
    let scores = nlu.evaluate(&held_out.utterances)?;
    let answers = nlu.parse_batch(&MESSAGES)?;
    if args.json {
        json_line(&json!({"event": "scores", "seconds": seconds, "scores": scores}))?;
        for answer in &answers {
            json_line(&json!({"event": "answer", "answer": answer}))?;
        }
    } else {
        say(&format!("trained in {seconds:.0} s; scores on messages it has never seen:\n"));
        score::print(&scores)?;
        answers.iter().try_for_each(print)?;
    }
    if let Some(out) = &args.out {
        let card = Card::default()
            .command(train::command_line())
            .recipe(recipe.name().to_owned())
            .data("The conference data that comes with talkformer.".to_owned())
            .licence(Some("MIT OR Apache-2.0".to_owned()))
            .seconds(seconds);
        let card = card.render(&nlu, &data, &training, &scores, "its test messages");
        say(&format!("saved {}", nlu.save_with_card(out, card)?.display()));
    }
    Ok(())
}

fn print(answer: &Prediction) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{}", answer.text)?;
    if let Some(intent) = &answer.intent {
        writeln!(out, "  {:<14} {:.2}", intent.name, intent.confidence)?;
    }
    for entity in &answer.entities {
        let role = entity.role.as_ref().map_or(String::new(), |role| format!(" ({})", role.name));
        let stands_for = if entity.value == entity.span.of(&answer.text) {
            String::new()
        } else {
            format!(" = {}", entity.value)
        };
        let sure = entity.confidence.map_or(String::new(), |confidence| format!(" {confidence:.2}"));
        let words = entity.span.of(&answer.text);
        writeln!(out, "    {}{role}: {words}{stands_for}{sure}", entity.entity)?;
    }
    Ok(())
}
