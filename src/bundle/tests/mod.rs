//! The promises of a saved model, tested with damaged files and killed processes, and what these tests share.

mod damage;
mod kill;

use std::error::Error;
use std::fs;
use std::io;
use std::path::Path;

pub(super) type TestResult = Result<(), Box<dyn Error>>;

/// The names in a folder, sorted.
pub(super) fn names_in(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}

/// A [`Swap`](crate::files::Swap) on a file system that cannot swap.
pub(super) fn cannot_swap(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
