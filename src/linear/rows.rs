//! The rows that are learnt from, as the solvers read them.

use super::Labelled;

/// Rows behind one another in memory, without the columns that only one row has.
///
/// Most columns are such: a word that occurs in one message, and its pieces. The weight of such a column is its value
/// times the dual variable of that row, whatever else is learnt, so what these columns add to the score of the row is their
/// [squared length](Self::own) times the dual. All others are counted anew: the weights that a solver reads fit into a nearer
/// cache.
#[derive(Debug)]
pub(super) struct Rows {
    /// Row `r` has the entries `starts[r]..starts[r + 1]`.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
    /// The squared length of the entries that no other row has.
    pub(super) own: Vec<f32>,
    /// The squared length of the whole row and the one of the bias.
    pub(super) squares: Vec<f32>,
    /// How many columns there are.
    pub(super) width: usize,
}

/// Marks a column that occurs in one row alone.
const LONELY: u32 = u32::MAX;

impl Rows {
    pub(super) fn new(data: Labelled<'_>, learning: &[u32]) -> Self {
        let entries = |at: &u32| data.rows[*at as usize].row(0);
        let mut found = vec![0_u32; data.columns];
        for (column, _) in learning.iter().flat_map(entries) {
            found[column as usize] = (found[column as usize] + 1).min(2);
        }
        let mut width = 0;
        // In the order of their first row, so that frequent ones are close to each other.
        let mut names = vec![LONELY; data.columns];
        for (column, _) in learning.iter().flat_map(entries) {
            let column = column as usize;
            if found[column] > 1 && names[column] == LONELY {
                names[column] = width;
                width += 1;
            }
        }
        let kept = learning.iter().flat_map(entries).filter(|(column, _)| names[*column as usize] != LONELY);
        let kept = kept.count();
        let mut rows = Self {
            starts: Vec::with_capacity(learning.len() + 1),
            columns: Vec::with_capacity(kept),
            values: Vec::with_capacity(kept),
            own: Vec::with_capacity(learning.len()),
            squares: Vec::with_capacity(learning.len()),
            width: width as usize,
        };
        rows.starts.push(0);
        for at in learning {
            let (mut own, mut square) = (0.0, 1.0);
            for (column, value) in entries(at) {
                square += value * value;
                match names[column as usize] {
                    LONELY => own += value * value,
                    name => {
                        rows.columns.push(name);
                        rows.values.push(value);
                    }
                }
            }
            rows.starts.push(rows.columns.len());
            rows.own.push(own);
            rows.squares.push(square);
        }
        rows
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.own.len()
    }

    /// Columns and values of a row.
    pub(super) fn row(&self, at: usize) -> (&[u32], &[f32]) {
        let entries = self.starts[at]..self.starts[at + 1];
        (&self.columns[entries.clone()], &self.values[entries])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::SparseRows;

    #[test]
    fn columns_of_one_row_are_left_out_and_the_others_counted_anew() {
        let row = |entries: &[(u32, f32)]| {
            let mut row = SparseRows::default();
            row.push(entries.iter().copied());
            row
        };
        let all = [row(&[(9, 1.0), (4, 2.0), (1, 3.0)]), row(&[(9, 5.0)]), row(&[(0, 0.5), (1, 4.0)])];
        let all: Vec<&SparseRows> = all.iter().collect();
        let data = Labelled { rows: &all, columns: 10, members: &[vec![0], vec![0], vec![0]], classes: 1 };
        let rows = Rows::new(data, &[0, 2]);
        assert_eq!((rows.len(), rows.width), (2, 1));
        assert_eq!(rows.row(0), (&[0][..], &[3.0][..]));
        assert_eq!(rows.row(1), (&[0][..], &[4.0][..]));
        assert_eq!((rows.own, rows.squares), (vec![5.0, 0.25], vec![15.0, 17.25]));
    }
}
