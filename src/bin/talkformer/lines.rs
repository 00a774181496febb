//! Messages, one a line, from a file or from standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

/// The longest line that is read, in bytes and without its end: a line of any length would take any amount of memory.
const LONGEST: usize = 1 << 20;

/// A line that holds no text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, and what to change.
    pub message: String,
    /// File and number, for a person.
    #[serde(skip)]
    pub location: String,
}

/// Reads messages and counts lines.
pub(crate) struct Lines {
    reader: BufReader<Box<dyn Read>>,
    name: String,
    line: usize,
}

impl Lines {
    /// The lines of this file; without one, or with `-`, those of standard input.
    pub(crate) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let (source, name): (Box<dyn Read>, _) = match path {
            Some(path) if path != Path::new("-") => {
                let name = path.display().to_string();
                (Box::new(File::open(path).with_context(|| format!("{name}: cannot be opened"))?), name)
            }
            _ => (Box::new(io::stdin().lock()), "standard input".to_owned()),
        };
        Ok(Self::new(source, name))
    }

    fn new(source: Box<dyn Read>, name: String) -> Self {
        Self { reader: BufReader::with_capacity(1 << 16, source), name, line: 0 }
    }

    /// Whether another whole line has arrived, so that reading it does not block.
    pub(crate) fn is_ready(&self) -> bool {
        self.reader.buffer().contains(&b'\n')
    }

    /// Number of the line read last, counted from 1.
    pub(crate) fn number(&self) -> usize {
        self.line
    }

    /// The line read last, which has this problem.
    pub(crate) fn bad(&self, message: impl Into<String>) -> BadLine {
        let location = format!("{}:{}", self.name, self.line);
        BadLine { line: self.line, message: message.into(), location }
    }

    /// The next line without its end (a line feed, or a carriage return with one behind it) and without a byte order
    /// mark, or `None` after the last. A last line may lack its end.
    ///
    /// # Errors
    ///
    /// If the source cannot be read. A line that is no text is no error: the lines behind it can be read.
    pub(crate) fn next_line(&mut self) -> anyhow::Result<Option<Result<String, BadLine>>> {
        let bytes = self.next_bytes().with_context(|| format!("{}: cannot be read", self.name))?;
        let Some(mut bytes) = bytes else { return Ok(None) };
        self.line += 1;
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if bytes.len() > LONGEST {
            let message = format!("longer than {LONGEST} bytes, the most that a line may have; split it");
            return Ok(Some(Err(self.bad(message))));
        }
        let mark: &[u8] = if self.line == 1 { b"\xef\xbb\xbf" } else { b"" };
        let text = str::from_utf8(bytes.strip_prefix(mark).unwrap_or(&bytes)).map(str::to_owned);
        Ok(Some(text.map_err(|_| self.bad("not valid UTF-8; save the text as UTF-8"))))
    }

    /// The bytes of the next line up to its line feed. Of a line that is too long it is only so many that this shows, and
    /// the rest is skipped.
    fn next_bytes(&mut self) -> io::Result<Option<Vec<u8>>> {
        // Room for both characters of a line end.
        let most = LONGEST + 2;
        let mut bytes = Vec::new();
        if self.reader.by_ref().take(most as u64).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        } else if bytes.len() == most {
            self.reader.skip_until(b'\n')?;
        }
        Ok(Some(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, each bad line by its number and the beginning of its problem.
    fn read(bytes: Vec<u8>) -> Vec<Result<String, (usize, String)>> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(bytes)), "in.txt".to_owned());
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push(line.map_err(|bad| (bad.line, bad.message.chars().take(9).collect())));
        }
        all
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        read(bytes.to_vec()).into_iter().map(Result::unwrap).collect()
    }

    #[test]
    fn lines_end_in_any_way_and_a_byte_order_mark_is_no_text() {
        assert_eq!(texts(b"\xef\xbb\xbfone\r\ntwo\n\r\nfour"), ["one", "two", "", "four"]);
        assert_eq!(texts(b"a\0b\n\xef\xbb\xbfc\r"), ["a\0b", "\u{feff}c"]);
        assert_eq!(texts(b"\n"), [""]);
        assert_eq!(texts(b"a\rb\r\r\n"), ["a\rb\r"]);
        assert!(texts(b"").is_empty());
    }

    #[test]
    fn the_lines_behind_a_bad_one_are_read() {
        let bad = |line| Err((line, "not valid".to_owned()));
        assert_eq!(
            read(b"a\n\xff\nb\n\xc3".to_vec()),
            [Ok("a".to_owned()), bad(2), Ok("b".to_owned()), bad(4)]
        );
    }

    #[test]
    fn no_line_is_longer_than_the_limit() {
        for end in ["", "\n", "\r\n"] {
            let long = |length: usize| read(format!("{}{end}b", "x".repeat(length)).into_bytes());
            let expected: &[Result<String, _>] = if end.is_empty() { &[] } else { &[Ok("b".to_owned())] };
            // Without an end the `b` belongs to the line.
            let most = if end.is_empty() { LONGEST - 1 } else { LONGEST };
            assert_eq!(long(most)[1..], *expected);
            assert_eq!(long(most)[0].as_ref().unwrap().len(), LONGEST);
            for more in [1, 2, 3, LONGEST] {
                let found = long(most + more);
                assert_eq!(found[0], Err((1, "longer th".to_owned())), "{more} more, {end:?}");
                assert_eq!(found[1..], *expected);
            }
        }
    }
}
