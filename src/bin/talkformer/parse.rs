//! `talkformer parse`

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write as _};
use std::path::Path;

use anyhow::{Context, bail};
use talkformer::pipeline::Nlu;

use super::args::Parse;
use super::threads::limited;

/// Lines that are answered together.
const BATCH: usize = 512;

pub(crate) fn run(args: &Parse) -> anyhow::Result<()> {
    let nlu = limited(Nlu::open(&args.model)?, args.threads);
    match &args.input {
        None if !args.texts.is_empty() => answer(&nlu, &args.texts),
        Some(path) if path != Path::new("-") => {
            let name = path.display().to_string();
            let file = File::open(path).with_context(|| format!("{name}: cannot be opened"))?;
            stream(&nlu, file, &name)
        }
        _ => stream(&nlu, io::stdin().lock(), "standard input"),
    }
}

/// Answers line by line; as many lines together as have arrived, so that nobody waits for a full batch.
fn stream(nlu: &Nlu, source: impl Read, name: &str) -> anyhow::Result<()> {
    let mut reader = BufReader::with_capacity(1 << 16, source);
    let mut line = 0;
    loop {
        let mut texts = Vec::new();
        while texts.len() < BATCH && (texts.is_empty() || reader.buffer().contains(&b'\n')) {
            let mut bytes = Vec::new();
            line += 1;
            if reader.read_until(b'\n', &mut bytes).with_context(|| format!("{name}: cannot be read"))? == 0 {
                break;
            }
            let end = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let end = end.strip_suffix(b"\r").unwrap_or(end);
            let mark: &[u8] = if line == 1 { b"\xef\xbb\xbf" } else { b"" };
            let end = end.strip_prefix(mark).unwrap_or(end);
            let Ok(text) = str::from_utf8(end) else {
                answer(nlu, &texts)?;
                bail!("{name}:{line}: not valid UTF-8; save the file as UTF-8");
            };
            texts.push(text.to_owned());
        }
        if texts.is_empty() {
            return Ok(());
        }
        answer(nlu, &texts)?;
    }
}

fn answer(nlu: &Nlu, texts: &[String]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    for prediction in nlu.parse_batch(texts)? {
        serde_json::to_writer(&mut out, &prediction.as_rasa())?;
        writeln!(out)?;
    }
    Ok(out.flush()?)
}
