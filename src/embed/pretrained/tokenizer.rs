//! Splits texts into the pieces that an encoder knows.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::normalizers::{Lowercase, Sequence};
use tokenizers::{Encoding, NormalizerWrapper, Token, Tokenizer};

use super::parts::Parts;
use crate::embed::pieces::name_of;
use crate::embed::{EmbedError, LongTexts};
use crate::text::Span;

/// The pieces of a text, or of a part of it that the encoder can take at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    pub(super) ids: Vec<u32>,
    /// Where each piece is in the text.
    pub(super) spans: Vec<Span>,
    /// Whether a piece stands for the text as a whole, as `[CLS]` does.
    pub(super) special: Vec<bool>,
}

/// `tokenizer.json`
#[derive(Clone, Debug)]
pub(super) struct PieceTokenizer {
    tokenizer: Tokenizer,
    /// Pieces that the encoder takes at once, special ones included.
    longest: usize,
    /// Pieces that have a vector.
    vectors: usize,
}

/// No piece of a usual text is longer than so many bytes on average.
const BYTES_OF_PIECE: usize = 32;

/// More of a text is never looked at to find the few pieces that are kept, and is never read at once.
const MOST_BYTES: usize = 1 << 20;

impl PieceTokenizer {
    const FILE: &'static str = "tokenizer.json";

    /// Tokenizers of many languages take tens of MB.
    const MOST_BYTES: u64 = 64 << 20;

    /// Opens the tokenizer of an encoder, for texts of at most so many pieces.
    pub(super) fn open(parts: &Parts<'_>, longest: usize) -> Result<Self, EmbedError> {
        let (source, vectors) = (&parts.source, parts.config.vocabulary);
        let file = parts.folder.encoder.clone() + Self::FILE;
        if !source.has(&file) {
            let hint = "download it beside config.json, or make it from vocab.txt in Python: \
                 `from transformers import AutoTokenizer; AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)`";
            let folder = source.file(&parts.folder.encoder);
            return Err(EmbedError::Missing { folder, file: Self::FILE, hint });
        }
        let path = source.file(&file);
        let wrong = |path: PathBuf| move |error: tokenizers::Error| EmbedError::file(path, error);
        let bytes = source.bytes(&file, Self::MOST_BYTES)?;
        check_template(&bytes, &path)?;
        let mut tokenizer = Tokenizer::from_bytes(&bytes).map_err(wrong(path.clone()))?;
        // Padding and truncation in the file are meant for batches.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(wrong(path.clone()))?;
        if parts.folder.lower_case {
            let own = tokenizer.get_normalizer().cloned();
            let all = [NormalizerWrapper::from(Lowercase)].into_iter().chain(own).collect();
            tokenizer.with_normalizer(Some(Sequence::new(all))).map_err(wrong(path.clone()))?;
        }
        let last = tokenizer.get_vocab(true).into_values().max();
        let tokens = last.map_or(0, |last| (last as usize).saturating_add(1));
        if tokens > vectors {
            return Err(EmbedError::Vocabulary { path, tokens, vectors });
        }
        let special = tokenizer.encode("", true).map_err(wrong(path.clone()))?.len();
        if longest <= special {
            let problem = format!("{longest} places leave none for a text beside {special} special tokens");
            return Err(EmbedError::file(path, problem));
        }
        Ok(Self { tokenizer, longest, vectors })
    }

    /// The pieces of a text, and whether some are left out. Only a text that is split has more than one part.
    pub(super) fn read(&self, text: &str, long: LongTexts) -> Result<(Vec<Pieces>, bool), EmbedError> {
        match long {
            LongTexts::Truncate => {
                let (pieces, truncated) = self.beginning(text)?;
                Ok((vec![pieces], truncated))
            }
            LongTexts::Split => Ok((self.all(text)?, false)),
        }
    }

    /// What the tokenizer calls these pieces: `bank`, `##ing`, `[CLS]`.
    pub(super) fn labels(&self, ids: &[u32]) -> Vec<String> {
        ids.iter().map(|id| self.tokenizer.id_to_token(*id).unwrap_or_default()).collect()
    }

    /// The pieces that belong to words, by names that say which continue a word, and their numbers.
    pub(super) fn pieces_of_words(&self) -> (Vec<String>, Vec<u32>) {
        let special: HashSet<u32> = self.tokenizer.get_added_tokens_decoder().into_keys().collect();
        let vocabulary: BTreeMap<u32, String> =
            self.tokenizer.get_vocab(false).into_iter().map(|(piece, id)| (id, piece)).collect();
        let marks_beginning = !vocabulary.values().any(|piece| piece.starts_with("##"));
        let own = vocabulary.into_iter().filter(|(id, _)| !special.contains(id));
        own.filter_map(|(id, piece)| Some((name_of(&piece, marks_beginning)?, id))).unzip()
    }

