//! Large tables in few bits.
//!
//! The first learnable layers of a model are tables with a row of numbers per word or part of a word: tens of
//! thousands of rows, of which a message reads a few hundred. A [`Table`] keeps five bits of each number and
//! one scale per row, and rows that training never touched not at all. On the German part of MASSIVE that
//! turns 98 MB into 14 MB; of 2,033 answers, seven get another intent and eight other entities.

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
/// A code `c` in `0..32` stands for `(c − 15.5) · scale`. A row begins with its scale, a `bf16`, the lower byte
/// first, so that scale and codes arrive together. Seen as eight groups of `w = ⌈dim / 8⌉` columns, `5·w` bytes
/// follow: byte `j < 4·w` holds the four low bits of column `j` and, above them, those of column `4·w + j`; bit `g`
/// of byte `4·w + j` is the fifth bit of column `g·w + j`. So neighbouring columns are in neighbouring bytes,
/// which is what vector instructions want.
///
/// # Example
///
/// ```
/// use talkformer::numbers::Table;
///
/// let table = Table::new(&[0.5, -0.25, 0.0, 9.0, 9.0, 9.0], 3, |row| row == 0);
/// let values = table.to_f32();
/// assert!((values[0] - 0.5).abs() < 0.02 && (values[1] + 0.25).abs() < 0.02);
/// assert_eq!(values[3..], [0.0; 3]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    dim: usize,
    /// How many rows there are, with those that are absent.
    count: usize,
    /// Which rows are there. Places would take sixteen times as much, and messages look for rows all over the table.
    marks: Vec<Marks>,
    /// The rows that are there, one behind the other.
    rows: Bytes,
}

/// Which of 64 neighbouring rows are present.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Marks {
    /// One bit each, the first lowest.
    bits: u64,
    /// Rows that are present before these.
    before: u32,
}

/// Bytes of a scale.
const SCALE: usize = 2;

/// What stands in the middle of the codes.
pub(crate) const MIDDLE: f32 = 15.5;

/// The groups of columns in a row.
pub(crate) const GROUPS: usize = 8;

/// Why some bytes are no table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The bytes are not as many as the sizes say.
    #[error("its {what} have {found} bytes instead of {expected}")]
    Size {
        /// Which part.
        what: &'static str,
        /// What is there.
        found: usize,
        /// What should be.
        expected: usize,
    },
    /// A row beyond the last is marked as present.
    #[error("it has no more than {rows} rows, and one beyond is marked as present")]
    Beyond {
        /// How many rows there are.
        rows: usize,
    },
    /// A scale out of range.
    #[error("the scale of row {row} is {value}; it must be a number from 0 to 2e37")]
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
        let count = values.len() / dim;
        let (mut present, mut rows) = (vec![0; count.div_ceil(8)], Vec::new());
        for (at, row) in values.chunks_exact(dim).enumerate().filter(|(at, _)| kept(*at)) {
            present[at / 8] |= 1 << (at % 8);
            encode(row, &mut rows);
        }
        Self { dim, count, marks: marks(&present), rows: rows.into() }
    }

    /// Puts a table together from its parts: which of `count` rows are `present` (one bit each, the first lowest),
    /// and those rows.
    ///
    /// # Errors
    ///
    /// If the parts do not fit each other, or a scale is not finite.
    pub fn from_parts(count: usize, dim: usize, present: &[u8], rows: Bytes) -> Result<Self, TableError> {
        let check = |what, found, expected| {
            if found == expected { Ok(()) } else { Err(TableError::Size { what, found, expected }) }
        };
        check("marks of present rows", present.len(), count.div_ceil(8))?;
        let is_present = |row: usize| present[row / 8] >> (row % 8) & 1 == 1;
        if (count..present.len() * 8).any(is_present) {
            return Err(TableError::Beyond { rows: count });
        }
        let kept = present.iter().map(|byte| byte.count_ones() as usize).sum::<usize>();
        check("rows", rows.len(), kept.saturating_mul(row_bytes(dim)))?;
        let scales = rows.chunks_exact(row_bytes(dim)).map(scale_of);
        let unusable = |(_, scale): &(usize, f32)| !(0.0..=f32::MAX / 16.0).contains(scale);
        if let Some((row, scale)) = scales.enumerate().find(unusable) {
            return Err(TableError::Scale { row, value: scale.to_string() });
        }
        Ok(Self { dim, count, marks: marks(present), rows })
    }

    /// The same rows in a table of `rows` rows, of which they are those with these numbers, rising.
    ///
    /// # Panics
    ///
    /// If there are not as many numbers as rows, or one is too large.
    #[must_use]
    pub(crate) fn among(&self, rows: usize, numbers: &[u32]) -> Self {
        assert_eq!(self.count, numbers.len(), "a number for each row");
        let (own, mut present) = (self.present(), vec![0; rows.div_ceil(8)]);
        let there = (0..self.count).filter(|at| own[at / 8] >> (at % 8) & 1 == 1);
        for row in there.map(|at| numbers[at] as usize) {
            present[row / 8] |= 1 << (row % 8);
        }
        Self { dim: self.dim, count: rows, marks: marks(&present), rows: self.rows.clone() }
    }

    /// Rows, and columns.
    #[must_use]
    pub fn dims(&self) -> (usize, usize) {
        (self.count, self.dim)
    }

    /// Which rows are present: one bit each, the first lowest.
    #[must_use]
    pub fn present(&self) -> Vec<u8> {
        let bits = self.marks.iter().flat_map(|marks| marks.bits.to_le_bytes());
        bits.take(self.count.div_ceil(8)).collect()
    }

    /// The rows that are present, scales and codes.
    #[must_use]
    pub fn rows(&self) -> &[u8] {
        &self.rows
    }

    /// The bytes of a row; `None` where it is absent, or there is no such row.
    #[inline]
    pub(crate) fn bytes(&self, row: usize) -> Option<&[u8]> {
        let marks = self.marks.get(row / 64)?;
        let bit = 1 << (row % 64);
        if marks.bits & bit == 0 {
            return None;
        }
        let place = marks.before as usize + (marks.bits & (bit - 1)).count_ones() as usize;
        let bytes = row_bytes(self.dim);
        self.rows.get(place * bytes..(place + 1) * bytes)
    }

    /// Scale and codes of a row; `None` where it is absent, or there is no such row.
    #[inline]
    pub(crate) fn row(&self, row: usize) -> Option<(f32, &[u8])> {
        let bytes = self.bytes(row)?;
        Some((scale_of(bytes), &bytes[SCALE..]))
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
        (0..self.count).flat_map(row).collect()
    }
}

