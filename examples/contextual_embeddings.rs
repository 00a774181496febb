//! The word *bank* has one vector in a dictionary, and a different one in every sentence.
//!
//! ```sh
//! cargo run --release --example contextual_embeddings
//! cargo run --release --example contextual_embeddings -- all-MiniLM-L6-v2    # the folder of a pretrained encoder
//! ```
//!
//! It embeds *bank* in four sentences about money and in four about rivers, and compares all pairs: two of the
//! same sense should be more similar than two of different senses. First it uses static word vectors (a few, written by hand,
//! in `examples/words`) with attention that has no learned weights; then, if a folder is given, a pretrained encoder.
//! With all-MiniLM-L6-v2 it prints, within a quarter of a second,
//!
//! ```text
//! words by hand, as they are
//!   same sense 1.000 and more, different senses 1.000 and less
//! words by hand, in context
//!   same sense 0.936 and more, different senses 0.771 and less: every pair apart
//! all-MiniLM-L6-v2, in context
//!   same sense 0.865 and more, different senses 0.853 and less: every pair apart
//! all-MiniLM-L6-v2, less what all of them share
//!   same sense -0.010 and more, different senses -0.160 and less: every pair apart
//! ```
//!
//! The third result is a close call. Contextual vectors of the same word have a large component in common, which makes all of
//! them similar ([Ethayarajh, 2019](https://arxiv.org/abs/1909.00512)); with other sentences some pairs are on the wrong side.
//! What distinguishes the senses is what remains after subtracting the mean.

use std::error::Error;
use std::path::Path;

use ndarray::{Array1, Array2, Axis};
use talkformer::embed::vectors::WordVectors;
use talkformer::embed::{EmbedOptions, Embedder};

const MONEY: [&str; 4] = [
    "money in the bank",
    "the bank raised its interest rates",
    "he robbed a bank and went to prison",
    "the bank lent her the money for a house",
];

const RIVER: [&str; 4] = [
    "the bank of the river",
    "willows grew along the bank of the stream",
    "the river burst its bank",
    "otters slid down the bank into the water",
];

const WORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/words/vectors.txt");

fn main() -> Result<(), Box<dyn Error>> {
    let words = WordVectors::open(WORDS)?;
    let mut alone = vec![0.0; words.dim()];
    words.vector("bank", &mut alone);
    let rows = Array2::from_shape_fn((MONEY.len() + RIVER.len(), alone.len()), |(_, at)| alone[at]);
    compare("words by hand, as they are", &rows);
    compare("words by hand, in context", &banks(&Embedder::open(WORDS, &EmbedOptions::default())?)?);

    let Some(folder) = std::env::args().nth(1) else {
        println!(
            "Name the folder of a pretrained encoder, such as all-MiniLM-L6-v2, to see what it makes of them."
        );
        return Ok(());
    };
    let name = Path::new(&folder).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let rows = banks(&Embedder::open(&folder, &EmbedOptions::default())?)?;
    compare(&format!("{name}, in context"), &rows);
    let shared = rows.mean_axis(Axis(0)).ok_or("no rows")?;
    compare(&format!("{name}, less what all of them share"), &(rows - shared));
    Ok(())
}

/// The vector of *bank* in each sentence, of length one: `[sentence, dim]`.
fn banks(embedder: &Embedder) -> Result<Array2<f32>, Box<dyn Error>> {
    let mut rows = Array2::zeros((0, embedder.dim()));
    for sentence in MONEY.iter().chain(&RIVER) {
        let tokens = embedder.embed_tokens(sentence)?;
        let (_, row) = tokens.iter().find(|(span, _)| span.of(sentence) == "bank").ok_or("no bank")?;
        rows.push_row(unit(row.to_owned()).view())?;
    }
    Ok(rows)
}

fn unit(row: Array1<f32>) -> Array1<f32> {
    let length = row.dot(&row).sqrt();
    row / length
}

/// Reports whether any two of the same sense are more similar than any two of different senses.
fn compare(what: &str, rows: &Array2<f32>) {
    let rows: Vec<Array1<f32>> = rows.outer_iter().map(|row| unit(row.to_owned())).collect();
    let (mut same, mut different) = (f32::INFINITY, f32::NEG_INFINITY);
    for a in 0..rows.len() {
        for b in 0..a {
            let alike = rows[a].dot(&rows[b]);
            if (a < MONEY.len()) == (b < MONEY.len()) {
                same = same.min(alike);
            } else {
                different = different.max(alike);
            }
        }
    }
    let verdict = if same > different { ": every pair apart" } else { "" };
    println!("{what}\n  same sense {same:.3} and more, different senses {different:.3} and less{verdict}");
}
