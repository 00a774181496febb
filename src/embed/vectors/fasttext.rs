//! The binary models of fastText, versions 11 and 12.

use std::path::Path;
use std::sync::Arc;

use super::blob::Blob;
use super::collect::Collector;
use super::cursor::Cursor;
use super::rows::{Numbers, Rows};
use super::subwords::{Index, Subwords};
use super::word_vectors::Known;
use super::{Location, VectorFormat, VectorsError, VectorsOptions, WordVectors};
use crate::files::Mapped;

/// What every model begins with.
pub(super) const MAGIC: [u8; 4] = 793_712_314_u32.to_le_bytes();

const FORMAT: VectorFormat = VectorFormat::FastText;
/// The kind of model that sorts texts.
const SUPERVISED: u32 = 3;

/// Reads the dictionary. The matrix stays in the file.
pub(super) fn read(
    path: &Path,
    file: &Arc<Mapped>,
    options: &VectorsOptions,
) -> Result<WordVectors, VectorsError> {
    let mut cursor = Cursor::new(path, file);
    cursor.magic(&MAGIC, FORMAT)?;
    let version = cursor.u32("the version")?;
    if !matches!(version, 11 | 12) {
        return Err(VectorsError::version(path, FORMAT, &version.to_string(), "11 and 12"));
    }
    let Settings { dim, buckets, min, max } = Settings::read(&mut cursor, version)?;
    let mut dictionary = Dictionary::read(path, &mut cursor, options)?;
    if dictionary.is_pruned || cursor.u8("the mark of quantised models")? != 0 {
        return Err(VectorsError::Quantised { path: path.to_owned() });
    }
    let shape = (cursor.size64("the number of rows")?, cursor.size64("the dimensions")?);
    if dim == 0 || shape != (dictionary.count + buckets, dim) {
        let (count, (rows, width)) = (dictionary.count, shape);
        let reason = format!("{rows} rows of {width} for {count} words and {buckets} buckets of {dim}");
        return Err(VectorsError::damaged(path, reason));
    }
    let matrix = cursor.table(&[shape.0, dim, size_of::<f32>()], "the matrix")?;
    let rows = dictionary.rows(&matrix, dim);
    let (words, warnings) = dictionary.words.finish();
    let vectors = WordVectors::new(path, FORMAT, dim, words, rows).with_warnings(warnings);
    if max == 0 || buckets == 0 {
        return Ok(vectors);
    }
    let (index, first) = (Index::FastText, dictionary.count);
    let subwords = Subwords { min, max, index, rows: Rows::matrix(matrix), first, buckets };
    vectors.with_subwords(subwords, Known::WithNgrams)
}

/// The settings of the training that matter afterwards.
struct Settings {
    dim: usize,
    buckets: usize,
    min: usize,
    max: usize,
}

impl Settings {
    fn read(cursor: &mut Cursor<'_>, version: u32) -> Result<Self, VectorsError> {
        const WHAT: &str = "the settings";
        let dim = cursor.signed32(WHAT)?;
        cursor.skip(6 * 4, WHAT)?; // window, epochs, rarest word, negatives, word n-grams, loss
        let model = cursor.u32(WHAT)?;
        let (buckets, min, max) = (cursor.signed32(WHAT)?, cursor.signed32(WHAT)?, cursor.signed32(WHAT)?);
        cursor.skip(4 + 8, WHAT)?; // steps between updates of the learning rate, sampling threshold
        // Models that sort texts had no character n-grams in that version, whatever the settings say.
        let max = if version == 11 && model == SUPERVISED { 0 } else { max };
        Ok(Self { dim, buckets, min, max })
    }
}

/// The words of a model. Its labels come behind them, and have no vectors among the inputs.
struct Dictionary {
    words: Collector,
    /// The row of each word that was not left out.
    numbers: Vec<usize>,
    /// All words in the file.
    count: usize,
    is_pruned: bool,
}

impl Dictionary {
    fn read(path: &Path, cursor: &mut Cursor<'_>, options: &VectorsOptions) -> Result<Self, VectorsError> {
        const WHAT: &str = "the dictionary";
        let (entries, count, labels) =
            (cursor.signed32(WHAT)?, cursor.signed32(WHAT)?, cursor.signed32(WHAT)?);
        if entries != count + labels {
            let reason = format!("{entries} entries for {count} words and {labels} labels");
            return Err(VectorsError::damaged(path, reason));
        }
        cursor.skip(8, WHAT)?; // how many tokens it was trained on
        let pruned = cursor.array(WHAT).map(i64::from_le_bytes)?;
        let (mut words, mut numbers) = (Collector::new(options), Vec::new());
        for number in 0..entries {
            let offset = cursor.position();
            let word = cursor.until(0, WHAT)?;
            cursor.skip(8 + 1, WHAT)?; // how often it came, and whether it is a label
            let is_wanted = number < count && !words.is_full();
            if is_wanted && words.push(word, || Location::word(path, number + 1, offset))? {
                numbers.push(number);
            }
        }
        Ok(Self { words, numbers, count, is_pruned: pruned > 0 })
    }

