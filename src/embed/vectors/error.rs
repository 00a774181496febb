//! Why word vectors could not be read or written: where, what is wrong, and how to fix it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::VectorFormat;

/// A place in a file of word vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Location {
    /// A line of a text file, from 1.
    Line {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// A word of a binary file.
    Word {
        /// The file.
        path: PathBuf,
        /// Which word, from 1.
        number: usize,
        /// Where it begins, in bytes from 0.
        offset: usize,
    },
}

impl Location {
    pub(super) fn line(path: &Path, line: usize) -> Self {
        Self::Line { path: path.to_owned(), line }
    }

    pub(super) fn word(path: &Path, number: usize, offset: usize) -> Self {
        Self::Word { path: path.to_owned(), number, offset }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Word { path, number, offset } => {
                write!(f, "{}: word {number}, at byte {offset}", path.display())
            }
        }
    }
}

/// Word vectors that cannot be read or written. Messages begin with the place and end with the fix.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorsError {
    /// The operating system refuses to let a file be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The operating system refuses to let a file be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// A file without content.
    #[error("{}: the file is empty; download or export it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Neither content nor name tell what it is.
    #[error(
        "{}: not in a known format of word vectors; unpack it if it is compressed, or use one of: {}",
        path.display(), VectorFormat::names()
    )]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A file that is not what the caller or its name says.
    #[error("{}: this is no file of {format}; use another file, or leave the format open to have it detected", path.display())]
    WrongFormat {
        /// The file.
        path: PathBuf,
        /// What it should be.
        format: VectorFormat,
    },
    /// A version of a format that came after this reader.
    #[error("{}: version {found} of {format}; this program reads {known}; convert the file", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: VectorFormat,
        /// Its version.
        found: String,
        /// What is read.
        known: &'static str,
    },
    /// A word that is no UTF-8.
    #[error("{at}: the word is not valid UTF-8; save the file as UTF-8, or read it with `lossy`")]
    Encoding {
        /// The word.
        at: Location,
    },
    /// A row with fewer numbers than the others.
    #[error("{at}: a word and {found} numbers, where {expected} numbers belong; mend or remove the line")]
    TooFewNumbers {
        /// The row.
        at: Location,
        /// How many it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// A row with more numbers than the others.
    #[error(
        "{at}: {found} numbers, where {expected} belong; mend or remove the line (a word may hold blanks, \
         but no number after a blank at its end)"
    )]
    TooManyNumbers {
        /// The row.
        at: Location,
        /// How many it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// A field that should be a number.
    #[error("{at}: `{field}` is no number; mend or remove the line")]
    NotANumber {
        /// The row.
        at: Location,
        /// The field.
        field: String,
    },
    /// A number that is infinite, not a number, or too large for 32 bits.
    #[error("{at}: `{value}` is not a finite number of 32 bits; mend or remove the row")]
    NotFinite {
        /// The row.
        at: Location,
        /// The number.
        value: String,
    },
    /// A line too long to be a row.
    #[error("{at}: the line is longer than {limit} bytes; is this a file of word vectors?")]
    LongLine {
        /// The line.
        at: Location,
        /// The longest that is read.
        limit: usize,
    },
    /// A first line that should be two numbers.
    #[error("{at}: the header is `{found}`; it must be the number of words and of dimensions: `400000 300`")]
    Header {
        /// The first line.
        at: Location,
        /// What is there.
        found: String,
    },
    /// A header that speaks of another width than the first row has.
    #[error("{at}: {found} numbers, but the header says {header} dimensions; correct the header")]
    HeaderDim {
        /// The first row.
        at: Location,
        /// What the header says.
        header: usize,
        /// What the row has.
        found: usize,
    },
    /// Fewer rows than the header says.
    #[error(
        "{}: the header says {header} words, the file has {found}; download it again or correct the header",
        path.display()
    )]
    MissingRows {
        /// The file.
        path: PathBuf,
        /// What the header says.
        header: usize,
        /// What is there.
        found: usize,
    },
    /// More rows than the header says.
    #[error("{at}: the header says {header} words, and here is more; correct the header")]
    ExtraRows {
        /// What comes after the last row.
        at: Location,
        /// What the header says.
        header: usize,
    },
    /// Impossible sizes, found before memory is allocated.
    #[error("{}: {what} cannot lie in a file of {length} bytes; download the file again", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is too large, with its size.
        what: String,
        /// Bytes in the file.
        length: usize,
    },
    /// A binary file that stops too early.
    #[error("{}: the file ends at byte {length}, inside {what}; download the file again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes in the file.
        length: usize,
        /// What is cut off.
        what: String,
    },
    /// A fastText model with compressed numbers.
    #[error(
        "{}: a quantised fastText model (`.ftz`); take the `.bin` it was made from, or train without \
         `quantize`",
        path.display()
    )]
    Quantised {
        /// The file.
        path: PathBuf,
    },
    /// A part of a known format that is not read.
    #[error("{}: {what} is not supported; {advice}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not read.
        what: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// A binary file whose parts do not fit each other.
    #[error("{}: damaged: {reason}; download or convert the file again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

impl VectorsError {
    pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |error| Self::Read { path: path.to_owned(), error }
    }

    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |error| Self::Write { path: path.to_owned(), error }
    }

    pub(super) fn version(path: &Path, format: VectorFormat, found: &str, known: &'static str) -> Self {
        Self::Version { path: path.to_owned(), format, found: found.to_owned(), known }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), reason: reason.into() }
    }
}

/// The beginning of a piece of a file, for a message.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const LONGEST: usize = 40;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * LONGEST)]);
    let mut short: String = text.chars().take(LONGEST).collect();
    if short.len() < bytes.len() && text.chars().count() > LONGEST {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_never_cut_a_letter() {
        assert_eq!(excerpt(b"word"), "word");
        assert_eq!(excerpt("ü".repeat(100).as_bytes()), "ü".repeat(40) + "…");
        assert_eq!(excerpt(b"a\xff"), "a\u{fffd}");
    }

    #[test]
    fn messages_name_file_and_place() {
        let at = Location::line(Path::new("v.txt"), 7);
        let error = VectorsError::TooFewNumbers { at, expected: 3, found: 2 };
        assert!(error.to_string().starts_with("v.txt:7: a word and 2 numbers, where 3 numbers belong"));
        let at = Location::word(Path::new("v.bin"), 2, 31);
        assert!(VectorsError::Encoding { at }.to_string().starts_with("v.bin: word 2, at byte 31: "));
    }
}
