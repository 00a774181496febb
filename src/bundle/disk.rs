//! Reading no more than agreed, writing down to the disk, deleting no deeper than one folder.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use super::BundleError;

/// The bytes of a file that should have at most `limit`.
///
/// What is there may be a pipe, a device or a terabyte of nothing: only files are opened, and no memory
/// is asked for beyond the limit.
pub(super) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let bytes = file_size(path)?;
    let too_large = |bytes| BundleError::TooLarge { path: path.to_owned(), bytes, limit };
    if bytes > limit {
        return Err(too_large(bytes));
    }
    let mut content = Vec::new();
    let room = usize::try_from(bytes).map_err(|_| too_large(bytes))?;
    content.try_reserve_exact(room).map_err(|_| too_large(bytes))?;
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut content))
        .map_err(|error| refused(path, error))?;
    let bytes = content.len() as u64;
    if bytes > limit { Err(too_large(bytes)) } else { Ok(content) }
}

/// The size of a file; [`BundleError::Missing`] if there is none, or no plain one.
pub(super) fn file_size(path: &Path) -> Result<u64, BundleError> {
    let metadata = fs::metadata(path).map_err(|error| refused(path, error))?;
    if metadata.is_file() { Ok(metadata.len()) } else { Err(BundleError::Missing { path: path.to_owned() }) }
}

fn refused(path: &Path, error: io::Error) -> BundleError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => BundleError::Missing { path: path.to_owned() },
        _ => BundleError::io("read", path)(error),
    }
}

/// Writes a new file and waits until the disk has it.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), BundleError> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(BundleError::io("write", path))
}

/// Waits until the disk has the names in a folder.
///
/// Windows has no such call, and some network file systems answer that they do not know it.
pub(super) fn sync_folder(path: &Path) -> Result<(), BundleError> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(path).and_then(|folder| folder.sync_all()) {
        Err(error) if !matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Err(BundleError::io("flush", path)(error))
        }
        _ => Ok(()),
    }
}

/// Creates a folder and those above it, and waits until the disk has them.
pub(super) fn create_folders(path: &Path) -> Result<(), BundleError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent_of(path);
    create_folders(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists || !path.is_dir() => {
            Err(BundleError::io("create", path)(error))
        }
        _ => sync_folder(parent),
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
