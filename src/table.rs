//! Large tables in few bits.
//!
//! The first learnable layers of a model are tables with a row of numbers per word or part of a word: tens of
//! thousands of rows, of which a message reads a few hundred. A [`Table`] keeps five bits of each number and
//! one scale per row, and rows that training never touched not at all. On the German part of MASSIVE that
//! turns 98 MB into 13 MB, and of 2,033 answers it changes seven.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// Bytes that may be a part of something larger, which is not copied.
#[derive(Clone, Debug)]
pub struct Bytes {
    whole: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Bytes {
    /// A part of these bytes; `None` where it reaches beyond them.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Option<Self> {
        let fits = range.start <= range.end && range.end <= self.len();
        let range = self.range.start.checked_add(range.start)?..self.range.start.checked_add(range.end)?;
        fits.then(|| Self { whole: Arc::clone(&self.whole), range })
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { whole: Arc::new(bytes), range }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.whole[self.range.clone()]
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

/// Rows of numbers, five bits each with one scale per row; some rows may be absent, which means zero.
///
/// A code `c` in `0..32` stands for `(c − 15.5) · scale`. Seen as eight groups of `w = ⌈dim / 8⌉` columns, a row
/// is `5·w` bytes: byte `j < 4·w` holds the four low bits of column `j` and, above them, those of column
/// `4·w + j`; bit `g` of byte `4·w + j` is the fifth bit of column `g·w + j`. So neighbouring columns are in
/// neighbouring bytes, which is what vector instructions want.
///
/// # Example
///
/// ```
/// use talkformer::table::Table;
///
/// let table = Table::new(&[0.5, -0.25, 0.0, 9.0, 9.0, 9.0], 3, |row| row == 0);
/// let values = table.to_f32();
/// assert!((values[0] - 0.5).abs() < 0.02 && (values[1] + 0.25).abs() < 0.02);
/// assert_eq!(values[3..], [0.0; 3]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    dim: usize,
    /// For each row, where it is; [`ABSENT`] where it is not.
    places: Vec<u32>,
    scales: Vec<f32>,
    codes: Bytes,
}

const ABSENT: u32 = u32::MAX;

/// What stands in the middle of the codes.
pub(crate) const MIDDLE: f32 = 15.5;

/// The groups of columns in a row.
pub(crate) const GROUPS: usize = 8;

/// Why some bytes are no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The bytes are not as many as the sizes say.
    #[error("its {what} have {found} bytes or numbers instead of {expected}")]
    Size {
        /// Which part.
        what: &'static str,
        /// What is there.
        found: usize,
        /// What should be.
        expected: usize,
    },
    /// A scale that no table has.
    #[error("the scale of row {row} is {value}; it must not be below zero or beyond all measure")]
    Scale {
        /// The row, counted among those present.
        row: usize,
        /// What stands there.
        value: String,
    },
}

impl Table {
    /// Rounds rows of width `dim`, and leaves out those that are not `kept`.
    ///
    /// # Panics
    ///
    /// If `dim` is zero.
    #[must_use]
    pub fn new(values: &[f32], dim: usize, kept: impl Fn(usize) -> bool) -> Self {
        let (mut places, mut scales, mut codes) = (Vec::new(), Vec::new(), Vec::new());
        for (at, row) in values.chunks_exact(dim).enumerate() {
            places.push(if kept(at) { scales.len() as u32 } else { ABSENT });
            if kept(at) {
                scales.push(encode(row, &mut codes));
            }
        }
        Self { dim, places, scales, codes: codes.into() }
    }

    /// Puts a table together from its parts: which of `rows` rows are `present` (one bit each, the first lowest),
    /// their scales and their codes.
    ///
    /// # Errors
    ///
    /// If the parts do not fit each other, or a scale is not finite.
    pub fn from_parts(
        rows: usize,
        dim: usize,
        present: &[u8],
        scales: Vec<f32>,
        codes: Bytes,
    ) -> Result<Self, TableError> {
        let check = |what, found, expected| {
            if found == expected { Ok(()) } else { Err(TableError::Size { what, found, expected }) }
        };
        check("marks of present rows", present.len(), rows.div_ceil(8))?;
        let is_present = |row: usize| present[row / 8] >> (row % 8) & 1 == 1;
        let count = (0..present.len() * 8).filter(|row| is_present(*row)).count();
        check("marks of present rows", count, (0..rows).filter(|row| is_present(*row)).count())?;
        check("scales", scales.len(), count)?;
        check("codes", codes.len(), count.saturating_mul(row_bytes(dim)))?;
        let unusable = |scale: &f32| !(0.0..=f32::MAX / 16.0).contains(scale);
        if let Some(row) = scales.iter().position(unusable) {
            return Err(TableError::Scale { row, value: scales[row].to_string() });
        }
        let mut next = 0;
        let place = |row| {
            let place = if is_present(row) { next } else { ABSENT };
            next += u32::from(is_present(row));
            place
        };
        Ok(Self { dim, places: (0..rows).map(place).collect(), scales, codes })
    }

    /// Rows, and columns.
    #[must_use]
    pub fn dims(&self) -> (usize, usize) {
        (self.places.len(), self.dim)
    }

    /// Which rows are present: one bit each, the first lowest.
    #[must_use]
    pub fn present(&self) -> Vec<u8> {
        let mut bits = vec![0; self.places.len().div_ceil(8)];
        for row in (0..self.places.len()).filter(|row| self.places[*row] != ABSENT) {
            bits[row / 8] |= 1 << (row % 8);
        }
        bits
    }

