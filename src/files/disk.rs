//! Writes that wait for the disk, and the deletion of a folder of files.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use super::FolderError;

/// Writes a new file and waits until the disk has it.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Waits until the disk has the names in a folder.
///
/// Windows has no such call, and some network file systems answer that they do not know it.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(path).and_then(|folder| folder.sync_all()) {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        outcome => outcome,
    }
}

/// Creates a folder and those above it, and waits until the disk has them.
pub(super) fn create_folders(path: &Path) -> Result<(), FolderError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent_of(path);
    create_folders(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !path.is_dir() => {
            Err(FolderError::io("create", path)(error))
        }
        _ => sync_folder(parent).map_err(FolderError::io("flush", parent)),
    }
}

/// The folder something is in: `.` for a bare name.
pub(super) fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Deletes a folder of files. One that holds folders is not ours and stays as it is.
pub(super) fn remove_flat(folder: &Path) -> io::Result<()> {
    let entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    for entry in &entries {
        if entry.file_type()?.is_dir() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
    }
    for entry in entries {
        fs::remove_file(entry.path())?;
    }
    fs::remove_dir(folder)
}
