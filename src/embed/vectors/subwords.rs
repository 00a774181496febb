//! The n-grams of a word, and the rows that stand for them.

use super::blob::{Blob, u32_at};
use super::hash;
use super::rows::Rows;
use super::words::Words;

/// What fastText puts at the end of a line. It is no word, and has no n-grams.
const END_OF_LINE: &str = "</s>";

/// Rows for n-grams.
pub(super) struct Subwords {
    /// Characters in the shortest n-gram, the brackets around the word included.
    pub(super) min: usize,
    /// Characters in the longest.
    pub(super) max: usize,
    pub(super) index: Index,
    pub(super) rows: Rows,
    /// The row of the first n-gram; in some files the words come before.
    pub(super) first: usize,
    /// Rows of n-grams.
    pub(super) buckets: usize,
}

/// How an n-gram finds its row.
pub(super) enum Index {
    /// [`hash::fasttext`], modulo the rows.
    FastText,
    /// [`hash::finalfusion`], of which the low bits count; the rows are a power of two.
    Finalfusion,
    /// By a list of n-grams, with the row of each.
    Listed(Words, Blob),
}

impl Subwords {
    /// The longest n-gram of any file; six characters are usual.
    pub(super) const LONGEST: usize = 100;

    /// Adds the rows of all n-grams of a word, and says how many.
    pub(super) fn add(&self, word: &str, out: &mut [f32]) -> usize {
        let mut count = 0;
        self.each(word, |bucket| {
            count += usize::from(self.add_bucket(bucket, out, |to, value| *to += value));
        });
        count
    }

    /// Hands the numbers of one row to `out`; false if there is no such row.
    pub(super) fn add_bucket(&self, bucket: usize, out: &mut [f32], put: impl Fn(&mut f32, f32)) -> bool {
        bucket < self.buckets && self.rows.apply(self.first + bucket, out, put)
    }

    fn each(&self, word: &str, mut found: impl FnMut(usize)) {
        let is_fasttext = matches!(self.index, Index::FastText);
        if is_fasttext && word == END_OF_LINE {
            return;
        }
        let text = format!("<{word}>");
        let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let chars = starts.len() - 1;
        for from in 0..chars {
            let longest = self.max.min(chars - from);
            for length in self.min.max(1)..=longest {
                let is_bracket = length == 1 && (from == 0 || from + 1 == chars);
                if is_fasttext && is_bracket {
                    continue; // fastText counts no bracket alone
                }
                if let Some(bucket) = self.bucket(&text[starts[from]..starts[from + length]], length) {
                    found(bucket);
                }
            }
        }
    }

    fn bucket(&self, ngram: &str, chars: usize) -> Option<usize> {
        match &self.index {
            Index::FastText => (hash::fasttext(ngram) as usize).checked_rem(self.buckets),
            Index::Finalfusion => {
                Some(hash::finalfusion(ngram, chars) as usize & self.buckets.checked_sub(1)?)
            }
            Index::Listed(ngrams, rows) => Some(u32_at(rows, ngrams.find(ngram)?)? as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::WordsBuilder;
    use super::*;
    use crate::embed::vectors::tests::samples::floats;

    fn subwords(min: usize, max: usize, index: Index, rows: &[f32]) -> Subwords {
        let (matrix, buckets) = (Rows::matrix(floats(rows).into()), rows.len() - 1);
        Subwords { min, max, index, rows: matrix, first: 1, buckets }
    }

    fn listed(ngrams: &[&str]) -> Index {
        let mut words = WordsBuilder::new();
        ngrams.iter().for_each(|ngram| assert!(words.push(ngram.as_bytes())));
        let rows: Vec<u8> = (0..ngrams.len() as u32).flat_map(u32::to_le_bytes).collect();
        Index::Listed(words.finish(), rows.into())
    }

    fn sum(subwords: &Subwords, word: &str) -> (usize, f32) {
        let mut out = [0.0];
        (subwords.add(word, &mut out), out[0])
    }

    #[test]
    fn ngrams_are_measured_in_characters_with_brackets() {
        let ngrams = listed(&["<ü", "üb>", "<üb>", "b"]);
        let all = subwords(1, 4, ngrams, &[9.0, 1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(sum(&all, "üb"), (4, 1111.0));
        assert_eq!(sum(&all, "xyz"), (0, 0.0));
        assert_eq!(sum(&Subwords { min: 2, max: 3, ..all }, "üb"), (2, 11.0));
    }

    #[test]
    fn fasttext_has_no_bracket_alone_and_no_ngrams_of_the_line_end() {
        let one = subwords(1, 1, Index::FastText, &[9.0, 1.0]);
        assert_eq!(sum(&one, "abc"), (3, 3.0));
        assert_eq!(sum(&one, ""), (0, 0.0));
        assert_eq!(sum(&one, END_OF_LINE), (0, 0.0));
        assert_eq!(sum(&subwords(1, 1, Index::Finalfusion, &[9.0, 1.0]), "abc"), (5, 5.0));
    }

    #[test]
    fn rows_that_are_not_there_do_not_count() {
        let mut few = subwords(3, 3, Index::FastText, &[9.0, 1.0]);
        few.buckets = 0;
        assert_eq!(sum(&few, "abc"), (0, 0.0));
        few.buckets = 1000;
        assert_eq!(sum(&few, "abc").0, 0);
    }
}
