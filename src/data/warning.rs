//! What is odd about training data, yet no reason to stop.

use std::fmt;

use super::Source;

/// Something a person should look at: what it is, where, and what to do about it.
///
/// Printed with `Display` it is one line that begins with its place, ready for a terminal or an editor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A line of a block of examples does not begin with `-` and was skipped.
    LineSkipped {
        /// The line.
        at: Source,
        /// Its beginning.
        text: String,
    },
    /// An example without text was skipped.
    EmptyExample {
        /// The line.
        at: Source,
    },
    /// An item without any examples was left out.
    NoExamples {
        /// The item.
        at: Source,
        /// What it is, such as ``intent `greet` ``.
        item: String,
    },
    /// The file names a format version from the future and was left out.
    NewerVersion {
        /// The `version` line.
        at: Source,
        /// What it says.
        version: String,
    },
    /// The file names a version that is not a version; the current one was assumed.
    OddVersion {
        /// The `version` line.
        at: Source,
        /// What it says.
        version: String,
    },
    /// An entity of an example that was made in a program is no part of its text; it was left out.
    EntityOutsideText {
        /// The example.
        at: Source,
        /// Its type.
        entity: String,
        /// Its first byte.
        start: usize,
        /// One past its last byte.
        end: usize,
    },
    /// Two annotations cross or nest, which tags cannot express; the shorter one was left out.
    OverlappingEntities {
        /// The example.
        at: Source,
        /// Type and words of the one that stays.
        kept: String,
        /// Type and words of the one left out.
        dropped: String,
    },
    /// An annotation began or ended with blanks, commas or quotation marks; it was read without them.
    TrimmedAnnotation {
        /// The example.
        at: Source,
        /// The type of the entity.
        entity: String,
        /// The words as annotated.
        annotated: String,
        /// The words as read; empty where nothing is left, and the annotation was left out.
        read: String,
    },
    /// One variant stands for two different values; the later definition counts.
    SynonymConflict {
        /// The later definition.
        at: Source,
        /// The variant, in lower case.
        variant: String,
        /// Its value so far.
        earlier: String,
        /// Its value from now on.
        later: String,
    },
    /// An intent or an entity type has fewer than two examples.
    FewExamples {
        /// The only example.
        at: Source,
        /// What it is, such as ``entity type `city` ``.
        label: String,
    },
    /// A retrieval intent has no response, though others have.
    NoResponse {
        /// Its first example.
        at: Source,
        /// The intent.
        intent: String,
    },
    /// The same text is an example of two intents.
    TwoIntents {
        /// The later example.
        at: Source,
        /// The text.
        text: String,
        /// Its intent.
        intent: String,
        /// The earlier example.
        other_at: Source,
        /// The intent of that one.
        other: String,
    },
}

impl Warning {
    /// Where to look.
    #[must_use]
    pub const fn at(&self) -> &Source {
        match self {
            Self::LineSkipped { at, .. }
            | Self::EmptyExample { at }
            | Self::NoExamples { at, .. }
            | Self::NewerVersion { at, .. }
            | Self::OddVersion { at, .. }
            | Self::EntityOutsideText { at, .. }
            | Self::OverlappingEntities { at, .. }
            | Self::TrimmedAnnotation { at, .. }
            | Self::SynonymConflict { at, .. }
            | Self::FewExamples { at, .. }
            | Self::NoResponse { at, .. }
            | Self::TwoIntents { at, .. } => at,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.at())?;
        match self {
            Self::LineSkipped { text, .. } => write!(
                f,
                "skipped `{text}`, which does not begin with `-`; begin each example with `- `, and write \
                 one that spans lines as a list item `- text: |`"
            ),
            Self::EmptyExample { .. } => write!(f, "skipped an empty example; write its text or remove it"),
            Self::NoExamples { item, .. } => {
                write!(f, "{item} has no examples and was left out; add some below `examples: |`")
            }
            Self::NewerVersion { version, .. } => {
                write!(f, "left out: format version {version} is newer than 3.1, the latest understood here")
            }
            Self::OddVersion { version, .. } => {
                write!(f, "`{version}` is no version; read as 3.1, write `version: \"3.1\"`")
            }
            Self::EntityOutsideText { entity, start, end, .. } => write!(
                f,
                "entity `{entity}` over the bytes {start}..{end} is no part of the text and was left out; a span \
                 counts bytes, and begins and ends between two characters"
            ),
            Self::OverlappingEntities { kept, dropped, .. } => write!(
                f,
                "entity {dropped} overlaps {kept} and was left out; annotate either, or both over the same \
                 words"
            ),
            Self::TrimmedAnnotation { entity, annotated, read, .. } if read.is_empty() => {
                write!(
                    f,
                    "the annotation \"{annotated}\" ({entity}) marks no words and was left out; remove it"
                )
            }
            Self::TrimmedAnnotation { entity, annotated, read, .. } => {
                write!(f, "\"{annotated}\" ({entity}) is read as \"{read}\"; annotate only that")
            }
            Self::SynonymConflict { variant, earlier, later, .. } => write!(
                f,
                "`{variant}` now stands for `{later}`, before it stood for `{earlier}`; keep one of the two"
            ),
            Self::FewExamples { label, .. } => {
                write!(f, "{label} has only this example; add at least one more")
            }
            Self::NoResponse { intent, .. } => {
                write!(
                    f,
                    "intent `{intent}` has no response; write one below `responses:` as `utter_{intent}`"
                )
            }
            Self::TwoIntents { text, intent, other_at, other, .. } => write!(
                f,
                "`{text}` is an example of intent `{intent}`, and of `{other}` at {other_at}; keep one of \
                 the two"
            ),
        }
    }
}

/// The beginning of a text, short enough for a message and on one line.
pub(super) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String =
        text.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_begins_with_its_place_and_ends_with_the_fix() {
        let at = Source::new("nlu.yml", 12);
        let few = Warning::FewExamples { at: at.clone(), label: "intent `bye`".into() };
        assert_eq!(few.to_string(), "nlu.yml:12: intent `bye` has only this example; add at least one more");
        let two = Warning::TwoIntents {
            at: at.at(40),
            text: "hi".into(),
            intent: "bye".into(),
            other_at: at,
            other: "greet".into(),
        };
        assert_eq!(
            two.to_string(),
            "nlu.yml:40: `hi` is an example of intent `bye`, and of `greet` at nlu.yml:12; keep one of the two"
        );
    }

    #[test]
    fn an_excerpt_stays_on_one_line() {
        assert_eq!(excerpt("a\nb"), "a b");
        assert_eq!(excerpt(&"ß".repeat(61)), format!("{}…", "ß".repeat(60)));
    }
}
