//! A folder of files that appears under its name only once it is complete.

use super::disk::{create_folders, sync_folder, write_synced};
use super::replace::{Contents, Swap, publish};
use super::temporary::{Kind, Temporary, clear_abandoned};
use super::{FolderError, Target};

/// A folder written beside its target. Unless it is published it is deleted.
#[derive(Debug)]
pub(crate) struct NewFolder {
    folder: Temporary,
    target: Target,
}

impl NewFolder {
    /// Creates an empty hidden folder beside the target, and the folders above.
    ///
    /// What killed writers have left there is deleted.
    pub(crate) fn create(target: Target) -> Result<Self, FolderError> {
        create_folders(target.parent())?;
        clear_abandoned(Kind::Folder, target.parent());
        let folder = Temporary::create(Kind::Folder, target.parent(), &target.name)
            .map_err(|(path, error)| FolderError::io("create", path)(error))?;
        Ok(Self { folder, target })
    }

    /// Writes a file and waits until the disk has it.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), FolderError> {
        let path = self.folder.path().join(name);
        write_synced(&path, bytes).map_err(FolderError::io("write", path))
    }

    /// Moves the folder to its target, where one of the same kind may be replaced.
    ///
    /// `swap` is [`swap_names`](super::swap_names), or what a test puts in its place.
    pub(crate) fn publish<C: Contents>(self, swap: Swap) -> Result<(), FolderError> {
        let path = self.folder.path();
        sync_folder(path).map_err(FolderError::io("flush", path))?;
        publish::<C>(path, &self.target, swap)
    }
}
