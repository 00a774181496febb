//! Where a folder is to be.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::FolderError;
use super::disk::parent_of;
use super::temporary::{Kind, hidden_name, is_being_written};

/// Where a folder is to be: a name in another folder.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    parent: PathBuf,
    pub(super) name: OsString,
}

impl Target {
    /// The target a path means, once links are followed and `.` is resolved.
    pub(crate) fn at(path: &Path) -> Result<Self, FolderError> {
        let path = match fs::canonicalize(path) {
            Ok(path) => path,
            Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_link(path) {
                Ok(link) => return Self::at(&parent_of(path).join(link)),
                Err(_) => path.to_owned(),
            },
            Err(error) => return Err(FolderError::io("reach", path)(error)),
        };
        match path.file_name() {
            Some(name) => Ok(Self::named(parent_of(&path), name)),
            None => Err(FolderError::Nameless { path }),
        }
    }

    pub(crate) fn named(parent: &Path, name: impl Into<OsString>) -> Self {
        Self { parent: parent.to_owned(), name: name.into() }
    }

    pub(crate) fn parent(&self) -> &Path {
        &self.parent
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// `.NAME.old`: the folder as it was, while two steps replace it.
    pub(crate) fn old(&self) -> PathBuf {
        self.parent.join(hidden_name(&self.name, ".old"))
    }

    /// Whether there is something at the target, or will be when others have finished.
    pub(crate) fn is_taken(&self) -> bool {
        self.path().symlink_metadata().is_ok()
            || self.old().exists()
            || is_being_written(Kind::Folder, &self.parent, &self.name)
    }
}
