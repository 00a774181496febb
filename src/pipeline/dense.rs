//! Dense features: what encoders say of each message and of each of its tokens.
//!
//! Encoders are not trained here, so a text is encoded once and its rows are kept through the training.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::DenseConfig;
use super::{Nlu, PipelineConfig, PipelineError};
use crate::data::Utterance;
use crate::embed::{EmbedError, EmbedOptions, Embedder, fingerprint, normalize};
use crate::error::Result;
use crate::features::DenseFeatures;
use crate::text::Span;

/// Features of some messages, in their order.
type OfMessages = Vec<Arc<DenseFeatures>>;

/// Encoders side by side.
#[derive(Debug)]
pub(super) struct DenseEncoders {
    encoders: Vec<Embedder>,
    origins: Vec<Origin>,
}

/// Where an encoder lies and how it is recognised: a bundle holds this instead of the encoder, which is often many times
/// larger than the rest of the model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    path: PathBuf,
    fingerprint: String,
    dim: usize,
}

impl DenseEncoders {
    /// The part of a bundle that says where they are.
    pub(super) const PART: &'static str = "encoders.json";

    /// The encoders of a pipeline; none where it has none.
    fn open(configs: &[DenseConfig], threads: usize) -> Result<Option<Arc<Self>>> {
        let (mut encoders, mut origins) = (Vec::new(), Vec::new());
        for config in configs {
            let encoder = open(&config.path, threads)?;
            let path = std::path::absolute(&config.path).unwrap_or_else(|_| config.path.clone());
            origins.push(Origin { fingerprint: fingerprint(&path)?, path, dim: encoder.dim() });
            encoders.push(encoder);
        }
        Ok((!encoders.is_empty()).then(|| Arc::new(Self { encoders, origins })))
    }

    /// The same for training a network with these options, and what they say of each example.
    pub(super) fn for_training(
        pipeline: &PipelineConfig,
        earlier: Option<&Nlu>,
        train: &[&Utterance],
        tokens: &[Vec<Span>],
        threads: usize,
    ) -> Result<Option<(Arc<Self>, OfMessages)>> {
        let encoders = match earlier {
            // The same pipeline means the same encoders, wherever they are by now.
            Some(earlier) if earlier.config.dense() == pipeline.dense() => earlier.encoders.clone(),
            _ => Self::open(&pipeline.dense(), threads)?,
        };
        if let Some(earlier) = earlier
            && prints(earlier.encoders.as_ref()) != prints(encoders.as_ref())
        {
            let differences = vec!["the encoders of its dense features are others".to_owned()];
            return Err(PipelineError::OtherNetwork { differences }.into());
        }
        let Some(encoders) = encoders else { return Ok(None) };
        if pipeline.diet().0.share_hidden_layers {
            let problem =
                "`share_hidden_layers` does not go with dense features, which labels have not".to_owned();
            return Err(PipelineError::Order { file: "the pipeline".to_owned(), problem }.into());
        }
        let texts: Vec<&str> = train.iter().map(|one| one.text.as_str()).collect();
        let features = encoders.features(&texts, tokens, threads)?;
        Ok(Some((encoders, features)))
    }

    /// The encoders that a model was trained with.
    pub(super) fn reopen(origins: Vec<Origin>, threads: usize) -> Result<Arc<Self>> {
        let reopen = |origin: &Origin| -> Result<Embedder> {
            let at = origin.path.display();
            let problem = if !origin.path.exists() {
                format!(
                    "it was trained with the encoder {at}, which is not there; put it back, or train again"
                )
            } else if fingerprint(&origin.path)? != origin.fingerprint {
                format!(
                    "the encoder {at} has changed since it was trained; put the old one back, or train again"
                )
            } else {
                let encoder = open(&origin.path, threads)?;
                if encoder.dim() == origin.dim {
                    return Ok(encoder);
                }
                format!("the encoder {at} gives {} numbers, not {}", encoder.dim(), origin.dim)
            };
            Err(PipelineError::Model { problem }.into())
        };
        let encoders = origins.iter().map(reopen).collect::<Result<_>>()?;
        Ok(Arc::new(Self { encoders, origins }))
    }

    pub(super) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Width of all rows side by side.
    pub(super) fn dim(&self) -> usize {
        self.origins.iter().map(|origin| origin.dim).sum()
    }

    /// The features of some texts with these tokens, computed on so many threads at most.
    pub(super) fn features(
        &self,
        texts: &[&str],
        tokens: &[Vec<Span>],
        threads: usize,
    ) -> Result<OfMessages, EmbedError> {
        let dim = self.dim();
        let mut all: Vec<DenseFeatures> = tokens
            .iter()
            .map(|tokens| DenseFeatures {
                dim,
                tokens: vec![0.0; tokens.len() * dim],
                message: vec![0.0; dim],
            })
            .collect();
        let mut start = 0;
        for encoder in &self.encoders {
            let columns = start..start + encoder.dim();
            let found = encoder.embed_words(texts, tokens, threads)?;
            for (features, found) in all.iter_mut().zip(found) {
                let message = &mut features.message[columns.clone()];
                message.copy_from_slice(&found.text);
                normalize(message);
                for (wide, row) in features.tokens.chunks_exact_mut(dim).zip(found.words.outer_iter()) {
                    let token = &mut wide[columns.clone()];
                    token.copy_from_slice(row.to_slice().unwrap_or_default());
                    normalize(token);
                }
            }
            start = columns.end;
        }
        Ok(all.into_iter().map(Arc::new).collect())
    }
}

fn open(path: &Path, threads: usize) -> Result<Embedder, EmbedError> {
    Embedder::open(path, &EmbedOptions { threads, ..Default::default() })
}

/// How the encoders are recognised.
fn prints(encoders: Option<&Arc<DenseEncoders>>) -> Vec<&str> {
    let origins = encoders.into_iter().flat_map(|encoders| &encoders.origins);
    origins.map(|origin| origin.fingerprint.as_str()).collect()
}
