//! Where the sequences of a packed batch begin and end.

use std::ops::Range;
use std::sync::Arc;

/// The boundaries of sequences that lie one after the other.
///
/// A batch is packed, not padded: `[row, model_dim]` holds the rows of the first
/// sequence, then those of the second, and so on. Layers that treat each row alone ignore
/// the boundaries; attention stays inside each segment.
///
/// # Example
///
/// ```
/// use talkformer::nn::Segments;
///
/// let segments = Segments::from_lengths([3, 0, 2]);
/// assert_eq!((segments.count(), segments.rows()), (3, 5));
/// assert_eq!(segments.range(2), 3..5);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    offsets: Arc<[usize]>,
}

impl Segments {
    /// Sequences of these lengths.
    pub fn from_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut end = 0;
        let ends = lengths.into_iter().map(|len| {
            end += len;
            end
        });
        Self { offsets: [0].into_iter().chain(ends).collect() }
    }

    /// Number of sequences.
    #[must_use]
    pub fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Number of rows of all sequences together.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets[self.count()]
    }

    /// The rows of one sequence.
    ///
    /// # Panics
    ///
    /// If there is no such sequence.
    #[must_use]
    pub fn range(&self, sequence: usize) -> Range<usize> {
        self.offsets[sequence]..self.offsets[sequence + 1]
    }

    /// The rows of each sequence.
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        self.offsets.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// Where sequences begin, then the number of rows: `[sequence + 1]`.
    pub(crate) fn offsets(&self) -> &[usize] {
        &self.offsets
    }
}
