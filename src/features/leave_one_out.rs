//! Leave-one-out features: those that a message would have had the featurizers been fitted without it.

use std::ops::Range;

use super::{Features, UnitRanges};
use crate::numbers::SparseRows;

/// Columns that occur in some messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Known {
    sequence: Vec<bool>,
    sentence: Vec<bool>,
}

impl Known {
    /// Columns, of so many per token and per message, that occur in at least `least` of these messages.
    pub(crate) fn of<'f>(
        messages: impl Iterator<Item = &'f Features>,
        (sequence, sentence): (usize, usize),
        least: usize,
    ) -> Self {
        let (mut tokens, mut whole) = (Occurrences::new(sequence), Occurrences::new(sentence));
        for (message, features) in (1..).zip(messages) {
            tokens.add(message, &features.sequence);
            whole.add(message, &features.sentence);
        }
        Self { sequence: tokens.at_least(least), sentence: whole.at_least(least) }
    }
}

/// In how many messages each column occurs.
struct Occurrences {
    count: Vec<usize>,
    /// The last message that was counted.
    last: Vec<usize>,
}

impl Occurrences {
    fn new(columns: usize) -> Self {
        Self { count: vec![0; columns], last: vec![0; columns] }
    }

    fn add(&mut self, message: usize, rows: &SparseRows) {
        for column in rows.columns().iter().map(|column| *column as usize) {
            if self.last[column] != message {
                self.last[column] = message;
                self.count[column] += 1;
            }
        }
    }

    fn at_least(self, least: usize) -> Vec<bool> {
        self.count.into_iter().map(|count| count >= least).collect()
    }
}

impl Features {
    /// Only the entries of known columns, which are those that the other messages have. Featurizers are fitted with this
    /// message among the others, so they have columns for all that it says; a user's message has none for what is new in
    /// it. A model that learns from the whole features relies on what it will not find, and is far surer of a message of
    /// its training than of a user's.
    pub(crate) fn restricted_to(&self, known: &Known, ranges: &UnitRanges) -> Self {
        Self {
            sequence: restrict(&self.sequence, &known.sequence, &ranges.sequence),
            sentence: restrict(&self.sentence, &known.sentence, &ranges.sentence),
            dense: self.dense.clone(),
            unrecognised: self.unrecognised,
        }
    }
}

/// The entries of known columns, scaled anew where they were scaled together.
fn restrict(rows: &SparseRows, known: &[bool], ranges: &[Range<u32>]) -> SparseRows {
    let mut out = SparseRows::default();
    for row in 0..rows.len() {
        let mut entries: Vec<(u32, f32)> =
            rows.row(row).filter(|(column, _)| known[*column as usize]).collect();
        for range in ranges {
            let own = || entries.iter().filter(|(column, _)| range.contains(column));
            let length = own().map(|(_, value)| value * value).sum::<f32>().sqrt();
            if length > 0.0 {
                let scaled = entries.iter_mut().filter(|(column, _)| range.contains(column));
                scaled.for_each(|(_, value)| *value /= length);
            }
        }
        out.push(entries);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_other_message_has_is_left_out_and_the_rest_is_scaled_anew() {
        let message = |entries: &[(u32, f32)]| {
            let mut features = Features::default();
            features.sentence.push(entries.iter().copied());
            features.sequence.push(entries.iter().copied());
            features.sequence.push([(1, 1.0)]);
            features.sequence.push(entries.iter().copied().take(1));
            features
        };
        let mut ours = message(&[(0, 0.6), (1, 0.8), (2, 0.5), (3, 0.5)]);
        ours.sequence.push([(2, 1.0)]);
        let others = message(&[(0, 1.0), (3, 1.0)]);
        let known = Known::of([&others].into_iter(), (4, 4), 1);
        assert_eq!(known.sentence, [true, false, false, true]);
        assert_eq!(known.sequence, [true, true, false, true]);
        // Columns 0 and 1 are scaled together, of 2 nothing is left, 3 is not scaled.
        let ranges = UnitRanges { sequence: vec![1..2, 3..3], sentence: vec![0..2, 2..3] };
        let new = ours.restricted_to(&known, &ranges);
        assert_eq!(new.sentence.row(0).collect::<Vec<_>>(), [(0, 1.0), (3, 0.5)]);
        assert_eq!(new.sequence.row(0).collect::<Vec<_>>(), [(0, 0.6), (1, 1.0), (3, 0.5)]);
        assert_eq!(new.sequence.row(1).collect::<Vec<_>>(), [(1, 1.0)]);
        assert_eq!(new.sequence.row(2).collect::<Vec<_>>(), [(0, 0.6)]);
        // In both messages: column 1 is that of their second tokens. Column 2 occurs in one message alone, however often.
        let both = Known::of([&ours, &others].into_iter(), (4, 4), 2);
        assert_eq!(both.sequence, [true, true, false, true]);
        assert_eq!(both.sentence, [true, false, false, true]);
    }
}
