//! Words and numbers as text, below a header, as word2vec and the `.vec` of fastText have it, or without one.

use std::path::Path;

use super::super::Source;
use super::collect::Collector;
use super::error::excerpt;
use super::lines::Lines;
use super::rows::Rows;
use super::{Location, VectorFormat, VectorsError, VectorsOptions, WordVectors};

/// Reads a file without a header. The first line settles the dimensions, so its word holds no blank.
pub(super) fn read_glove(source: &Source, options: &VectorsOptions) -> Result<WordVectors, VectorsError> {
    let path = source.path();
    let (mut lines, length) = Lines::open(source)?;
    let Some((number, first)) = lines.next()? else {
        return Err(VectorsError::Empty { path: path.to_owned() });
    };
    let dim = (fields(first).count() - 1).max(1); // without any number, `push` complains
    let mut table = Table::new(path, length, dim, options);
    table.push(number, first)?;
    while let Some((number, line)) = table.next_of(&mut lines)? {
        table.push(number, line)?;
    }
    Ok(table.finish(VectorFormat::Glove))
}

/// Reads a file with a header of two numbers.
pub(super) fn read_word2vec(source: &Source, options: &VectorsOptions) -> Result<WordVectors, VectorsError> {
    let path = source.path();
    let (mut lines, length) = Lines::open(source)?;
    let Some((number, first)) = lines.next()? else {
        return Err(VectorsError::Empty { path: path.to_owned() });
    };
    let Some((header, dim)) = parse_header(first) else {
        return Err(VectorsError::Header { at: Location::line(path, number), found: excerpt(first) });
    };
    let mut table = Table::new(path, length, dim, options);
    let mut found = 0;
    while let Some((number, line)) = table.next_of(&mut lines)? {
        if found == header {
            return Err(VectorsError::ExtraRows { at: Location::line(path, number), header });
        }
        table.push(number, line).map_err(|error| if found == 0 { blame_header(error) } else { error })?;
        found += 1;
    }
    if found < header && !table.words.is_full() {
        return Err(VectorsError::MissingRows { path: path.to_owned(), header, found });
    }
    Ok(table.finish(VectorFormat::Word2VecText))
}

/// The numbers of words and of dimensions, if a line is just these.
pub(super) fn parse_header(line: &[u8]) -> Option<(usize, usize)> {
    let mut numbers = fields(line).map(|field| str::from_utf8(field).ok()?.parse::<usize>().ok());
    let (words, dim) = (numbers.next()??, numbers.next()??);
    (dim > 0 && numbers.next().is_none()).then_some((words, dim))
}

/// The fields between blanks and tabs; at least one if the line is not blank.
pub(super) fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| is_blank(byte)).filter(|field| !field.is_empty())
}

/// Reads a field as a number, which may be infinite or none.
pub(super) fn parse_number(field: &[u8]) -> Option<f32> {
    str::from_utf8(field).ok()?.parse().ok()
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// In the first row below a header it is more likely the header that is wrong.
fn blame_header(error: VectorsError) -> VectorsError {
    match error {
        VectorsError::TooFewNumbers { at, expected, found }
        | VectorsError::TooManyNumbers { at, expected, found } => {
            VectorsError::HeaderDim { at, header: expected, found }
        }
        other => other,
    }
}

struct Table<'a> {
    path: &'a Path,
    dim: usize,
    words: Collector,
    rows: Vec<u8>,
}

impl<'a> Table<'a> {
    fn new(path: &'a Path, length: u64, dim: usize, options: &VectorsOptions) -> Self {
        let mut rows = Vec::new();
        // A number takes about eight bytes as text and four as a float. Growing step by step would copy the
        // rows over and over; memory that is reserved and not touched costs nothing, and goes back at the end.
        let estimate = usize::try_from(length / 2).unwrap_or(0);
        let most = options.limit.unwrap_or(usize::MAX).saturating_mul(dim).saturating_mul(size_of::<f32>());
        let _ = rows.try_reserve(estimate.min(most));
        Self { path, dim, words: Collector::new(options), rows }
    }

