//! Writing a mapped file, one row after the other.

use std::io::{BufWriter, Write};
use std::path::Path;

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use super::super::subwords::{Index, Subwords};
use super::super::{VectorsError, WordVectors};
use super::{FORMAT, LENGTH, VERSION, key, tensor};
use crate::files::AtomicFile;

impl WordVectors {
    /// Saves the table as a `.safetensors` file that opens at once, whatever its size.
    ///
    /// Open it with [`open`](Self::open). All vectors stay as they are, those of unknown words too. The file
    /// is written beside its place and then moved there, so what is there is the old one or the new one.
    ///
    /// ```
    /// use talkformer::embed::vectors::{VectorFormat, WordVectors};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let (path, saved) = (folder.path().join("pets.txt"), folder.path().join("pets.safetensors"));
    /// std::fs::write(&path, "cat 1 0.5\ndog 0.9 0.6\n")?;
    /// WordVectors::open(&path)?.save_mapped(&saved)?;
    /// let vectors = WordVectors::open(&saved)?;
    /// assert_eq!(vectors.format(), VectorFormat::Mapped);
    /// assert!(vectors.words().eq(["cat", "dog"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be written, or if the rows of a damaged source cannot be read.
    pub fn save_mapped(&self, path: impl AsRef<Path>) -> Result<(), VectorsError> {
        let path = path.as_ref();
        let file = AtomicFile::create(path).map_err(VectorsError::write(path))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let mut out = |bytes: &[u8]| file.write_all(bytes).map_err(VectorsError::write(path));
        let (parts, mut row) = (parts(self), Row::new(self.dim()));
        out(&header(self, &parts))?;
        for part in &parts {
            match part.content {
                Content::Bytes(bytes) => out(bytes)?,
                Content::Vectors => {
                    for (number, word) in self.words().enumerate() {
                        out(row.read(self, |numbers| self.known(number, &word, numbers))?)?;
                    }
                }
                Content::Buckets(subwords) => {
                    for bucket in 0..subwords.buckets {
                        let put = |to: &mut f32, value| *to = value;
                        out(row.read(self, |numbers| subwords.add_bucket(bucket, numbers, put))?)?;
                    }
                }
            }
        }
        let file = file.into_inner().map_err(|error| VectorsError::write(path)(error.into_error()))?;
        file.commit().map_err(VectorsError::write(path))
    }
}

/// A tensor to be written.
struct Part<'a> {
    name: &'static str,
    dtype: Dtype,
    shape: Vec<usize>,
    content: Content<'a>,
}

enum Content<'a> {
    Bytes(&'a [u8]),
    Vectors,
    Buckets(&'a Subwords),
}

/// All tensors in the order of the file: wide numbers first, so that each lies at a multiple of its size.
fn parts(vectors: &WordVectors) -> Vec<Part<'_>> {
    let [words, starts, slots] = vectors.words.parts();
    let shape = vec![vectors.len(), vectors.dim()];
    let mut parts = vec![
        Part::bytes(tensor::STARTS, Dtype::U64, starts),
        Part { name: tensor::VECTORS, dtype: Dtype::F32, shape, content: Content::Vectors },
        Part::bytes(tensor::SLOTS, Dtype::U32, slots),
        Part::bytes(tensor::WORDS, Dtype::U8, words),
    ];
    if let Some((subwords, _)) = &vectors.subwords {
        let (shape, content) = (vec![subwords.buckets, vectors.dim()], Content::Buckets(subwords));
        parts.push(Part { name: tensor::BUCKETS, dtype: Dtype::F32, shape, content });
        if let Index::Listed(ngrams, rows) = &subwords.index {
            let [ngrams, starts, slots] = ngrams.parts();
            parts.push(Part::bytes(tensor::NGRAM_STARTS, Dtype::U64, starts));
            parts.push(Part::bytes(tensor::NGRAM_SLOTS, Dtype::U32, slots));
            parts.push(Part::bytes(tensor::NGRAM_ROWS, Dtype::U32, rows));
            parts.push(Part::bytes(tensor::NGRAMS, Dtype::U8, ngrams));
        }
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.dtype.bitsize()));
    parts
}

impl<'a> Part<'a> {
    fn bytes(name: &'static str, dtype: Dtype, bytes: &'a [u8]) -> Self {
        let shape = vec![bytes.len() * 8 / dtype.bitsize()];
        Self { name, dtype, shape, content: Content::Bytes(bytes) }
    }

    fn length(&self) -> usize {
        self.shape.iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

/// The length of the header, and the header, padded with blanks so that the tensors begin at a multiple of eight.
fn header(vectors: &WordVectors, parts: &[Part<'_>]) -> Vec<u8> {
    let mut header = Map::from_iter([("__metadata__".to_owned(), metadata(vectors))]);
    let mut start = 0;
    for part in parts {
        let end = start + part.length();
        let info = json!({"dtype": part.dtype, "shape": part.shape, "data_offsets": [start, end]});
        header.insert(part.name.to_owned(), info);
        start = end;
    }
    let mut header = Value::Object(header).to_string();
    let padded = header.len().next_multiple_of(LENGTH);
    header.extend(std::iter::repeat_n(' ', padded - header.len()));
    [&(header.len() as u64).to_le_bytes(), header.as_bytes()].concat()
}

fn metadata(vectors: &WordVectors) -> Value {
    let mut metadata = json!({key::FORMAT: FORMAT, key::VERSION: VERSION});
    if let Some((subwords, _)) = &vectors.subwords {
        metadata[key::MIN] = json!(subwords.min.to_string());
        metadata[key::MAX] = json!(subwords.max.to_string());
        metadata[key::BUCKETS] = json!(subwords.buckets.to_string());
        metadata[key::HASH] = json!(match subwords.index {
            Index::FastText => key::FASTTEXT,
            Index::Finalfusion => key::FINALFUSION,
            Index::Listed(..) => key::LIST,
        });
    }
    metadata
}

/// A row on its way into the file.
struct Row {
    numbers: Vec<f32>,
    bytes: Vec<u8>,
}

impl Row {
    fn new(dim: usize) -> Self {
        Self { numbers: vec![0.0; dim], bytes: Vec::new() }
    }

    fn read(
        &mut self,
        vectors: &WordVectors,
        fill: impl FnOnce(&mut [f32]) -> bool,
    ) -> Result<&[u8], VectorsError> {
        if !fill(&mut self.numbers) {
            return Err(VectorsError::damaged(vectors.path(), "a row cannot be read"));
        }
        self.bytes.clear();
        self.bytes.extend(self.numbers.iter().flat_map(|number| number.to_le_bytes()));
        Ok(&self.bytes)
    }
}
