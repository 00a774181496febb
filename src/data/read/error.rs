//! Why data could not be read: where, what is wrong, and how to put it right.

use std::io;
use std::path::PathBuf;

use super::AnnotationError;
use super::format::known_formats;
use crate::data::Source;

/// Data that cannot be read. Every message begins with the place and ends with the fix.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operating system refuses a file or folder.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// No reader takes a file of this name and content.
    #[error("{}: not in a known format; bring one of: {}", path.display(), known_formats())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A folder, with all folders in it, holds no training data.
    #[error("{}: no training data in this folder; looked for {}", path.display(), known_formats())]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A file without content.
    #[error("{}: the file is empty; write examples into it or leave it out", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A file larger or deeper than the [`Limits`](super::Limits).
    #[error("{at}: over the limit of what is accepted ({reason}); split the file or raise the limit")]
    TooLarge {
        /// The file, with the line where reading stopped if there is one.
        at: Source,
        /// Which limit.
        reason: String,
    },
    /// Bytes that are no UTF-8.
    #[error("{at}: not valid UTF-8; save the file as UTF-8")]
    Encoding {
        /// The line of the first bad byte.
        at: Source,
    },
    /// Broken YAML.
    #[error("{at}: not valid YAML (column {column}): {reason}; check quotes, colons and indentation here")]
    Yaml {
        /// Where the parser stopped.
        at: Source,
        /// The column, in characters from 1.
        column: u64,
        /// What the parser says.
        reason: String,
    },
    /// A YAML file of several documents.
    #[error("{at}: a second document begins here; put it into a file of its own or remove the `---`")]
    SeveralDocuments {
        /// Where the second begins.
        at: Source,
    },
    /// A key that is there already.
    #[error("{at}: the key `{key}` is there twice; keep one of the two")]
    DuplicateKey {
        /// The second of the two.
        at: Source,
        /// The key.
        key: String,
    },
    /// A YAML file that is not about messages.
    #[error("{}: no `nlu:` at the top (found: {found}); list the examples below `nlu:`", path.display())]
    NoNlu {
        /// The file.
        path: PathBuf,
        /// What is there instead.
        found: String,
    },
    /// An item of `nlu` has a key that means nothing.
    #[error(
        "{at}: unknown key `{key}`; an item has one of `intent`, `synonym`, `regex`, `lookup`, then \
         `examples` and, if you like, `metadata`"
    )]
    UnknownKey {
        /// The key's line.
        at: Source,
        /// The key.
        key: String,
    },
    /// An item of `nlu` does not say what it is.
    #[error("{at}: this item has no `intent`, `synonym`, `regex` or `lookup`; add one of them")]
    NamelessItem {
        /// The item.
        at: Source,
    },
    /// An item of `nlu` says it is two things.
    #[error("{at}: this item is both `{first}` and `{second}`; make them two items")]
    TwofoldItem {
        /// The second key.
        at: Source,
        /// What it is first.
        first: &'static str,
        /// What it is as well.
        second: &'static str,
    },
    /// A name that is empty.
    #[error("{at}: the name of this {what} is empty; write one")]
    EmptyName {
        /// Where the name should be.
        at: Source,
        /// What has no name.
        what: &'static str,
    },
    /// A value of the wrong shape, such as a list where a text belongs.
    #[error("{at}: {what} is {found}; it must be {expected}")]
    WrongShape {
        /// The value.
        at: Source,
        /// What the value stands for.
        what: String,
        /// What it is.
        found: &'static str,
        /// What it should be, with an example.
        expected: &'static str,
    },
    /// An entity annotation that is not closed or not valid.
    #[error("{at}: {problem}")]
    Annotation {
        /// The example.
        at: Source,
        /// What is wrong with it.
        problem: AnnotationError,
    },
    /// A line that is not the JSON it should be.
    #[error("{at}: not a JSON example (column {column}): {reason}; a line looks like {example}", example = super::jsonl::EXAMPLE)]
    Json {
        /// The line.
        at: Source,
        /// The column, in bytes from 1.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// An entity without characters, or beyond its text.
    #[error(
        "{at}: entity {start}..{end} does not lie in the text of {len} characters; offsets count characters \
         from 0, and `start` comes before `end`"
    )]
    EntityOutsideText {
        /// The line.
        at: Source,
        /// First character.
        start: usize,
        /// One past the last.
        end: usize,
        /// Number of characters in the text.
        len: usize,
    },
}
