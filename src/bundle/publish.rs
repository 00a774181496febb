//! Putting a finished folder in its place.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::BundleError;
use super::disk::{remove_flat, sync_folder};
use super::manifest::{CARD, MANIFEST, Outline};
use super::staging::{Staging, Target};

/// What file managers leave in every folder they show.
const LITTER: [&str; 3] = [".DS_Store", "Thumbs.db", "desktop.ini"];

/// What is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    Nothing,
    EmptyFolder,
    Bundle,
}

/// Swaps the names of two folders in one step, or refuses and changes nothing.
pub(super) type Swap = fn(&Path, &Path) -> io::Result<()>;

/// What is at a place, if a model may be saved there.
pub(super) fn occupant(place: &Path) -> Result<Occupant, BundleError> {
    let occupied = |found| Err(BundleError::Occupied { path: place.to_owned(), found });
    match fs::metadata(place) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Occupant::Nothing),
        Err(error) => return Err(BundleError::io("reach", place)(error)),
        Ok(metadata) if !metadata.is_dir() => return occupied("a file"),
        Ok(_) => {}
    }
    if fs::read_dir(place).map_err(BundleError::io("read", place))?.next().is_none() {
        return Ok(Occupant::EmptyFolder);
    }
    match Outline::read(place) {
        Some(outline) => refuse_strangers(place, &outline).map(|()| Occupant::Bundle),
        None => occupied("a folder of other things"),
    }
}

/// A model is replaced with its folder, so nothing else may be in there.
fn refuse_strangers(place: &Path, outline: &Outline) -> Result<(), BundleError> {
    for entry in fs::read_dir(place).map_err(BundleError::io("list", place))? {
        let entry = entry.map_err(BundleError::io("list", place))?;
        let name = entry.file_name();
        let known = name.to_str().is_some_and(|name| {
            name == MANIFEST || name == CARD || LITTER.contains(&name) || outline.lists(name)
        });
        if !known || entry.path().is_dir() {
            return Err(BundleError::Stranger { path: entry.path() });
        }
    }
    Ok(())
}

/// Moves a finished folder to its target.
///
/// An old model there swaps names with it, to be deleted with the staging folder. Where the system cannot
/// swap, the old one moves to `.NAME.old` before the new one moves in; in between, opening looks there.
pub(super) fn publish(staging: &Staging, target: &Target, swap: Swap) -> Result<(), BundleError> {
    match occupant(&target.path())? {
        Occupant::Nothing => move_in(staging.path(), target)?,
        Occupant::EmptyFolder => replace_empty(staging.path(), target)?,
        Occupant::Bundle => replace(staging.path(), target, swap)?,
    }
    sync_folder(target.parent())?;
    discard_old(target);
    Ok(())
}

fn move_in(new: &Path, target: &Target) -> Result<(), BundleError> {
    let place = target.path();
    fs::rename(new, &place).map_err(BundleError::io("move the new model to", place))
}

fn replace_empty(new: &Path, target: &Target) -> Result<(), BundleError> {
    let place = target.path();
    if cfg!(windows) {
        fs::remove_dir(&place).map_err(BundleError::io("replace", place))?;
    }
    move_in(new, target)
}

fn replace(new: &Path, target: &Target, swap: Swap) -> Result<(), BundleError> {
    match swap(new, &target.path()) {
        Ok(()) => Ok(()),
        Err(_) => replace_in_two_steps(new, target),
    }
}

/// [`Swap`] as the system offers it; not every file system can.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(super) fn swap_names(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(Into::into)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn swap_names(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

fn replace_in_two_steps(new: &Path, target: &Target) -> Result<(), BundleError> {
    discard_old(target);
    let (place, old) = (target.path(), target.old());
    fs::rename(&place, &old).map_err(BundleError::io("move away", &place))?;
    move_in(new, target).inspect_err(|_| {
        let _ = fs::rename(&old, &place); // otherwise opening finds it under the old name
    })
}

/// Deletes `.NAME.old` when the model at the place makes it superfluous.
///
/// It is renamed first: a folder of that name is always a whole model, never half deleted.
fn discard_old(target: &Target) {
    let (old, away) = (target.old(), target.fresh());
    let superfluous = Outline::read(&old).is_some() && Outline::read(&target.path()).is_some();
    if superfluous && fs::rename(&old, &away).is_ok() {
        let _ = remove_flat(&away); // what stays is cleared by the next save
    }
}
