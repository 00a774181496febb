//! The encoder for embedding texts on a GPU: the blocks of [`nn`](crate::nn), many sequences at a time.

use candle_core::{DType, Device, Result};
use candle_nn::VarBuilder;

use super::blocks::{block_config, block_tensors};
use super::network::Sequences;
use super::parts::Parts;
use crate::embed::EmbedError;
use crate::nn::{Encoder, Pass, Segments};

/// The layers of an encoder on a device.
#[derive(Debug)]
pub(super) struct DeviceNetwork(Encoder);

impl DeviceNetwork {
    /// Reads the weights.
    pub(super) fn new(parts: &Parts<'_>, device: &Device) -> std::result::Result<Self, EmbedError> {
        let tensors = block_tensors(parts, DType::F32, device)?;
        let vb = VarBuilder::from_tensors(tensors, DType::F32, device);
        let failed = |error| EmbedError::file(parts.source.file(&parts.folder.encoder), error);
        Encoder::new(&block_config(parts)?, vb).map(Self).map_err(failed)
    }

    /// The rows of all tokens, `[token, model_dim]`.
    pub(super) fn encode(&self, sequences: Sequences<'_>) -> Result<Vec<f32>> {
        if sequences.ids.is_empty() {
            return Ok(Vec::new());
        }
        let segments = Segments::from_lengths(sequences.offsets.windows(2).map(|pair| pair[1] - pair[0]));
        self.0.forward(sequences.ids, &segments, &Pass::inference())?.flatten_all()?.to_vec1()
    }

    /// The attention weights of one sequence, layer by layer: `[heads, query, key]`.
    pub(super) fn attention(&self, ids: &[u32]) -> Result<Vec<Vec<f32>>> {
        let layers = self.0.attention_weights(ids, &Segments::from_lengths([ids.len()]))?;
        layers.iter().flatten().map(|weights| weights.flatten_all()?.to_vec1()).collect()
    }
}