/// The marks of rows, 64 at a time.
fn marks(present: &[u8]) -> Vec<Marks> {
    let mut before = 0;
    let marks = present.chunks(8).map(|bytes| {
        let bits = bytes.iter().rev().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        before += bits.count_ones();
        Marks { bits, before: before - bits.count_ones() }
    });
    marks.collect()
}

/// Bytes of a row.
fn row_bytes(dim: usize) -> usize {
    SCALE + 5 * dim.div_ceil(GROUPS)
}

fn scale_of(row: &[u8]) -> f32 {
    f32::from_bits(u32::from(row[1]) << 24 | u32::from(row[0]) << 16)
}

/// The code of one column, slow and plain.
fn code(row: &[u8], column: usize) -> u8 {
    let width = row.len() / 5;
    let low = row[column % (4 * width)] >> (if column < 4 * width { 0 } else { 4 }) & 15;
    let high = row[4 * width + column % width] >> (column / width) & 1;
    low | high << 4
}

/// Appends a row.
fn encode(row: &[f32], rows: &mut Vec<u8>) {
    let width = row.len().div_ceil(GROUPS);
    let largest = row.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    // Rounded up to what `bf16` holds, so that the largest still fits.
    let scale = f32::from_bits((largest / MIDDLE).to_bits().saturating_add(0xffff) & 0xffff_0000);
    let scale = scale.min(f32::from_bits(0x7d7f_0000));
    let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
    rows.extend_from_slice(&scale.to_le_bytes()[2..]);
    let start = rows.len();
    rows.resize(start + 5 * width, 0);
    let codes = &mut rows[start..];
    for (column, value) in row.iter().enumerate() {
        // Truncation after adding a whole number: rounds to the nearest half.
        let code = (value * inverse + (MIDDLE + 0.5)).clamp(0.0, 31.0) as u8;
        codes[column % (4 * width)] |= (code & 15) << (if column < 4 * width { 0 } else { 4 });
        codes[4 * width + column % width] |= (code >> 4) << (column / width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_a_table_can_be_some_of_a_larger_one() {
        let values = numbers(12);
        let some = Table::new(&values, 4, |row| row != 1).among(6, &[0, 2, 5]);
        let mut larger = vec![0.0; 24];
        larger[..4].copy_from_slice(&values[..4]);
        larger[20..].copy_from_slice(&values[8..]);
        assert_eq!(some, Table::new(&larger, 4, |row| row == 0 || row == 5));
    }

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
    fn a_row_is_found_behind_any_number_of_others() {
        for count in [63, 64, 65, 200] {
            let present = |row: usize| row % 3 != 1 && !(70..140).contains(&row);
            let values: Vec<f32> = (0..count).map(|row| row as f32).collect();
            let table = Table::new(&values, 1, present);
            for row in 0..count {
                let expected = if present(row) { row as f32 } else { 0.0 };
                assert!((table.to_f32()[row] - expected).abs() <= 0.04 * expected, "{row} of {count}");
                assert_eq!(table.bytes(row).is_some(), present(row));
            }
            assert_eq!(table.bytes(count), None);
            assert_eq!(table.present().len(), count.div_ceil(8));
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
        let parts = |present: &[u8], rows: &[u8]| Table::from_parts(11, 9, present, rows.to_vec().into());
        let (present, rows) = (table.present(), table.rows().to_vec());
        assert_eq!(parts(&present, &rows).as_ref(), Ok(&table));
        assert!(parts(&present[1..], &rows).is_err());
        assert!(parts(&present, &rows[1..]).is_err());
        let beyond = parts(&[present[0], present[1] | 0x80], &rows);
        assert_eq!(beyond, Err(TableError::Beyond { rows: 11 }));
        for scale in [f32::NAN, f32::INFINITY, -1.0] {
            let rows = [&scale.to_le_bytes()[2..], &rows[2..]].concat();
            assert!(matches!(parts(&present, &rows), Err(TableError::Scale { row: 0, .. })));
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
