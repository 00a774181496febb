//! A position in a binary file, moving forward.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::blob::Blob;
use super::{VectorFormat, VectorsError};
use crate::files::Mapped;

/// Reads little-endian numbers and pieces, and names what is missing when the file ends.
pub(super) struct Cursor<'a> {
    path: &'a Path,
    file: &'a Arc<Mapped>,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(path: &'a Path, file: &'a Arc<Mapped>) -> Self {
        Self { path, file, at: 0 }
    }

    /// Steps over the bytes that every file of a format begins with.
    pub(super) fn magic(&mut self, magic: &[u8], format: VectorFormat) -> Result<(), VectorsError> {
        if self.take(magic.len(), "the header")? == magic {
            return Ok(());
        }
        Err(VectorsError::WrongFormat { path: self.path.to_owned(), format })
    }

    /// Bytes before the cursor.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Goes back to where it was before.
    pub(super) fn go_back(&mut self, position: usize) {
        self.at = self.at.min(position);
    }

    /// What lies ahead.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.file[self.at..]
    }

    /// Steps over some bytes and says which.
    pub(super) fn skip(&mut self, length: usize, what: &str) -> Result<Range<usize>, VectorsError> {
        match self.at.checked_add(length) {
            Some(end) if end <= self.file.len() => {
                let start = std::mem::replace(&mut self.at, end);
                Ok(start..end)
            }
            _ => Err(self.truncated(what)),
        }
    }

    /// Steps over a table of numbers, whose size is checked here. It stays in the file.
    pub(super) fn table(&mut self, sizes: &[usize], what: &str) -> Result<Blob, VectorsError> {
        let range = self.skip_table(sizes, what)?;
        Ok(Blob::Mapped(Arc::clone(self.file), range))
    }

    /// As [`table`](Self::table), and says only where it lies.
    pub(super) fn skip_table(&mut self, sizes: &[usize], what: &str) -> Result<Range<usize>, VectorsError> {
        let length = sizes.iter().try_fold(1_usize, |product, &size| product.checked_mul(size));
        match length {
            Some(length) if length <= self.file.len() => self.skip(length, what),
            _ => {
                let (path, length) = (self.path.to_owned(), self.file.len());
                Err(VectorsError::TooLarge { path, what: format!("{what}, {sizes:?} bytes,"), length })
            }
        }
    }

    pub(super) fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], VectorsError> {
        let range = self.skip(length, what)?;
        Ok(&self.file[range])
    }

    /// Everything up to a byte, which is stepped over.
    pub(super) fn until(&mut self, end: u8, what: &str) -> Result<&'a [u8], VectorsError> {
        let length = self.rest().iter().position(|&byte| byte == end);
        let piece = self.take(length.ok_or_else(|| self.truncated(what))?, what)?;
        self.at += 1;
        Ok(piece)
    }

    pub(super) fn u8(&mut self, what: &str) -> Result<u8, VectorsError> {
        self.array(what).map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, VectorsError> {
        self.array(what).map(u32::from_le_bytes)
    }

    /// A number of 32 bits that counts or measures something.
    pub(super) fn size32(&mut self, what: &str) -> Result<usize, VectorsError> {
        Ok(self.u32(what)? as usize)
    }

    /// A signed number of 32 bits that counts something; less than nothing is nothing.
    pub(super) fn signed32(&mut self, what: &str) -> Result<usize, VectorsError> {
        self.u32(what).map(|size| size.cast_signed().max(0) as usize)
    }

    /// A number of 64 bits that counts or measures something.
    pub(super) fn size64(&mut self, what: &str) -> Result<usize, VectorsError> {
        let size = self.array(what).map(u64::from_le_bytes)?;
        usize::try_from(size).map_err(|_| VectorsError::damaged(self.path, format!("{what} is {size}")))
    }

    pub(super) fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], VectorsError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    fn truncated(&self, what: &str) -> VectorsError {
        let (path, length) = (self.path.to_owned(), self.file.len());
        VectorsError::Truncated { path, length, what: what.to_owned() }
    }
}
