//! Sparse rows: the form in which features travel from words to the first learnable layer.

use std::ops::Range;

/// A matrix of which only the non-zero entries are kept, row after row.
///
/// # Example
///
/// ```
/// use talkformer::numbers::SparseRows;
///
/// let mut rows = SparseRows::default();
/// rows.push([(7, 1.0), (3, 0.5)]);
/// rows.push([]);
/// assert_eq!(rows.len(), 2);
/// assert_eq!(rows.row(0).collect::<Vec<_>>(), [(7, 1.0), (3, 0.5)]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SparseRows {
    /// Row `r` has the entries `starts[r]..starts[r + 1]`.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
}

impl Default for SparseRows {
    fn default() -> Self {
        Self { starts: vec![0], columns: Vec::new(), values: Vec::new() }
    }
}

impl SparseRows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of stored entries.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.columns.len()
    }

    /// Removes all rows, and makes room for so many others with so many entries together; memory stays where there is enough.
    pub(crate) fn clear_for(&mut self, rows: usize, entries: usize) {
        self.starts.truncate(1);
        self.columns.clear();
        self.values.clear();
        self.starts.reserve_exact(rows);
        self.columns.reserve_exact(entries);
        self.values.reserve_exact(entries);
    }

    /// Adds a row of `(column, value)` entries.
    pub fn push(&mut self, entries: impl IntoIterator<Item = (u32, f32)>) {
        for (column, value) in entries {
            self.columns.push(column);
            self.values.push(value);
        }
        self.starts.push(self.columns.len());
    }

    /// Adds some rows of another matrix.
    pub fn extend(&mut self, other: &Self, rows: Range<usize>) {
        let entries = other.starts[rows.start]..other.starts[rows.end];
        let shift = self.columns.len();
        self.columns.extend_from_slice(&other.columns[entries.clone()]);
        self.values.extend_from_slice(&other.values[entries.clone()]);
        self.starts
            .extend(other.starts[rows.start + 1..=rows.end].iter().map(|at| at - entries.start + shift));
    }

    /// The entries of one row.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (u32, f32)> + '_ {
        let entries = self.starts[row]..self.starts[row + 1];
        self.columns[entries.clone()].iter().copied().zip(self.values[entries].iter().copied())
    }

    /// Where the entries of one row are, among all.
    pub(crate) fn range(&self, row: usize) -> Range<usize> {
        self.starts[row]..self.starts[row + 1]
    }

    /// Value of each entry.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Column of each entry.
    pub(crate) fn columns(&self) -> &[u32] {
        &self.columns
    }

    /// Gives each column another number.
    pub(crate) fn rename(&mut self, name: impl Fn(u32) -> u32) {
        self.columns.iter_mut().for_each(|column| *column = name(*column));
    }

    /// The same rows without the entries for which `keep(entry)` is false, values multiplied by `scale`.
    pub(crate) fn thinned(&self, scale: f32, keep: impl Fn(usize) -> bool) -> Self {
        let mut out = Self::default();
        for bounds in self.starts.windows(2) {
            let kept = (bounds[0]..bounds[1]).filter(|entry| keep(*entry));
            out.push(kept.map(|entry| (self.columns[entry], self.values[entry] * scale)));
        }
        out
    }

    /// Starts, columns and the bits of the values, one behind the other.
    #[cfg(any(feature = "cuda", test))]
    pub(crate) fn packed(&self) -> Vec<u32> {
        let starts = self.starts.iter().map(|start| *start as u32);
        let values = self.values.iter().map(|value| value.to_bits());
        starts.chain(self.columns.iter().copied()).chain(values).collect()
    }

    /// The columns as rows, of which there are `columns`; the entries of each in the order of the rows.
    pub(crate) fn transposed(&self, columns: usize) -> Self {
        let mut starts = vec![0; columns + 1];
        self.columns.iter().for_each(|column| starts[*column as usize + 1] += 1);
        (1..=columns).for_each(|at| starts[at] += starts[at - 1]);
        let mut next = starts.clone();
        let (mut rows, mut values) = (vec![0; self.columns.len()], vec![0.0; self.columns.len()]);
        for row in 0..self.len() {
            for (column, value) in self.row(row) {
                let at = &mut next[column as usize];
                (rows[*at], values[*at]) = (row as u32, value);
                *at += 1;
            }
        }
        Self { starts, columns: rows, values }
    }

    /// The distinct columns in rising order, and the same rows with columns counted among those.
    pub(crate) fn compacted(&self) -> (Vec<u32>, Self) {
        let mut distinct = self.columns.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let place = |column: &u32| distinct.binary_search(column).map_or(0, |at| at as u32);
        let columns = self.columns.iter().map(place).collect();
        (distinct, Self { starts: self.starts.clone(), columns, values: self.values.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> SparseRows {
        let mut rows = SparseRows::default();
        rows.push([(9, 1.0), (4, 2.0)]);
        rows.push([]);
        rows.push([(4, 3.0)]);
        rows
    }

    #[test]
    fn rows_of_another_matrix_keep_their_entries() {
        let mut out = SparseRows::default();
        out.push([(1, 1.0)]);
        out.extend(&rows(), 1..3);
        assert_eq!(out.len(), 3);
        assert_eq!(out.row(1).count(), 0);
        assert_eq!(out.row(2).collect::<Vec<_>>(), [(4, 3.0)]);
    }

    #[test]
    fn compacting_renames_columns_and_nothing_else() {
        let (columns, compact) = rows().compacted();
        assert_eq!(columns, [4, 9]);
        assert_eq!(compact.row(0).collect::<Vec<_>>(), [(1, 1.0), (0, 2.0)]);
        assert_eq!(compact.row(2).collect::<Vec<_>>(), [(0, 3.0)]);
    }

    #[test]
    fn transposing_exchanges_rows_and_columns() {
        let transposed = rows().transposed(11);
        assert_eq!((transposed.len(), transposed.entries()), (11, 3));
        assert_eq!(transposed.row(4).collect::<Vec<_>>(), [(0, 2.0), (2, 3.0)]);
        assert_eq!(transposed.row(9).collect::<Vec<_>>(), [(0, 1.0)]);
        assert_eq!(transposed.row(0).count(), 0);
        assert_eq!(transposed.transposed(3).row(2).collect::<Vec<_>>(), [(4, 3.0)]);
    }

    #[test]
    fn thinning_keeps_the_rows() {
        let thin = rows().thinned(2.0, |entry| entry != 1);
        assert_eq!(thin.len(), 3);
        assert_eq!(thin.row(0).collect::<Vec<_>>(), [(9, 2.0)]);
    }
}
