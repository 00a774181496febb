//! Rasa's `config.yml`, as far as it concerns understanding a message: here what it says, in `read` how it is read, in
//! `components` which components there are and with which options.

mod components;
mod options;
mod read;
mod recipe;

use serde::{Deserialize, Serialize};

use super::{Components, PipelineError};
use crate::diet::DietConfig;
use crate::features::{FeaturizerConfig, PatternsConfig};
use crate::text::WhitespaceTokenizerConfig;

pub use options::{DenseConfig, FallbackConfig, Fitted, Threshold};
pub use recipe::Recipe;

/// One component of a pipeline with its options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Component {
    /// Finds the tokens.
    WhitespaceTokenizer(WhitespaceTokenizerConfig),
    /// Finds the tokens, from outside this crate.
    CustomTokenizer {
        /// The name that it is registered with.
        name: String,
        /// Its fields.
        options: serde_json::Map<String, serde_json::Value>,
    },
    /// `RegexFeaturizer`, `LexicalSyntacticFeaturizer` or `CountVectorsFeaturizer`, with its alias.
    Featurizer {
        /// The name that `featurizers` of DIET refers to.
        alias: String,
        /// Its options.
        config: FeaturizerConfig,
    },
    /// `LanguageModelFeaturizer` or `WordVectorsFeaturizer`, with its alias.
    DenseFeaturizer {
        /// The name that `featurizers` of DIET refers to.
        alias: String,
        /// Its options.
        config: DenseConfig,
    },
    /// Intents and entities; `featurizers` are the aliases it listens to, none meaning all.
    DietClassifier {
        /// Its options.
        config: Box<DietConfig>,
        /// Aliases of featurizers.
        featurizers: Vec<String>,
    },
    /// Entities found by regular expressions and lookup tables that are named like an entity type.
    RegexEntityExtractor(PatternsConfig),
    /// Replaces the words of an entity by what they stand for.
    EntitySynonymMapper,
    /// Says `nlu_fallback` where the intent is unsure.
    FallbackClassifier(FallbackConfig),
    /// Changes the answer, from outside this crate ([`PostProcessor`](super::PostProcessor)).
    PostProcessor {
        /// The name that it is registered with.
        name: String,
        /// Its fields.
        options: serde_json::Map<String, serde_json::Value>,
    },
}

impl Component {
    /// The names a pipeline may list.
    pub fn names() -> impl Iterator<Item = &'static str> {
        components::KINDS.iter().map(|kind| kind.name)
    }

    pub(super) fn is_tokenizer(&self) -> bool {
        matches!(self, Self::WhitespaceTokenizer(_) | Self::CustomTokenizer { .. })
    }

    /// What a featurizer is called.
    fn alias(&self) -> Option<&str> {
        match self {
            Self::Featurizer { alias, .. } | Self::DenseFeaturizer { alias, .. } => Some(alias),
            _ => None,
        }
    }
}

/// A pipeline that can be trained.
///
/// # Example
///
/// ```
/// use talkformer::pipeline::PipelineConfig;
///
/// let config = PipelineConfig::from_yaml("
/// language: en
/// pipeline:
/// - name: WhitespaceTokenizer
/// - name: CountVectorsFeaturizer
/// - name: DIETClassifier
///   epochs: 20
/// ", "config.yml")?;
/// assert_eq!(config.components.len(), 3);
/// assert!(PipelineConfig::from_yaml("pipeline:\n- name: Oracle", "config.yml").is_err());
/// # Ok::<(), talkformer::pipeline::PipelineError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineConfig {
    /// The language of the messages, for whoever reads the card.
    pub language: Option<String>,
    /// The components in order.
    pub components: Vec<Component>,
}

impl PipelineConfig {
    /// Reads a `config.yml`; `file` is named in errors.
    ///
    /// # Errors
    ///
    /// If it is not YAML, a component or an option does not exist, or the components do not fit together.
    pub fn from_yaml(yaml: &str, file: &str) -> Result<Self, PipelineError> {
        Self::read(yaml, file, &Components::default())
    }

