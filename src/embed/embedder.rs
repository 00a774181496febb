//! Turns texts into vectors, with any encoder.

use std::path::Path;

use ndarray::{Array1, Array2};

use super::pieces::is_table;
use super::{
    AttentionMaps, EmbedError, Encoded, LongTexts, PieceVectors, Pooling, PoolingDefaults, Precision,
    Pretrained, Source, StaticVectors, TextEncoder, Work,
};
use crate::nn::Device;
use crate::text::Span;
use crate::threads::in_parallel;

/// How to embed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmbedOptions {
    /// Number of threads; by default as many as the machine has.
    pub threads: usize,
    /// Precision of products. `bf16` is faster, with errors in the third digit.
    pub precision: Precision,
    /// How the rows of a text become one vector; by default as the encoder says.
    pub pooling: Option<Pooling>,
    /// Whether vectors are scaled to length one; by default as the encoder says.
    pub normalize: Option<bool>,
    /// What happens to texts that are too long for the encoder.
    pub long_texts: LongTexts,
    /// What computes the rows of a pretrained encoder; on a GPU its products are `f32`. For word vectors and models of
    /// [`pipeline`](crate::pipeline) there is the processor only.
    pub device: Device,
}

impl EmbedOptions {
    setters! {
        threads: usize,
        precision: Precision,
        pooling: Option<Pooling>,
        normalize: Option<bool>,
        long_texts: LongTexts,
        device: Device,
    }
}

impl Default for EmbedOptions {
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            precision: Precision::F32,
            pooling: None,
            normalize: None,
            long_texts: LongTexts::default(),
            device: Device::Cpu,
        }
    }
}

/// The vectors of some texts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Embeddings {
    /// `[text, dim]`
    pub vectors: Array2<f32>,
    /// How many texts were cut off because they were too long.
    pub truncated: usize,
}

/// The tokens of a text with their vectors.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TokenEmbeddings {
    /// Where each token is in the text; special ones are left out.
    pub spans: Vec<Span>,
    /// `[token, dim]`
    pub vectors: Array2<f32>,
    /// Whether tokens are missing at the end because the text was too long.
    pub truncated: bool,
}

/// A text and its words with their vectors.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct WordEmbeddings {
    /// That of the text: `[dim]`.
    pub text: Vec<f32>,
    /// `[word, token_dim]`
    pub words: Array2<f32>,
}

/// Turns texts into vectors.
///
/// Texts are sorted by length and encoded some at a time, packed without padding, on several threads; results come in
/// the order of the texts. A text has the same vector alone and in a batch, up to `1e-5` of its length with products of
/// `f32`: sums over threads round differently.
///
/// # Example
///
/// ```no_run
/// use talkformer::embed::{EmbedOptions, Embedder, LongTexts};
///
/// let options = EmbedOptions::default().threads(2).long_texts(LongTexts::Split);
/// let embedder = Embedder::open("all-MiniLM-L6-v2", &options)?;
/// for (span, vector) in embedder.embed_tokens("money in the bank")?.iter() {
///     println!("{span:?} {}", vector.dot(&vector));
/// }
/// # Ok::<(), talkformer::embed::EmbedError>(())
/// ```
#[derive(Debug)]
pub struct Embedder {
    encoder: Box<dyn TextEncoder>,
    options: EmbedOptions,
    /// How rows become the vector of a text: as the encoder says, unless the options say otherwise.
    pooling: PoolingDefaults,
}

impl Embedder {
    /// Opens the folder of a pretrained encoder, or a file of word vectors.
    ///
    /// # Errors
    ///
    /// [`EmbedError`] names the file that is missing, damaged or does not fit the others, and what to do.
    pub fn open(path: impl AsRef<Path>, options: &EmbedOptions) -> Result<Self, EmbedError> {
        Self::of(&Source::at(path.as_ref()), options)
    }

