//! Rasa's `config.yml`, as far as it concerns understanding a message: here what it says, in `read` how it is read, in
//! `components` which components there are, with which options, and what serves for those that are not served themselves;
//! `fill` puts in what is then missing, and `warning` says what was done.

mod components;
mod custom;
mod fill;
mod options;
mod read;
mod recipe;
mod warning;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Components, PipelineError};
use crate::diet::DietConfig;
use crate::embed::built_in;
use crate::features::{CustomConfig, FeaturizerConfig, PatternsConfig};
use crate::settings::short;
use crate::text::WhitespaceTokenizerConfig;

pub use options::{DenseConfig, FallbackConfig, Fitted, ResponseSelectorConfig, Threshold};
pub use recipe::Recipe;
pub use warning::ConfigWarning;

/// One component of a pipeline with its options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Component {
    /// Finds the tokens.
    WhitespaceTokenizer(WhitespaceTokenizerConfig),
    /// Finds the tokens, from outside this crate.
    CustomTokenizer(CustomConfig),
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
    /// Chooses the answer to a message with a retrieval intent, by the response keys that `DIETClassifier` learns.
    ResponseSelector(ResponseSelectorConfig),
    /// Changes the answer, from outside this crate ([`PostProcessor`](super::PostProcessor)).
    PostProcessor(CustomConfig),
}

