//! Opening a mapped file: the header is read, the rest stays where it is.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::{Metadata, TensorInfo};
use safetensors::{Dtype, SafeTensors};

use super::super::blob::Blob;
use super::super::rows::Rows;
use super::super::subwords::{Index, Subwords};
use super::super::word_vectors::Known;
use super::super::words::Words;
use super::super::{VectorFormat, VectorsError, VectorsOptions, WordVectors};
use super::{FORMAT, LENGTH, VERSION, key, tensor};
use crate::files::Mapped;

/// Whether a file begins like any safetensors file.
pub(in super::super) fn is_saved(head: &[u8]) -> bool {
    let header = head.split_first_chunk::<LENGTH>();
    header.is_some_and(|(length, rest)| u64::from_le_bytes(*length) >> 32 == 0 && rest.first() == Some(&b'{'))
}

/// Takes the tables as they lie in the file. What is in them is checked when it is used.
pub(in super::super) fn read(
    path: &Path,
    file: &Arc<Mapped>,
    options: &VectorsOptions,
) -> Result<WordVectors, VectorsError> {
    let header = Header::read(path, file)?;
    let (vectors, shape) = header.tensor(tensor::VECTORS, Dtype::F32)?;
    let [count, dim] = shape[..] else {
        return Err(header.damaged("the vectors are no table"));
    };
    let words = header.words([tensor::WORDS, tensor::STARTS, tensor::SLOTS])?;
    if words.len() != count || dim == 0 {
        return Err(header.damaged(format!("{count} vectors of {dim} for {} words", words.len())));
    }
    let subwords = header.subwords(dim)?;
    file.advise_random();
    let words = match options.limit {
        Some(limit) if limit < count => words.first(limit),
        _ => words,
    };
    let vectors = WordVectors::new(path, VectorFormat::Mapped, dim, words, Rows::matrix(vectors));
    match subwords {
        None => Ok(vectors),
        Some(subwords) => vectors.with_subwords(subwords, Known::Alone),
    }
}

struct Header<'a> {
    path: &'a Path,
    file: &'a Arc<Mapped>,
    tensors: Metadata,
    /// Where the data begin.
    start: usize,
}

impl<'a> Header<'a> {
    fn read(path: &'a Path, file: &'a Arc<Mapped>) -> Result<Self, VectorsError> {
        let wrong = || VectorsError::WrongFormat { path: path.to_owned(), format: VectorFormat::Mapped };
        if !is_saved(file) {
            return Err(wrong());
        }
        // This also checks that tensors lie one behind the other and fill the file.
        let (length, tensors) = SafeTensors::read_metadata(file)
            .map_err(|error| VectorsError::damaged(path, error.to_string()))?;
        let header = Self { path, file, tensors, start: LENGTH + length };
        if header.text(key::FORMAT) != Some(FORMAT) {
            return Err(wrong());
        }
        match header.text(key::VERSION) {
            Some(VERSION) => Ok(header),
            found => Err(VectorsError::version(path, VectorFormat::Mapped, found.unwrap_or("?"), VERSION)),
        }
    }

    fn damaged(&self, reason: impl Into<String>) -> VectorsError {
        VectorsError::damaged(self.path, reason)
    }

    fn text(&self, key: &str) -> Option<&str> {
        let metadata: Option<&HashMap<String, String>> = self.tensors.metadata().as_ref();
        metadata?.get(key).map(String::as_str)
    }

    fn size(&self, key: &str) -> Result<usize, VectorsError> {
        let size = self.text(key).and_then(|text| text.parse().ok());
        size.ok_or_else(|| self.damaged(format!("`{key}` in the metadata is no number")))
    }

    fn tensor(&self, name: &str, dtype: Dtype) -> Result<(Blob, &[usize]), VectorsError> {
        let Some(TensorInfo { dtype: found, shape, data_offsets: (from, to) }) = self.tensors.info(name)
        else {
            return Err(self.damaged(format!("no tensor `{name}`")));
        };
        if *found != dtype {
            return Err(self.damaged(format!("the tensor `{name}` is {found}, not {dtype}")));
        }
        let range: Option<Range<usize>> =
            self.start.checked_add(*from).zip(self.start.checked_add(*to)).map(|(from, to)| from..to);
        let blob = range.and_then(|range| Blob::section(self.file, range));
        let blob = blob.ok_or_else(|| self.damaged(format!("the tensor `{name}` lies outside")))?;
        Ok((blob, shape))
    }

