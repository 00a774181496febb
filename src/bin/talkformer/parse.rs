//! `talkformer parse`

use std::io::{self, Write as _};

use talkformer::pipeline::Nlu;

use super::args::Parse;
use super::lines::Lines;
use super::threads::limited;

/// Lines that are answered together.
const BATCH: usize = 512;

pub(crate) fn run(args: &Parse) -> anyhow::Result<()> {
    let nlu = limited(Nlu::open(&args.model)?, args.threads);
    if args.texts.is_empty() {
        stream(&nlu, Lines::open(args.input.as_deref())?)
    } else {
        answer(&nlu, &args.texts)
    }
}

/// Answers line by line; as many lines together as have arrived, so that nobody waits for a full batch.
fn stream(nlu: &Nlu, mut lines: Lines) -> anyhow::Result<()> {
    loop {
        let (mut texts, mut failure) = (Vec::new(), None);
        while texts.len() < BATCH && (texts.is_empty() || lines.is_ready()) {
            match lines.next_line() {
                Ok(Some(text)) => texts.push(text),
                Ok(None) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        answer(nlu, &texts)?;
        if let Some(error) = failure {
            return Err(error);
        }
        if texts.is_empty() {
            return Ok(());
        }
    }
}

fn answer(nlu: &Nlu, texts: &[String]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for prediction in nlu.parse_batch(texts)? {
        serde_json::to_writer(&mut out, &prediction)?;
        writeln!(out)?;
    }
    Ok(out.flush()?)
}
