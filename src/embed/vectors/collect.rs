//! Collects the words of a file.

use super::error::excerpt;
use super::words::{Words, WordsBuilder};
use super::{Location, VectorsError, VectorsOptions, VectorsWarning};

/// Takes words, checks that they are UTF-8, leaves out duplicates, and counts both.
pub(super) struct Collector {
    words: WordsBuilder,
    limit: usize,
    lossy: bool,
    duplicates: Option<(usize, String, Location)>,
    replaced: Option<(usize, Location)>,
}

impl Collector {
    pub(super) fn new(options: &VectorsOptions) -> Self {
        // Word numbers have 32 bits, and the highest marks an empty slot. No file comes near.
        let limit = options.limit.unwrap_or(usize::MAX).min(u32::MAX as usize - 1);
        Self { words: WordsBuilder::new(), limit, lossy: options.lossy, duplicates: None, replaced: None }
    }

    /// Whether no more words are wanted.
    pub(super) fn is_full(&self) -> bool {
        self.words.len() >= self.limit
    }

    /// Adds a word; false if it is left out.
    pub(super) fn push(&mut self, word: &[u8], at: impl Fn() -> Location) -> Result<bool, VectorsError> {
        if str::from_utf8(word).is_ok() {
            return Ok(self.push_valid(word, at));
        }
        if !self.lossy {
            return Err(VectorsError::Encoding { at: at() });
        }
        self.replaced.get_or_insert_with(|| (0, at())).0 += 1;
        Ok(self.push_valid(String::from_utf8_lossy(word).as_bytes(), at))
    }

    fn push_valid(&mut self, word: &[u8], at: impl Fn() -> Location) -> bool {
        let is_new = self.words.push(word);
        if !is_new {
            self.duplicates.get_or_insert_with(|| (0, excerpt(word), at())).0 += 1;
        }
        is_new
    }

    pub(super) fn finish(self) -> (Words, Vec<VectorsWarning>) {
        let duplicates =
            self.duplicates.map(|(count, word, at)| VectorsWarning::Duplicates { count, word, at });
        let replaced = self.replaced.map(|(count, at)| VectorsWarning::Replaced { count, at });
        (self.words.finish(), duplicates.into_iter().chain(replaced).collect())
    }
}
