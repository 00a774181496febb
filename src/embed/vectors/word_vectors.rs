//! The table of word vectors, whatever file it came from.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use super::rows::Rows;
use super::subwords::Subwords;
use super::words::Words;
use super::{VectorFormat, VectorsError, VectorsWarning};

/// A table `[word, dim]` of static word vectors.
///
/// Rows stay in the file where the format allows it, and the system brings in what is looked up. So the file
/// must not be changed while it is open; replacing it by renaming another over it is fine.
///
/// ```
/// use talkformer::embed::vectors::WordVectors;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("pets.txt");
/// std::fs::write(&path, "cat 1 0.5\ndog 0.9 0.6\n")?;
/// let vectors = WordVectors::open(&path)?;
/// let mut cat = vec![0.0; vectors.dim()];
/// assert!(vectors.vector("cat", &mut cat));
/// assert_eq!(cat, [1.0, 0.5]);
/// assert!(!vectors.vector("unicorn", &mut cat)); // and `cat` is all zeros now
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct WordVectors {
    path: PathBuf,
    pub(super) words: Words,
    rows: Rows,
    pub(super) subwords: Option<(Subwords, Known)>,
    dim: usize,
    format: VectorFormat,
    warnings: Vec<VectorsWarning>,
}

/// What the vector of a known word is, when there are rows for n-grams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Its row.
    Alone,
    /// The mean of its row and those of its n-grams.
    WithNgrams,
}

impl WordVectors {
    /// Numbers in a vector.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Words in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there is no word.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The format of the file.
    #[must_use]
    pub fn format(&self) -> VectorFormat {
        self.format
    }

    /// What was corrected while reading.
    ///
    /// ```
    /// use talkformer::embed::vectors::WordVectors;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("pets.txt");
    /// std::fs::write(&path, "cat 1 0\ndog 0 1\ncat 7 7\n")?;
    /// let vectors = WordVectors::open(&path)?;
    /// let warning = vectors.warnings()[0].to_string();
    /// assert!(warning.ends_with("pets.txt:3: `cat` is there already; rows left out for that: 1"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn warnings(&self) -> &[VectorsWarning] {
        &self.warnings
    }

    /// The words, in the order of the file.
    pub fn words(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.words.iter()
    }

    /// Whether a word is in the table itself. Others may have a [`vector`](Self::vector) too, by their n-grams.
    #[must_use]
    pub fn contains(&self, word: &str) -> bool {
        self.words.find(word).is_some()
    }

    /// Writes the vector of a word to `out`, and says whether there is one; otherwise `out` is all zeros.
    ///
    /// The vector of an unknown word is the mean of its n-grams, if the file has any. Its numbers are finite:
    /// a row of a damaged file that has others is no vector.
    ///
    /// # Panics
    ///
    /// If `out` has not [`dim`](Self::dim) places.
    pub fn vector(&self, word: &str, out: &mut [f32]) -> bool {
        assert_eq!(out.len(), self.dim, "a vector has as many places as the table has dimensions");
        let is_there = match self.words.find(word) {
            Some(number) => self.known(number, word, out),
            None => self.unknown(word, out),
        };
        let is_vector = is_there && out.iter().all(|value| value.is_finite());
        if !is_vector {
            out.fill(0.0);
        }
        is_vector
    }

    pub(super) fn new(path: &Path, format: VectorFormat, dim: usize, words: Words, rows: Rows) -> Self {
        Self { path: path.to_owned(), words, rows, subwords: None, dim, format, warnings: Vec::new() }
    }

    pub(super) fn with_warnings(self, warnings: Vec<VectorsWarning>) -> Self {
        Self { warnings, ..self }
    }

    /// With vectors of n-grams, which may not be so long that a word has more of them than anyone can wait for.
    pub(super) fn with_subwords(self, subwords: Subwords, known: Known) -> Result<Self, VectorsError> {
        if subwords.max > Subwords::LONGEST {
            let reason =
                format!("n-grams of up to {} characters, more than {}", subwords.max, Subwords::LONGEST);
            return Err(VectorsError::damaged(&self.path, reason));
        }
        Ok(Self { subwords: Some((subwords, known)), ..self })
    }

    /// The file it was opened from.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The vector of a word in the table as it is, finite or not; false if its row is not in the file.
    pub(super) fn known(&self, number: usize, word: &str, out: &mut [f32]) -> bool {
        if !self.rows.apply(number, out, |to, value| *to = value) {
            return false;
        }
        if let Some((subwords, Known::WithNgrams)) = &self.subwords {
            let ngrams = subwords.add(word, out);
            divide(out, ngrams + 1);
        }
        true
    }

    fn unknown(&self, word: &str, out: &mut [f32]) -> bool {
        let Some((subwords, _)) = &self.subwords else {
            return false;
        };
        out.fill(0.0);
        let ngrams = subwords.add(word, out);
        divide(out, ngrams.max(1));
        ngrams > 0
    }
}

fn divide(sum: &mut [f32], count: usize) {
    let share = 1.0 / count as f32;
    sum.iter_mut().for_each(|value| *value *= share);
}

impl fmt::Debug for WordVectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordVectors")
            .field("path", &self.path)
            .field("format", &self.format)
            .field("words", &self.len())
            .field("dim", &self.dim)
            .field("unknown_words", &self.subwords.is_some())
            .finish_non_exhaustive()
    }
}

const _: () = {
    const fn is_shared<T: Send + Sync>() {}
    is_shared::<WordVectors>();
};
