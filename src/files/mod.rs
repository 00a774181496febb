//! Files as a whole: read where they lie, written so that a reader finds the old one or the new one.

mod draft;
mod mapped;

pub(crate) use draft::Draft;
pub(crate) use mapped::Mapped;
