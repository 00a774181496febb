//! The chunks that hold numbers.

use super::super::VectorsError;
use super::super::blob::Blob;
use super::super::quantised::Quantised;
use super::super::rows::Numbers;
use super::reader::{Reader, number};

const FLOAT: usize = size_of::<f32>();

/// Where rows lie, and how many there are.
pub(super) struct Storage {
    pub(super) numbers: Numbers,
    pub(super) rows: usize,
    pub(super) dim: usize,
}

impl Reader<'_> {
    /// `[row, dim]` floats.
    pub(super) fn array(&mut self) -> Result<Storage, VectorsError> {
        let (rows, dim) = (self.cursor.size64("the rows")?, self.cursor.size32("the rows")?);
        self.expect(number::F32)?;
        self.skip_padding()?;
        let matrix = self.cursor.table(&[rows, dim, FLOAT], "the rows")?;
        Ok(Storage { numbers: Numbers::Matrix(matrix), rows, dim })
    }

    /// The length that each word vector had before it was brought to length one.
    pub(super) fn norms(&mut self) -> Result<Blob, VectorsError> {
        let count = self.cursor.size64("the norms")?;
        self.expect(number::F32)?;
        self.skip_padding()?;
        self.cursor.table(&[count, FLOAT], "the norms")
    }

    /// Codes, and what they stand for.
    pub(super) fn quantised(&mut self) -> Result<Storage, VectorsError> {
        const WHAT: &str = "the quantised rows";
        let (is_rotated, has_norms) = (self.cursor.u32(WHAT)? != 0, self.cursor.u32(WHAT)? != 0);
        let (subvectors, dim) = (self.cursor.size32(WHAT)?, self.cursor.size32(WHAT)?);
        let (centroids_each, rows) = (self.cursor.size32(WHAT)?, self.cursor.size64(WHAT)?);
        self.expect(number::U8)?;
        self.expect(number::F32)?;
        if subvectors == 0 || dim % subvectors != 0 {
            let reason = format!("{dim} dimensions cannot be cut into {subvectors} subvectors");
            return Err(VectorsError::damaged(self.path, reason));
        }
        self.skip_padding()?;
        let projection = if is_rotated { Some(self.cursor.table(&[dim, dim, FLOAT], WHAT)?) } else { None };
        let centroids = self.cursor.table(&[centroids_each, dim, FLOAT], WHAT)?;
        let norms = if has_norms { Some(self.cursor.table(&[rows, FLOAT], WHAT)?) } else { None };
        let codes = self.cursor.table(&[rows, subvectors], WHAT)?;
        let quantised = Quantised { codes, centroids, subvectors, centroids_each, projection, norms };
        Ok(Storage { numbers: Numbers::Quantised(quantised), rows, dim })
    }

    fn expect(&mut self, kind: u32) -> Result<(), VectorsError> {
        let found = self.cursor.u32("the kind of numbers")?;
        if found == kind {
            return Ok(());
        }
        let (path, what) = (self.path.to_owned(), format!("numbers of kind {found}"));
        Err(VectorsError::Unsupported { path, what, advice: "convert the file to `f32`" })
    }

    /// Zeros before floats, so that these begin at a multiple of four. Where they would anyway, there are four.
    fn skip_padding(&mut self) -> Result<(), VectorsError> {
        let length = FLOAT - self.cursor.position() % FLOAT;
        self.cursor.skip(length, "the padding").map(|_| ())
    }
}
