//! Vectors as JSON Lines, `NumPy` array or Arrow file.

#[cfg(feature = "arrow")]
mod arrow;

use std::io::{self, BufWriter, Seek as _, Write};
use std::path::Path;

use anyhow::{Context as _, bail};
use ndarray::Array2;
use serde::Serialize;
use talkformer::files::AtomicFile;
use talkformer::ndarray;

use super::args::{Embed, Format};
use crate::texts::{Failed, Text};

/// The format of `--format`, or else the one that goes with the name of the file.
pub(crate) fn decide(args: &Embed) -> anyhow::Result<Format> {
    let end = args.out.as_deref().and_then(Path::extension).and_then(|end| end.to_str());
    let format = args.format.unwrap_or(match end {
        Some("npy") => Format::Npy,
        Some("arrow" | "feather") => Format::Arrow,
        _ => Format::Jsonl,
    });
    if format != Format::Jsonl && args.out.is_none() {
        bail!("this format is binary; name a file with --out");
    }
    if args.tokens && (format != Format::Jsonl || args.out.is_some()) {
        bail!("--tokens is written to standard output, as JSON Lines; leave out --out and --format");
    }
    if format == Format::Arrow && !cfg!(feature = "arrow") {
        bail!(
            "this program was built without Arrow; build it with `--features arrow`, or write .npy or .jsonl"
        );
    }
    Ok(format)
}

/// Writes vectors in one of the formats.
pub(crate) enum Sink {
    Jsonl(Target),
    Npy(Target, Npy),
    #[cfg(feature = "arrow")]
    Arrow(Box<arrow::Arrow>),
}

/// A file that appears under its name when it is whole, or standard output.
pub(crate) enum Target {
    File(BufWriter<AtomicFile>),
    Stdout(BufWriter<io::Stdout>),
}

/// What the header of an array says; the number of rows is only known at the end.
pub(crate) struct Npy {
    rows: usize,
    dim: usize,
}

impl Target {
    fn create(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stdout(BufWriter::new(io::stdout())));
        };
        let file = AtomicFile::create(path).with_context(|| cannot_write(path))?;
        Ok(Self::File(BufWriter::new(file)))
    }

    /// Goes back to the beginning.
    fn rewind(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.rewind(),
            Self::Stdout(_) => Err(io::ErrorKind::NotSeekable.into()),
        }
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::File(file) => {
                let path = file.get_ref().path().to_owned();
                let file = file.into_inner().map_err(io::IntoInnerError::into_error);
                file.and_then(AtomicFile::commit).with_context(|| cannot_write(&path))
            }
            Self::Stdout(mut out) => Ok(out.flush()?),
        }
    }
}

fn cannot_write(path: &Path) -> String {
    format!("{}: cannot be written", path.display())
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stdout(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stdout(out) => out.flush(),
        }
    }
}

#[derive(Default, Serialize)]
struct Line<'a> {
    text: &'a str,
    embedding: &'a [f32],
}

impl Sink {
    pub(crate) fn create(format: Format, path: Option<&Path>, dim: usize) -> anyhow::Result<Self> {
        let mut target = Target::create(path)?;
        Ok(match format {
            Format::Jsonl => Self::Jsonl(target),
            Format::Npy => {
                target.write_all(&npy_header(0, dim))?;
                Self::Npy(target, Npy { rows: 0, dim })
            }
            #[cfg(feature = "arrow")]
            Format::Arrow => Self::Arrow(Box::new(arrow::Arrow::new(target, dim)?)),
            #[cfg(not(feature = "arrow"))]
            Format::Arrow => bail!("this program was built without Arrow"),
        })
    }

    /// Appends some lines with the vectors of their texts. A line that holds no text becomes one of JSON that says so; an
    /// array has no place for that, and each of its rows should be that of one line, so there it is an error.
    pub(crate) fn write(&mut self, lines: &[Text], vectors: Array2<f32>) -> anyhow::Result<()> {
        match self {
            Self::Jsonl(target) => {
                let mut rows = vectors.outer_iter();
                for line in lines {
                    match line {
                        Ok(text) => {
                            let row = rows.next();
                            let embedding = row.as_ref().and_then(|row| row.as_slice()).unwrap_or_default();
                            serde_json::to_writer(&mut *target, &Line { text, embedding })?;
                        }
                        Err(error) => {
                            serde_json::to_writer(&mut *target, &Failed { answer: Line::default(), error })?;
                        }
                    }
                    target.write_all(b"\n")?;
                }
                target.flush()?; // a program that reads along should not have to wait
            }
            Self::Npy(target, npy) => {
                for value in &vectors {
                    target.write_all(&value.to_le_bytes())?;
                }
                npy.rows += texts_of(lines)?.len();
            }
            #[cfg(feature = "arrow")]
            Self::Arrow(arrow) => arrow.write(&texts_of(lines)?, vectors)?,
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Jsonl(target) => target.finish(),
            Self::Npy(mut target, Npy { rows, dim }) => {
                target.rewind()?;
                target.write_all(&npy_header(rows, dim))?;
                target.finish()
            }
            #[cfg(feature = "arrow")]
            Self::Arrow(arrow) => arrow.finish()?.finish(),
        }
    }
}

/// The texts of lines that all hold one.
fn texts_of(lines: &[Text]) -> anyhow::Result<Vec<&str>> {
    let texts = lines.iter().map(|line| match line {
        Ok(text) => Ok(text.as_str()),
        Err(bad) => bail!("{}: {}; as JSON Lines the others would be written", bad.location, bad.message),
    });
    texts.collect()
}

/// The first 128 bytes of a `NumPy` array of `[rows, dim]` numbers of 32 bits, format version 1.0.
fn npy_header(rows: usize, dim: usize) -> Vec<u8> {
    const LEN: usize = 128;
    const START: &[u8] = b"\x93NUMPY\x01\x00";
    let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}");
    let room = LEN - START.len() - size_of::<u16>();
    let mut header = START.to_vec();
    header.extend((room as u16).to_le_bytes());
    header.extend(format!("{text:<width$}\n", width = room - 1).bytes());
    header
}
