//! Every way to cut a small file short, and every flip of a byte: an error or other vectors, and no panic.

use proptest::prelude::*;

use super::samples::{all, open, open_with, saved, vector};
use crate::embed::vectors::{VectorFormat, VectorsError, VectorsOptions, WordVectors};

const WORDS: [&str; 5] = ["cat", "für", "cap", "</s>", ""];

/// Looks at everything there is.
fn use_all(opened: Result<WordVectors, VectorsError>) -> bool {
    let Ok(vectors) = opened else {
        let _ = opened.map(|_| ()).map_err(|error| assert!(!error.to_string().is_empty()));
        return false;
    };
    let words: Vec<String> = vectors.words().map(String::from).collect();
    for word in words.iter().map(String::as_str).chain(WORDS) {
        let _ = vectors.contains(word);
        let found = vector(&vectors, word);
        assert!(found.is_none_or(|numbers| numbers.iter().all(|number| number.is_finite())));
    }
    true
}

fn files() -> impl Iterator<Item = (VectorFormat, Vec<u8>)> {
    let binary = all()
        .into_iter()
        .filter(|(format, _)| !matches!(format, VectorFormat::Glove | VectorFormat::Word2VecText));
    let mapped = all().into_iter().map(|(_, file)| (VectorFormat::Mapped, saved(&open(&file).unwrap())));
    binary.chain(mapped)
}

#[test]
fn no_cut_panics() {
    for (format, file) in files() {
        assert!(use_all(open(&file)), "{format}");
        for length in 0..file.len() {
            let is_open = use_all(open(&file[..length]));
            assert!(!is_open || format != VectorFormat::Mapped, "{format}, cut to {length}");
        }
    }
}

#[test]
fn no_flip_panics() {
    for (_, mut file) in files() {
        for at in 0..file.len() {
            for flip in [0x01, 0xff] {
                file[at] ^= flip;
                use_all(open(&file));
                file[at] ^= flip;
            }
        }
    }
}

#[test]
fn every_format_saves_what_it_reads_bit_for_bit() {
    let bits =
        |numbers: Option<Vec<f32>>| numbers.map(|n| n.into_iter().map(f32::to_bits).collect::<Vec<_>>());
    for (format, file) in all() {
        let vectors = open(&file).unwrap();
        assert_eq!(vectors.format(), format);
        let mapped = open(&saved(&vectors)).unwrap();
        assert_eq!(mapped.format(), VectorFormat::Mapped);
        assert_eq!((mapped.len(), mapped.dim()), (vectors.len(), vectors.dim()));
        assert!(mapped.words().eq(vectors.words()));
        for word in vectors.words().map(String::from).chain(WORDS.map(String::from)) {
            assert_eq!(mapped.contains(&word), vectors.contains(&word), "{format}: {word}");
            assert_eq!(bits(vector(&mapped, &word)), bits(vector(&vectors, &word)), "{format}: {word}");
        }
        assert_eq!(saved(&mapped), saved(&vectors), "{format}");
    }
}

proptest! {
    /// Every text is read or refused, whatever it is taken for.
    #[test]
    fn no_text_panics(text in "\u{feff}?([12] [12]\n)?[ab1-3. \t\r\n\u{b}\u{c}\u{feff}ü-]{0,30}", lossy: bool) {
        let formats = [VectorFormat::Glove, VectorFormat::Word2VecText, VectorFormat::Word2VecBinary];
        for format in formats.map(Some).into_iter().chain([None]) {
            use_all(open_with(text.as_bytes(), &VectorsOptions { format, lossy, limit: None }));
        }
    }
}
