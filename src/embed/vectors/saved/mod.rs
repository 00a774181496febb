//! The mapped format: a `.safetensors` file that is mapped into memory and used in place.
//!
//! | Tensor | Type | Shape | Content |
//! | --- | --- | --- | --- |
//! | `word_starts` | `U64` | `[words + 1]` | where each word begins in `words`, and where the last ends |
//! | `vectors` | `F32` | `[words, dim]` | the vectors |
//! | `buckets` | `F32` | `[buckets, dim]` | the vectors of n-grams, if unknown words get some |
//! | `slots` | `U32` | `[power of two]` | the hash table: word numbers, `0xffff_ffff` where there is none |
//! | `words` | `U8` | `[bytes]` | the words in UTF-8, one after the other |
//!
//! A word is looked for from slot `hash & (slots - 1)` onwards, around the end, up to an empty slot; at least
//! half of the slots are empty. The hash is FNV-1a of 64 bits over the UTF-8, then `h ^= h >> 32`,
//! `h *= 0x9e37_79b9_7f4a_7c15`, `h ^= h >> 32`.
//!
//! The metadata have `format`, `version`, and for n-grams `minn` and `maxn` (characters, the `<` and `>`
//! around a word included), `bucket` (rows) and `hash`: how an n-gram finds its row. `fasttext` and
//! `finalfusion` are hashes of theirs; with `list` the n-grams stand in `ngrams`, `ngram_starts` and
//! `ngram_slots` like the words, and their rows in `ngram_rows`, `U32`.

mod read;
mod write;

pub(super) use read::{is_saved, read};

const FORMAT: &str = "talkformer-word-vectors";
const VERSION: &str = "1";
/// Bytes that hold the length of the header.
const LENGTH: usize = size_of::<u64>();

/// Names of tensors.
mod tensor {
    pub(super) const STARTS: &str = "word_starts";
    pub(super) const VECTORS: &str = "vectors";
    pub(super) const BUCKETS: &str = "buckets";
    pub(super) const SLOTS: &str = "slots";
    pub(super) const WORDS: &str = "words";
    pub(super) const NGRAM_STARTS: &str = "ngram_starts";
    pub(super) const NGRAM_SLOTS: &str = "ngram_slots";
    pub(super) const NGRAMS: &str = "ngrams";
    pub(super) const NGRAM_ROWS: &str = "ngram_rows";
}

/// Keys and values of the metadata.
mod key {
    pub(super) const FORMAT: &str = "format";
    pub(super) const VERSION: &str = "version";
    pub(super) const MIN: &str = "minn";
    pub(super) const MAX: &str = "maxn";
    pub(super) const BUCKETS: &str = "bucket";
    pub(super) const HASH: &str = "hash";
    pub(super) const FASTTEXT: &str = "fasttext";
    pub(super) const FINALFUSION: &str = "finalfusion";
    pub(super) const LIST: &str = "list";
}