    fn words(&self, [words, starts, slots]: [&str; 3]) -> Result<Words, VectorsError> {
        let (bytes, _) = self.tensor(words, Dtype::U8)?;
        let (starts, _) = self.tensor(starts, Dtype::U64)?;
        let (slots, _) = self.tensor(slots, Dtype::U32)?;
        Words::from_parts(bytes, starts, slots)
            .ok_or_else(|| self.damaged(format!("the tables for `{words}` do not fit each other")))
    }

    fn subwords(&self, dim: usize) -> Result<Option<Subwords>, VectorsError> {
        let index = match self.text(key::HASH) {
            None => return Ok(None),
            Some(key::FASTTEXT) => Index::FastText,
            Some(key::FINALFUSION) => Index::Finalfusion,
            Some(key::LIST) => {
                let ngrams = self.words([tensor::NGRAMS, tensor::NGRAM_STARTS, tensor::NGRAM_SLOTS])?;
                Index::Listed(ngrams, self.tensor(tensor::NGRAM_ROWS, Dtype::U32)?.0)
            }
            Some(other) => return Err(self.damaged(format!("the hash `{other}` is not known"))),
        };
        let (rows, shape) = self.tensor(tensor::BUCKETS, Dtype::F32)?;
        let buckets = self.size(key::BUCKETS)?;
        if shape != [buckets, dim] {
            return Err(self.damaged(format!("the buckets are {shape:?} and not [{buckets}, {dim}]")));
        }
        let (min, max) = (self.size(key::MIN)?, self.size(key::MAX)?);
        Ok(Some(Subwords { min, max, index, rows: Rows::matrix(rows), first: 0, buckets }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::vectors::tests::samples::{FASTTEXT, message, open, open_with, saved, vector};

    /// A saved file in which a piece of the header is another of the same length.
    fn changed(from: &str, to: &str) -> String {
        let file = saved(&open(&FASTTEXT.bytes()).unwrap());
        let at = file.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        message(&[&file[..at], to.as_bytes(), &file[at + from.len()..]].concat())
    }

    #[test]
    fn any_reader_of_safetensors_can_read_it() {
        let vectors = open(&FASTTEXT.bytes()).unwrap();
        let file = saved(&vectors);
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let words = tensors.tensor("words").unwrap();
        assert_eq!(words.data(), "</s>catfür".as_bytes());
        let rows = tensors.tensor("vectors").unwrap();
        assert_eq!((rows.dtype(), rows.shape()), (Dtype::F32, &[3, 2][..]));
        let cat: Vec<u8> = vector(&vectors, "cat").unwrap().iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(rows.data()[8..16], cat);
        assert_eq!(tensors.tensor("buckets").unwrap().shape(), [5, 2]);
        for (name, tensor) in tensors.tensors() {
            let start = tensor.data().as_ptr() as usize - file.as_ptr() as usize;
            assert_eq!(start % (tensor.dtype().bitsize() / 8), 0, "{name}");
        }
    }

    #[test]
    fn a_limit_leaves_the_first_words_and_all_ngrams() {
        let file = saved(&open(&FASTTEXT.bytes()).unwrap());
        let (all, limit) =
            (open(&file).unwrap(), VectorsOptions { limit: Some(2), ..VectorsOptions::default() });
        let few = open_with(&file, &limit).unwrap();
        assert!(few.words().eq(["</s>", "cat"]));
        assert!(open(&saved(&few)).unwrap().words().eq(["</s>", "cat"]));
        assert_eq!(vector(&few, "cat"), vector(&all, "cat"));
        assert_ne!(vector(&few, "für"), vector(&all, "für"));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        assert!(
            changed("talkformer-word", "talkformer-tags").contains("this is no file of mapped word vectors")
        );
        assert!(changed(r#""version":"1""#, r#""version":"2""#).contains("version 2 of mapped word vectors"));
        assert!(changed("\"slots\"", "\"slits\"").contains("no tensor `slots`"));
        assert!(changed(r#""dtype":"F32""#, r#""dtype":"I32""#).contains("is I32, not F32"));
        assert!(changed(r#""hash":"fast"#, r#""hash":"slow"#).contains("the hash `slowtext` is not known"));
        assert!(
            changed(r#""bucket":"5""#, r#""bucket":"6""#).contains("the buckets are [5, 2] and not [6, 2]")
        );
    }
}
