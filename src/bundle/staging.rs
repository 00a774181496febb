//! The hidden folder beside the place, where a model is written before it counts.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::BundleError;
use super::disk::{parent_of, remove_flat};

/// How old an abandoned folder must be where nothing but its age tells that it is.
const CERTAINLY_ABANDONED: Duration = Duration::from_secs(60 * 60);

/// Where a model is to be: a name in a folder.
#[derive(Clone, Debug)]
pub(super) struct Target {
    parent: PathBuf,
    name: OsString,
}

impl Target {
    /// The target a path means, once links are followed and `.` is resolved.
    pub(super) fn at(place: &Path) -> Result<Self, BundleError> {
        let place = match fs::canonicalize(place) {
            Ok(place) => place,
            Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_link(place) {
                Ok(link) => return Self::at(&parent_of(place).join(link)),
                Err(_) => place.to_owned(),
            },
            Err(error) => return Err(BundleError::io("reach", place)(error)),
        };
        let Some(name) = place.file_name() else {
            return Err(BundleError::Nameless { path: place });
        };
        Ok(Self::named(parent_of(&place), name))
    }

    pub(super) fn named(parent: &Path, name: impl Into<OsString>) -> Self {
        Self { parent: parent.to_owned(), name: name.into() }
    }

    pub(super) fn parent(&self) -> &Path {
        &self.parent
    }

    pub(super) fn path(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// `.NAME.old`: the model as it was, while two steps replace it.
    pub(super) fn old(&self) -> PathBuf {
        self.hidden(".old")
    }

    /// `.NAME.PID-RANDOM.tmp`, another one each time.
    pub(super) fn fresh(&self) -> PathBuf {
        let random = RandomState::new().hash_one(());
        self.hidden(&format!(".{}-{random:016x}.tmp", std::process::id()))
    }

    fn hidden(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(".");
        name.push(&self.name);
        name.push(suffix);
        self.parent.join(name)
    }
}

/// A folder being written. Dropping it deletes whatever then has its name.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    /// Held while we live, so that nobody takes the folder for abandoned. The system lets go of it when
    /// the process ends, however it ends.
    _lock: Option<File>,
}

impl Staging {
    /// Creates an empty folder beside the target.
    pub(super) fn create(target: &Target) -> Result<Self, BundleError> {
        loop {
            let path = target.fresh();
            match fs::create_dir(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                outcome => outcome.map_err(BundleError::io("create", &path))?,
            }
            // Somebody who clears up may have been faster than our lock; then the folder is gone.
            let hold = Hold::of(&path);
            if !matches!(hold, Hold::Theirs) && path.is_dir() {
                return Ok(Self { path, _lock: hold.into_lock() });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = remove_flat(&self.path); // what stays is cleared by the next save
    }
}

/// Deletes staging folders whose process has ended. Whatever cannot be deleted stays.
pub(super) fn clear_abandoned(parent: &Path) {
    for path in staging_folders(parent) {
        match Hold::of(&path) {
            Hold::Theirs => {}
            Hold::Unknown if !is_older(&path, CERTAINLY_ABANDONED) => {}
            _hold => drop(remove_flat(&path)),
        }
    }
}

/// Whether somebody is saving a model at the target.
pub(super) fn is_being_saved(target: &Target) -> bool {
    let name = target.name.to_string_lossy();
    let stem = |path: &Path| {
        let staged = path.file_name()?.to_string_lossy().into_owned();
        staged.strip_prefix('.').and_then(split_mark).map(str::to_owned)
    };
    staging_folders(target.parent()).iter().any(|path| stem(path).is_some_and(|stem| stem == name))
}

fn staging_folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| {
        is_staging_name(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_dir())
    });
    ours.map(|entry| entry.path()).collect()
}

/// Whether a name is `.NAME.PID-RANDOM.tmp`.
fn is_staging_name(name: &OsStr) -> bool {
    name.to_string_lossy().strip_prefix('.').and_then(split_mark).is_some()
}

/// NAME of `NAME.PID-RANDOM.tmp`.
fn split_mark(name: &str) -> Option<&str> {
    let (stem, mark) = name.strip_suffix(".tmp")?.rsplit_once('.')?;
    let (pid, random) = mark.split_once('-')?;
    let is_pid = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    let is_random = random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_pid && is_random).then_some(stem)
}

fn is_older(path: &Path, age: Duration) -> bool {
    let modified = fs::metadata(path).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|time| time.elapsed().is_ok_and(|elapsed| elapsed > age))
}

/// Who holds a folder.
enum Hold {
    /// Nobody did; now we do, until this is dropped.
    Ours(File),
    /// A living process.
    Theirs,
    /// This system or file system cannot lock folders.
    Unknown,
}

impl Hold {
    fn of(folder: &Path) -> Self {
        let Ok(file) = File::open(folder) else {
            return Self::Unknown;
        };
        match file.try_lock() {
            Ok(()) => Self::Ours(file),
            Err(TryLockError::WouldBlock) => Self::Theirs,
            Err(TryLockError::Error(_)) => Self::Unknown,
        }
    }

    fn into_lock(self) -> Option<File> {
        match self {
            Self::Ours(file) => Some(file),
            Self::Theirs | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    type TestResult = Result<(), Box<dyn Error>>;

    #[test]
    fn only_our_names_count_as_staging() {
        let target = Target::named(Path::new(""), "nlu.v2");
        assert!(is_staging_name(target.fresh().as_os_str()));
        assert_ne!(target.fresh(), target.fresh());
        assert_eq!(target.old(), Path::new(".nlu.v2.old"));
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
            assert!(!is_staging_name(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn abandoned_folders_are_cleared_and_nothing_else() -> TestResult {
        let parent = tempfile::tempdir()?;
        let target = Target::named(parent.path(), "model");
        let alive = Staging::create(&target)?;
        let abandoned = target.fresh();
        fs::create_dir(&abandoned)?;
        fs::write(abandoned.join("half.json"), "[")?;
        let deep = target.fresh(); // holds a folder, so we never wrote it
        fs::create_dir_all(deep.join("folder"))?;
        let file = target.fresh();
        fs::write(&file, "")?;
        let similar = parent.path().join(".model.tmp");
        fs::create_dir(&similar)?;

        clear_abandoned(parent.path());
        assert!(!abandoned.exists());
        assert!(alive.path().exists() && deep.exists() && file.exists() && similar.exists());
        Ok(())
    }

    #[test]
    fn a_model_being_saved_is_seen() -> TestResult {
        let parent = tempfile::tempdir()?;
        let staging = Staging::create(&Target::named(parent.path(), "a.b"))?;
        let is_seen = |name: &str| is_being_saved(&Target::named(parent.path(), name));
        assert!(is_seen("a.b"));
        assert!(!is_seen("a") && !is_seen("b") && !is_seen("a.b.c"));
        drop(staging);
        assert!(!is_seen("a.b"));
        Ok(())
    }
}
