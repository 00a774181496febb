//! `talkformer similar`

use std::io::{self, Write as _};

use ndarray::{Array2, ArrayView1};
use serde::Serialize;
use talkformer::embed::Embedder;
use talkformer::{ndarray, pipeline};

use super::args::Similar;
use super::texts::Texts;
use crate::output::json_line;

/// A text and the lines that are most like it.
#[derive(Serialize)]
struct Answer<'a> {
    text: &'a str,
    similar: Vec<Hit<'a>>,
}

#[derive(Serialize)]
struct Hit<'a> {
    /// Counted from 1.
    line: usize,
    text: &'a str,
    similarity: f32,
}

pub(crate) fn run(args: &Similar) -> anyhow::Result<()> {
    // Of vectors of length one the cosine is the product.
    let options = args.encoder.options().normalize(Some(true));
    let embedder = pipeline::embedder(&args.encoder.model, &options)?;
    let lines = Texts::new(&[], Some(&args.input))?.all()?;
    let vectors = embedder.embed(&lines)?.vectors;
    let mut queries = Texts::new(&args.texts, None)?;
    loop {
        let (texts, failure) = queries.next(1);
        answer(args, &embedder, &lines, &vectors, &texts)?;
        if let Some(error) = failure {
            return Err(error);
        }
        if texts.is_empty() {
            return Ok(());
        }
    }
}

fn answer(
    args: &Similar,
    embedder: &Embedder,
    lines: &[String],
    vectors: &Array2<f32>,
    texts: &[String],
) -> anyhow::Result<()> {
    let found = embedder.embed(texts)?.vectors;
    for (text, query) in texts.iter().zip(found.outer_iter()) {
        let answer = Answer { text, similar: nearest(lines, vectors, query, args.most as usize) };
        if args.json {
            json_line(&answer)?;
            continue;
        }
        let mut out = io::stdout().lock();
        writeln!(out, "{text}")?;
        for hit in &answer.similar {
            writeln!(out, "  {:.3}  line {}: {}", hit.similarity, hit.line, hit.text)?;
        }
    }
    Ok(())
}

/// The most similar lines, the best first; of equals the earlier.
fn nearest<'a>(
    lines: &'a [String],
    vectors: &Array2<f32>,
    query: ArrayView1<'_, f32>,
    most: usize,
) -> Vec<Hit<'a>> {
    let similarities = vectors.dot(&query);
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|a, b| similarities[*b].total_cmp(&similarities[*a]));
    let hit = |at: usize| Hit { line: at + 1, text: &lines[at], similarity: similarities[at] };
    order.into_iter().take(most).map(hit).collect()
}
