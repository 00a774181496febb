//! The binary format of word2vec: a header, then words each followed by its numbers.

use std::path::Path;
use std::sync::Arc;

use super::blob::{Blob, floats};
use super::collect::Collector;
use super::cursor::Cursor;
use super::error::excerpt;
use super::rows::{Numbers, Rows};
use super::text::parse_header;
use super::{Location, VectorFormat, VectorsError, VectorsOptions, WordVectors};
use crate::files::Mapped;

/// Finds where each word and its numbers lie. The numbers stay in the file.
pub(super) fn read(
    path: &Path,
    file: &Arc<Mapped>,
    options: &VectorsOptions,
) -> Result<WordVectors, VectorsError> {
    let mut cursor = Cursor::new(path, file);
    let first = cursor.until(b'\n', "the header")?;
    let Some((count, dim)) = parse_header(first.trim_ascii_end()) else {
        return Err(VectorsError::Header { at: Location::line(path, 1), found: excerpt(first) });
    };
    let width = check_size(path, file, count, dim)?;
    let (mut words, mut starts) = (Collector::new(options), Vec::new());
    for number in 1..=count {
        if words.is_full() {
            break;
        }
        let offset = cursor.position();
        let at = || Location::word(path, number, offset);
        let word = cursor.until(b' ', "a word")?;
        let range = cursor.skip(width, "the numbers of a word")?;
        if let Some(value) = floats(&file[range.clone()]).find(|value| !value.is_finite()) {
            return Err(VectorsError::NotFinite { at: at(), value: value.to_string() });
        }
        if words.push(word.strip_prefix(b"\n").unwrap_or(word), at)? {
            starts.push(range.start);
        }
    }
    if !words.is_full() && !cursor.rest().trim_ascii().is_empty() {
        let at = Location::word(path, count.saturating_add(1), cursor.position());
        return Err(VectorsError::ExtraRows { at, header: count });
    }
    let (words, warnings) = words.finish();
    let all = Blob::Mapped(Arc::clone(file), 0..file.len());
    let rows = Rows { numbers: Numbers::Scattered(all, starts), norms: None };
    Ok(WordVectors::new(path, VectorFormat::Word2VecBinary, dim, words, rows).with_warnings(warnings))
}

/// The bytes of a row, if so many rows can be in the file.
fn check_size(path: &Path, file: &[u8], count: usize, dim: usize) -> Result<usize, VectorsError> {
    let width = dim.checked_mul(size_of::<f32>());
    let total = width.and_then(|width| width.checked_mul(count));
    match (width, total) {
        (Some(width), Some(total)) if total <= file.len() => Ok(width),
        _ => {
            let what = format!("{count} words of {dim} dimensions");
            Err(VectorsError::TooLarge { path: path.to_owned(), what, length: file.len() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::vectors::tests::samples::{
        floats as bytes, message, open, open_with, vector, word2vec,
    };

    #[test]
    fn rows_may_end_in_a_newline_or_not() -> Result<(), VectorsError> {
        let bare = [b"2 1\na ", &bytes(&[1.0])[..], b"b ", &bytes(&[2.0])].concat();
        for (file, word, numbers) in [(word2vec(), "dü", vec![0.0, 4.0, 8.0]), (bare, "b", vec![2.0])] {
            let vectors = open(&file)?;
            assert_eq!(vectors.format(), VectorFormat::Word2VecBinary);
            assert_eq!(vector(&vectors, word), Some(numbers));
        }
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let file = |header: &str, rows: &[(&[u8], f32)]| {
            let rows =
                rows.iter().flat_map(|(word, number)| [*word, b" ", &bytes(&[*number]), b"\n"].concat());
            header.bytes().chain(rows).collect::<Vec<u8>>()
        };
        let cases = [
            (
                file("2 1\n", &[(b"a", 1.0), (b"b\xff", 1.0)]),
                ": word 2, at byte 10: the word is not valid UTF-8",
            ),
            (
                file("2 1\n", &[(b"a", 1.0), (b"b", f32::INFINITY)]),
                ": word 2, at byte 10: `inf` is not a finite",
            ),
            (file("3 1\n", &[(b"a", 1.0), (b"b", 1.0)]), "the file ends at byte 18, inside a word"),
            (file("1 1\n", &[(b"a", 1.0), (b"b", 1.0)]), "word 2, at byte 10: the header says 1 words"),
            (
                file("9999 9999\n", &[(b"a", 1.0)]),
                "9999 words of 9999 dimensions cannot lie in a file of 17 bytes",
            ),
        ];
        for (file, expected) in cases {
            let message = message(&file);
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn duplicates_and_words_beyond_the_limit_are_left_out() -> Result<(), VectorsError> {
        let file = [b"3 1\na ", &bytes(&[1.0])[..], b"a ", &bytes(&[2.0]), b"b ", &bytes(&[3.0])].concat();
        let vectors = open(&file)?;
        assert_eq!((vector(&vectors, "a"), vector(&vectors, "b")), (Some(vec![1.0]), Some(vec![3.0])));
        assert!(vectors.warnings()[0].to_string().contains("word 2, at byte 10: `a` is there already"));
        let options = VectorsOptions { limit: Some(1), ..VectorsOptions::default() };
        assert!(open_with(&file, &options)?.words().eq(["a"]));
        Ok(())
    }
}
