//! Texts from the command line, from lines or from JSON Lines.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::lines::Lines;

/// Where texts come from.
pub(crate) enum Texts {
    Given(std::vec::IntoIter<String>),
    Read { lines: Lines, json: bool, name: String },
}

/// A line of JSON Lines; other fields are nobody's business here.
#[derive(Deserialize)]
struct Line {
    text: String,
}

impl Texts {
    /// The texts given, or else those of this file or of standard input.
    pub(crate) fn new(given: &[String], input: Option<&Path>) -> anyhow::Result<Self> {
        if !given.is_empty() {
            let given = given.to_vec();
            return Ok(Self::Given(given.into_iter()));
        }
        let json = input.and_then(Path::extension).is_some_and(|end| end.eq_ignore_ascii_case("jsonl"));
        let name = input.map_or_else(|| "standard input".to_owned(), |path| path.display().to_string());
        Ok(Self::Read { lines: Lines::open(input)?, json, name })
    }

    /// Some more texts, as many as are here already and at most `most`; none behind the last. What went wrong comes with
    /// the texts before it.
    pub(crate) fn next(&mut self, most: usize) -> (Vec<String>, Option<anyhow::Error>) {
        let mut texts = Vec::new();
        while texts.len() < most {
            match self.one(texts.is_empty()) {
                Ok(Some(text)) => texts.push(text),
                Ok(None) => break,
                Err(error) => return (texts, Some(error)),
            }
        }
        (texts, None)
    }

    fn one(&mut self, wait: bool) -> anyhow::Result<Option<String>> {
        match self {
            Self::Given(texts) => Ok(texts.next()),
            Self::Read { lines, .. } if !wait && !lines.is_ready() => Ok(None),
            Self::Read { lines, json, name } => {
                let Some(line) = lines.next_line()? else { return Ok(None) };
                if !*json {
                    return Ok(Some(line));
                }
                let line: Line = serde_json::from_str(&line).with_context(|| {
                    format!("{name}:{}: each line must be an object with a field `text`", lines.number())
                })?;
                Ok(Some(line.text))
            }
        }
    }

    /// All of them.
    pub(crate) fn all(mut self) -> anyhow::Result<Vec<String>> {
        let mut all = Vec::new();
        loop {
            let (texts, failure) = self.next(usize::MAX);
            if let Some(error) = failure {
                return Err(error);
            }
            if texts.is_empty() {
                break;
            }
            all.extend(texts);
        }
        if all.is_empty() {
            bail!("there are no texts to read");
        }
        Ok(all)
    }
}