    pub(super) fn read(yaml: &str, file: &str, components: &Components) -> Result<Self, PipelineError> {
        let config = read::config(yaml, file, components)?;
        config.validate(file)?;
        Ok(config)
    }

    fn validate(&self, file: &str) -> Result<(), PipelineError> {
        let wrong =
            |problem: &str| Err(PipelineError::Order { file: file.to_owned(), problem: problem.to_owned() });
        let places = |wanted: fn(&Component) -> bool| -> Vec<usize> {
            (0..self.components.len()).filter(|at| wanted(&self.components[*at])).collect()
        };
        let tokenizers = places(Component::is_tokenizer);
        let featurizers = places(|component| {
            matches!(component, Component::Featurizer { .. } | Component::DenseFeaturizer { .. })
        });
        let classifiers = places(|component| matches!(component, Component::DietClassifier { .. }));
        if tokenizers.len() != 1 {
            return wrong("the pipeline needs exactly one tokenizer: list WhitespaceTokenizer first");
        }
        if classifiers.len() != 1 {
            return wrong("the pipeline needs exactly one DIETClassifier");
        }
        if featurizers.is_empty() || featurizers.iter().any(|at| *at > classifiers[0] || *at < tokenizers[0])
        {
            return wrong(
                "featurizers belong between the tokenizer and DIETClassifier, and there must be one at least",
            );
        }
        if let Component::DietClassifier { featurizers: wanted, .. } = &self.components[classifiers[0]] {
            let names: Vec<&str> = self.components.iter().filter_map(Component::alias).collect();
            if let Some(alias) = wanted.iter().find(|alias| !names.contains(&alias.as_str())) {
                return wrong(&format!(
                    "DIETClassifier listens to `{alias}`, but the featurizers are called {}",
                    names.join(", ")
                ));
            }
        }
        Ok(())
    }

    pub(super) fn tokenizer(&self) -> WhitespaceTokenizerConfig {
        let found = self.components.iter().find_map(|component| match component {
            Component::WhitespaceTokenizer(config) => Some(config.clone()),
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// Options of DIET and the featurizers it listens to.
    pub(super) fn diet(&self) -> (DietConfig, Vec<FeaturizerConfig>) {
        let found = self.components.iter().find_map(|component| match component {
            Component::DietClassifier { config, featurizers } => Some((config.as_ref().clone(), featurizers)),
            _ => None,
        });
        let (config, wanted) =
            found.map_or_else(|| (DietConfig::default(), Vec::new()), |(c, w)| (c, w.clone()));
        (config, self.featurizers(&wanted).into_iter().map(|(_, config)| config.clone()).collect())
    }

    /// Featurizers by alias; all where none is asked for.
    fn featurizers(&self, wanted: &[String]) -> Vec<(&str, &FeaturizerConfig)> {
        let all = self.components.iter().filter_map(|component| match component {
            Component::Featurizer { alias, config } => Some((alias.as_str(), config)),
            _ => None,
        });
        all.filter(|(alias, _)| wanted.is_empty() || wanted.iter().any(|own| own == alias)).collect()
    }

    /// Where the dense features come from that DIET listens to.
    pub(super) fn dense(&self) -> Vec<DenseConfig> {
        let wanted = self.components.iter().find_map(|component| match component {
            Component::DietClassifier { featurizers, .. } => Some(&featurizers[..]),
            _ => None,
        });
        let wanted = wanted.unwrap_or_default();
        let own = |component: &Component| match component {
            Component::DenseFeaturizer { alias, config } if wanted.is_empty() || wanted.contains(alias) => {
                Some(config.clone())
            }
            _ => None,
        };
        self.components.iter().filter_map(own).collect()
    }

    /// Replaces options of DIET, for flags such as `--epochs`.
    pub fn change_diet(&mut self, change: impl FnOnce(&mut DietConfig)) {
        for component in &mut self.components {
            if let Component::DietClassifier { config, .. } = component {
                return change(config);
            }
        }
    }
}

#[cfg(test)]
mod tests;
