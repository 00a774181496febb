//! The header, and the kinds of chunks and numbers.

use std::path::Path;
use std::sync::Arc;

use super::super::cursor::Cursor;
use super::super::{VectorFormat, VectorsError};
use crate::files::Mapped;

/// What every file begins with.
pub(in super::super) const MAGIC: &[u8] = b"FiFu";

pub(super) const FORMAT: VectorFormat = VectorFormat::Finalfusion;
const VERSION: u32 = 0;

/// What a chunk holds.
pub(super) mod chunk {
    pub(in super::super) const SIMPLE_VOCABULARY: u32 = 1;
    pub(in super::super) const ARRAY: u32 = 2;
    pub(in super::super) const BUCKET_VOCABULARY: u32 = 3;
    pub(in super::super) const QUANTISED_ARRAY: u32 = 4;
    pub(in super::super) const METADATA: u32 = 5;
    pub(in super::super) const NORMS: u32 = 6;
    pub(in super::super) const FASTTEXT_VOCABULARY: u32 = 7;
    pub(in super::super) const EXPLICIT_VOCABULARY: u32 = 8;
    pub(in super::super) const FLORET_VOCABULARY: u32 = 9;
}

/// How numbers are stored.
pub(super) mod number {
    pub(in super::super) const U8: u32 = 1;
    pub(in super::super) const F32: u32 = 10;
}

/// What the reading of each chunk needs.
pub(super) struct Reader<'a> {
    pub(super) path: &'a Path,
    pub(super) cursor: Cursor<'a>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(path: &'a Path, file: &'a Arc<Mapped>) -> Self {
        Self { path, cursor: Cursor::new(path, file) }
    }

    /// Reads what stands before the chunks, and says how many there are.
    pub(super) fn header(&mut self) -> Result<u32, VectorsError> {
        self.cursor.magic(MAGIC, FORMAT)?;
        let version = self.cursor.u32("the header")?;
        if version != VERSION {
            return Err(VectorsError::version(self.path, FORMAT, &version.to_string(), "0"));
        }
        let chunks = self.cursor.u32("the header")?;
        self.cursor.skip_table(&[chunks as usize, size_of::<u32>()], "the list of chunks")?;
        Ok(chunks)
    }
}
