//! What can be wrong with an option.

use super::Range;

/// An option that cannot be used, and what could.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no such option.
    #[error("unknown option `{option}`{}", known_ones(nearest.as_deref(), known))]
    Unknown {
        /// The option.
        option: String,
        /// The one that was probably meant.
        nearest: Option<String>,
        /// Those that exist.
        known: Vec<String>,
    },
    /// A value of the wrong type.
    #[error("option `{option}`: {problem}")]
    Value {
        /// The option.
        option: String,
        /// What was found and what was expected.
        problem: String,
    },
    /// A number out of its range.
    #[error("option `{option}` must be {range}")]
    Range {
        /// The option.
        option: &'static str,
        /// Where it may lie.
        range: Range,
    },
    /// Options that do not fit each other, or a value that this option cannot have.
    #[error("option `{option}` {problem}")]
    Conflict {
        /// The option.
        option: &'static str,
        /// What would be right.
        problem: &'static str,
    },
}

impl ConfigError {
    /// The option that is wrong.
    #[must_use]
    pub fn option(&self) -> &str {
        match self {
            Self::Unknown { option, .. } | Self::Value { option, .. } => option,
            Self::Range { option, .. } | Self::Conflict { option, .. } => option,
        }
    }

    /// No option but these has this name.
    pub(crate) fn unknown(option: &str, known: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let known: Vec<String> = known.into_iter().map(Into::into).collect();
        // The time this takes grows with the length, and no option has a name as long as that.
        let sought = if option.len() <= 100 { &known[..] } else { &[] };
        let nearest = sought.iter().min_by_key(|name| distance(option, name));
        let nearest = nearest.filter(|name| distance(option, name) <= 1 + option.len() / 5).cloned();
        Self::Unknown { option: short(option), nearest, known }
    }

    /// A value that cannot be read.
    pub(crate) fn value(option: &str, error: &impl ToString) -> Self {
        Self::Value { option: short(option), problem: short(&error.to_string()) }
    }

    /// `holds`, or this is wrong.
    pub(crate) fn unless(holds: bool, option: &'static str, problem: &'static str) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Conflict { option, problem }) }
    }
}

/// A text from a file, at most so long that it can stand in a message.
pub(crate) fn short(text: &str) -> String {
    const LONGEST: usize = 500;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => text[..end].to_owned() + "…",
        None => text.to_owned(),
    }
}

fn known_ones(nearest: Option<&str>, known: &[String]) -> String {
    let list = known.join(", ");
    match nearest {
        Some(nearest) => format!(", did you mean `{nearest}`? known are {list}"),
        None if known.is_empty() => "; there are none".to_owned(),
        None => format!("; known are {list}"),
    }
}

/// Characters to insert, remove or replace, at least, to make one name of another; swapped neighbours count twice.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, from) in one.to_lowercase().chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, to) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_does_not_repeat_all_of_a_long_text() {
        let error = ConfigError::unknown(&"ü".repeat(100_000), ["epochs"]).to_string();
        assert!(error.len() < 1100 && error.contains("ü…`; known are epochs"), "{error}");
        assert_eq!(short("epochs"), "epochs");
    }

    #[test]
    fn names_are_as_far_apart_as_the_edits_between_them() {
        let found = [("epoch", "epochs"), ("", "abc"), ("kitten", "sitting"), ("A", "a")];
        assert_eq!(found.map(|(one, other)| distance(one, other)), [1, 3, 3, 0]);
    }
}
