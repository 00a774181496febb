//! `talkformer parse`

use std::io::{self, Write as _};

use talkformer::pipeline::Nlu;

use super::args::Parse;
use super::texts::Texts;
use super::threads::limited;

/// Messages that are answered together.
const BATCH: usize = 512;

pub(crate) fn run(args: &Parse) -> anyhow::Result<()> {
    let nlu = limited(Nlu::open(&args.model)?, args.threads);
    Texts::lines(&args.texts, args.input.as_deref())?.each(BATCH, |texts| {
        let mut out = io::stdout().lock();
        for prediction in nlu.parse_batch(&texts)? {
            serde_json::to_writer(&mut out, &prediction)?;
            writeln!(out)?;
        }
        Ok(out.flush()?)
    })
}
