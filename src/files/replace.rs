//! Moving a finished folder to its target.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::disk::{remove_flat, sync_folder};
use super::temporary::fresh_name;
use super::{FolderError, Occupant, Target};

/// What file managers leave in every folder they show.
const LITTER: [&str; 3] = [".DS_Store", "Thumbs.db", "desktop.ini"];

/// A kind of folder: a folder is replaced only by one of the same kind.
pub(crate) trait Contents: Sized {
    /// Looks into a folder; `None` if it is not of this kind, or not complete.
    fn of(folder: &Path) -> Option<Self>;

    /// Whether a file of this name belongs to it, and may be deleted with it.
    fn includes(&self, name: &str) -> bool;
}

/// What a new folder would replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Replaced {
    Nothing,
    EmptyFolder,
    SameKind,
}

/// Swaps the names of two folders in one step, or refuses and changes nothing.
pub(crate) type Swap = fn(&Path, &Path) -> io::Result<()>;

/// Fails if something at this path must not be lost.
pub(crate) fn check_replaceable<C: Contents>(path: &Path) -> Result<(), FolderError> {
    look::<C>(path).map(drop)
}

fn look<C: Contents>(path: &Path) -> Result<Replaced, FolderError> {
    let occupied = |found| Err(FolderError::Occupied { path: path.to_owned(), found });
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Replaced::Nothing),
        Err(error) => return Err(FolderError::io("reach", path)(error)),
        Ok(metadata) if !metadata.is_dir() => return occupied(Occupant::File),
        Ok(_) => {}
    }
    if fs::read_dir(path).map_err(FolderError::io("read", path))?.next().is_none() {
        return Ok(Replaced::EmptyFolder);
    }
    match C::of(path) {
        Some(contents) => refuse_strangers(path, &contents).map(|()| Replaced::SameKind),
        None => occupied(Occupant::OtherFolder),
    }
}

/// A folder is deleted as a whole, so nothing else may be in there.
fn refuse_strangers(path: &Path, contents: &impl Contents) -> Result<(), FolderError> {
    for entry in fs::read_dir(path).map_err(FolderError::io("list", path))? {
        let entry = entry.map_err(FolderError::io("list", path))?;
        let name = entry.file_name();
        let known = name.to_str().is_some_and(|name| LITTER.contains(&name) || contents.includes(name));
        if !known || entry.path().is_dir() {
            return Err(FolderError::Stranger { path: entry.path() });
        }
    }
    Ok(())
}

/// Moves a finished folder to its target.
///
/// An old one there swaps names with it, to be deleted with the temporary folder. Where the system cannot
/// swap, the old one moves to `.NAME.old` before the new one moves in; in between, readers look there.
pub(super) fn publish<C: Contents>(new: &Path, target: &Target, swap: Swap) -> Result<(), FolderError> {
    match look::<C>(&target.path())? {
        Replaced::Nothing => move_in(new, target)?,
        Replaced::EmptyFolder => replace_empty(new, target)?,
        Replaced::SameKind => replace::<C>(new, target, swap)?,
    }
    sync_folder(target.parent()).map_err(FolderError::io("flush", target.parent()))?;
    discard_old::<C>(target);
    Ok(())
}

fn move_in(new: &Path, target: &Target) -> Result<(), FolderError> {
    let path = target.path();
    fs::rename(new, &path).map_err(FolderError::io("move what was written to", path))
}

fn replace_empty(new: &Path, target: &Target) -> Result<(), FolderError> {
    let path = target.path();
    if cfg!(windows) {
        fs::remove_dir(&path).map_err(FolderError::io("replace", path))?;
    }
    move_in(new, target)
}

fn replace<C: Contents>(new: &Path, target: &Target, swap: Swap) -> Result<(), FolderError> {
    match swap(new, &target.path()) {
        Ok(()) => Ok(()),
        Err(_) => replace_in_two_steps::<C>(new, target),
    }
}

/// [`Swap`] as the system offers it; not every file system can.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(crate) fn swap_names(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(Into::into)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn swap_names(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

fn replace_in_two_steps<C: Contents>(new: &Path, target: &Target) -> Result<(), FolderError> {
    discard_old::<C>(target);
    let (path, old) = (target.path(), target.old());
    fs::rename(&path, &old).map_err(FolderError::io("move away", &path))?;
    move_in(new, target).inspect_err(|_| {
        let _ = fs::rename(&old, &path); // otherwise readers find it under the old name
    })
}

/// Deletes `.NAME.old` if the folder at the target is complete.
///
/// It is renamed first, so that a folder of that name is always complete, never half deleted.
fn discard_old<C: Contents>(target: &Target) {
    let (old, away) = (target.old(), target.parent().join(fresh_name(&target.name)));
    let is_superfluous = C::of(&old).is_some() && C::of(&target.path()).is_some();
    if is_superfluous && fs::rename(&old, &away).is_ok() {
        let _ = remove_flat(&away); // what stays is cleared by the next writer
    }
}
