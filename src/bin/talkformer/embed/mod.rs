//! `talkformer embed`, and the other commands that work with vectors.

pub(crate) mod args;
pub(crate) mod attention;
#[cfg(feature = "hub")]
pub(crate) mod download;
mod format;
pub(crate) mod similar;
pub(crate) mod vectors;

use serde::Serialize;
use talkformer::embed::{Embedder, TokenEmbeddings};
use talkformer::text::CharOffsets;

use crate::output::{json_line, say};
use crate::texts::{Failed, Texts};
use args::{Embed, Format};
use format::Sink;

/// Texts that are read, embedded and written before the next ones are read.
const BATCH: usize = 4096;

pub(crate) fn run(args: &Embed) -> anyhow::Result<()> {
    let format = format::decide(args)?;
    let embedder = args.encoder.open(&args.encoder.options())?;
    let texts = Texts::new(&args.texts, args.input.as_deref())?;
    if args.tokens {
        return tokens(&embedder, texts);
    }
    let mut sink = Sink::create(format, args.out.as_deref(), embedder.dim())?;
    let mut truncated = 0;
    let bad = texts.each(if format == Format::Jsonl { 512 } else { BATCH }, |lines| {
        let texts: Vec<&str> = lines.iter().flatten().map(String::as_str).collect();
        let embeddings = embedder.embed(&texts)?;
        truncated += embeddings.truncated;
        sink.write(&lines, embeddings.vectors)
    })?;
    sink.finish()?;
    if truncated > 0 {
        say(&format!(
            "{truncated} texts were longer than the model takes, and the rest of each was left out; \
             --long-texts split embeds all of it"
        ));
    }
    bad.report()
}

#[derive(Default, Serialize)]
struct Line<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
}

#[derive(Serialize)]
struct Token<'a> {
    text: &'a str,
    start: usize,
    end: usize,
    embedding: &'a [f32],
}

fn tokens(embedder: &Embedder, texts: Texts) -> anyhow::Result<()> {
    let bad = texts.each(1, |lines| match &lines[0] {
        Ok(text) => json_line(&Line { text, tokens: of(text, &embedder.embed_tokens(text)?) }),
        Err(error) => json_line(&Failed { answer: Line::default(), error }),
    })?;
    bad.report()
}

fn of<'a>(text: &'a str, found: &'a TokenEmbeddings) -> Vec<Token<'a>> {
    let offsets = CharOffsets::new(text);
    let rows = found.vectors.outer_iter().map(|row| row.to_slice().unwrap_or_default());
    let token = |(span, embedding): (&talkformer::text::Span, &'a [f32])| {
        let (start, end) = offsets.to_chars(*span);
        Token { text: span.of(text), start, end, embedding }
    };
    found.spans.iter().zip(rows).map(token).collect()
}
