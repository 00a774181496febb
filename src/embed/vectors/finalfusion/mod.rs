//! The format of finalfusion: a header, then chunks for metadata, words, rows and norms.

mod reader;
mod storage;
mod vocabulary;

use std::path::Path;
use std::sync::Arc;

pub(super) use self::reader::MAGIC;
use self::reader::{FORMAT, Reader, chunk};
use self::storage::Storage;
use self::vocabulary::{Ngrams, Vocabulary};
use super::blob::Blob;
use super::rows::Rows;
use super::subwords::Subwords;
use super::word_vectors::Known;
use super::{VectorsError, VectorsOptions, WordVectors};
use crate::files::Mapped;

/// Reads the words. Rows and norms stay in the file.
pub(super) fn read(
    path: &Path,
    file: &Arc<Mapped>,
    options: &VectorsOptions,
) -> Result<WordVectors, VectorsError> {
    let mut reader = Reader::new(path, file);
    let chunks = reader.header()?;
    let twice = |what| VectorsError::damaged(path, format!("a second chunk with {what}"));
    let (mut vocabulary, mut storage, mut norms) = (None, None, None);
    for _ in 0..chunks {
        let kind = reader.cursor.u32("a chunk")?;
        let length = reader.cursor.size64("a chunk")?;
        let start = reader.cursor.position();
        match kind {
            chunk::METADATA => {}
            chunk::NORMS => norms = Some(reader.norms()?),
            chunk::ARRAY if storage.is_none() => storage = Some(reader.array()?),
            chunk::QUANTISED_ARRAY if storage.is_none() => storage = Some(reader.quantised()?),
            // Chunks may overlap, so each more could be as long as the file.
            chunk::ARRAY | chunk::QUANTISED_ARRAY => return Err(twice("rows")),
            chunk::SIMPLE_VOCABULARY
            | chunk::BUCKET_VOCABULARY
            | chunk::FASTTEXT_VOCABULARY
            | chunk::EXPLICIT_VOCABULARY
                if vocabulary.is_some() =>
            {
                return Err(twice("words"));
            }
            _ => vocabulary = Some(reader.vocabulary(kind, options)?),
        }
        reader.cursor.go_back(start);
        reader.cursor.skip(length, "a chunk")?;
    }
    let part = |name| VectorsError::damaged(path, format!("no chunk with {name}"));
    let vocabulary = vocabulary.ok_or_else(|| part("words"))?;
    build(path, vocabulary, storage.ok_or_else(|| part("rows"))?, norms)
}

fn build(
    path: &Path,
    vocabulary: Vocabulary,
    storage: Storage,
    norms: Option<Blob>,
) -> Result<WordVectors, VectorsError> {
    let Vocabulary { words, warnings, count, ngrams } = vocabulary;
    let buckets = ngrams.as_ref().map_or(0, |ngrams| ngrams.buckets);
    // Listed n-grams may share rows, so how many rows they have is not known.
    let at_least = ngrams.as_ref().is_some_and(Ngrams::is_listed);
    let fits = |needed| if at_least { count <= storage.rows } else { needed == storage.rows };
    if storage.dim == 0 || !count.checked_add(buckets).is_some_and(fits) {
        let reason =
            format!("{} rows of {} for {count} words and {buckets} n-grams", storage.rows, storage.dim);
        return Err(VectorsError::damaged(path, reason));
    }
    if norms.as_ref().is_some_and(|norms| norms.len() / size_of::<f32>() != count) {
        return Err(VectorsError::damaged(path, format!("the norms are not those of {count} words")));
    }
    let rows = Rows { numbers: storage.numbers, norms };
    let bare = Rows { numbers: rows.numbers.clone(), norms: None };
    let vectors = WordVectors::new(path, FORMAT, storage.dim, words, rows).with_warnings(warnings);
    let Some(Ngrams { min, max, index, .. }) = ngrams else {
        return Ok(vectors);
    };
    let buckets = storage.rows - count;
    let subwords = Subwords { min, max, index, rows: bare, first: count, buckets };
    vectors.with_subwords(subwords, Known::Alone)
}

#[cfg(test)]
mod tests {
    use super::super::hash;
    use super::*;
    use crate::embed::vectors::tests::samples::{
        Chunk, array, explicit_vocabulary, finalfusion, message, norms, open, open_with, quantised, vector,
        vocabulary,
    };

