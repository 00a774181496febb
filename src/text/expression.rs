//! Regular expressions of users, as Python reads them.

use regex::Regex;

use super::Span;
use super::python::{Problem, translate};

/// Bytes of memory that a compiled expression may take: enough for `[\w.-]{1,255}`.
const LARGEST: usize = 64 << 20;

/// Steps back that one search may take. A few milliseconds.
const MOST_STEPS: usize = 500_000;

/// Bytes of the longest text that is searched with backtracking: what looks ahead may read the rest of it at each place.
const LONGEST: usize = 1 << 14;

/// A regular expression in the syntax of Python's `re`, which is that of Rasa's files.
///
/// What a finite automaton can match takes time linear in the text. Look-around, back-references, atomic groups,
/// possessive counts and conditions need backtracking: there a search that takes too many steps, or a text of more than
/// 16 KiB, has no match.
///
/// # Example
///
/// ```
/// use talkformer::text::{Expression, Span};
///
/// let code = Expression::new(r"\b[A-Z]{2}(?!\d{3})\d{2}\b", false)?;
/// assert_eq!(code.find("from AB12 to ab34"), [Span::new(5, 9)]);
/// let error = Expression::new(r"a(b\q)", false).unwrap_err();
/// assert_eq!(error.to_string(), r"`\q` means nothing; write `q` for the letter (character 4)");
/// # Ok::<(), talkformer::text::ExpressionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Expression {
    engine: Engine,
}

#[derive(Clone, Debug)]
enum Engine {
    Linear(Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// It is not written as Python would read it.
    #[error("{reason} (character {character})")]
    Syntax {
        /// What is wrong.
        reason: String,
        /// Where, counted from 1.
        character: usize,
    },
    /// A look-behind whose length is not fixed, which Python does not read either.
    #[error("a look-behind `(?<=…)` or `(?<!…)` must always match the same number of characters")]
    LookBehind,
    /// Compiled, it would be too large.
    #[error("compiled, it takes more than {} MiB; lower the counts in `{{…}}`", LARGEST >> 20)]
    TooLarge,
    /// The engine does not take it, for another reason.
    #[error("{0}")]
    Engine(String),
}

impl Expression {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// [`ExpressionError`] says what is wrong with it, and where.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Self, ExpressionError> {
        let engine = match translate(pattern) {
            Ok(translated) if translated.backtracks => backtracking(&translated.expression, ignore_case)?,
            Ok(translated) => linear(&translated.expression, ignore_case)?,
            // What only the engine reads, such as `\b{start}`, is taken as well.
            Err(Problem { reason, character }) => {
                linear(pattern, ignore_case).map_err(|_| ExpressionError::Syntax { reason, character })?
            }
        };
        Ok(Self { engine })
    }

    /// How many groups it has that catch something.
    #[must_use]
    pub fn groups(&self) -> usize {
        match &self.engine {
            Engine::Linear(regex) => regex.captures_len() - 1,
            Engine::Backtracking(regex) => regex.captures_len() - 1,
        }
    }

    /// The places of all matches, in order and not overlapping.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Span> {
        match &self.engine {
            Engine::Linear(regex) => {
                regex.find_iter(text).map(|hit| Span::new(hit.start(), hit.end())).collect()
            }
            Engine::Backtracking(_) if text.len() > LONGEST => Vec::new(),
            Engine::Backtracking(regex) => {
                let found = regex.find_iter(text).map(|hit| hit.map(|hit| Span::new(hit.start(), hit.end())));
                found.collect::<Result<_, _>>().unwrap_or_default()
            }
        }
    }

    /// What the group with this number, from 1, caught in each match.
    #[must_use]
    pub fn caught(&self, group: usize, text: &str) -> Vec<Span> {
        match &self.engine {
            Engine::Linear(regex) => {
                let found = regex.captures_iter(text).filter_map(|found| found.get(group));
                found.map(|part| Span::new(part.start(), part.end())).collect()
            }
            Engine::Backtracking(_) if text.len() > LONGEST => Vec::new(),
            Engine::Backtracking(regex) => {
                let part = |found: fancy_regex::Captures<'_>| {
                    found.get(group).map(|part| Span::new(part.start(), part.end()))
                };
                let found = regex.captures_iter(text).map(|found| found.map(part));
                found.collect::<Result<Vec<_>, _>>().unwrap_or_default().into_iter().flatten().collect()
            }
        }
    }
}

fn linear(expression: &str, ignore_case: bool) -> Result<Engine, ExpressionError> {
    let mut builder = regex::RegexBuilder::new(expression);
    let regex = builder.case_insensitive(ignore_case).size_limit(LARGEST).build();
    regex.map(Engine::Linear).map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => ExpressionError::TooLarge,
        other => ExpressionError::Engine(last_line(&other)),
    })
}

