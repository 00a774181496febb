//! Files that other programs wrote, read and compared with what those programs read.

use std::path::{Path, PathBuf};

use super::samples::{open, saved, vector};
use crate::embed::vectors::{VectorFormat, VectorsError, VectorsOptions, WordVectors};

/// The files of finalfusion's tests lie outside the repository; without them the test says so and passes.
fn fixture(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/vectors").join(name);
    if !path.exists() {
        let mut text = std::io::stderr();
        let _ = std::io::Write::write_fmt(&mut text, format_args!("skipped: no {}\n", path.display()));
    }
    path.exists().then_some(path)
}

fn finalfusion(name: &str) -> Option<PathBuf> {
    fixture(&format!("formats_finalfusion/testdata/{name}"))
}

/// A word, its first three numbers and the sum of all.
type Golden = (&'static str, [f32; 3], f64);

/// From gensim 4.4.0: `load_facebook_vectors("fasttext.bin")[word]`, summed as `float64`. The first two words
/// are in the dictionary, the others are not.
const GENSIM: [Golden; 5] = [
    ("und", [0.287_512, 0.008_587_344, 0.024_974_72], -0.413_181_294),
    ("für", [-0.030_815_711, -0.091_888_31, 0.272_945_9], 0.087_960_978),
    ("Berlin", [0.633_428_93, 0.246_035_95, 0.230_844_63], -0.004_165_640),
    ("übersetzungsbüro", [0.205_342_72, 0.050_329_79, -0.126_005_11], -2.158_858_873),
    ("e", [0.212_305_62, 0.506_959_26, 0.455_000_43], -1.190_163_666),
];

#[test]
fn fasttext_gives_what_gensim_gives() -> Result<(), VectorsError> {
    let Some(path) = finalfusion("fasttext.bin") else { return Ok(()) };
    let vectors = WordVectors::open(&path)?;
    assert_eq!((vectors.format(), vectors.len(), vectors.dim()), (VectorFormat::FastText, 157, 50));
    for (number, (word, first, sum)) in GENSIM.into_iter().enumerate() {
        assert_eq!(vectors.contains(word), number < 2, "{word}");
        let found = vector(&vectors, word).unwrap();
        // Both add up to 60 floats below 4 in an order of their own.
        assert!(found.iter().zip(first).all(|(found, expected)| (found - expected).abs() < 1e-6), "{word}");
        let total: f64 = found.iter().copied().map(f64::from).sum();
        assert!((total - sum).abs() < 1e-5, "{word}: {total}");
    }
    Ok(())
}

#[test]
fn one_table_in_four_formats_is_one_table() -> Result<(), VectorsError> {
    let Some(path) = finalfusion("similarity.txt") else { return Ok(()) };
    let text = WordVectors::open(&path)?;
    assert_eq!((text.format(), text.len(), text.dim()), (VectorFormat::Word2VecText, 41, 100));
    for (name, format, tolerance) in [
        ("similarity.nodims", VectorFormat::Glove, 0.0),
        ("similarity.bin", VectorFormat::Word2VecBinary, 0.0),
        ("similarity.fifu", VectorFormat::Finalfusion, 1e-6), // divided and multiplied by the norm
    ] {
        let other = WordVectors::open(path.with_file_name(name))?;
        assert_eq!(other.format(), format);
        assert!(other.words().eq(text.words()), "{name}");
        for word in text.words() {
            let (found, expected) = (vector(&other, &word).unwrap(), vector(&text, &word).unwrap());
            let is_near = |(a, b): (&f32, &f32)| (a - b).abs() <= tolerance * b.abs();
            assert!(found.iter().zip(&expected).all(is_near), "{name}: {word}");
        }
    }
    Ok(())
}

/// Ten centroids for each number lose little.
#[test]
fn quantised_vectors_are_near_the_exact_ones() -> Result<(), VectorsError> {
    let Some(path) = finalfusion("quantized.fifu") else { return Ok(()) };
    let (codes, exact) =
        (WordVectors::open(&path)?, WordVectors::open(path.with_file_name("similarity.bin"))?);
    for word in exact.words() {
        let (found, expected) = (vector(&codes, &word).unwrap(), vector(&exact, &word).unwrap());
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let (length, size) = (dot(&expected, &expected).sqrt(), dot(&found, &found).sqrt());
        assert!(dot(&found, &expected) > 0.9 * length * size, "{word}");
        assert!((size / length - 1.0).abs() < 0.1, "{word} {}", size / length);
    }
    Ok(())
}

#[test]
fn a_broken_letter_is_an_error_or_replaced() -> Result<(), VectorsError> {
    for name in ["utf8-incomplete.bin", "utf8-incomplete.dims", "utf8-incomplete.txt"] {
        let Some(path) = finalfusion(name) else { return Ok(()) };
        assert!(matches!(WordVectors::open(&path), Err(VectorsError::Encoding { .. })), "{name}");
        let lossy = VectorsOptions { lossy: true, ..VectorsOptions::default() };
        let vectors = WordVectors::open_with(&path, &lossy)?;
        assert!(vectors.words().eq(["meren", "zee\u{fffd}n", "rivieren"]), "{name}");
        assert_eq!(vectors.warnings().len(), 1);
    }
    Ok(())
}

#[test]
fn real_files_are_saved_as_they_are() -> Result<(), VectorsError> {
    for (path, words) in [
        (fixture("glove_6B_50d_5k.txt"), 5050),
        (fixture("glove_twitter27B_25d_12k.txt"), 11_925),
        (finalfusion("fasttext.bin"), 157),
        (finalfusion("analogy.bin"), 43),
    ] {
        let Some(path) = path else { return Ok(()) };
        let vectors = WordVectors::open(&path)?;
        assert_eq!(vectors.len(), words, "{}", path.display());
        let mapped = open(&saved(&vectors))?;
        let others = GENSIM.map(|(word, ..)| word.to_owned());
        for word in vectors.words().map(String::from).chain(others) {
            assert_eq!(vector(&mapped, &word), vector(&vectors, &word), "{word}");
        }
    }
    Ok(())
}