    fn next_of<'b>(&self, lines: &'b mut Lines<'_>) -> Result<Option<(usize, &'b [u8])>, VectorsError> {
        if self.words.is_full() { Ok(None) } else { lines.next() }
    }

    /// Takes a row: a word, which may hold blanks, and `dim` numbers.
    fn push(&mut self, number: usize, line: &[u8]) -> Result<(), VectorsError> {
        let at = || Location::line(self.path, number);
        let Some(word) = before_numbers(line, self.dim) else {
            let found = fields(line).count() - 1;
            return Err(VectorsError::TooFewNumbers { at: at(), expected: self.dim, found });
        };
        let extra = numbers_at_end(word);
        if extra > 0 {
            return Err(VectorsError::TooManyNumbers {
                at: at(),
                expected: self.dim,
                found: self.dim + extra,
            });
        }
        let before = self.rows.len();
        for field in fields(&line[word.len()..]) {
            match parse_number(field) {
                Some(value) if value.is_finite() => self.rows.extend_from_slice(&value.to_le_bytes()),
                Some(_) => return Err(VectorsError::NotFinite { at: at(), value: excerpt(field) }),
                None => return Err(VectorsError::NotANumber { at: at(), field: excerpt(field) }),
            }
        }
        if self.words.is_full() || !self.words.push(word, at)? {
            self.rows.truncate(before);
        }
        Ok(())
    }

    fn finish(mut self, format: VectorFormat) -> WordVectors {
        self.rows.shrink_to_fit();
        let (words, warnings) = self.words.finish();
        WordVectors::new(self.path, format, self.dim, words, Rows::matrix(self.rows.into()))
            .with_warnings(warnings)
    }
}

/// What is left of a line without its last `dim` fields, if that is anything.
fn before_numbers(line: &[u8], dim: usize) -> Option<&[u8]> {
    let mut rest = line;
    for _ in 0..dim {
        let blank = rest.iter().rposition(|&byte| is_blank(byte))?;
        rest = rest[..blank].trim_ascii_end();
    }
    (!rest.is_empty()).then_some(rest)
}

