//! Texts from the command line, from lines or from JSON Lines.

use std::path::Path;

use anyhow::bail;
use serde::{Deserialize, Serialize};

use super::lines::{BadLine, Lines};

/// Where texts come from.
pub(crate) enum Texts {
    Given(std::vec::IntoIter<String>),
    Read { lines: Lines, json: bool },
}

/// A text, or what is wrong with the line that should hold one.
pub(crate) type Text = Result<String, BadLine>;

/// A line of JSON Lines. Other fields are ignored.
#[derive(Deserialize)]
struct Line {
    text: String,
}

/// The answer to a line that holds no text: an empty one, with what is wrong as its `error`.
#[derive(Serialize)]
pub(crate) struct Failed<'a, T> {
    #[serde(flatten)]
    pub answer: T,
    pub error: &'a BadLine,
}

/// How many lines held no text, and the first of them.
#[derive(Default)]
#[must_use = "the program fails where a line did"]
pub(crate) struct BadLines {
    count: usize,
    first: Option<BadLine>,
}

impl BadLines {
    pub(crate) fn add(&mut self, bad: &BadLine) {
        self.count += 1;
        self.first.get_or_insert_with(|| bad.clone());
    }

    /// Fails where there were any.
    pub(crate) fn report(self) -> anyhow::Result<()> {
        let Some(BadLine { location, message, .. }) = self.first else { return Ok(()) };
        match self.count {
            1 => bail!("{location}: {message}"),
            count => bail!("{location}: {message}; {count} lines could not be read, this is the first"),
        }
    }
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
    /// waits for a full batch. The texts before an error of the source are worked on before it is returned.
    pub(crate) fn each(
        mut self,
        most: usize,
        mut work: impl FnMut(Vec<Text>) -> anyhow::Result<()>,
    ) -> anyhow::Result<BadLines> {
        let mut bad = BadLines::default();
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
                return outcome.map(|()| bad);
            }
            texts.iter().filter_map(|text| text.as_ref().err()).for_each(|line| bad.add(line));
            work(texts)?;
            outcome?;
        }
    }

    /// The next text; `None` after the last, or if it has not arrived yet and is not to be waited for.
    fn next(&mut self, wait: bool) -> anyhow::Result<Option<Text>> {
        match self {
            Self::Given(texts) => Ok(texts.next().map(Ok)),
            Self::Read { lines, .. } if !wait && !lines.is_ready() => Ok(None),
            Self::Read { lines, json } => {
                let line = lines.next_line()?;
                if !*json {
                    return Ok(line);
                }
                let read = |line: String| match serde_json::from_str::<Line>(&line) {
                    Ok(line) => Ok(line.text),
                    Err(error) => {
                        Err(lines.bad(format!("each line must be an object with a field `text`: {error}")))
                    }
                };
                Ok(line.map(|line| line.and_then(read)))
            }
        }
    }

    /// All of them; a line that holds none is an error.
    pub(crate) fn all(self) -> anyhow::Result<Vec<String>> {
        let mut all = Vec::new();
        let bad = self.each(usize::MAX, |texts| {
            all.extend(texts.into_iter().flatten());
            Ok(())
        })?;
        bad.report()?;
        if all.is_empty() {
            bail!("there are no texts to read");
        }
        Ok(all)
    }
}
