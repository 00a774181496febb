//! A file that gets its name when it is whole.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A file beside its place. Unless it is published it is deleted.
pub(crate) struct Draft {
    file: File,
    path: PathBuf,
    place: PathBuf,
}

impl Draft {
    pub(crate) fn create(place: &Path) -> io::Result<Self> {
        // Two threads may save to one place; the later one wins, and neither writes into the other's draft.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name =
            place.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "not a file name"))?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = place.with_file_name(format!(".{}.{}-{count}.tmp", name.display(), process::id()));
        let file = File::create_new(&path)?;
        Ok(Self { file, path, place: place.to_owned() })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Moves the file to its place once its content is on the disk.
    pub(crate) fn publish(self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.place)?;
        #[cfg(unix)]
        if let Some(folder) = self.place.parent() {
            // The file is whole under either name; not every file system can sync a folder.
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // gone already if it was published
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_draft_replaces_what_is_there_or_leaves_no_trace() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("file");
        fs::write(&place, "old")?;
        let draft = Draft::create(&place)?;
        draft.file().write_all(b"half")?;
        drop(draft);
        assert_eq!(fs::read(&place)?, b"old");
        let draft = Draft::create(&place)?;
        draft.file().write_all(b"new")?;
        draft.publish()?;
        assert_eq!(fs::read(&place)?, b"new");
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn a_place_without_a_name_or_folder_is_an_error() {
        assert!(Draft::create(Path::new("/")).is_err());
        assert!(Draft::create(Path::new("/no/such/folder/file")).is_err());
    }
}