    /// The matrix, in which some rows are passed over if words were left out.
    fn rows(&mut self, matrix: &Blob, dim: usize) -> Rows {
        let numbers = std::mem::take(&mut self.numbers);
        if numbers.last().is_none_or(|&last| last + 1 == numbers.len()) {
            return Rows::matrix(matrix.clone());
        }
        let starts = numbers.into_iter().map(|number| number * dim * size_of::<f32>()).collect();
        Rows { numbers: Numbers::Scattered(matrix.clone(), starts), norms: None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::hash;
    use super::*;
    use crate::embed::vectors::tests::samples::{FASTTEXT, FastTextSample, message, open, open_with, vector};

    /// The mean of a row and the rows of n-grams, where row `r` is `[r, 100 r]`.
    fn mean(row: Option<u32>, ngrams: &[&str]) -> Vec<f32> {
        let rows: Vec<u32> =
            row.into_iter().chain(ngrams.iter().map(|ngram| 3 + hash::fasttext(ngram) % 5)).collect();
        let share = 1.0 / rows.len() as f32;
        let sum = rows.iter().sum::<u32>() as f32;
        vec![sum * share, 100.0 * sum * share]
    }

    #[test]
    fn a_vector_is_the_mean_of_the_row_and_the_ngrams() -> Result<(), VectorsError> {
        let vectors = open(&FASTTEXT.bytes())?;
        assert!(vectors.words().eq(["</s>", "cat", "für"])); // and no label
        let ngrams = ["<fü", "für", "ür>", "<für", "für>"];
        assert_eq!(vector(&vectors, "für"), Some(mean(Some(2), &ngrams)));
        assert_eq!(vector(&vectors, "cb"), Some(mean(None, &["<cb", "cb>", "<cb>"])));
        assert_eq!(vector(&vectors, "</s>"), Some(vec![0.0, 0.0]));
        assert_eq!(vector(&vectors, ""), None); // `<>` is too short
        Ok(())
    }

    #[test]
    fn models_without_ngrams_know_their_words_alone() -> Result<(), VectorsError> {
        let without = FastTextSample { lengths: [0, 0], ..FASTTEXT };
        let old = FastTextSample { version: 11, model: SUPERVISED, ..FASTTEXT };
        let negative = FastTextSample { lengths: [0, u32::MAX], ..FASTTEXT };
        for sample in [without, old, negative, FastTextSample { buckets: 0, ..FASTTEXT }] {
            let vectors = open(&sample.bytes())?;
            assert_eq!(vector(&vectors, "cat"), Some(vec![1.0, 100.0]));
            assert_eq!(vector(&vectors, "cap"), None);
        }
        Ok(())
    }

    #[test]
    fn words_left_out_leave_the_others_their_rows() -> Result<(), VectorsError> {
        let sample = FastTextSample { words: vec![b"a\xff", b"a\xfe", b"cat"], lengths: [0, 0], ..FASTTEXT };
        assert!(message(&sample.bytes()).contains(": word 1, at byte 92: the word is not valid UTF-8"));
        let lossy = VectorsOptions { lossy: true, ..VectorsOptions::default() };
        let vectors = open_with(&sample.bytes(), &lossy)?;
        assert_eq!((vectors.len(), vectors.warnings().len()), (2, 2));
        assert_eq!(vector(&vectors, "cat"), Some(vec![2.0, 200.0]));
        Ok(())
    }

    #[test]
    fn a_limit_keeps_the_ngrams() -> Result<(), VectorsError> {
        let options = VectorsOptions { limit: Some(1), ..VectorsOptions::default() };
        let (few, all) = (open_with(&FASTTEXT.bytes(), &options)?, open(&FASTTEXT.bytes())?);
        assert!(few.words().eq(["</s>"]));
        assert_eq!(vector(&few, "cap"), vector(&all, "cap"));
        Ok(())
    }

    #[test]
    fn what_is_not_read_is_named() {
        let quantised = "take the `.bin` it was made from";
        assert!(message(&FastTextSample { quantised: 1, ..FASTTEXT }.bytes()).contains(quantised));
        assert!(message(&FastTextSample { pruned: 3, ..FASTTEXT }.bytes()).contains(quantised));
        let newer = message(&FastTextSample { version: 13, ..FASTTEXT }.bytes());
        assert!(newer.contains("version 13 of fastText binary; this program reads 11 and 12"), "{newer}");
    }
}
