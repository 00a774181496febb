//! Reading files up to a limit.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::BundleError;
use crate::files::buffer;

/// The bytes of a file that should have at most `limit`.
///
/// What is there may be a pipe, a device or a sparse file of a terabyte: only regular files are opened, and no more
/// memory than the limit is requested.
pub(super) fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, BundleError> {
    let bytes = file_size(path)?;
    let too_large = |bytes| BundleError::TooLarge { path: path.to_owned(), bytes, limit };
    if bytes > limit {
        return Err(too_large(bytes));
    }
    let room = usize::try_from(bytes).map_err(|_| too_large(bytes))?;
    let mut content = buffer(room).map_err(|_| too_large(bytes))?;
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
