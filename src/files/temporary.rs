//! Unfinished files and folders: their names, the locks of their writers, and clearing up after writers that have
//! ended.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::disk::remove_flat;

/// How old something must be to count as abandoned where it cannot be locked.
const CERTAINLY_ABANDONED: Duration = Duration::from_secs(60 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
}

/// A file or folder that is being written. Dropping it deletes whatever then has its name.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
    kind: Kind,
    /// Locked as long as this exists, so that other writers do not take it for abandoned. The system unlocks it when the
    /// process ends, however it ends. A folder may be impossible to open; then there is no lock.
    handle: Option<File>,
}

impl Temporary {
    /// Creates an empty file or folder of a new name, which is to become `name`.
    pub(super) fn create(kind: Kind, parent: &Path, name: &OsStr) -> Result<Self, (PathBuf, io::Error)> {
        loop {
            let path = parent.join(fresh_name(name));
            let created = match kind {
                Kind::File => File::create_new(&path).map(Some),
                Kind::Folder => fs::create_dir(&path).map(|()| File::open(&path).ok()),
            };
            let handle = match created {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                outcome => outcome.map_err(|error| (path.clone(), error))?,
            };
            // Another writer may have taken it for abandoned before it was locked; then it is deleted, or soon will be.
            let is_lost = handle.as_ref().is_some_and(|handle| holder(handle) == Holder::Other);
            if !is_lost && path.exists() {
                return Ok(Self { path, kind, handle });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, opened for writing.
    pub(super) fn file(&self) -> io::Result<File> {
        let file = self.handle.as_ref().filter(|_| self.kind == Kind::File);
        file.ok_or(io::Error::from(ErrorKind::IsADirectory))?.try_clone()
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = self.kind.remove(&self.path); // what stays is cleared by the next writer
    }
}

impl Kind {
    pub(super) fn remove(self, path: &Path) -> io::Result<()> {
        match self {
            Self::File => fs::remove_file(path),
            Self::Folder => remove_flat(path),
        }
    }

    fn is_kind_of(self, entry: &fs::DirEntry) -> bool {
        entry.file_type().is_ok_and(|found| match self {
            Self::File => found.is_file(),
            Self::Folder => found.is_dir(),
        })
    }
}

/// Deletes what processes that have ended left unfinished in a folder. Whatever cannot be deleted stays.
pub(super) fn clear_abandoned(kind: Kind, parent: &Path) {
    for path in unfinished(kind, parent) {
        let handle = File::open(&path).ok(); // holds the lock until the path is deleted
        let is_abandoned = match handle.as_ref().map_or(Holder::Unknown, holder) {
            Holder::Us => true,
            Holder::Other => false,
            Holder::Unknown => is_older(&path, CERTAINLY_ABANDONED),
        };
        if is_abandoned {
            let _ = kind.remove(&path);
        }
    }
}

/// Whether something of this name is being written, or was left unfinished.
pub(super) fn is_being_written(kind: Kind, parent: &Path, name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let becomes = |path: &Path| final_name(path.file_name()?).map(|found| found == name);
    unfinished(kind, parent).iter().any(|path| becomes(path) == Some(true))
}

fn unfinished(kind: Kind, parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| final_name(&entry.file_name()).is_some() && kind.is_kind_of(entry));
    ours.map(|entry| entry.path()).collect()
}

/// `.NAME.PID-RANDOM.tmp`, a new one each time.
pub(super) fn fresh_name(name: &OsStr) -> OsString {
    let random = RandomState::new().hash_one(());
    hidden_name(name, &format!(".{}-{random:016x}.tmp", std::process::id()))
}

/// `.NAME` with a suffix.
pub(super) fn hidden_name(name: &OsStr, suffix: &str) -> OsString {
    [OsStr::new("."), name, OsStr::new(suffix)].into_iter().collect()
}

/// NAME of `.NAME.PID-RANDOM.tmp`.
fn final_name(name: &OsStr) -> Option<String> {
    let name = name.to_string_lossy();
    let (name, mark) = name.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    let (pid, random) = mark.split_once('-')?;
    let is_pid = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    let is_random = random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_pid && is_random).then(|| name.to_owned())
}

fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed > age))
}

/// Who has locked a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// We have, until the handle is closed.
    Us,
    /// Another writer, which is still running.
    Other,
    /// This system or file system cannot lock it.
    Unknown,
}

fn holder(handle: &File) -> Holder {
    match handle.try_lock() {
        Ok(()) => Holder::Us,
        Err(TryLockError::WouldBlock) => Holder::Other,
        Err(TryLockError::Error(_)) => Holder::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_names_count_as_unfinished() {
        let name = OsStr::new("nlu.v2");
        assert_eq!(final_name(&fresh_name(name)).as_deref(), Some("nlu.v2"));
        assert_ne!(fresh_name(name), fresh_name(name));
        for name in [
            "model.1-0123456789abcdef.tmp",
            ".1-0123456789abcdef.tmp",
            ".model.1-0123456789abcdef",
            ".model.-0123456789abcdef.tmp",
            ".model.x-0123456789abcdef.tmp",
            ".model.1-0123456789abcde.tmp",
            ".model.1-0123456789abcdeg.tmp",
            ".model.1.tmp",
            ".tmp",
        ] {
            assert_eq!(final_name(OsStr::new(name)), None, "{name}");
        }
    }

    #[test]
    fn abandoned_folders_are_cleared_and_nothing_else() -> io::Result<()> {
        let parent = tempfile::tempdir()?;
        let (kind, name) = (Kind::Folder, OsStr::new("model"));
        let fresh = || parent.path().join(fresh_name(name));
        let alive = Temporary::create(kind, parent.path(), name).map_err(|(_, error)| error)?;
        let (abandoned, deep, file) = (fresh(), fresh(), fresh());
        fs::create_dir(&abandoned)?;
        fs::write(abandoned.join("half.json"), "[")?;
        fs::create_dir_all(deep.join("folder"))?; // holds a folder, so we never wrote it
        fs::write(&file, "")?;
        let similar = parent.path().join(".model.tmp");
        fs::create_dir(&similar)?;

        clear_abandoned(kind, parent.path());
        assert!(!abandoned.exists());
        assert!(alive.path().exists() && deep.exists() && file.exists() && similar.exists());
        clear_abandoned(Kind::File, parent.path());
        assert!(alive.path().exists() && deep.exists() && !file.exists() && similar.exists());
        Ok(())
    }

    #[test]
    fn what_is_being_written_is_seen() -> io::Result<()> {
        let parent = tempfile::tempdir()?;
        let create = Temporary::create(Kind::Folder, parent.path(), OsStr::new("a.b"));
        let is_seen = |name: &str| is_being_written(Kind::Folder, parent.path(), OsStr::new(name));
        assert!(is_seen("a.b"));
        assert!(!is_seen("a") && !is_seen("b") && !is_seen("a.b.c"));
        drop(create);
        assert!(!is_seen("a.b"));
        Ok(())
    }
}
