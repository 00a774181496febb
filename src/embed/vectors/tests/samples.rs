//! Small files of every format, for tests, and the ways to open them.

use std::fs;

use crate::embed::vectors::{VectorFormat, VectorsError, VectorsOptions, WordVectors, fasttext, finalfusion};

pub(crate) fn open(bytes: &[u8]) -> Result<WordVectors, VectorsError> {
    open_with(bytes, &VectorsOptions::default())
}

/// Opens bytes as a file, which is deleted but stays mapped.
pub(crate) fn open_with(bytes: &[u8], options: &VectorsOptions) -> Result<WordVectors, VectorsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sample");
    fs::write(&path, bytes).unwrap();
    WordVectors::open_with(&path, options)
}

/// What a table saves.
pub(crate) fn saved(vectors: &WordVectors) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.safetensors");
    vectors.save_mapped(&path).unwrap();
    fs::read(path).unwrap()
}

pub(crate) fn message(bytes: &[u8]) -> String {
    open(bytes).unwrap_err().to_string()
}

pub(crate) fn vector(vectors: &WordVectors, word: &str) -> Option<Vec<f32>> {
    let mut out = vec![f32::NAN; vectors.dim()];
    let is_there = vectors.vector(word, &mut out);
    assert!(is_there || out.iter().all(|&value| value == 0.0));
    is_there.then_some(out)
}

pub(crate) fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(crate) fn word2vec() -> Vec<u8> {
    [b"2 3\ncat ", &floats(&[1.0, 0.5, -2.0])[..], b"\nd\xc3\xbc ", &floats(&[0.0, 4.0, 8.0]), b"\n"].concat()
}

/// A model of fastText, with a label behind its words. Row `r` is `[r, 100 r]`.
pub(crate) struct FastTextSample {
    pub(crate) version: u32,
    pub(crate) model: u32,
    pub(crate) words: Vec<&'static [u8]>,
    pub(crate) lengths: [u32; 2],
    pub(crate) buckets: u32,
    pub(crate) pruned: i64,
    pub(crate) quantised: u8,
}

pub(crate) const FASTTEXT: FastTextSample = FastTextSample {
    version: 12,
    model: 2,
    words: Vec::new(),
    lengths: [3, 4],
    buckets: 5,
    pruned: -1,
    quantised: 0,
};

impl FastTextSample {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        const DIM: u32 = 2;
        let words =
            if self.words.is_empty() { &[&b"</s>"[..], b"cat", "für".as_bytes()][..] } else { &self.words };
        let count = words.len() as u32;
        let mut file = fasttext::MAGIC.to_vec();
        let [min, max] = self.lengths;
        let settings = [DIM, 5, 5, 1, 5, 1, 2, self.model, self.buckets, min, max, 100];
        for number in [self.version].into_iter().chain(settings) {
            file.extend(number.to_le_bytes());
        }
        file.extend(1e-4_f64.to_le_bytes());
        file.extend([count + 1, count, 1].map(u32::to_le_bytes).as_flattened());
        file.extend([99, self.pruned].map(i64::to_le_bytes).as_flattened());
        for (word, label) in words.iter().map(|word| (*word, 0)).chain([(&b"__label__pet"[..], 1)]) {
            file.extend([word, &[0], &7_i64.to_le_bytes(), &[label]].concat());
        }
        file.push(self.quantised);
        let rows = count + self.buckets;
        file.extend([i64::from(rows), i64::from(DIM)].map(i64::to_le_bytes).as_flattened());
        file.extend((0..rows).flat_map(|row| floats(&[row as f32, 100.0 * row as f32])));
        file.extend([0; 20]); // the output matrix, which is not read
        file
    }
}

/// The kind of a chunk, and its content.
pub(crate) type Chunk = (u32, Vec<u8>);

/// A file of finalfusion with these chunks.
pub(crate) fn finalfusion(chunks: &[Chunk]) -> Vec<u8> {
    let mut file = finalfusion::MAGIC.to_vec();
    file.extend([0, chunks.len() as u32].map(u32::to_le_bytes).as_flattened());
    file.extend(chunks.iter().flat_map(|(kind, _)| kind.to_le_bytes()));
    for (kind, content) in chunks {
        file.extend(kind.to_le_bytes());
        // `PADDING` in a content becomes as many zeros as the place asks for.
        let start = file.len() + size_of::<u64>();
        let content = match content.windows(PADDING.len()).position(|window| window == PADDING) {
            None => content.clone(),
            Some(at) => {
                let zeros = vec![0; 4 - (start + at) % 4];
                [&content[..at], &zeros, &content[at + PADDING.len()..]].concat()
            }
        };
        file.extend((content.len() as u64).to_le_bytes());
        file.extend(content);
    }
    file
}

