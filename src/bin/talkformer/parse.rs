//! `talkformer parse`

use std::io::{self, BufWriter, Write as _};

use serde::Serialize;
use talkformer::nn::Device;
use talkformer::pipeline::{Explanation, Nlu};
use talkformer::prediction::Prediction;

use super::args::Parse;
use super::texts::{Failed, Texts};
use super::threads::limited;

/// Messages that are answered together.
const BATCH: usize = 512;

/// The same where a GPU answers.
const DEVICE_BATCH: usize = 8192;

/// An answer with what speaks for it.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    answer: Prediction,
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<Explanation>,
}

pub(crate) fn run(args: &Parse) -> anyhow::Result<()> {
    let options = args.opening.options().device(args.computing.device);
    let nlu = limited(Nlu::open_with(&args.model, &options)?, args.threads);
    let batch = if args.computing.device == Device::Cpu { BATCH } else { DEVICE_BATCH };
    let bad = Texts::lines(&args.texts, args.input.as_deref())?.each(batch, |lines| {
        // What is behind standard output looks for a line end in whatever it gets, and JSON comes in small pieces.
        let mut out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        let texts: Vec<&str> = lines.iter().flatten().map(String::as_str).collect();
        let mut answers = nlu.parse_batch(&texts)?.into_iter();
        for line in &lines {
            let answer = if line.is_ok() { answers.next() } else { None }.unwrap_or_default();
            match line {
                Ok(text) if args.explain => {
                    let explanation = nlu.explain(text)?;
                    serde_json::to_writer(&mut out, &Explained { answer, explanation })?;
                }
                Ok(_) => serde_json::to_writer(&mut out, &answer)?,
                Err(error) => serde_json::to_writer(&mut out, &Failed { answer, error })?,
            }
            writeln!(out)?;
        }
        Ok(out.flush()?)
    })?;
    bad.report()
}
