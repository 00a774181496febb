//! Bytes in memory or in a mapped file, and the little-endian numbers in them.

use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::files::Mapped;

/// Bytes, cheap to clone. Tables in memory are laid out as in the mapped file, so one code reads both.
#[derive(Clone)]
pub(super) enum Blob {
    Memory(Arc<Vec<u8>>),
    Mapped(Arc<Mapped>, Range<usize>),
}

impl Blob {
    /// A part of a file, or nothing if the file is not that long.
    pub(super) fn section(file: &Arc<Mapped>, range: Range<usize>) -> Option<Self> {
        file.get(range.clone())?;
        Some(Self::Mapped(Arc::clone(file), range))
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Memory(Arc::new(bytes))
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::Mapped(file, range) => file.get(range.clone()).unwrap_or_default(),
        }
    }
}

/// The `index`-th number of four bytes.
pub(super) fn u32_at(bytes: &[u8], index: usize) -> Option<u32> {
    chunk(bytes, index).map(u32::from_le_bytes)
}

/// The `index`-th number of eight bytes, as a place in a slice.
pub(super) fn usize_at(bytes: &[u8], index: usize) -> Option<usize> {
    usize::try_from(chunk(bytes, index).map(u64::from_le_bytes)?).ok()
}

/// The `index`-th float of four bytes.
pub(super) fn f32_at(bytes: &[u8], index: usize) -> Option<f32> {
    chunk(bytes, index).map(f32::from_le_bytes)
}

/// Bytes as floats.
pub(super) fn floats(bytes: &[u8]) -> impl ExactSizeIterator<Item = f32> {
    bytes.as_chunks().0.iter().map(|chunk| f32::from_le_bytes(*chunk))
}

fn chunk<const N: usize>(bytes: &[u8], index: usize) -> Option<[u8; N]> {
    bytes.get(index.checked_mul(N)?..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_range_only() {
        let bytes = [1, 0, 0, 0, 2, 0, 0, 0, 3];
        assert_eq!([0, 1, 2].map(|index| u32_at(&bytes, index)), [Some(1), Some(2), None]);
        assert_eq!(usize_at(&bytes, 0), Some(1 + (2 << 32)));
        assert_eq!(usize_at(&bytes, usize::MAX), None);
        assert_eq!(floats(&bytes[1..]).len(), 2);
    }
}
