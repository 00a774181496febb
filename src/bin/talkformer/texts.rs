//! Texts from the command line, from lines or from JSON Lines.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::lines::Lines;

/// Where texts come from.
pub(crate) enum Texts {
    Given(std::vec::IntoIter<String>),
    Read { lines: Lines, json: bool },
}

/// A line of JSON Lines. Other fields are ignored.
#[derive(Deserialize)]
struct Line {
    text: String,
}

impl Texts {
    /// The texts given, or else the lines of this file or of standard input.
    pub(crate) fn lines(given: &[String], input: Option<&Path>) -> anyhow::Result<Self> {
        if !given.is_empty() {
            let given = given.to_vec();
            return Ok(Self::Given(given.into_iter()));
        }
        Ok(Self::Read { lines: Lines::open(input)?, json: false })
    }

    /// As [`lines`](Self::lines), but of a `.jsonl` file the field `text` of each line.
    pub(crate) fn new(given: &[String], input: Option<&Path>) -> anyhow::Result<Self> {
        let mut texts = Self::lines(given, input)?;
        if let Self::Read { json, .. } = &mut texts {
            *json = input.and_then(Path::extension).is_some_and(|end| end.eq_ignore_ascii_case("jsonl"));
        }
        Ok(texts)
    }

    /// Hands all texts to `work`, at most `most` at a time, and fewer where more have not arrived yet, so that nobody
    /// waits for a full batch. The texts before a line that cannot be read are worked on before the error is returned.
    pub(crate) fn each(
        mut self,
        most: usize,
        mut work: impl FnMut(Vec<String>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        loop {
            let (mut texts, mut outcome) = (Vec::new(), Ok(()));
            while texts.len() < most {
                match self.next(texts.is_empty()) {
                    Ok(Some(text)) => texts.push(text),
                    Ok(None) => break,
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
            if texts.is_empty() {
                return outcome;
            }
            work(texts)?;
            outcome?;
        }
    }

    /// The next text; `None` after the last, or if it has not arrived yet and is not to be waited for.
    fn next(&mut self, wait: bool) -> anyhow::Result<Option<String>> {
        match self {
            Self::Given(texts) => Ok(texts.next()),
            Self::Read { lines, .. } if !wait && !lines.is_ready() => Ok(None),
            Self::Read { lines, json } => {
                let Some(line) = lines.next_line()? else { return Ok(None) };
                if !*json {
                    return Ok(Some(line));
                }
                let line: Line = serde_json::from_str(&line).with_context(|| {
                    format!("{}: each line must be an object with a field `text`", lines.location())
                })?;
                Ok(Some(line.text))
            }
        }
    }

    /// All of them.
    pub(crate) fn all(self) -> anyhow::Result<Vec<String>> {
        let mut all = Vec::new();
        self.each(usize::MAX, |texts| {
            all.extend(texts);
            Ok(())
        })?;
        if all.is_empty() {
            bail!("there are no texts to read");
        }
        Ok(all)
    }
}