/// How many numbers a word ends in, its first field aside.
fn numbers_at_end(word: &[u8]) -> usize {
    if !word.iter().any(|&byte| is_blank(byte)) {
        return 0; // nearly every word
    }
    let others: Vec<&[u8]> = fields(word).skip(1).collect();
    let is_number = |field: &&&[u8]| parse_number(field).is_some_and(f32::is_finite);
    others.iter().rev().take_while(is_number).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::vectors::tests::samples::{message, open, open_with, vector};

    #[test]
    fn words_may_hold_blanks_and_fields_may_be_parted_by_tabs() -> Result<(), VectorsError> {
        let vectors = open(b"the 0.5 -1e-3\n. . .\t1  2 \r\nat a@b.c 3 4\n1 1/2 5 6")?;
        assert!(vectors.words().eq(["the", ". . .", "at a@b.c", "1 1/2"]));
        assert_eq!(vector(&vectors, "the"), Some(vec![0.5, -1e-3]));
        assert_eq!(vector(&vectors, ". . ."), Some(vec![1.0, 2.0]));
        assert_eq!(vector(&vectors, "1 1/2"), Some(vec![5.0, 6.0]));
        assert_eq!(vector(&vectors, "."), None);
        Ok(())
    }

    #[test]
    fn a_header_is_no_row() -> Result<(), VectorsError> {
        let vectors = open(b"2 2\nNew York 1 2 \ncat 3 4 \n")?;
        assert_eq!((vectors.format(), vectors.len(), vectors.dim()), (VectorFormat::Word2VecText, 2, 2));
        assert_eq!(vector(&vectors, "New York"), Some(vec![1.0, 2.0]));
        let glove = VectorsOptions { format: Some(VectorFormat::Glove), ..VectorsOptions::default() };
        let vectors = open_with(b"41 100\n42 200\n", &glove)?;
        assert_eq!(vector(&vectors, "42"), Some(vec![200.0]));
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let cases: [(&[u8], &str); 15] = [
            (b"a 1 2\nb 1\n", ":2: a word and 1 numbers, where 2 numbers belong"),
            (b"a 1 2\n1 2\n", ":2: a word and 1 numbers, where 2 numbers belong"),
            (b"a 1 2\nb 1 2 3 4\n", ":2: 4 numbers, where 2 belong"),
            (b"a 1 2\n\nb 1 2x\n", ":3: `2x` is no number"),
            (b"a 1 2 3 x4\n", ":1: `x4` is no number"),
            (b"a 1 2\nb nan 2\n", ":2: `nan` is not a finite number"),
            (b"a 1 2\nb 1 1e39\n", ":2: `1e39` is not a finite number"),
            (b"a 1 2\nb\xff 1 2\n", ":2: the word is not valid UTF-8"),
            (b"2 3\na 1 2\n", ":2: 2 numbers, but the header says 3 dimensions"),
            (b"2 3\na 1 2 3 4\n", ":2: 4 numbers, but the header says 3 dimensions"),
            (b"2 3\na 1 2 3\nb 1\n", ":3: a word and 1 numbers"),
            (b"3 1\na 1\nb 1\n", "the header says 3 words, the file has 2"),
            (b"1 1\na 1\nb 1\n", ":3: the header says 1 words, and here is more"),
            (b"18446744073709551615 18446744073709551615\na 1\n", ":2: 1 numbers, but the header says"),
            (b" \n", "the file is empty"),
        ];
        for (file, expected) in cases {
            let message = message(file);
            assert!(message.contains(expected), "{message}");
        }
        let word2vec =
            VectorsOptions { format: Some(VectorFormat::Word2VecText), ..VectorsOptions::default() };
        let error = open_with(b"cat 1 2\n", &word2vec).unwrap_err().to_string();
        assert!(error.contains(":1: the header is `cat 1 2`"), "{error}");
    }

    #[test]
    fn the_first_of_two_equal_words_counts() -> Result<(), VectorsError> {
        let vectors = open(b"3 1\na 1\nb 2\na 3\n")?;
        assert_eq!((vectors.len(), vector(&vectors, "a")), (2, Some(vec![1.0])));
        assert!(
            vectors.warnings()[0]
                .to_string()
                .ends_with(":4: `a` is there already; rows left out for that: 1")
        );
        Ok(())
    }

    #[test]
    fn broken_utf8_can_be_replaced() -> Result<(), VectorsError> {
        let lossy = VectorsOptions { lossy: true, ..VectorsOptions::default() };
        let vectors = open_with(b"a 1\nb\xff 2\nb\xfe 3\n", &lossy)?;
        assert!(vectors.words().eq(["a", "b\u{fffd}"]));
        let warnings: Vec<String> = vectors.warnings().iter().map(ToString::to_string).collect();
        assert!(warnings[0].contains(":3: `b\u{fffd}` is there already"), "{warnings:?}");
        assert!(
            warnings[1].ends_with(":2: broken UTF-8, read as U+FFFD; words with that: 2"),
            "{warnings:?}"
        );
        Ok(())
    }

    #[test]
    fn a_limit_stops_the_reading() -> Result<(), VectorsError> {
        let limited = |limit, file: &[u8]| {
            open_with(file, &VectorsOptions { limit: Some(limit), ..VectorsOptions::default() })
        };
        let vectors = limited(1, b"a 1 2\nbroken\n")?;
        assert_eq!((vectors.len(), vector(&vectors, "a")), (1, Some(vec![1.0, 2.0])));
        assert_eq!(limited(1, b"9 2\na 1 2\nbroken\n")?.len(), 1);
        let none = limited(0, b"a 1 2\n")?;
        assert!(none.is_empty() && none.dim() == 2 && vector(&none, "a").is_none());
        Ok(())
    }
}
