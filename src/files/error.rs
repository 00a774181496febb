//! Why a folder cannot be replaced.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a folder cannot be replaced. The message is up to the caller's own error.
#[derive(Debug)]
pub(crate) enum FolderError {
    /// The operating system refuses an action on a file or folder.
    Io { action: &'static str, path: PathBuf, error: io::Error },
    /// The path has no last part, such as `..` or `/`.
    Nameless { path: PathBuf },
    /// Something else is in the way.
    Occupied { path: PathBuf, found: Occupant },
    /// This file or folder lies in the folder to be replaced and would be lost with it.
    Stranger { path: PathBuf },
}

/// What lies where a folder should be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Occupant {
    /// A file.
    File,
    /// A folder that holds something else.
    OtherFolder,
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::OtherFolder => "a folder of other things",
        })
    }
}

impl FolderError {
    /// For `map_err`: a refusal of the system, with what was tried on which path.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Io { action, path, error }
    }
}
