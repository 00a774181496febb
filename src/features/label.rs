//! Features of labels: the words of their names.

use std::collections::{BTreeMap, BTreeSet};

use super::words::words_of;
use crate::numbers::SparseRows;
use crate::text::WhitespaceTokenizer;

/// One sparse row per label, one column per word that occurs in label names.
///
/// A label is one word unless the tokenizer splits it (`intent_tokenization_flag`), so as a
/// rule each label has a column of its own; labels that share words share columns.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelFeatures {
    /// `[label, word]`, counts.
    pub rows: SparseRows,
    /// Number of different words.
    pub width: usize,
    /// The words in the order of their columns.
    pub words: Vec<String>,
}

impl LabelFeatures {
    /// Features of these labels.
    #[must_use]
    pub fn new<S: AsRef<str>>(labels: &[S], tokenizer: &WhitespaceTokenizer) -> Self {
        let words_of_label = |label: &str| -> Vec<String> {
            let tokens = tokenizer.label_tokens(label);
            let words: Vec<String> =
                tokens.iter().flat_map(|token| words_of(token)).map(str::to_owned).collect();
            if words.is_empty() { vec![label.to_owned()] } else { words }
        };
        let mut words: Vec<Vec<String>> = labels.iter().map(|label| words_of_label(label.as_ref())).collect();
        tell_apart(labels, &mut words);
        let distinct: BTreeSet<&String> = words.iter().flatten().collect();
        let distinct: Vec<&String> = distinct.into_iter().collect();
        let mut rows = SparseRows::default();
        for label in &words {
            let mut columns: Vec<u32> = label
                .iter()
                .filter_map(|word| distinct.binary_search(&word).ok())
                .map(|at| at as u32)
                .collect();
            columns.sort_unstable();
            rows.push(columns.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as f32)));
        }
        Self { rows, width: distinct.len(), words: distinct.into_iter().cloned().collect() }
    }
}

/// Labels of the same words, such as `lang_c++` and `lang_c#`, get their whole name as one more word.
fn tell_apart<S: AsRef<str>>(labels: &[S], words: &mut [Vec<String>]) {
    let mut seen: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let bag = |words: &[String]| {
        let mut bag = words.to_vec();
        bag.sort_unstable();
        bag
    };
    words.iter().for_each(|words| *seen.entry(bag(words)).or_default() += 1);
    for (label, words) in labels.iter().zip(words) {
        if seen[&bag(words)] > 1 {
            words.push(format!("={}", label.as_ref()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::WhitespaceTokenizerConfig;

    #[test]
    fn no_two_labels_look_the_same() {
        let labels = ["lang_c++", "lang_c#", "a-b", "b-a", "++"];
        let features = LabelFeatures::new(&labels, &WhitespaceTokenizer::default());
        let rows: BTreeSet<Vec<u32>> =
            (0..labels.len()).map(|at| features.rows.row(at).map(|(column, _)| column).collect()).collect();
        assert_eq!(rows.len(), labels.len());
    }

    #[test]
    fn labels_share_the_words_they_share() {
        let whole = LabelFeatures::new(&["book_room", "book_seat"], &WhitespaceTokenizer::default());
        assert_eq!(whole.width, 2);
        let config = WhitespaceTokenizerConfig { intent_tokenization_flag: true, ..Default::default() };
        let split =
            LabelFeatures::new(&["book_room", "book_seat"], &WhitespaceTokenizer::new(config).unwrap());
        assert_eq!(split.width, 3);
        assert_eq!(split.rows.row(0).collect::<Vec<_>>(), [(0, 1.0), (1, 1.0)]);
        assert_eq!(split.rows.row(1).collect::<Vec<_>>(), [(0, 1.0), (2, 1.0)]);
    }
}