    const WORDS: [&str; 2] = ["cat", "für"];

    #[test]
    fn norms_give_words_their_length_back() -> Result<(), VectorsError> {
        let simple = vocabulary(1, &[], &WORDS);
        let vectors = open(&finalfusion(&[simple.clone(), array(2), norms(&[7.0, 0.5])]))?;
        assert_eq!(vector(&vectors, "für"), Some(vec![0.5, 50.0]));
        assert_eq!(vector(&vectors, "cap"), None);
        let codes = open(&finalfusion(&[simple, quantised(Some([1.0, 2.0])), norms(&[1.0, 10.0])]))?;
        assert_eq!(vector(&codes, "cat"), Some(vec![1.0, 2.0, 3.0, 4.0]));
        assert_eq!(vector(&codes, "für"), Some(vec![200.0, 400.0, 60.0, 80.0]));
        Ok(())
    }

    #[test]
    fn unknown_words_are_the_mean_of_their_ngrams() -> Result<(), VectorsError> {
        let mean = |rows: &[u64]| {
            let sum = rows.iter().sum::<u64>() as f32 * (1.0 / rows.len() as f32);
            Some(vec![sum, 100.0 * rows.iter().sum::<u64>() as f32 * (1.0 / rows.len() as f32)])
        };
        let hashed = open(&finalfusion(&[vocabulary(3, &[4, 4, 3], &WORDS), array(10)]))?;
        let bucket = |ngram| 2 + hash::finalfusion(ngram, 4) % 8;
        assert_eq!(vector(&hashed, "cap"), mean(&[bucket("<cap"), bucket("cap>")]));
        assert_eq!(vector(&hashed, "cat"), Some(vec![0.0, 0.0])); // a row holds its n-grams already
        let like_fasttext = open(&finalfusion(&[vocabulary(7, &[4, 4, 5], &WORDS), array(7)]))?;
        let bucket = |ngram| u64::from(2 + hash::fasttext(ngram) % 5);
        assert_eq!(vector(&like_fasttext, "cap"), mean(&[bucket("<cap"), bucket("cap>")]));
        let listed = open(&finalfusion(&[explicit_vocabulary(), array(4)]))?;
        assert_eq!(vector(&listed, "cap"), mean(&[2, 3, 2]));
        assert_eq!(vector(&listed, "dog"), None);
        Ok(())
    }

    #[test]
    fn a_limit_leaves_the_ngrams_where_they_are() -> Result<(), VectorsError> {
        let file = finalfusion(&[explicit_vocabulary(), array(4)]);
        let few = open_with(&file, &VectorsOptions { limit: Some(1), ..VectorsOptions::default() })?;
        assert!(few.words().eq(["cat"]));
        assert_eq!(vector(&few, "cap"), vector(&open(&file)?, "cap"));
        Ok(())
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let simple = || vocabulary(1, &[], &WORDS);
        let cases: [(&[Chunk], &str); 11] = [
            (&[simple(), simple(), array(2)], "a second chunk with words"),
            (&[simple(), array(2), array(2)], "a second chunk with rows"),
            (&[vocabulary(3, &[3, 1 << 20, 2], &WORDS), array(6)], "n-grams of up to 1048576 characters"),
            (&[array(2)], "no chunk with words"),
            (&[simple()], "no chunk with rows"),
            (&[simple(), array(3)], "3 rows of 2 for 2 words and 0 n-grams"),
            (&[simple(), array(2), norms(&[1.0])], "the norms are not those of 2 words"),
            (&[vocabulary(1, &[], &["a", "a"]), array(2)], "word 2 is there twice"),
            (&[vocabulary(3, &[3, 6, 64], &WORDS), array(2)], "two to the power of 64 buckets"),
            (&[(9, vec![0; 40]), array(2)], "a floret vocabulary is not supported; take"),
            (&[simple(), (10, vec![0; 4])], "the chunk 10 is not supported; convert"),
        ];
        for (chunks, expected) in cases {
            let message = message(&finalfusion(chunks));
            assert!(message.contains(expected), "{message}");
        }
        let mut newer = finalfusion(&[simple(), array(2)]);
        newer[4] = 1;
        assert!(message(&newer).contains("version 1 of finalfusion; this program reads 0"));
    }
}
