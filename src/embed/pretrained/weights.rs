//! Tensors in one or several `.safetensors` files, mapped into memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::embed::{EmbedError, Source};
use crate::files::Mapped;

/// The weights of a folder.
#[derive(Debug)]
pub(super) struct WeightFiles {
    /// The file, or the index of several.
    path: PathBuf,
    model_type: String,
    /// A part before all names, such as `bert.`.
    prefix: &'static str,
    tensors: BTreeMap<String, Stored>,
}

/// A tensor and where it is in its file.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    file: Arc<Mapped>,
    start: usize,
    numbers: Numbers,
    shape: Vec<usize>,
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    F64,
    F32,
    F16,
    Bf16,
    /// Anything else, by its name.
    Other(Dtype),
}

impl Numbers {
    fn bytes(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            _ => 2,
        }
    }
}

/// `model.safetensors.index.json`
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl WeightFiles {
    const FILE: &'static str = "model.safetensors";
    const INDEX: &'static str = "model.safetensors.index.json";
    const PICKLE: &'static str = "pytorch_model.bin";
    /// What saved models put before all names, if they were saved with a head.
    const PREFIXES: [&'static str; 5] = ["", "bert.", "distilbert.", "roberta.", "mpnet."];

    /// Opens the weights in a folder of the source, named with a slash behind it; `probe` is a tensor that there must be.
    pub(super) fn open(
        source: &Source,
        folder: &str,
        model_type: &str,
        probe: &str,
    ) -> Result<Self, EmbedError> {
        let [single, index, pickle] =
            [Self::FILE, Self::INDEX, Self::PICKLE].map(|name| format!("{folder}{name}"));
        let (path, files) = if source.has(&single) {
            (source.file(&single), vec![single])
        } else if source.has(&index) {
            (source.file(&index), shards(source, folder, &index)?)
        } else if source.has(&pickle) {
            return Err(EmbedError::Pickle { path: source.file(&pickle) });
        } else {
            let hint =
                "download it beside config.json; models that only have pytorch_model.bin must be converted";
            return Err(EmbedError::Missing { folder: source.file(folder), file: Self::FILE, hint });
        };
        let mut tensors = BTreeMap::new();
        for file in files {
            read_header(source, &file, &mut tensors)?;
        }
        let there = |prefix: &&&str| tensors.contains_key(&format!("{prefix}{probe}"));
        let prefix = Self::PREFIXES.iter().find(there).copied().unwrap_or_default();
        Ok(Self { path, model_type: model_type.to_owned(), prefix, tensors })
    }

    /// A tensor of this shape.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Stored, EmbedError> {
        let tensor = format!("{}{name}", self.prefix);
        let stored = self.tensors.get(&tensor).or_else(|| self.tensors.get(&old_name(&tensor)?));
        let Some(stored) = stored else {
            let (path, model_type) = (self.path.clone(), self.model_type.clone());
            return Err(EmbedError::NoTensor { path, tensor, model_type });
        };
        if stored.shape != shape {
            let (path, found, expected) = (self.path.clone(), stored.shape.clone(), shape.to_vec());
            return Err(EmbedError::Shape { path, tensor, found, expected });
        }
        if let Numbers::Other(dtype) = stored.numbers {
            let problem = format!(
                "tensor `{tensor}` holds numbers of the type {dtype:?}; supported are F32, F16, BF16 and F64"
            );
            return Err(EmbedError::file(&self.path, problem));
        }
        Ok(stored.clone())
    }

    /// All numbers of a tensor of this shape.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, EmbedError> {
        // The file holds that many, or `get` would have refused them.
        let stored = self.get(name, shape)?;
        let mut out = vec![0.0; shape.iter().product()];
        stored.read(0, &mut out);
        match out.iter().find(|value| !value.is_finite()) {
            Some(value) => {
                let problem = format!("tensor `{}{name}` holds {value}; the file is damaged", self.prefix);
                Err(EmbedError::file(&self.path, problem))
            }
            None => Ok(out),
        }
    }
}

impl Stored {
    /// Numbers from `first` on.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub(super) fn read(&self, first: usize, out: &mut [f32]) {
        let size = self.numbers.bytes();
        let start = self.start + first * size;
        let bytes = &self.file[start..start + out.len() * size];
        macro_rules! read {
            ($size:literal, $from:expr) => {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks::<$size>().0) {
                    *out = $from(*bytes);
                }
            };
        }
        match self.numbers {
            Numbers::F64 => read!(8, |bytes| f64::from_le_bytes(bytes) as f32),
            Numbers::F32 => read!(4, f32::from_le_bytes),
            Numbers::F16 => read!(2, |bytes| f16::from_le_bytes(bytes).to_f32()),
            Numbers::Bf16 => read!(2, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Numbers::Other(_) => unreachable!("refused by `WeightFiles::get`"),
        }
    }
}

/// What layer norms were called in the first releases of BERT.
fn old_name(tensor: &str) -> Option<String> {
    let (start, end) = tensor.rsplit_once("LayerNorm.")?;
    let old = match end {
        "weight" => "gamma",
        "bias" => "beta",
        _ => return None,
    };
    Some(format!("{start}LayerNorm.{old}"))
}

/// The files that an index names.
fn shards(source: &Source, folder: &str, index: &str) -> Result<Vec<String>, EmbedError> {
    let parsed: Index = source.json(index)?;
    let mut names: Vec<String> = parsed.weight_map.into_values().collect();
    names.sort();
    names.dedup();
    let path = |name: String| {
        // An index may not lead out of its folder.
        let plain = Path::new(&name).file_name().is_some_and(|own| own == Path::new(&name).as_os_str());
        let file = format!("{folder}{name}");
        if plain && source.has(&file) {
            return Ok(file);
        }
        Err(EmbedError::file(
            source.file(index),
            format!("it names the file `{name}`, which is not in the folder"),
        ))
    };
    names.into_iter().map(path).collect()
}

fn read_header(
    source: &Source,
    name: &str,
    tensors: &mut BTreeMap<String, Stored>,
) -> Result<(), EmbedError> {
    let path = &source.file(name);
    let file = source.map(name).map_err(EmbedError::io(path))?;
    let (header, metadata) = SafeTensors::read_metadata(&file).map_err(|error| {
        EmbedError::file(path, format!("not a whole safetensors file ({error}); download it again"))
    })?;
    let data = header + size_of::<u64>();
    for (name, info) in metadata.tensors() {
        let numbers = match info.dtype {
            Dtype::F64 => Numbers::F64,
            Dtype::F32 => Numbers::F32,
            Dtype::F16 => Numbers::F16,
            Dtype::BF16 => Numbers::Bf16,
            other => Numbers::Other(other),
        };
        // `read_metadata` has checked that the numbers lie inside the file and are as many as the shape says.
        let (start, shape) = (data + info.data_offsets.0, info.shape.clone());
        tensors.insert(name, Stored { file: Arc::clone(&file), start, numbers, shape });
    }
    Ok(())
}
