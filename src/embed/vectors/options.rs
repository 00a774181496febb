//! What a file of word vectors is, and how it should be read.

use std::fmt;

/// A format of word vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VectorFormat {
    /// Lines of a word and its numbers, without a header.
    Glove,
    /// The same below a header `words dimensions`; fastText calls it `.vec`.
    Word2VecText,
    /// A header, then words each followed by its numbers as 32-bit floats.
    Word2VecBinary,
    /// A fastText model, `.bin`, with the n-grams that give vectors to unknown words.
    FastText,
    /// The chunks of finalfusion, `.fifu`.
    Finalfusion,
    /// What [`save_mapped`](super::WordVectors::save_mapped) writes: a `.safetensors` file used in place.
    Mapped,
}

impl VectorFormat {
    const ALL: [Self; 6] = [
        Self::Glove,
        Self::Word2VecText,
        Self::Word2VecBinary,
        Self::FastText,
        Self::Finalfusion,
        Self::Mapped,
    ];

    /// All of them, for a message.
    pub(super) fn names() -> String {
        Self::ALL.map(|format| format.to_string()).join(", ")
    }
}

impl fmt::Display for VectorFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Glove => "GloVe text",
            Self::Word2VecText => "word2vec text",
            Self::Word2VecBinary => "word2vec binary",
            Self::FastText => "fastText binary",
            Self::Finalfusion => "finalfusion",
            Self::Mapped => "mapped word vectors",
        })
    }
}

/// How a file of word vectors is read.
///
/// ```
/// use talkformer::embed::vectors::VectorsOptions;
///
/// let options = VectorsOptions { limit: Some(100_000), ..VectorsOptions::default() };
/// assert_eq!((options.format, options.lossy), (None, false));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VectorsOptions {
    /// The format; `None`, the default, finds it by the content and then by the name.
    pub format: Option<VectorFormat>,
    /// Whether broken UTF-8 in words becomes `U+FFFD` and a warning; by default it is an error.
    pub lossy: bool,
    /// Only so many words, the first of the file; `None`, the default, takes all. Files list frequent words
    /// first, so a tenth of the words covers most of a text.
    pub limit: Option<usize>,
}
