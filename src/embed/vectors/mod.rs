//! Static word vectors: a table `[word, dim]`, from any common file, looked up by word.
//!
//! In goes a file in one of the [formats](VectorFormat); out come vectors, for unknown words too where the file
//! has n-grams. [`WordVectors::save_mapped`] turns any of them into a file that opens at once and of which
//! only what is looked up comes into memory.
//!
//! Text is read line by line into memory; the rows of all other formats stay in the file. The layout of a mapped
//! file is described in `saved/mod.rs`. To read next: `word_vectors.rs`, then a format, such as
//! `text.rs`.

mod blob;
mod collect;
mod cursor;
mod error;
mod fasttext;
mod finalfusion;
mod hash;
mod lines;
mod open;
mod options;
mod quantised;
mod rows;
mod saved;
mod subwords;
mod text;
mod warning;
mod word2vec;
mod word_vectors;
mod words;

#[cfg(test)]
mod tests;

pub use error::{Location, VectorsError};
pub use options::{VectorFormat, VectorsOptions};
pub use warning::VectorsWarning;
pub use word_vectors::WordVectors;
