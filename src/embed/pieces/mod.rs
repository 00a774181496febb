//! Vectors of word pieces without context: a small table that knows what words mean.
//!
//! A [pretrained encoder](super::Pretrained) takes milliseconds and 90 MB. Much of what it knows of single words fits into four
//! megabytes: what each piece of its vocabulary adds to the vector of a text, in the directions in which texts differ most, in
//! four bits a number. [`distil`] makes such a table; one for English comes with the program ([`PieceVectors::english`]).
//!
//! | file | what it does |
//! | --- | --- |
//! | `table` | the numbers, and the file that holds them |
//! | `cut` | from a text to the pieces of its words |
//! | `distil` | making a table from an encoder |
//! | `directions` | in which directions vectors differ most |
//! | `mixtures` | what a piece adds to a text |

mod cut;
mod directions;
mod distil;
mod mixtures;
mod table;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use super::{
    AttentionMaps, EmbedError, Encoded, LongTexts, Pooling, PoolingDefaults, Source, TextEncoder, Work,
};
use cut::Cutter;
use table::Table;

pub(super) use distil::name_of;
pub use distil::{Distilling, distil};
pub(super) use table::is_table;

/// Vectors of the pieces of words, the same wherever a word stands.
///
/// # Example
///
/// ```
/// use talkformer::embed::{EmbedOptions, Embedder, PieceVectors};
///
/// let embedder = Embedder::new(Box::new(PieceVectors::english()), EmbedOptions::default());
/// let vectors = embedder.embed(&["cash", "money", "weather"])?.vectors;
/// let near = |a: usize, b: usize| vectors.row(a).dot(&vectors.row(b));
/// assert!(near(0, 1) > near(0, 2));
/// # Ok::<(), talkformer::embed::EmbedError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PieceVectors {
    table: Arc<Table>,
    cutter: Arc<Cutter>,
}

/// The table for English that comes with the program.
static ENGLISH: &[u8] = include_bytes!("../../../models/english/pieces.safetensors");

/// The file that comes with the program under this name.
pub(crate) fn built_in(name: &Path) -> Option<&'static [u8]> {
    (name == Path::new(PieceVectors::ENGLISH)).then_some(ENGLISH)
}

impl PieceVectors {
    /// The most pieces of a text that are read, unless it is read in parts.
    const LONGEST: usize = 1 << 16;

    /// What the table for English is called where a path is asked for.
    pub const ENGLISH: &'static str = "built-in:english";

    /// The language of that table.
    pub const LANGUAGE: &'static str = "en";

    /// The table for English that comes with the program.
    ///
    /// # Panics
    ///
    /// Never: a test opens it.
    #[must_use]
    pub fn english() -> Self {
        static OPENED: OnceLock<PieceVectors> = OnceLock::new();
        let open = || Self::read(&Source::at(Self::ENGLISH)).expect("a test opens the table of the program");
        OPENED.get_or_init(open).clone()
    }

    /// Opens a table that [`distil`] has made.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is none of these.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EmbedError> {
        Self::of(&Source::at(path.as_ref()))
    }

    /// The table of a file; that of the program is in memory once, however many models use it.
    pub(super) fn of(source: &Source) -> Result<Self, EmbedError> {
        if built_in(source.path()).is_some() { Ok(Self::english()) } else { Self::read(source) }
    }

    fn read(source: &Source) -> Result<Self, EmbedError> {
        let table = Table::read(source)?;
        let cutter = Cutter::new(&table);
        Ok(Self { table: Arc::new(table), cutter: Arc::new(cutter) })
    }

    /// Pieces in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is no piece.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl TextEncoder for PieceVectors {
    fn dim(&self) -> usize {
        self.table.dim()
    }

    fn pooling_defaults(&self) -> PoolingDefaults {
        PoolingDefaults::new(Pooling::Mean, true)
    }

    fn encode(&self, texts: &[&str], work: Work) -> Result<Vec<Encoded>, EmbedError> {
        let dim = self.dim();
        let encode = |text: &&str| {
            let mut encoded = Encoded::default();
            self.cutter.cut(text, |span, piece| {
                if work.long_texts == LongTexts::Truncate && encoded.spans.len() == Self::LONGEST {
                    encoded.truncated = true;
                    return;
                }
                let start = encoded.rows.len();
                encoded.rows.resize(start + dim, 0.0);
                self.table.row(piece, &mut encoded.rows[start..]);
                encoded.spans.push(span);
            });
            encoded.special = vec![false; encoded.spans.len()];
            encoded
        };
        Ok(texts.iter().map(encode).collect())
    }

    fn attention(&self, _: &str) -> Result<AttentionMaps, EmbedError> {
        Err(EmbedError::NoAttention { encoder: "a table of word pieces".to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{EmbedOptions, Embedder};
    use super::*;

    #[test]
    fn words_of_like_meaning_are_near_each_other() {
        let embedder = Embedder::new(Box::new(PieceVectors::english()), EmbedOptions::default());
        let near = |a: &str, b: &str| {
            let vectors = embedder.embed(&[a, b]).unwrap().vectors;
            vectors.row(0).dot(&vectors.row(1))
        };
        let triples = [
            ("money", "cash", "window"),
            ("doctor", "physician", "guitar"),
            ("buy", "purchase", "sing"),
            ("flight", "airplane", "soup"),
            ("my card was declined", "payment rejected", "what is the weather"),
        ];
        for (one, like, other) in triples {
            assert!(
                near(one, like) > near(one, other) + 0.1,
                "{one}: {} {}",
                near(one, like),
                near(one, other)
            );
        }
    }

    #[test]
    fn what_it_does_not_know_has_no_vector() {
        let work = Work { threads: 1, long_texts: LongTexts::Truncate };
        let found = PieceVectors::english().encode(&["", "  ", "🎉🎉", "a 🎉"], work);
        let counts: Vec<usize> = found.unwrap().iter().map(|one| one.spans.len()).collect();
        assert_eq!(counts, [0, 0, 0, 1]);
    }
}