    /// The scale of each present row; all are exact in `bf16`.
    #[must_use]
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The codes of the present rows.
    #[must_use]
    pub fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// Scale and codes of a row; `None` where it is absent, or there is no such row.
    #[inline]
    pub(crate) fn row(&self, row: usize) -> Option<(f32, &[u8])> {
        let place = *self.places.get(row)? as usize;
        let bytes = row_bytes(self.dim);
        Some((*self.scales.get(place)?, &self.codes[place * bytes..(place + 1) * bytes]))
    }

    /// All numbers: `[row, dim]`.
    #[must_use]
    pub fn to_f32(&self) -> Vec<f32> {
        let row = |row| {
            let found = self.row(row);
            (0..self.dim).map(move |column| {
                found.map_or(0.0, |(scale, codes)| (f32::from(code(codes, column)) - MIDDLE) * scale)
            })
        };
        (0..self.places.len()).flat_map(row).collect()
    }
}

/// Bytes of a row.
pub(crate) fn row_bytes(dim: usize) -> usize {
    5 * dim.div_ceil(GROUPS)
}

/// The code of one column, slow and plain.
fn code(row: &[u8], column: usize) -> u8 {
    let width = row.len() / 5;
    let low = row[column % (4 * width)] >> (if column < 4 * width { 0 } else { 4 }) & 15;
    let high = row[4 * width + column % width] >> (column / width) & 1;
    low | high << 4
}

/// Appends the codes of a row and returns its scale.
fn encode(row: &[f32], codes: &mut Vec<u8>) -> f32 {
    let width = row.len().div_ceil(GROUPS);
    let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    // Rounded up to what `bf16` holds, so that the largest still fits.
    let scale = f32::from_bits((largest / MIDDLE).to_bits().saturating_add(0xffff) & 0xffff_0000);
    let scale = scale.min(f32::from_bits(0x7d7f_0000));
    let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
    let start = codes.len();
    codes.resize(start + 5 * width, 0);
    let codes = &mut codes[start..];
    for (column, value) in row.iter().enumerate() {
        // Truncation after adding a whole number: rounds to the nearest half.
        let code = (value * inverse + (MIDDLE + 0.5)).clamp(0.0, 31.0) as u8;
        codes[column % (4 * width)] |= (code & 15) << (if column < 4 * width { 0 } else { 4 });
        codes[4 * width + column % width] |= (code >> 4) << (column / width);
    }
    scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + 13) % 1000) as f32 / 500.0 - 1.0).collect()
    }

    #[test]
    fn numbers_come_back_within_half_a_step() {
        for dim in [1, 5, 8, 13, 64, 128] {
            let values = numbers(7 * dim);
            let table = Table::new(&values, dim, |row| row != 3);
            let again = table.to_f32();
            assert_eq!((table.dims(), again.len()), ((7, dim), values.len()));
            for (row, (values, again)) in values.chunks(dim).zip(again.chunks(dim)).enumerate() {
                let largest = values.iter().fold(0.0_f32, |top, x| top.max(x.abs()));
                let fine = |(x, y): (&f32, &f32)| (x - y).abs() <= 0.505 * largest / 15.4;
                let as_promised = if row == 3 {
                    again.iter().all(|x| *x == 0.0)
                } else {
                    values.iter().zip(again).all(fine)
                };
                assert!(as_promised, "{dim}, row {row}: {values:?} {again:?}");
            }
        }
    }

    #[test]
    fn rounding_twice_changes_nothing_more() {
        let once = Table::new(&numbers(40), 10, |_| true);
        let again = Table::new(&once.to_f32(), 10, |_| true);
        let worst =
            once.to_f32().iter().zip(again.to_f32()).fold(0.0_f32, |worst, (a, b)| worst.max((a - b).abs()));
        assert!(worst < 0.01, "{worst}");
    }

    #[test]
    fn rows_of_zeros_and_empty_tables_are_fine() {
        let table = Table::new(&[0.0; 24], 8, |_| true);
        assert_eq!(table.to_f32(), [0.0; 24]);
        let empty = Table::new(&[], 8, |_| true);
        assert_eq!((empty.dims(), empty.row(0)), ((0, 8), None));
    }

    #[test]
    fn parts_come_together_again_and_wrong_ones_are_refused() {
        let table = Table::new(&numbers(11 * 9), 9, |row| row % 3 != 1);
        let parts = |present: &[u8], scales: &[f32], codes: &[u8]| {
            Table::from_parts(11, 9, present, scales.to_vec(), codes.to_vec().into())
        };
        let (present, scales, codes) = (table.present(), table.scales().to_vec(), table.codes().to_vec());
        assert_eq!(parts(&present, &scales, &codes).as_ref(), Ok(&table));
        assert!(parts(&present[1..], &scales, &codes).is_err());
        assert!(parts(&present, &scales[1..], &codes).is_err());
        assert!(parts(&present, &scales, &codes[1..]).is_err());
        assert!(parts(&[present[0], present[1] | 0x80], &scales, &codes).is_err(), "a row beyond the last");
        for scale in [f32::NAN, f32::INFINITY, -1.0] {
            let scales: Vec<f32> = [scale].iter().chain(&scales[1..]).copied().collect();
            assert!(matches!(parts(&present, &scales, &codes), Err(TableError::Scale { row: 0, .. })));
        }
    }

    #[test]
    fn a_part_of_bytes_shares_them() {
        let bytes = Bytes::from(vec![1, 2, 3, 4]);
        let part = bytes.part(1..4).unwrap();
        assert_eq!((&*part, &*part.part(1..2).unwrap()), (&[2, 3, 4][..], &[3][..]));
        assert!(bytes.part(2..5).is_none() && part.part(0..4).is_none());
    }
}
