//! The errors of the whole crate, gathered.

use crate::bundle::BundleError;
use crate::data::{ReadError, WriteError};
use crate::embed::EmbedError;
#[cfg(feature = "hub")]
use crate::embed::hub::HubError;
use crate::embed::vectors::VectorsError;
use crate::features::FeatureError;
use crate::nn::DeviceError;
use crate::pipeline::PipelineError;
use crate::settings::ConfigError;
use crate::text::TokenizerError;

/// Anything that can go wrong between a file and an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Training or test data cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Examples cannot be remembered.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The pipeline makes no sense.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// An option of a model makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An option of the tokenizer makes no sense.
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
    /// A featurizer cannot be fitted.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// An encoder cannot be opened or used.
    #[error(transparent)]
    Embed(#[from] EmbedError),
    /// An encoder cannot be downloaded.
    #[cfg(feature = "hub")]
    #[error(transparent)]
    Hub(#[from] HubError),
    /// A model cannot be saved or loaded.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The network cannot be computed.
    #[error(transparent)]
    Computation(#[from] ComputationError),
}

/// The network cannot be computed: its numbers are no longer finite, say.
#[derive(Debug, thiserror::Error)]
#[error("the network cannot be computed")]
pub struct ComputationError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl ComputationError {
    pub(crate) fn new(error: candle_core::Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<VectorsError> for Error {
    fn from(error: VectorsError) -> Self {
        Self::Embed(error.into())
    }
}

/// What most functions of the upper layers return.
pub type Result<T, E = Error> = std::result::Result<T, E>;
