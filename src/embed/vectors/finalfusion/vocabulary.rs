//! The chunks that hold words and n-grams.

use super::super::blob::Blob;
use super::super::collect::Collector;
use super::super::subwords::Index;
use super::super::words::{Words, WordsBuilder};
use super::super::{Location, VectorsError, VectorsOptions, VectorsWarning};
use super::reader::{Reader, chunk};

const WHAT: &str = "the words";

pub(super) struct Vocabulary {
    pub(super) words: Words,
    pub(super) warnings: Vec<VectorsWarning>,
    /// Words in the file, those beyond the limit included.
    pub(super) count: usize,
    pub(super) ngrams: Option<Ngrams>,
}

/// How unknown words get a vector.
pub(super) struct Ngrams {
    pub(super) min: usize,
    pub(super) max: usize,
    pub(super) index: Index,
    /// Rows of n-grams.
    pub(super) buckets: usize,
}

impl Ngrams {
    pub(super) fn is_listed(&self) -> bool {
        matches!(self.index, Index::Listed(..))
    }
}

impl Reader<'_> {
    pub(super) fn vocabulary(
        &mut self,
        kind: u32,
        options: &VectorsOptions,
    ) -> Result<Vocabulary, VectorsError> {
        if kind == chunk::EXPLICIT_VOCABULARY {
            return self.explicit_vocabulary(options);
        }
        if !matches!(kind, chunk::SIMPLE_VOCABULARY | chunk::BUCKET_VOCABULARY | chunk::FASTTEXT_VOCABULARY) {
            return Err(self.unsupported(kind));
        }
        let count = self.cursor.size64(WHAT)?;
        let ngrams = if kind == chunk::SIMPLE_VOCABULARY { None } else { Some(self.buckets(kind)?) };
        let (words, warnings) = self.words(count, options)?;
        Ok(Vocabulary { words, warnings, count, ngrams })
    }

    fn unsupported(&self, kind: u32) -> VectorsError {
        let (what, advice) = match kind {
            chunk::FLORET_VOCABULARY => {
                ("a floret vocabulary".to_owned(), "take the `.vec` file that floret writes beside it")
            }
            kind => (format!("the chunk {kind}"), "convert the file with a newer finalfusion"),
        };
        VectorsError::Unsupported { path: self.path.to_owned(), what, advice }
    }

    fn buckets(&mut self, kind: u32) -> Result<Ngrams, VectorsError> {
        let (min, max) = (self.cursor.size32(WHAT)?, self.cursor.size32(WHAT)?);
        let size = self.cursor.u32(WHAT)?;
        if kind == chunk::FASTTEXT_VOCABULARY {
            return Ok(Ngrams { min, max, index: Index::FastText, buckets: size as usize });
        }
        let buckets = 1_usize
            .checked_shl(size)
            .ok_or_else(|| VectorsError::damaged(self.path, format!("two to the power of {size} buckets")))?;
        Ok(Ngrams { min, max, index: Index::Finalfusion, buckets })
    }

    fn explicit_vocabulary(&mut self, options: &VectorsOptions) -> Result<Vocabulary, VectorsError> {
        let (count, ngrams) = (self.cursor.size64(WHAT)?, self.cursor.size64(WHAT)?);
        let (min, max) = (self.cursor.size32(WHAT)?, self.cursor.size32(WHAT)?);
        let (words, warnings) = self.words(count, options)?;
        let (mut listed, mut rows) = (WordsBuilder::new(), Vec::new());
        for _ in 0..ngrams {
            let length = self.cursor.size32("the n-grams")?;
            let ngram = self.cursor.take(length, "the n-grams")?;
            let row = self.cursor.size64("the n-grams")?;
            let row = u32::try_from(row)
                .map_err(|_| VectorsError::damaged(self.path, format!("an n-gram has row {row}")))?;
            if listed.push(ngram) {
                rows.extend_from_slice(&row.to_le_bytes());
            }
        }
        let index = Index::Listed(listed.finish(), Blob::from(rows));
        Ok(Vocabulary { words, warnings, count, ngrams: Some(Ngrams { min, max, index, buckets: 0 }) })
    }

    fn words(
        &mut self,
        count: usize,
        options: &VectorsOptions,
    ) -> Result<(Words, Vec<VectorsWarning>), VectorsError> {
        let mut words = Collector::new(options);
        for number in 1..=count {
            let offset = self.cursor.position();
            let length = self.cursor.size32(WHAT)?;
            let word = self.cursor.take(length, WHAT)?;
            let at = || Location::word(self.path, number, offset);
            // Rows are found by counting words, so none can be left out; no writer puts one in twice.
            if !words.is_full() && !words.push(word, at)? {
                return Err(VectorsError::damaged(self.path, format!("word {number} is there twice")));
            }
        }
        Ok(words.finish())
    }
}
