//! A file that gets its name when it is whole.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::disk::{parent_of, sync_folder};
use super::temporary::{Kind, Temporary, clear_abandoned};

/// A file that is written beside its path and moved there by [`commit`](Self::commit).
///
/// Until then what was there stays as it was, also if the process is killed. If it is dropped without a
/// commit it is deleted. Of two that are written at the same time, the one committed later wins.
///
/// ```
/// use std::io::Write;
/// use talkformer::files::AtomicFile;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("vectors.txt");
/// let mut file = AtomicFile::create(&path)?;
/// file.write_all(b"cat 1 0.5\n")?;
/// assert!(!path.exists());
/// file.commit()?;
/// assert!(path.exists());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct AtomicFile {
    file: File,
    temporary: Temporary,
    path: PathBuf,
}

impl AtomicFile {
    /// Begins a file that is to be at `path`.
    ///
    /// # Errors
    ///
    /// If the path does not end in a name, or its folder cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let name =
            path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file name"))?;
        let parent = parent_of(path);
        clear_abandoned(Kind::File, parent);
        let temporary = Temporary::create(Kind::File, parent, name).map_err(|(_, error)| error)?;
        Ok(Self { file: temporary.file()?, temporary, path: path.to_owned() })
    }

    /// Replaces the file at `path` by these bytes.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create) and [`commit`](Self::commit).
    pub fn write_to(path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = Self::create(path)?;
        file.write_all(bytes)?;
        file.commit()
    }

    /// Waits until the disk has the content, and moves the file to its path.
    ///
    /// # Errors
    ///
    /// If the system refuses; what was at the path is then still there.
    pub fn commit(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(self.temporary.path(), &self.path)?;
        let _ = sync_folder(parent_of(&self.path)); // the file is whole under either name
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use super::super::temporary::fresh_name;
    use super::*;

    #[test]
    fn a_file_replaces_what_is_there_or_leaves_no_trace() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        fs::write(&path, "old")?;
        let mut file = AtomicFile::create(&path)?;
        file.write_all(b"half")?;
        drop(file);
        assert_eq!(fs::read(&path)?, b"old");
        AtomicFile::write_to(&path, b"new")?;
        assert_eq!(fs::read(&path)?, b"new");
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn two_writers_of_one_file_do_not_mix() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        let (mut one, mut other) = (AtomicFile::create(&path)?, AtomicFile::create(&path)?);
        for _ in 0..3 {
            one.write_all(b"one")?;
            other.write_all(b"other")?;
        }
        other.commit()?;
        assert_eq!(fs::read(&path)?, b"otherotherother");
        one.commit()?;
        assert_eq!(fs::read(&path)?, b"oneoneone");
        Ok(())
    }

    #[test]
    fn what_a_killed_writer_left_is_cleared() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let left = folder.path().join(fresh_name("other".as_ref()));
        fs::write(&left, "half")?;
        AtomicFile::write_to(&folder.path().join("file"), b"new")?;
        assert!(!left.exists());
        Ok(())
    }

    #[test]
    fn a_path_without_a_name_or_folder_is_an_error() {
        assert!(AtomicFile::create(Path::new("/")).is_err());
        assert!(AtomicFile::create(Path::new("/no/such/folder/file")).is_err());
    }
}
