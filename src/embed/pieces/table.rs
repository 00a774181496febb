//! Vectors of pieces in four bits a number, and the file that holds them.
//!
//! A `.safetensors` file with these tensors, and `format` and `version` in its metadata:
//!
//! | Tensor | Type | Shape | Content |
//! | --- | --- | --- | --- |
//! | `codes` | `U8` | `[pieces, dim / 2]` | two numbers in a byte, the first in its low half: which level each is |
//! | `levels` | `F32` | `[16]` | the levels |
//! | `lengths` | `F32` | `[pieces]` | what the levels of each piece are multiplied by |
//! | `pieces` | `U8` | `[bytes]` | the pieces in UTF-8, a line end behind each; `##` before one that continues a word |

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use super::super::{EmbedError, Source};
use crate::files::{AtomicFile, Mapped};

const FORMAT: &str = "talkformer-piece-vectors";
const VERSION: &str = "1";

/// How many levels four bits tell apart.
pub(super) const LEVELS: usize = 16;

/// The most pieces and the widest rows of a table.
const MOST: (usize, usize) = (1 << 20, 1 << 12);

/// Rows of pieces: `[piece, dim]`.
#[derive(Debug)]
pub(super) struct Table {
    names: Vec<Box<str>>,
    dim: usize,
    codes: Vec<u8>,
    levels: [f32; LEVELS],
    lengths: Vec<f32>,
}

/// Whether a file is one of these tables, as far as its beginning tells.
pub(in super::super) fn is_table(source: &Source) -> bool {
    let mut head = Vec::new();
    let read = source
        .open("")
        .and_then(|(file, _)| std::io::Read::read_to_end(&mut std::io::Read::take(file, 4096), &mut head));
    read.is_ok() && head.windows(FORMAT.len()).any(|part| part == FORMAT.as_bytes())
}