    pub(crate) fn of(source: &Source, options: &EmbedOptions) -> Result<Self, EmbedError> {
        if !source.exists() {
            let error = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(EmbedError::io(source.path())(error));
        }
        if Pretrained::is_encoder(source) {
            return Ok(Self::new(Box::new(Pretrained::of(source, None, options)?), options.clone()));
        }
        if source.is_folder() {
            return Err(EmbedError::Unknown { path: source.path().to_owned() });
        }
        options.device.only_processor("word vectors are")?;
        if is_table(source) {
            return Ok(Self::new(Box::new(PieceVectors::of(source)?), options.clone()));
        }
        Ok(Self::new(Box::new(StaticVectors::of(source)?), options.clone()))
    }

    /// An embedder over any encoder.
    #[must_use]
    pub fn new(encoder: Box<dyn TextEncoder>, options: EmbedOptions) -> Self {
        let mut pooling = encoder.pooling_defaults();
        if let Some(other) = options.pooling {
            pooling.poolings = vec![other];
        }
        pooling.normalize = options.normalize.unwrap_or(pooling.normalize);
        Self { encoder, options: EmbedOptions { threads: options.threads.max(1), ..options }, pooling }
    }

    /// Width of the vectors of texts.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.pooling.dim(self.token_dim())
    }

    /// Width of the vectors of tokens and words: another one than [`dim`](Self::dim) where the encoder has several poolings,
    /// or a layer behind them.
    #[must_use]
    pub fn token_dim(&self) -> usize {
        self.encoder.dim()
    }

    /// One vector per text.
    ///
    /// # Errors
    ///
    /// If a text cannot be read, or the options name a pooling that a layer behind it was not made for.
    pub fn embed<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Embeddings, EmbedError> {
        let mut vectors = Array2::zeros((texts.len(), self.dim()));
        let mut truncated = 0;
        self.encode(texts, self.options.threads, |at, encoded| {
            truncated += usize::from(encoded.truncated);
            vectors.row_mut(at).assign(&Array1::from(self.pool(&encoded)?));
            Ok(())
        })?;
        Ok(Embeddings { vectors, truncated })
    }

    /// One vector per token of a text.
    ///
    /// # Errors
    ///
    /// If the text cannot be read.
    pub fn embed_tokens(&self, text: &str) -> Result<TokenEmbeddings, EmbedError> {
        let encoded = self.encode_one(text)?;
        let mut vectors = Array2::zeros((0, self.token_dim()));
        let mut spans = Vec::new();
        let rows = encoded.rows.chunks_exact(self.token_dim());
        for ((row, span), special) in rows.zip(encoded.spans).zip(encoded.special) {
            if !special {
                spans.push(span);
                // The row is as wide as the array, so this cannot fail.
                let _ = vectors.push_row(ndarray::ArrayView1::from(row));
            }
        }
        Ok(TokenEmbeddings { spans, vectors, truncated: encoded.truncated })
    }

    /// For each text its vector, and one for each of its words: the mean of the tokens that overlap the word, or zeros.
    /// Uses at most `threads` threads, and no more than the embedder has.
    ///
    /// # Errors
    ///
    /// If a text cannot be read.
    ///
    /// # Panics
    ///
    /// If there are not as many lists of words as texts.
    pub fn embed_words<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        words: &[Vec<Span>],
        threads: usize,
    ) -> Result<Vec<WordEmbeddings>, EmbedError> {
        assert_eq!(texts.len(), words.len(), "each text has its words");
        let mut found = vec![WordEmbeddings::default(); texts.len()];
        self.encode(texts, threads.clamp(1, self.options.threads), |at, encoded| {
            let words = words_of(&encoded, &words[at], self.token_dim());
            found[at] = WordEmbeddings { text: self.pool(&encoded)?, words };
            Ok(())
        })?;
        Ok(found)
    }

    /// Which token of a text attends to which.
    ///
    /// # Errors
    ///
    /// [`EmbedError::NoAttention`] if the encoder has no attention, or if the text cannot be read.
    pub fn attention(&self, text: &str) -> Result<AttentionMaps, EmbedError> {
        self.encoder.attention(text)
    }

    /// Encodes all texts and hands each over with its number, in any order.
    fn encode<T: AsRef<str> + Sync>(
        &self,
        texts: &[T],
        threads: usize,
        mut take: impl FnMut(usize, Encoded) -> Result<(), EmbedError>,
    ) -> Result<(), EmbedError> {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        // Long ones first, so that at the end no thread waits for a long one.
        order.sort_by_key(|at| std::cmp::Reverse(texts[*at].as_ref().len()));
        let batches = batches(&order, self.encoder.batch_bytes(), |at| texts[at].as_ref().len());
        // With few batches, threads work together on each, if the encoder supports that.
        let together = batches.len() < 2 * threads && self.encoder.team() > 1;
        let (side_by_side, shared) = if together { (1, threads) } else { (threads, 1) };
        let work = Work { threads: shared, long_texts: self.options.long_texts };
        // In rounds, so that the rows of only one round are in memory.
        for batches in batches.chunks(16 * side_by_side) {
            let results = in_parallel(batches.len(), side_by_side, |batch| {
                let texts: Vec<&str> = batches[batch].iter().map(|at| texts[*at].as_ref()).collect();
                self.encoder.encode(&texts, work)
            });
            for (batch, result) in batches.iter().zip(results) {
                batch.iter().zip(result?).try_for_each(|(at, encoded)| take(*at, encoded))?;
            }
        }
        Ok(())
    }

    fn encode_one(&self, text: &str) -> Result<Encoded, EmbedError> {
        let work = Work { threads: self.options.threads, long_texts: self.options.long_texts };
        Ok(self.encoder.encode(&[text], work)?.pop().unwrap_or_default())
    }

    fn pool(&self, encoded: &Encoded) -> Result<Vec<f32>, EmbedError> {
        self.pooling.vector(&encoded.rows, &encoded.sentences, self.token_dim())
    }
}

