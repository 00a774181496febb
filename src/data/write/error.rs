//! Why data could not be written.

use std::io;

use crate::data::Source;

/// Data that a format cannot hold, or a place that cannot be written to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The destination refuses.
    #[error("cannot write the data")]
    Io(#[from] io::Error),
    /// Rasa's YAML lists examples by intent, and this one has none.
    #[error("{at}: `{text}` has no intent, which Rasa YAML cannot hold; give it one or write JSON Lines")]
    NoIntent {
        /// The example.
        at: Source,
        /// Its beginning.
        text: String,
    },
    /// An example without text, which readers skip.
    #[error("{at}: an example has no text; give it one or remove it")]
    NoText {
        /// The example.
        at: Source,
    },
    /// A name that would be read back as another.
    #[error(
        "{at}: the {what} name `{name}` would not be read back the same; use one without blanks at its ends"
    )]
    Name {
        /// An example of it.
        at: Source,
        /// What it names.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// Brackets in the text, or in annotated words, that Rasa's markup cannot tell from annotations.
    #[error(
        "{at}: `{text}` has brackets that Rasa YAML would take for an annotation; rephrase it or write JSON \
         Lines"
    )]
    Brackets {
        /// The example.
        at: Source,
        /// Its beginning.
        text: String,
    },
    /// An entity that does not lie in its text, or overlaps another.
    #[error(
        "{at}: entity `{entity}` at bytes {start}..{end} does not lie in the text, or not behind the entity \
         before it"
    )]
    EntityOutsideText {
        /// The example.
        at: Source,
        /// The entity type.
        entity: String,
        /// First byte.
        start: usize,
        /// One past the last.
        end: usize,
    },
}