const PADDING: &[u8] = b"(padding)";

/// The chunk of a vocabulary: what comes before the words, and the words.
pub(crate) fn vocabulary(kind: u32, settings: &[u32], words: &[&str]) -> Chunk {
    let mut content = (words.len() as u64).to_le_bytes().to_vec();
    content.extend(settings.iter().flat_map(|number| number.to_le_bytes()));
    for word in words {
        content.extend((word.len() as u32).to_le_bytes());
        content.extend(word.as_bytes());
    }
    (kind, content)
}

/// Two words and three n-grams, two of which share a row.
pub(crate) fn explicit_vocabulary() -> Chunk {
    let mut content: Vec<u8> = [2_u64, 3].map(u64::to_le_bytes).as_flattened().to_vec();
    content.extend([3_u32, 6].map(u32::to_le_bytes).as_flattened());
    for word in ["cat", "für"] {
        content.extend([&(word.len() as u32).to_le_bytes(), word.as_bytes()].concat());
    }
    for (piece, row) in [("<ca", 0_u64), ("cap", 1), ("ap>", 0)] {
        content.extend([&(piece.len() as u32).to_le_bytes(), piece.as_bytes(), &row.to_le_bytes()].concat());
    }
    (8, content)
}

/// The chunk of an array of `[rows, 2]`, in which row `r` is `[r, 100 r]`.
pub(crate) fn array(rows: u32) -> Chunk {
    let numbers: Vec<u8> = (0..rows).flat_map(|row| floats(&[row as f32, 100.0 * row as f32])).collect();
    let sizes = [&u64::from(rows).to_le_bytes()[..], &2_u32.to_le_bytes(), &10_u32.to_le_bytes()].concat();
    (2, [&sizes, PADDING, &numbers].concat())
}

pub(crate) fn norms(norms: &[f32]) -> Chunk {
    let sizes = [&(norms.len() as u64).to_le_bytes()[..], &10_u32.to_le_bytes()].concat();
    (6, [&sizes, PADDING, &floats(norms)].concat())
}

/// The chunk of two quantised rows, `[1, 2, 3, 4]` and `[10, 20, 3, 4]`, times their norms.
pub(crate) fn quantised(norms: Option<[f32; 2]>) -> Chunk {
    let mut content: Vec<u8> =
        [0, u32::from(norms.is_some()), 2, 4, 2].map(u32::to_le_bytes).as_flattened().to_vec();
    content.extend(2_u64.to_le_bytes());
    content.extend([1_u32, 10].map(u32::to_le_bytes).as_flattened());
    content.extend(PADDING);
    content.extend(floats(&[1.0, 2.0, 10.0, 20.0, 3.0, 4.0, 30.0, 40.0]));
    content.extend(norms.map(|norms| floats(&norms)).unwrap_or_default());
    content.extend([0, 0, 1, 0]);
    (4, content)
}

/// One file of every kind.
pub(crate) fn all() -> Vec<(VectorFormat, Vec<u8>)> {
    let simple = vocabulary(1, &[], &["cat", "für"]);
    let hashed = vocabulary(3, &[3, 6, 3], &["cat", "für"]);
    let fasttext = vocabulary(7, &[3, 6, 5], &["cat", "für"]);
    let metadata = (5, b"a = 1\n".to_vec());
    vec![
        (VectorFormat::Glove, b"cat 1 0.5\nf\xc3\xbcr -0 3\n. . 7 7\n".to_vec()),
        (VectorFormat::Word2VecText, b"2 2\ncat 1 0.5\nf\xc3\xbcr -0 3\n".to_vec()),
        (VectorFormat::Word2VecBinary, word2vec()),
        (VectorFormat::FastText, FASTTEXT.bytes()),
        (VectorFormat::Finalfusion, finalfusion(&[metadata, simple.clone(), array(2), norms(&[1.5, 2.5])])),
        (VectorFormat::Finalfusion, finalfusion(&[simple, quantised(Some([0.5, 3.0])), norms(&[1.5, 2.5])])),
        (VectorFormat::Finalfusion, finalfusion(&[hashed, array(10), norms(&[1.5, 2.5])])),
        (VectorFormat::Finalfusion, finalfusion(&[fasttext, array(7)])),
        (VectorFormat::Finalfusion, finalfusion(&[explicit_vocabulary(), array(4)])),
    ]
}