impl TokenEmbeddings {
    /// Each token with its vector.
    pub fn iter(&self) -> impl Iterator<Item = (Span, ndarray::ArrayView1<'_, f32>)> {
        self.spans.iter().copied().zip(self.vectors.rows())
    }
}

/// Cuts `order` into batches of about `most` bytes.
fn batches(order: &[usize], most: usize, size: impl Fn(usize) -> usize) -> Vec<&[usize]> {
    let (mut batches, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, text) in order.iter().enumerate() {
        let own = size(*text).max(1);
        if at > start && bytes + own > most {
            batches.push(&order[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += own;
    }
    if start < order.len() {
        batches.push(&order[start..]);
    }
    batches
}

/// The mean row of the tokens that overlap each word.
fn words_of(encoded: &Encoded, words: &[Span], dim: usize) -> Array2<f32> {
    let mut vectors = Array2::zeros((words.len(), dim));
    let mut begin = 0;
    for (word, mut out) in words.iter().zip(vectors.rows_mut()) {
        // Both lists are in the order of the text.
        while begin < encoded.spans.len()
            && (encoded.special[begin] || encoded.spans[begin].end <= word.start)
        {
            begin += 1;
        }
        let mut touched = 0_usize;
        for at in (begin..encoded.spans.len())
            .take_while(|at| encoded.special[*at] || encoded.spans[*at].start < word.end)
        {
            if !encoded.special[at] && encoded.spans[at].overlaps(*word) {
                let row = &encoded.rows[at * dim..(at + 1) * dim];
                out.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                touched += 1;
            }
        }
        out.mapv_inplace(|sum| sum / touched.max(1) as f32);
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_hold_all_texts_and_not_too_many() {
        let sizes = [3000, 1500, 800, 600, 600, 0, 0];
        let order: Vec<usize> = (0..sizes.len()).collect();
        let found = batches(&order, 2048, |at| sizes[at]);
        assert_eq!(found, [&[0][..], &[1], &[2, 3, 4, 5, 6]]);
        assert!(batches(&[], 2048, |_| 0).is_empty());
    }
}
