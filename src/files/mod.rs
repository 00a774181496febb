//! Files mapped into memory, and files and folders replaced so that a reader finds either the old one or the new one.
//!
//! | to replace | use | in the meantime it is |
//! | --- | --- | --- |
//! | a file | [`AtomicFile`] | `.NAME.PID-RANDOM.tmp` beside it |
//! | a folder of files | `NewFolder` | a folder of that name; where the system cannot swap, the old one is `.NAME.old` for a moment |
//!
//! Whatever is unfinished is locked by the process that writes it. So the next writer can tell what a killed process
//! has left behind, and deletes it.
//!
//! To read next: `atomic_file.rs`, then `new_folder.rs`; `temporary.rs` holds the names and the locks.

mod atomic_file;
mod buffer;
mod disk;
mod error;
mod hash;
mod mapped;
mod new_folder;
mod replace;
mod target;
mod temporary;

pub use atomic_file::AtomicFile;
pub(crate) use buffer::buffer;
pub(crate) use error::FolderError;
pub use error::Occupant;
pub(crate) use hash::hex;
pub(crate) use mapped::Mapped;
pub(crate) use new_folder::NewFolder;
pub(crate) use replace::{Contents, Swap, check_replaceable, swap_names};
pub(crate) use target::Target;