    /// Pieces as a text of their own, with the special ones around them.
    pub(super) fn text_of(&self, ids: &[u32]) -> Result<Pieces, EmbedError> {
        let failed = |error: tokenizers::Error| EmbedError::Tokenizer { problem: error.to_string() };
        let token = |id: &u32| {
            let value = self.tokenizer.id_to_token(*id).unwrap_or_default();
            Token { id: *id, value, offsets: (0, 0) }
        };
        let mut encoding = Encoding::default();
        encoding.merge_with(Encoding::from_tokens(ids.iter().map(token).collect(), 0), false);
        let encoding = self.tokenizer.post_process(encoding, None, true).map_err(failed)?;
        let special: Vec<bool> = encoding.get_special_tokens_mask().iter().map(|one| *one == 1).collect();
        let spans = vec![Span::new(0, 0); special.len()];
        Ok(Pieces { ids: encoding.get_ids().to_vec(), spans, special })
    }

    /// What fits of a text, looking at no more of it than needed.
    fn beginning(&self, text: &str) -> Result<(Pieces, bool), EmbedError> {
        let mut bytes = BYTES_OF_PIECE * self.longest;
        loop {
            let part = head(text, bytes);
            let whole = part.len() == text.len();
            let mut windows = self.windows(part, 0)?;
            let full = windows.len() > 1;
            if whole || full || bytes >= MOST_BYTES {
                windows.truncate(1);
                return Ok((windows.pop().unwrap_or_default(), full || !whole));
            }
            bytes *= 4;
        }
    }

    /// All of a text, in as many parts as it takes.
    fn all(&self, text: &str) -> Result<Vec<Pieces>, EmbedError> {
        let (mut parts, mut start) = (Vec::new(), 0);
        while start < text.len() || parts.is_empty() {
            let part = head(&text[start..], MOST_BYTES);
            parts.extend(self.windows(part, start)?);
            start += part.len();
        }
        Ok(parts)
    }

    /// A piece of text, which begins at byte `start` of the whole, in parts that the encoder takes at once: one at least.
    fn windows(&self, text: &str, start: usize) -> Result<Vec<Pieces>, EmbedError> {
        let wrong = |problem: String| EmbedError::Tokenizer { problem };
        let encoding = self.tokenizer.encode(text, true).map_err(|error| wrong(error.to_string()))?;
        if let Some(id) = encoding.get_ids().iter().find(|id| **id as usize >= self.vectors) {
            return Err(wrong(format!(
                "piece {id} has no vector; the last that has one is {}",
                self.vectors - 1
            )));
        }
        let special = |piece: &&u32| **piece == 1;
        let before = encoding.get_special_tokens_mask().iter().take_while(special).count();
        let after = encoding.get_special_tokens_mask()[before..].iter().rev().take_while(special).count();
        let inner = before..encoding.len() - after;
        let most = self.longest.saturating_sub(before + after).max(1);
        let starts = (inner.start..inner.end.max(inner.start + 1)).step_by(most);
        let window = |from: usize| {
            let own = from..inner.end.min(from + most);
            let places: Vec<usize> = (0..before).chain(own).chain(inner.end..encoding.len()).collect();
            let span = |at: &usize| {
                let (from, to) = encoding.get_offsets()[*at];
                Span::new(start + from, start + to)
            };
            Pieces {
                ids: places.iter().map(|at| encoding.get_ids()[*at]).collect(),
                spans: places.iter().map(span).collect(),
                special: places.iter().map(|at| encoding.get_special_tokens_mask()[*at] == 1).collect(),
            }
        };
        Ok(starts.map(window).collect())
    }
}

/// Refuses templates that the library cannot apply: with a token that is not defined, a second text, or the same text
/// twice.
fn check_template(file: &[u8], path: &Path) -> Result<(), EmbedError> {
    /// All else is up to the library.
    #[derive(Deserialize)]
    struct File {
        #[serde(default)]
        post_processor: Value,
    }
    let file: File = serde_json::from_slice(file).map_err(|error| EmbedError::file(path, error))?;
    let nested = |processor: &Value| -> Vec<Value> {
        let inner = processor["processors"].as_array().cloned().unwrap_or_default();
        [processor.clone()].into_iter().chain(inner).collect()
    };
    for processor in nested(&file.post_processor) {
        let pieces = processor["single"].as_array().map_or(&[][..], Vec::as_slice);
        let defined = |piece: &Value| {
            let name = piece["SpecialToken"]["id"].as_str();
            name.is_none_or(|name| processor["special_tokens"].get(name).is_some())
        };
        let texts: Vec<Option<&str>> =
            pieces.iter().filter_map(|piece| piece.get("Sequence")).map(|one| one["id"].as_str()).collect();
        if !pieces.iter().all(defined) || (!pieces.is_empty() && texts != [Some("A")]) {
            let problem = "the template of `post_processor` for a single text does not hold that text once, between tokens that it defines";
            return Err(EmbedError::file(path, problem));
        }
    }
    Ok(())
}

/// The first `bytes` of a text or fewer, between words where that is possible.
fn head(text: &str, bytes: usize) -> &str {
    if text.len() <= bytes {
        return text;
    }
    let end = (0..=bytes).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    match text[..end].rfind(char::is_whitespace) {
        Some(space) if space > 0 => &text[..space],
        _ => &text[..end],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_words_if_it_has_some() {
        assert_eq!(head("one two three", 9), "one two");
        assert_eq!(head("one two three", 20), "one two three");
        assert_eq!(head("onetwothree", 5), "onetw");
        assert_eq!(head("€€€", 5), "€");
        assert_eq!(head(" abcdef", 3), " ab");
    }
}
