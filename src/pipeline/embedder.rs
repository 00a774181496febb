//! Opens an embedder of any kind by its path, our own models included.

use std::path::Path;

use super::{Nlu, OpeningOptions};
use crate::bundle::BundleError;
use crate::embed::{
    AttentionMaps, EmbedError, EmbedOptions, Embedder, Encoded, Pooling, PoolingDefaults, TextEncoder, Work,
};
use crate::error::{Error, Result};
use crate::features::Features;
use crate::text::Span;

/// Opens the folder of a pretrained encoder, a file of word vectors, or a model that [`Nlu::train`] has made.
///
/// # Errors
///
/// If it is neither, or a file is missing, damaged or does not fit the others; the message says what to do.
///
/// # Example
///
/// ```no_run
/// let embedder = talkformer::pipeline::embedder("models", &Default::default())?;
/// let embeddings = embedder.embed(&["book room 4"])?;
/// # Ok::<(), talkformer::Error>(())
/// ```
pub fn embedder(path: impl AsRef<Path>, options: &EmbedOptions) -> Result<Embedder> {
    embedder_with(path, options, &OpeningOptions::default())
}

/// The same; `model` says how to open a model of [`Nlu::train`].
///
/// # Errors
///
/// As [`embedder`] and [`Nlu::open_with`].
pub fn embedder_with(
    path: impl AsRef<Path>,
    options: &EmbedOptions,
    model: &OpeningOptions,
) -> Result<Embedder> {
    let path = path.as_ref();
    if path.is_dir() {
        match Nlu::open_with(path, model) {
            Ok(nlu) => {
                let nlu = nlu.on_device(options.device)?.with_threads(1);
                return Ok(Embedder::new(Box::new(nlu), options.clone()));
            }
            // No model of ours; the encoder of somebody else also has a `config.json`.
            Err(Error::Bundle(BundleError::NoModel { .. } | BundleError::UnknownFormat { .. })) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Embedder::open(path, options)?)
}

/// The rows of the last layer. The intent of a message is told by its row, so texts lie near each other where the model
/// would give them the same intent.
impl TextEncoder for Nlu {
    fn dim(&self) -> usize {
        self.diet.model_dim()
    }

    fn pooling_defaults(&self) -> PoolingDefaults {
        PoolingDefaults::new(Pooling::Cls, true)
    }

    fn encode(&self, texts: &[&str], _: Work) -> Result<Vec<Encoded>, EmbedError> {
        let failed = |error: Error| EmbedError::Model { source: Box::new(error) };
        let messages = self.encode_messages(texts).map_err(failed)?;
        let features: Vec<&Features> = messages.iter().map(|message| &message.features).collect();
        let rows = self.diet.encode(&features).map_err(EmbedError::computation)?;
        let encoded = messages.iter().zip(rows).map(|(message, rows)| {
            let count = message.tokens.len();
            let mut spans = message.tokens.clone();
            spans.push(Span::new(0, message.text.len()));
            let special = (0..=count).map(|at| at == count).collect();
            Encoded { rows, spans, special, sentences: vec![count], truncated: message.truncated }
        });
        Ok(encoded.collect())
    }

    fn attention(&self, _: &str) -> Result<AttentionMaps, EmbedError> {
        Err(EmbedError::NoAttention { encoder: "a trained model".to_owned() })
    }
}
