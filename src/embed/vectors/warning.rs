//! What was corrected while reading.

use std::fmt;

use super::Location;

/// Something in a file that was read differently from how it stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VectorsWarning {
    /// Words that were there already; the first vector of a word counts.
    Duplicates {
        /// How many were left out.
        count: usize,
        /// The first of them.
        word: String,
        /// Where it is.
        at: Location,
    },
    /// Words with broken UTF-8, which became `U+FFFD`.
    Replaced {
        /// How many words.
        count: usize,
        /// The first of them.
        at: Location,
    },
}

impl fmt::Display for VectorsWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicates { count, word, at } => {
                write!(f, "{at}: `{word}` is there already; rows left out for that: {count}")
            }
            Self::Replaced { count, at } => {
                write!(f, "{at}: broken UTF-8, read as U+FFFD; words with that: {count}")
            }
        }
    }
}
