//! The simplest contextual embedding: attention over word vectors, without learned weights.

use std::path::Path;

use ndarray::{Array2, Axis};

use super::vectors::{VectorsError, VectorsOptions, WordVectors};
use super::{
    AttentionMaps, EmbedError, Encoded, LongTexts, Pooling, PoolingDefaults, Source, TextEncoder, Work,
};
use crate::attention::{Scale, contextualize};
use crate::text::{Span, Tokenizer, WhitespaceTokenizer, lower_case};

/// Word vectors in context: each vector becomes a weighted mean of those around it,
/// `softmax(x · xᵀ / √dim) · x` ([`contextualize`]).
///
/// A word that the table does not know is looked up in lower case, and is left out if that fails, too.
///
/// # Example
///
/// ```
/// use talkformer::embed::{EmbedOptions, Embedder, StaticVectors};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("small.txt");
/// std::fs::write(&path, "money 2 0\nriver 0 2\nbank 1 1\n")?;
/// let embedder = Embedder::new(Box::new(StaticVectors::open(&path)?), EmbedOptions::default());
/// let money = embedder.embed_tokens("money bank")?;
/// let river = embedder.embed_tokens("river bank")?;
/// assert!(money.vectors[[1, 0]] > river.vectors[[1, 0]]); // one bank is nearer to money than the other
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct StaticVectors {
    vectors: WordVectors,
    tokenizer: WhitespaceTokenizer,
}

impl StaticVectors {
    /// The most words that attend to each other: the cost grows with the square of their number.
    const LONGEST: usize = 512;

    /// Opens a file of word vectors in any [`VectorFormat`](super::vectors::VectorFormat).
    ///
    /// # Errors
    ///
    /// As [`WordVectors::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, VectorsError> {
        Self::of(&Source::at(path.as_ref()))
    }

    pub(super) fn of(source: &Source) -> Result<Self, VectorsError> {
        Ok(Self::new(WordVectors::of(source, &VectorsOptions::default())?))
    }

    /// Word vectors that are open already.
    #[must_use]
    pub fn new(vectors: WordVectors) -> Self {
        Self { vectors, tokenizer: WhitespaceTokenizer::default() }
    }

    /// The first `most` words of a text that have a vector, with their vectors before attention.
    fn read(&self, text: &str, most: usize) -> (Vec<Span>, Array2<f32>) {
        let dim = self.vectors.dim();
        let (mut spans, mut rows, mut row) = (Vec::new(), Vec::new(), vec![0.0; dim]);
        for span in self.tokenizer.tokenize(text) {
            if spans.len() == most {
                break;
            }
            let word = span.of(text);
            if self.vectors.vector(word, &mut row) || self.vectors.vector(&lower_case(word), &mut row) {
                spans.push(span);
                rows.extend_from_slice(&row);
            }
        }
        let rows = Array2::from_shape_vec((spans.len(), dim), rows).unwrap_or_default();
        (spans, rows)
    }
}

impl TextEncoder for StaticVectors {
    fn dim(&self) -> usize {
        self.vectors.dim()
    }

    fn pooling_defaults(&self) -> PoolingDefaults {
        PoolingDefaults::new(Pooling::Mean, true)
    }

    fn encode(&self, texts: &[&str], work: Work) -> Result<Vec<Encoded>, EmbedError> {
        let encode = |text: &&str| {
            // One more than is kept tells whether there are more.
            let most = if work.long_texts == LongTexts::Truncate { Self::LONGEST + 1 } else { usize::MAX };
            let (mut spans, rows) = self.read(text, most);
            let truncated = spans.len() == most;
            if truncated {
                spans.truncate(Self::LONGEST);
            }
            let rows = rows.slice(ndarray::s![..spans.len(), ..]);
            let windows = rows.axis_chunks_iter(Axis(0), Self::LONGEST);
            let in_context = windows.flat_map(|window| contextualize(window, Scale::InverseSqrt).context);
            Encoded {
                rows: in_context.collect(),
                special: vec![false; spans.len()],
                spans,
                // No word stands for all of them.
                sentences: Vec::new(),
                truncated,
            }
        };
        Ok(texts.iter().map(encode).collect())
    }

    fn attention(&self, text: &str) -> Result<AttentionMaps, EmbedError> {
        let (spans, rows) = self.read(text, Self::LONGEST);
        let weights = contextualize(rows.view(), Scale::InverseSqrt).weights;
        let labels = spans.iter().map(|span| span.of(text).to_owned()).collect();
        Ok(AttentionMaps { labels, spans, layers: vec![weights.insert_axis(Axis(0))] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::{EmbedOptions, Embedder};

    fn embedder(long_texts: LongTexts) -> Embedder {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("small.txt");
        std::fs::write(&path, "money 2 0 0\nriver 0 2 0\nbank 1 1 0\nthe 0 0 0.5\n").unwrap();
        let options = EmbedOptions { long_texts, ..Default::default() };
        Embedder::new(Box::new(StaticVectors::open(&path).unwrap()), options)
    }

    #[test]
    fn unknown_words_are_left_out_and_others_found_in_lower_case() {
        let embedder = embedder(LongTexts::Truncate);
        let found = embedder.embed_tokens("The unicorn Bank").unwrap();
        assert_eq!(found.spans, [Span::new(0, 3), Span::new(12, 16)]);
        let embeddings = embedder.embed(&["unicorn", "", "bank", "Bank!"]).unwrap();
        assert!(embeddings.vectors.row(0).iter().chain(embeddings.vectors.row(1)).all(|x| *x == 0.0));
        assert_eq!(embeddings.vectors.row(2), embeddings.vectors.row(3));
        assert!((embeddings.vectors.row(2).dot(&embeddings.vectors.row(2)) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn long_texts_are_cut_or_split() {
        let text = "money ".repeat(StaticVectors::LONGEST) + "river";
        let cut = embedder(LongTexts::Truncate).embed(&[&text]).unwrap();
        assert_eq!((cut.truncated, cut.vectors[[0, 1]]), (1, 0.0));
        let split = embedder(LongTexts::Split).embed(&[&text]).unwrap();
        assert!(split.truncated == 0 && split.vectors[[0, 1]] > 0.0);
    }

    #[test]
    fn its_attention_is_one_head_whose_rows_add_up_to_one() {
        let maps = embedder(LongTexts::Truncate).attention("money in the bank").unwrap();
        assert_eq!(maps.labels, ["money", "the", "bank"]);
        assert_eq!((maps.layers.len(), maps.layers[0].dim()), (1, (1, 3, 3)));
        assert!(maps.layers[0].sum_axis(Axis(2)).iter().all(|sum| (sum - 1.0).abs() < 1e-6));
    }
}