fn backtracking(expression: &str, ignore_case: bool) -> Result<Engine, ExpressionError> {
    use fancy_regex::{CompileError, Error, ParseError};
    let mut builder = fancy_regex::RegexBuilder::new(expression);
    builder.case_insensitive(ignore_case).backtrack_limit(MOST_STEPS).delegate_size_limit(LARGEST);
    let regex = builder.build();
    regex.map(|regex| Engine::Backtracking(Box::new(regex))).map_err(|error| match error {
        Error::CompileError(error) => match *error {
            CompileError::LookBehindNotConst | CompileError::VariableLookBehindRequiresFeature => {
                ExpressionError::LookBehind
            }
            CompileError::InnerError(error) if error.size_limit().is_some() => ExpressionError::TooLarge,
            other => ExpressionError::Engine(last_line(&other)),
        },
        Error::ParseError(_, ParseError::TargetNotRepeatable) => {
            ExpressionError::Engine("a count behind a look-around repeats nothing; remove it".to_owned())
        }
        other => ExpressionError::Engine(last_line(&other)),
    })
}

/// What an engine says, without the excerpt that some messages begin with.
fn last_line(error: &impl ToString) -> String {
    let message = error.to_string();
    let line = message.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    fn found<'t>(pattern: &str, text: &'t str) -> Vec<&'t str> {
        let expression = Expression::new(pattern, false).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        expression.find(text).into_iter().map(|span| span.of(text)).collect()
    }

    #[test]
    fn finds_what_python_finds() {
        // As `[match.group() for match in re.finditer(pattern, text)]` of Python 3.11 has it, and of 3.10 for flags at the end.
        for (pattern, text, expected) in [
            (r"\b[A-Z]{2}(?!\d{3})\d{2}\b", "AB12 CD345 EF67", vec!["AB12", "EF67"]),
            (r"[A-Z]{2}[[]?\d+", "AB12 CD[34", vec!["AB12", "CD[34"]),
            (r"\d+\Z", "12 34", vec!["34"]),
            (r"(?<=#)\w+", "#tag x", vec!["tag"]),
            (r"(?<!\d)\d{2}(?!\d)", "12 345 67", vec!["12", "67"]),
            (r"(\w)\1", "hello book", vec!["ll", "oo"]),
            (r"(?P<quote>['-])\w+(?P=quote)", "'a' -b- 'c-", vec!["'a'", "-b-"]),
            (r"[\w.-]{1,255}@x", "a.b-c@x", vec!["a.b-c@x"]),
            ("a++b", "aab", vec!["aab"]),
            ("a++a", "aaa", vec![]),
            ("(?i:A)b|c(?#no)", "ab Ab aB c", vec!["ab", "Ab", "c"]),
            ("ab(?i)", "AB", vec!["AB"]),
            ("[a&&b]", "a&b", vec!["a", "&", "b"]),
            (r"[]\]-]+", "x]-]", vec!["]-]"]),
            ("{a}", "{a}", vec!["{a}"]),
            (r"\<b\>", "<b>", vec!["<b>"]),
            ("(a)?(?(1)b|c)", "ab c", vec!["ab", "c"]),
            (r"(?=[\[\-])[\[\-]x", "[x-x", vec!["[x", "-x"]),
        ] {
            assert_eq!(found(pattern, text), expected, "{pattern}");
        }
    }

    #[test]
    fn case_is_ignored_on_request_by_either_engine() {
        for pattern in ["straße", "(?=s)straße", r"(s)traße(?!\1)"] {
            assert_eq!(Expression::new(pattern, true).unwrap().find("STRAßE").len(), 1, "{pattern}");
            assert_eq!(Expression::new(pattern, false).unwrap().find("STRAßE").len(), 0, "{pattern}");
        }
    }

    #[test]
    fn a_group_gives_what_it_caught() {
        for pattern in [r"(\d)x", r"(\d)(?=x)x"] {
            let expression = Expression::new(pattern, false).unwrap();
            assert_eq!(
                (expression.groups(), expression.caught(1, "1x 2y 3x")),
                (1, vec![Span::new(0, 1), Span::new(6, 7)])
            );
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (pattern, reason) in [
            (r"(?<=(a)\1+)b", "a look-behind"),
            (r"[\w.-]{1,99999}", "takes more than 64 MiB"),
            (r"[\w.-]{1,99999}(?=a)", "takes more than 64 MiB"),
            (r"a\qb", r"`\q` means nothing; write `q` for the letter (character 2)"),
            ("(?=a)*b", "a count behind a look-around"),
            (r"\p{Nonsense}", "Unicode property not found"),
        ] {
            let error = Expression::new(pattern, false).unwrap_err().to_string();
            assert!(error.contains(reason), "{pattern}: {error}");
        }
        assert!(Expression::new(r"\b{start}a", false).is_ok(), "what was read before is still read");
    }

    #[test]
    fn no_text_takes_long() {
        let begun = Instant::now();
        let text = "a".repeat(10_000);
        for pattern in [r"(a+)+(?!a)b", r"(?=(a+)+$)\1b", r"a(?=.*b)"] {
            let expression = Expression::new(pattern, false).unwrap();
            assert!(expression.find(&text).is_empty(), "{pattern}");
            assert!(expression.find(&text.repeat(1000)).is_empty(), "{pattern}");
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(
            pattern in r"(\(\?[:=!<P#(i-]|[\[\](){}*+?|\\^$.,-]|[0-3a-cbwdZé])[\[\](){}*+?|\\^$.,:=!<>P0-3a-cwdZé&-]{0,12}",
            text in "[a-c0-3 é\\[-]{0,12}",
        ) {
            if let Ok(expression) = Expression::new(&pattern, false) {
                for span in expression.find(&text) {
                    prop_assert!(text.get(span.start..span.end).is_some());
                }
            }
        }
    }
}
