//! Results on standard output, messages to the user on standard error.

use std::io::{self, Write};

use serde::Serialize;

/// The user interrupted the program.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;

/// Whether the reader of the output has closed the pipe, which is a normal end.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    })
}

/// Prints one line of JSON on standard output and flushes it.
pub(crate) fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

/// Prints a line on standard error.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Prints at most ten warnings, then how many more there are.
pub(crate) fn warn<W: std::fmt::Display>(warnings: impl IntoIterator<Item = W>) {
    const SHOWN: usize = 10;
    let mut rest = 0;
    for (at, warning) in warnings.into_iter().enumerate() {
        if at < SHOWN { say(&format!("warning: {warning}")) } else { rest += 1 }
    }
    if rest > 0 {
        say(&format!("warning: … and {rest} more; `talkformer data stats` shows what the data looks like"));
    }
}

/// A share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}
