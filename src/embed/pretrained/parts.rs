//! The weights of an encoder, part by part, in the same form for all families.

use super::blocks;
use super::config::{Family, ModelConfig};
use super::folder::Folder;
use super::tuned::Tuned;
use super::weights::{Stored, WeightFiles};
use crate::embed::source::MOST_SETTINGS;
use crate::embed::{EmbedError, Source};
use crate::infer::{AffineWeights, LayerWeights};
use crate::kernels::attention::Relative;
use crate::kernels::{LayerNorm, Matrix};

/// An affine map in the layout of `PyTorch`.
#[derive(Debug)]
pub(super) struct Map {
    /// `[out, in]`
    pub(super) weight: Vec<f32>,
    /// `[out]`
    pub(super) bias: Vec<f32>,
}

/// The weights of one layer.
pub(super) struct LayerParts {
    /// Of queries, keys and values, one after the other: `[3·model_dim, model_dim]`.
    pub(super) query_key_value: Map,
    pub(super) output: Map,
    pub(super) attention_norm: LayerNorm,
    pub(super) expand: Map,
    pub(super) contract: Map,
    pub(super) feed_forward_norm: LayerNorm,
}

impl Map {
    /// Ready to be packed: `[in, out]`.
    pub(super) fn weights(&self) -> AffineWeights<'_> {
        let output = self.bias.len();
        let weight = Matrix::new(&self.weight, output, self.weight.len() / output.max(1)).transposed();
        AffineWeights { weight, bias: &self.bias }
    }

    /// The outputs of several maps of the same input, one after the other.
    fn joined(maps: [Self; 3]) -> Self {
        let [mut first, second, third] = maps;
        for map in [second, third] {
            first.weight.extend(map.weight);
            first.bias.extend(map.bias);
        }
        first
    }
}

impl LayerParts {
    /// Ready to be packed.
    pub(super) fn weights<'a>(&'a self, relative: Option<&'a RelativeBiases>) -> LayerWeights<'a> {
        let biases = relative.map_or(&[][..], |relative| &relative.biases);
        let reach = relative.map_or(0, |relative| relative.reach);
        LayerWeights {
            attention_norm: self.attention_norm.clone(),
            query_key_value: self.query_key_value.weights(),
            relative: Relative { biases, reach, ..Relative::NONE },
            output: self.output.weights(),
            feed_forward_norm: self.feed_forward_norm.clone(),
            expand: self.expand.weights(),
            contract: self.contract.weights(),
        }
    }
}

/// What every distance adds to the scores of each head.
pub(super) struct RelativeBiases {
    /// `[heads, 2·reach + 1]`
    pub(super) biases: Vec<f32>,
    pub(super) reach: usize,
}

/// An open folder. The parts of its encoder are read one at a time, because all of them may not fit into memory twice.
pub(super) struct Parts<'t> {
    pub(super) source: Source,
    pub(super) folder: Folder,
    pub(super) config: ModelConfig,
    files: WeightFiles,
    tuned: Option<&'t Tuned>,
}

impl<'t> Parts<'t> {
    /// Opens a folder; fine-tuned weights replace its own.
    pub(super) fn open(source: &Source, tuned: Option<&'t Tuned>) -> Result<Self, EmbedError> {
        let folder = Folder::read(source)?;
        let file = folder.encoder.clone() + "config.json";
        if !source.has(&file) {
            let hint = "download the whole folder of the encoder";
            return Err(EmbedError::Missing {
                folder: source.file(&folder.encoder),
                file: "config.json",
                hint,
            });
        }
        let config = ModelConfig::parse(&source.bytes(&file, MOST_SETTINGS)?, &source.file(&file))?;
        let files = WeightFiles::open(source, &folder.encoder, &config.model_type, Family::WORDS)?;
        Ok(Self { source: source.clone(), folder, config, files, tuned })
    }

    /// The longest text in tokens.
    pub(super) fn longest(&self) -> usize {
        self.folder.longest.unwrap_or(usize::MAX).min(self.config.longest())
    }

    /// The vectors of the tokens, which stay in the file.
    pub(super) fn words(&self) -> Result<Stored, EmbedError> {
        self.files.get(Family::WORDS, &[self.config.vocabulary, self.config.model_dim])
    }

