//! A file that appears under its name only once it is complete.

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
        clear_abandoned(Kind::File, parent_of(path));
        Self::begin(path)
    }

    fn begin(path: &Path) -> io::Result<Self> {
        let name =
            path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file name"))?;
        let temporary = Temporary::create(Kind::File, parent_of(path), name).map_err(|(_, error)| error)?;
        Ok(Self { file: temporary.file()?, temporary, path: path.to_owned() })
    }

    /// Replaces several files of a folder, given by name and content, one after the other.
    ///
    /// Unlike [`commit`](Self::commit) this does not wait for the disk: after a power failure a file may be empty.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create) and [`commit`](Self::commit). The files before the one that failed are replaced.
    pub fn write_files<'a>(
        folder: &Path,
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> io::Result<()> {
        clear_abandoned(Kind::File, folder);
        for (name, bytes) in files {
            let mut file = Self::begin(&folder.join(name))?;
            file.write_all(bytes)?;
            file.publish()?;
        }
        Ok(())
    }

    /// Where the file is to be.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the disk has the content, and moves the file to its path.
    ///
    /// # Errors
    ///
    /// If the system refuses; what was at the path is then still there.
    pub fn commit(self) -> io::Result<()> {
        self.file.sync_all()?;
        self.publish()?;
        let _ = sync_folder(parent_of(&self.path)); // the file is whole under either name
        Ok(())
    }

    fn publish(&self) -> io::Result<()> {
        fs::rename(self.temporary.path(), &self.path)
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
        AtomicFile::write_files(folder.path(), [("file", &b"new"[..]), ("other", b"")])?;
        assert_eq!((fs::read(&path)?, fs::read_dir(folder.path())?.count()), (b"new".to_vec(), 2));
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
        AtomicFile::create(&folder.path().join("file"))?.commit()?;
        assert!(!left.exists());
        fs::write(&left, "half")?;
        AtomicFile::write_files(folder.path(), [])?;
        assert!(!left.exists());
        Ok(())
    }

    #[test]
    fn a_path_without_a_name_or_folder_is_an_error() {
        assert!(AtomicFile::create(Path::new("/")).is_err());
        assert!(AtomicFile::create(Path::new("/no/such/folder/file")).is_err());
    }
}
