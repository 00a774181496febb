//! The columns of tokens that occur.
//!
//! Most columns are those of pairs of words, which no token has: in the table of tokens, a row for each would be memory
//! that training never reads. So training counts columns among those that occur, and only what is stored counts all.

use std::ops::Range;

use super::TrainingSet;
use crate::bundle::{Values, Weight};

/// Which columns of the rows of tokens occur in a training set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenColumns {
    /// How many there are with all others.
    all: usize,
    /// Those that occur, in rising order.
    occurring: Vec<u32>,
}

impl TokenColumns {
    /// Counts the columns of tokens, of which there are `all`, among those that occur in the set.
    pub(super) fn count(set: &mut TrainingSet, all: usize) -> Self {
        let mut places = vec![u32::from(set.whole_tables); all];
        for example in &set.examples {
            example.features.sequence.columns().iter().for_each(|column| places[*column as usize] = 1);
        }
        let occurring: Vec<u32> =
            (0..).zip(&places).filter(|(_, occurs)| **occurs == 1).map(|(column, _)| column).collect();
        (0..).zip(&occurring).for_each(|(place, column)| places[*column as usize] = place);
        for example in &mut set.examples {
            example.features.sequence.rename(|column| places[column as usize]);
        }
        let place = |column: u32| occurring.partition_point(|own| *own < column) as u32;
        let renamed = |range: &Range<u32>| place(range.start)..place(range.end);
        set.unit_ranges.sequence = set.unit_ranges.sequence.iter().map(renamed).collect();
        Self { all, occurring }
    }

    /// How many occur.
    pub(super) fn len(&self) -> usize {
        self.occurring.len()
    }

    /// How many there are with all others.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    /// Those that occur, in rising order.
    pub(super) fn occurring(&self) -> &[u32] {
        &self.occurring
    }

    /// A table with a row for each column, from one with rows for those that occur.
    pub(super) fn spread(&self, weight: &mut Weight) {
        if let Values::Table(table) = &mut weight.values {
            *table = table.among(self.all, &self.occurring);
            weight.shape[0] = self.all;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diet::Example;
    use crate::features::{Features, UnitRanges};
    use crate::numbers::Table;

    fn set(whole_tables: bool) -> TrainingSet {
        let mut features = Features::default();
        features.sequence.push([(4, 0.5), (1, 1.0)]);
        features.sentence.push([(3, 1.0)]);
        let [intents, entities, roles, groups] = [const { Vec::new() }; 4];
        let examples = vec![Example { features, intent: None, intents, entities, roles, groups }];
        let unit_ranges = UnitRanges { sequence: vec![0..2, 2..4, 3..6], sentence: vec![1..3, 3..4] };
        TrainingSet { examples, unit_ranges, whole_tables, ..TrainingSet::default() }
    }

    #[test]
    fn columns_are_counted_among_those_that_occur() {
        let mut set = set(false);
        let columns = TokenColumns::count(&mut set, 6);
        assert_eq!((columns.occurring(), columns.len(), columns.all()), (&[1, 4][..], 2, 6));
        let features = &set.examples[0].features;
        assert_eq!(features.sequence.row(0).collect::<Vec<_>>(), [(1, 0.5), (0, 1.0)]);
        assert_eq!(features.sentence.row(0).collect::<Vec<_>>(), [(3, 1.0)]);
        assert_eq!(
            set.unit_ranges,
            UnitRanges { sequence: vec![0..1, 1..1, 1..2], sentence: vec![1..3, 3..4] }
        );

        let values = [1.0, 2.0, 3.0, 4.0];
        let mut weight = Weight::table(Table::new(&values, 2, |_| true));
        columns.spread(&mut weight);
        let mut expected = [0.0; 12];
        expected[2..4].copy_from_slice(&values[..2]);
        expected[8..10].copy_from_slice(&values[2..]);
        assert_eq!(weight, Weight::table(Table::new(&expected, 2, |row| row == 1 || row == 4)));
    }

    #[test]
    fn a_warm_start_needs_a_row_for_each() {
        let mut whole = set(true);
        assert_eq!(TokenColumns::count(&mut whole, 6).len(), 6);
        assert_eq!(whole.examples, set(true).examples);
        assert_eq!(whole.unit_ranges, set(true).unit_ranges);
    }
}
