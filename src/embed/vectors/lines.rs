//! Lines of a file, one at a time in a buffer that is used again.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::super::Source;
use super::{Location, VectorsError};

/// The longest line that is read: room for the text of fifty thousand numbers.
pub(super) const LONGEST: usize = 1 << 20;

pub(super) struct Lines<'a> {
    path: &'a Path,
    file: BufReader<Box<dyn Read + 'a>>,
    buffer: Vec<u8>,
    number: usize,
}

impl<'a> Lines<'a> {
    /// The lines of a file, and how many bytes it has.
    pub(super) fn open(source: &'a Source) -> Result<(Self, u64), VectorsError> {
        let path = source.path();
        let (file, length) = source.open("").map_err(VectorsError::read(path))?;
        let file = BufReader::with_capacity(1 << 16, file);
        Ok((Self { path, file, buffer: Vec::new(), number: 0 }, length))
    }

    /// The next line that is not blank, without what ends it, and its number from 1.
    pub(super) fn next(&mut self) -> Result<Option<(usize, &[u8])>, VectorsError> {
        loop {
            self.buffer.clear();
            self.number += 1;
            let mut file = (&mut self.file).take(LONGEST as u64 + 1);
            let read = file.read_until(b'\n', &mut self.buffer).map_err(VectorsError::read(self.path))?;
            if read > LONGEST {
                return Err(VectorsError::LongLine {
                    at: Location::line(self.path, self.number),
                    limit: LONGEST,
                });
            }
            if read == 0 {
                return Ok(None);
            }
            if self.number == 1 && self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.buffer.drain(..BYTE_ORDER_MARK.len());
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Ok(Some((self.number, self.buffer.trim_ascii_end())));
            }
        }
    }
}

/// What some editors put at the beginning of UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(content: &[u8]) -> Vec<Result<String, String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let source = Source::at(file.path());
        let (mut lines, mut read) = (Lines::open(&source).unwrap().0, Vec::new());
        loop {
            match lines.next() {
                Ok(None) => return read,
                Ok(Some((_, line))) => read.push(Ok(String::from_utf8_lossy(line).into_owned())),
                Err(error) => {
                    read.push(Err(error.to_string()));
                    return read;
                }
            }
        }
    }

    #[test]
    fn line_ends_blank_lines_and_the_byte_order_mark_are_not_content() {
        let read = read_all("\u{feff}a 1\r\n\n \u{feff}b 2 \n\t\nc".as_bytes());
        assert_eq!(read, ["a 1", " \u{feff}b 2", "c"].map(|line| Ok(line.to_owned())));
        assert!(read_all("\u{feff}\r\n".as_bytes()).is_empty());
    }

    #[test]
    fn a_line_too_long_is_refused_by_its_number() {
        let line = |length| "x".repeat(length);
        let read = read_all(format!("a\n{}\n{}", line(LONGEST - 1), line(10 * LONGEST)).as_bytes());
        assert!(read[1].is_ok());
        assert!(read[2].as_ref().unwrap_err().contains(":3: the line is longer than 1048576 bytes"));
        assert_eq!(read.len(), 3);
    }
}
