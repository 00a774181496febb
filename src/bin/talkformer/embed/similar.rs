//! `talkformer similar`

use std::io::{self, Write as _};

use ndarray::{Array2, ArrayView1};
use serde::Serialize;
use talkformer::ndarray;

use super::args::Similar;
use crate::output::{json_line, say};
use crate::texts::{Failed, Texts};

/// A text and the lines that are most like it.
#[derive(Default, Serialize)]
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
    // The cosine of vectors of length one is their dot product.
    let options = args.encoder.options().normalize(Some(true));
    let embedder = args.encoder.open(&options)?;
    let lines = Texts::new(&[], Some(&args.input))?.all()?;
    let vectors = embedder.embed(&lines)?.vectors;
    let bad = Texts::new(&args.texts, None)?.each(1, |queries| {
        let text = match &queries[0] {
            Ok(text) => text,
            Err(error) if args.json => return json_line(&Failed { answer: Answer::default(), error }),
            Err(error) => {
                say(&format!("{}: {}", error.location, error.message));
                return Ok(());
            }
        };
        let query = embedder.embed(&[text])?.vectors;
        let similar = nearest(&lines, &vectors, query.row(0), args.most as usize);
        let answer = Answer { text, similar };
        if args.json { json_line(&answer) } else { print(&answer) }
    })?;
    bad.report()
}

fn print(answer: &Answer<'_>) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", answer.text)?;
    for hit in &answer.similar {
        writeln!(out, "  {:.3}  line {}: {}", hit.similarity, hit.line, hit.text)?;
    }
    Ok(())
}

/// The most similar lines, the best first; of two that are equally similar, the earlier.
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
