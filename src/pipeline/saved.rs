//! A pipeline in a bundle.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;

use super::{Nlu, PipelineConfig, PipelineError};
use crate::bundle::{Bundle, BundleWriter, Weight, Weights};
use crate::diet::{Diet, Labels, Network, Widths};
use crate::error::Result;
use crate::features::{FeatureSet, LabelFeatures, Patterns};
use crate::text::WhitespaceTokenizer;

/// What kind of model the bundle holds.
const KIND: &str = "nlu";

impl Nlu {
    /// Saves the model as a bundle at `place`, with a card for people.
    ///
    /// A model that stands there already is replaced at once: a kill at any moment leaves the one or the other.
    ///
    /// # Errors
    ///
    /// If the place cannot be written, or holds something that is no bundle.
    pub fn save(&self, place: &Path, card: String) -> Result<PathBuf> {
        let mut weights = Weights::new();
        for (name, tensor) in &self.weights {
            let values = tensor.flatten_all()?.to_vec1::<f32>()?;
            weights.insert(name.clone(), Weight { shape: tensor.dims().to_vec(), values });
        }
        let writer = BundleWriter::new(KIND, &self.config)?
            .json("labels.json", &self.diet.labels)?
            .json("features.json", &self.features)?
            .json("extractor.json", &self.extractor)?
            .json("synonyms.json", &self.synonyms)?
            .text("README.md", card)?
            .weights(&weights)?;
        Ok(writer.save(place)?)
    }

    /// Opens a bundle, or the newest of a folder of bundles.
    ///
    /// # Errors
    ///
    /// If there is none, a file is missing or altered, or its parts do not fit each other.
    pub fn open(path: &Path) -> Result<Self> {
        let bundle = Bundle::open(&crate::bundle::resolve(path)?)?;
        if bundle.kind() != KIND {
            let problem = format!("it is of kind `{}`, not `{KIND}`", bundle.kind());
            return Err(PipelineError::Model { problem }.into());
        }
        let config: PipelineConfig = bundle.config()?;
        let labels: Labels = bundle.json("labels.json")?;
        let features: FeatureSet = bundle.json("features.json")?;
        let extractor: Option<Patterns> = bundle.json("extractor.json")?;
        let synonyms = bundle.json("synonyms.json")?;
        let tokenizer = WhitespaceTokenizer::new(config.tokenizer())?;
        let (diet_config, _) = config.diet();
        diet_config.validate()?;
        let tensor = |(name, weight): (String, Weight)| -> Result<(String, Tensor)> {
            Ok((name, Tensor::from_vec(weight.values, weight.shape, &Device::Cpu)?))
        };
        let weights: HashMap<String, Tensor> =
            bundle.weights()?.into_iter().map(tensor).collect::<Result<_>>()?;
        let vb = VarBuilder::from_tensors(weights.clone(), DType::F32, &Device::Cpu);
        let (sequence, sentence) = features.widths();
        let label_features = LabelFeatures::new(&labels.intents, &tokenizer);
        let widths = Widths { sequence, sentence };
        let network = Network::new(&diet_config, widths, &labels, &label_features, vb).map_err(|error| {
            PipelineError::Model { problem: format!("its weights do not fit its configuration: {error}") }
        })?;
        let diet = Diet { config: diet_config, labels, network };
        Ok(Self { config, tokenizer, features, diet, extractor, synonyms, weights })
    }
}
