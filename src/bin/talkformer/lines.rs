//! Messages, one a line, from a file or from standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, bail};

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
        Ok(Self { reader: BufReader::with_capacity(1 << 16, source), name, line: 0 })
    }

    /// Whether another whole line has arrived, so that reading it does not block.
    pub(crate) fn is_ready(&self) -> bool {
        self.reader.buffer().contains(&b'\n')
    }

    /// Number of the line read last, counted from 1.
    pub(crate) fn number(&self) -> usize {
        self.line
    }

    /// File and number of the line read last.
    pub(crate) fn location(&self) -> String {
        format!("{}:{}", self.name, self.line)
    }

    /// The next line without its end and without a byte order mark, or `None` after the last.
    pub(crate) fn next_line(&mut self) -> anyhow::Result<Option<String>> {
        let mut bytes = Vec::new();
        let name = &self.name;
        if self.reader.read_until(b'\n', &mut bytes).with_context(|| format!("{name}: cannot be read"))? == 0
        {
            return Ok(None);
        }
        self.line += 1;
        let end = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        let end = end.strip_suffix(b"\r").unwrap_or(end);
        let mark: &[u8] = if self.line == 1 { b"\xef\xbb\xbf" } else { b"" };
        let Ok(text) = str::from_utf8(end.strip_prefix(mark).unwrap_or(end)) else {
            bail!("{}: not valid UTF-8; save the file as UTF-8", self.location());
        };
        Ok(Some(text.to_owned()))
    }
}