impl Component {
    /// The names a pipeline may list.
    pub fn names() -> impl Iterator<Item = &'static str> {
        components::KINDS.iter().map(|kind| kind.name)
    }

    pub(super) fn is_tokenizer(&self) -> bool {
        matches!(self, Self::WhitespaceTokenizer(_) | Self::CustomTokenizer(_))
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
#[non_exhaustive]
pub struct PipelineConfig {
    /// The language of the messages, for whoever reads the card.
    pub language: Option<String>,
    /// The components in order.
    pub components: Vec<Component>,
    /// What its file asks for that is done otherwise here, or not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<ConfigWarning>,
}

impl PipelineConfig {
    /// The longest file that is read, in bytes.
    pub const MOST_BYTES: usize = 4 << 20;

    /// Reads a `config.yml`; `file` is named in errors.
    ///
    /// Components of Rasa's that do not exist here are served by others or left out, and a file without a `pipeline` gets
    /// that of the default recipe; [`PipelineConfig::warnings`] says so.
    ///
    /// # Errors
    ///
    /// If it is not YAML, a component or an option does not exist, or the components do not fit together.
    pub fn from_yaml(yaml: &str, file: &str) -> Result<Self, PipelineError> {
        Self::from_yaml_with(yaml, file, &Components::default())
    }

    /// Reads a `config.yml` that also lists custom components; `file` is named in errors.
    ///
    /// # Errors
    ///
    /// As [`PipelineConfig::from_yaml`].
    pub fn from_yaml_with(yaml: &str, file: &str, components: &Components) -> Result<Self, PipelineError> {
        let config = read::config(yaml, file, components)?;
        config.validate(file)?;
        Ok(config)
    }

    /// The same pipeline, in which relative paths of encoders and word vectors that do not exist are looked up in this folder,
    /// usually that of the `config.yml`. Where nothing is there either, the path stays as it is.
    #[must_use]
    pub fn with_files_beside(mut self, folder: impl AsRef<Path>) -> Self {
        for component in &mut self.components {
            if let Component::DenseFeaturizer { config, .. } = component {
                let beside = folder.as_ref().join(&config.path);
                if !config.path.exists() && beside.exists() {
                    config.path = beside;
                }
            }
        }
        self
    }

    /// Leaves out the featurizers that are for another language than that of the examples, and says what it decided.
    pub(super) fn choose_by_language(
        &mut self,
        language: impl FnOnce() -> Option<&'static str>,
    ) -> Vec<String> {
        let of = |component: &Component| match component {
            Component::DenseFeaturizer { config, .. } => {
                config.language.clone().map(|own| (config.path.clone(), own))
            }
            _ => None,
        };
        let asked: Vec<(PathBuf, String)> = self.components.iter().filter_map(of).collect();
        if asked.is_empty() {
            return Vec::new();
        }
        let found = language();
        self.components.retain(|component| of(component).is_none_or(|(_, own)| found == Some(own.as_str())));
        let told = |(path, own): &(PathBuf, String)| {
            let (path, told) = (path.display(), found.unwrap_or("of none that is known, or of several"));
            let used = if found == Some(own) { "are used" } else { "are left out" };
            format!("the language of the examples is {told}: features of {path}, which are for {own}, {used}")
        };
        asked.iter().map(told).collect()
    }

    fn validate(&self, file: &str) -> Result<(), PipelineError> {
        let file = file.to_owned();
        let places = |wanted: fn(&Component) -> bool| -> Vec<usize> {
            (0..self.components.len()).filter(|at| wanted(&self.components[*at])).collect()
        };
        let tokenizers = places(Component::is_tokenizer);
        let featurizers = places(|component| component.alias().is_some());
        let classifiers = places(|component| matches!(component, Component::DietClassifier { .. }));
        let [tokenizer] = tokenizers[..] else { return Err(PipelineError::Tokenizers { file }) };
        let ([classifier], Some((_, aliases))) = (&classifiers[..], self.classifier()) else {
            return Err(PipelineError::Classifiers { file });
        };
        if featurizers.is_empty() || featurizers.iter().any(|at| at > classifier || *at < tokenizer) {
            return Err(PipelineError::Featurizers { file });
        }
        let known: Vec<&str> = self.components.iter().filter_map(Component::alias).collect();
        match aliases.iter().find(|alias| !known.contains(&alias.as_str())) {
            Some(alias) => Err(PipelineError::UnknownAlias {
                file,
                alias: short(alias),
                known: short(&known.join(", ")),
            }),
            None => Ok(()),
        }
    }

    /// Options of the tokenizer of this crate.
    pub(super) fn tokenizer(&self) -> WhitespaceTokenizerConfig {
        let found = self.components.iter().find_map(|component| match component {
            Component::WhitespaceTokenizer(config) => Some(config.clone()),
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// The custom tokenizer, where there is one.
    pub(super) fn custom_tokenizer(&self) -> Option<&CustomConfig> {
        self.components.iter().find_map(|component| match component {
            Component::CustomTokenizer(config) => Some(config),
            _ => None,
        })
    }

    /// The post-processors in their order.
    pub(super) fn post_processors(&self) -> impl Iterator<Item = &CustomConfig> {
        self.components.iter().filter_map(|component| match component {
            Component::PostProcessor(config) => Some(config),
            _ => None,
        })
    }

    /// Options of DIET, and the aliases of the featurizers that it listens to; none means all.
    fn classifier(&self) -> Option<(&DietConfig, &[String])> {
        self.components.iter().find_map(|component| match component {
            Component::DietClassifier { config, featurizers } => Some((&**config, &featurizers[..])),
            _ => None,
        })
    }

    /// What separates the intents of a message in its label; `None` where a message has only one, as in Rasa.
    #[must_use]
    pub fn intent_separator(&self) -> Option<String> {
        self.diet().intents.separator().map(str::to_owned)
    }

    /// Options of DIET.
    pub(super) fn diet(&self) -> DietConfig {
        self.classifier().map(|(config, _)| config.clone()).unwrap_or_default()
    }

    /// The featurizers that DIET listens to.
    fn heard(&self) -> impl Iterator<Item = &Component> {
        let aliases = self.classifier().map_or(&[][..], |(_, aliases)| aliases);
        let is_heard = |alias: &str| aliases.is_empty() || aliases.iter().any(|own| own == alias);
        self.components.iter().filter(move |component| component.alias().is_some_and(is_heard))
    }

    /// Options of the sparse featurizers that DIET listens to.
    pub(super) fn featurizers(&self) -> Vec<FeaturizerConfig> {
        let own = |component: &Component| match component {
            Component::Featurizer { config, .. } => Some(config.clone()),
            _ => None,
        };
        self.heard().filter_map(own).collect()
    }

    /// Where the dense features come from that DIET listens to.
    pub(super) fn dense(&self) -> Vec<DenseConfig> {
        let own = |component: &Component| match component {
            Component::DenseFeaturizer { config, .. } => Some(config.clone()),
            _ => None,
        };
        self.heard().filter_map(own).collect()
    }

    /// The same pipeline with the features of an encoder, in place of the word pieces that come with the program: the encoder
    /// knows what these know, and more. Where DIET listens to some featurizers alone, it also listens to this one.
    #[must_use]
    pub fn with_encoder(mut self, encoder: DenseConfig) -> Self {
        let is_built_in = |config: &DenseConfig| built_in(&config.path).is_some();
        self.components.retain(
            |component| !matches!(component, Component::DenseFeaturizer { config, .. } if is_built_in(config)),
        );
        let classifier = self
            .components
            .iter()
            .position(|component| matches!(component, Component::DietClassifier { .. }));
        let alias = format!("encoder {}", encoder.path.display());
        if let Some(Component::DietClassifier { featurizers, .. }) =
            classifier.map(|at| &mut self.components[at])
            && !featurizers.is_empty()
        {
            featurizers.push(alias.clone());
        }
        let at = classifier.unwrap_or(self.components.len());
        self.components.insert(at, Component::DenseFeaturizer { alias, config: encoder });
        self
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