    /// The embeddings of the positions, plus that of the first type of sentence: `[position, model_dim]`.
    pub(super) fn positions(&self) -> Result<Vec<f32>, EmbedError> {
        let ModelConfig { position_rows, first_position, model_dim: dim, types, .. } = self.config;
        let mut positions = self.files.values(Family::POSITIONS, &[position_rows, dim])?;
        positions.drain(..first_position * dim);
        if types > 0 {
            let types = self.files.values(Family::TYPES, &[types, dim])?;
            for row in positions.chunks_exact_mut(dim) {
                row.iter_mut().zip(&types).for_each(|(x, first)| *x += first);
            }
        }
        Ok(positions)
    }

    pub(super) fn norm(&self) -> Result<LayerNorm, EmbedError> {
        self.layer_norm(Family::NORM)
    }

    pub(super) fn layer(&self, at: usize) -> Result<LayerParts, EmbedError> {
        if let Some(tuned) = self.tuned {
            return blocks::layer_parts(tuned, at, &self.config);
        }
        let names = self.config.family.layer(at);
        let (dim, ff_dim) = (self.config.model_dim, self.config.ff_dim);
        let [query, key, value] = &names.query_key_value;
        Ok(LayerParts {
            query_key_value: Map::joined([
                self.map(query, dim, dim)?,
                self.map(key, dim, dim)?,
                self.map(value, dim, dim)?,
            ]),
            output: self.map(&names.output, dim, dim)?,
            attention_norm: self.layer_norm(&names.attention_norm)?,
            expand: self.map(&names.expand, ff_dim, dim)?,
            contract: self.map(&names.contract, dim, ff_dim)?,
            feed_forward_norm: self.layer_norm(&names.feed_forward_norm)?,
        })
    }

    /// Those of `MPNet`, which are one number for each bucket of distances and head; others have none.
    pub(super) fn relative_biases(&self) -> Result<Option<RelativeBiases>, EmbedError> {
        let ModelConfig { relative_buckets: buckets, heads, .. } = self.config;
        if buckets == 0 {
            return Ok(None);
        }
        let table = self.files.values(Family::RELATIVE_BIASES, &[buckets, heads])?;
        let reach = FARTHEST as isize;
        let bias = |head: usize, distance| table[bucket(distance, buckets) * heads + head];
        let biases = (0..heads).flat_map(|head| (-reach..=reach).map(move |distance| (head, distance)));
        let biases = biases.map(|(head, distance)| bias(head, distance)).collect();
        Ok(Some(RelativeBiases { biases, reach: FARTHEST }))
    }

    fn map(&self, name: &str, output: usize, input: usize) -> Result<Map, EmbedError> {
        let values = |part: &str, shape: &[usize]| self.files.values(&format!("{name}.{part}"), shape);
        Ok(Map { weight: values("weight", &[output, input])?, bias: values("bias", &[output])? })
    }

    fn layer_norm(&self, name: &str) -> Result<LayerNorm, EmbedError> {
        let values = |part: &str| self.files.values(&format!("{name}.{part}"), &[self.config.model_dim]);
        let epsilon = self.config.norm_epsilon as f32;
        Ok(LayerNorm { weight: values("weight")?, bias: values("bias")?, epsilon })
    }
}

/// Distances beyond this one share the last bucket.
const FARTHEST: usize = 128;

/// The bucket of a distance from query to key: half of them for keys behind the query, half for those before it; in each
/// half, one for each near distance and then ever wider ones (Raffel et al. 2020, section 2.1).
fn bucket(distance: isize, buckets: usize) -> usize {
    let half = buckets / 2;
    let start = if distance > 0 { half } else { 0 };
    let (far, exact) = (distance.unsigned_abs(), half / 2);
    if far < exact {
        return start + far;
    }
    let share = (far as f32 / exact as f32).ln() / (FARTHEST as f32 / exact as f32).ln();
    start + (exact + (share * (half - exact) as f32) as usize).min(half - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_distances_have_a_bucket_each_and_far_ones_share() {
        let found: Vec<usize> =
            [0, -1, 1, -7, 7, -8, -9, -16, -127, -128, -500, 128].map(|d| bucket(d, 32)).to_vec();
        assert_eq!(found, [0, 1, 17, 7, 23, 8, 8, 10, 15, 15, 15, 31]);
    }
}