impl Table {
    /// Rounds rows `[piece, dim]`, of which `dim` is even, to four bits.
    pub(super) fn of(names: Vec<String>, rows: &[f32], dim: usize) -> Self {
        let length = |row: &[f32]| (row.iter().map(|x| x * x).sum::<f32>() / dim as f32).sqrt();
        let lengths: Vec<f32> = rows.chunks_exact(dim).map(length).collect();
        let scaled = |(row, length): (&[f32], &f32)| -> Vec<f32> {
            row.iter().map(|x| if *length > 0.0 { x / length } else { 0.0 }).collect()
        };
        let scaled: Vec<f32> = rows.chunks_exact(dim).zip(&lengths).flat_map(scaled).collect();
        let levels = levels(&scaled);
        let codes =
            scaled.chunks_exact(2).map(|pair| nearest(&levels, pair[0]) | nearest(&levels, pair[1]) << 4);
        Self {
            dim,
            codes: codes.collect(),
            levels,
            lengths,
            names: names.into_iter().map(String::into_boxed_str).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn dim(&self) -> usize {
        self.dim
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Writes a row of `dim` numbers.
    pub(super) fn row(&self, piece: usize, out: &mut [f32]) {
        let (half, length) = (self.dim / 2, self.lengths[piece]);
        let codes = &self.codes[piece * half..(piece + 1) * half];
        for (pair, code) in out.chunks_exact_mut(2).zip(codes) {
            pair[0] = length * self.levels[usize::from(code & 15)];
            pair[1] = length * self.levels[usize::from(code >> 4)];
        }
    }

    pub(super) fn read(source: &Source) -> Result<Self, EmbedError> {
        let file: Arc<Mapped> = source.map("").map_err(EmbedError::io(source.path()))?;
        let damaged = |problem: &str| {
            EmbedError::file(
                source.path(),
                format!("{problem}; the file is damaged or no table of word pieces"),
            )
        };
        let found = SafeTensors::deserialize(&file).map_err(|error| damaged(&error.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(&file).map_err(|error| damaged(&error.to_string()))?;
        let told = |key: &str| header.metadata().as_ref().and_then(|all| all.get(key)).map(String::as_str);
        if told("format") != Some(FORMAT) {
            return Err(damaged("the metadata name no format of ours"));
        }
        if told("version") != Some(VERSION) {
            return Err(EmbedError::file(
                source.path(),
                "a table of word pieces of a later version; update talkformer",
            ));
        }
        let tensor = |name: &str, dtype: Dtype| {
            let found = found.tensor(name).ok().filter(|found| found.dtype() == dtype);
            found.ok_or_else(|| damaged(&format!("there is no tensor `{name}` of the type {dtype:?}")))
        };
        let floats = |view: &TensorView<'_>| -> Vec<f32> {
            view.data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
        };
        let codes = tensor("codes", Dtype::U8)?;
        let &[count, half] = codes.shape() else { return Err(damaged("the codes are no matrix")) };
        if half == 0 || count > MOST.0 || half > MOST.1 / 2 {
            return Err(damaged("the codes have an impossible size"));
        }
        let levels = floats(&tensor("levels", Dtype::F32)?);
        let levels: [f32; LEVELS] = levels.try_into().map_err(|_| damaged("there are not 16 levels"))?;
        let lengths = floats(&tensor("lengths", Dtype::F32)?);
        if !levels.iter().chain(&lengths).all(|number| number.is_finite() && number.abs() < 1e6) {
            return Err(damaged("a number is not finite"));
        }
        let pieces = tensor("pieces", Dtype::U8)?;
        let pieces = std::str::from_utf8(pieces.data()).map_err(|_| damaged("the pieces are not UTF-8"))?;
        let names: Vec<Box<str>> = pieces.split_terminator('\n').map(Into::into).collect();
        if names.len() != count || lengths.len() != count || names.iter().any(|name| name.is_empty()) {
            return Err(damaged(&format!(
                "{count} vectors for {} pieces and {} lengths",
                names.len(),
                lengths.len()
            )));
        }
        Ok(Self { names, dim: 2 * half, codes: codes.data().to_vec(), levels, lengths })
    }

    /// Writes the file, with some words about where the table comes from.
    pub(super) fn save(&self, path: &Path, about: &[(&str, String)]) -> Result<(), EmbedError> {
        let bytes =
            |numbers: &[f32]| -> Vec<u8> { numbers.iter().flat_map(|number| number.to_le_bytes()).collect() };
        let pieces: String = self.names().flat_map(|name| [name, "\n"]).collect();
        let (levels, lengths) = (bytes(&self.levels), bytes(&self.lengths));
        let failed = |error: &dyn std::fmt::Display| EmbedError::file(path, error.to_string());
        let view = |dtype, shape: Vec<usize>, data| {
            TensorView::new(dtype, shape, data).map_err(|error| failed(&error))
        };
        let tensors = [
            ("codes", view(Dtype::U8, vec![self.len(), self.dim / 2], &self.codes[..])?),
            ("levels", view(Dtype::F32, vec![LEVELS], &levels)?),
            ("lengths", view(Dtype::F32, vec![self.len()], &lengths)?),
            ("pieces", view(Dtype::U8, vec![pieces.len()], pieces.as_bytes())?),
        ];
        let own = [("format", FORMAT.to_owned()), ("version", VERSION.to_owned())];
        let metadata: HashMap<String, String> =
            own.iter().chain(about).map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let file = safetensors::serialize(tensors, Some(metadata)).map_err(|error| failed(&error))?;
        let mut to = AtomicFile::create(path).map_err(EmbedError::io(path))?;
        std::io::Write::write_all(&mut to, &file).map_err(EmbedError::io(path))?;
        to.commit().map_err(EmbedError::io(path))
    }
}

/// The number of the level that is nearest to `x`.
fn nearest(levels: &[f32; LEVELS], x: f32) -> u8 {
    let above = levels.windows(2).take_while(|pair| x > f32::midpoint(pair[0], pair[1])).count();
    above as u8
}

/// The levels that lose least (Lloyd, 1982): each is the mean of the numbers that are nearest to it.
fn levels(numbers: &[f32]) -> [f32; LEVELS] {
    const ROUNDS: usize = 30;
    let mut levels: [f32; LEVELS] = std::array::from_fn(|at| (at as f32 + 0.5) / LEVELS as f32 * 5.0 - 2.5);
    // Some hundred thousand numbers tell as much as all.
    let step = (numbers.len() >> 19).max(1);
    for _ in 0..ROUNDS {
        let mut sums = [(0.0_f64, 0_u32); LEVELS];
        for x in numbers.iter().step_by(step) {
            let own = &mut sums[usize::from(nearest(&levels, *x))];
            *own = (own.0 + f64::from(*x), own.1 + 1);
        }
        for (level, (sum, count)) in levels.iter_mut().zip(sums) {
            if count > 0 {
                *level = (sum / f64::from(count)) as f32;
            }
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::dropout::bits;

    fn rows(count: usize, dim: usize) -> Vec<f32> {
        let uniform = |at: usize, i: usize| (bits(i as u64, at as u64) >> 40) as f32 / (1 << 24) as f32;
        (0..count * dim).map(|at| (0..4).map(|i| uniform(at, i) - 0.5).sum::<f32>()).collect()
    }

    #[test]
    fn four_bits_lose_little_and_a_file_loses_nothing() {
        let (count, dim) = (200, 64);
        let rows = rows(count, dim);
        let names: Vec<String> = (0..count).map(|at| format!("p{at}")).collect();
        let table = Table::of(names, &rows, dim);
        let path = tempfile::tempdir().unwrap().keep().join("pieces.safetensors");
        table.save(&path, &[("language", "en".to_owned())]).unwrap();
        assert!(is_table(&Source::at(&path)));
        let read = Table::read(&Source::at(&path)).unwrap();
        assert!(read.names().eq(table.names()));
        let (mut own, mut back) = (vec![0.0; dim], vec![0.0; dim]);
        for (at, row) in rows.chunks_exact(dim).enumerate() {
            table.row(at, &mut own);
            read.row(at, &mut back);
            assert_eq!(own, back);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine = dot(row, &own) / (dot(row, row) * dot(&own, &own)).sqrt();
            assert!(cosine > 0.99, "{cosine}");
        }
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn damaged_files_are_refused() {
        let table = Table::of(vec!["a".to_owned(), "b".to_owned()], &rows(2, 4), 4);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pieces.safetensors");
        table.save(&path, &[]).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert!(Table::read(&Source::at(&path)).is_err());
        }
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 0x55;
            std::fs::write(&path, &other).unwrap();
            // It opens or not, but never panics, and what it opens can be read.
            if let Ok(table) = Table::read(&Source::at(&path)) {
                (0..table.len()).for_each(|piece| table.row(piece, &mut vec![0.0; table.dim()]));
            }
        }
    }
}
