//! Rasa's `config.yml`, as far as it concerns understanding a message: here what it says, in `read` how it is read.

mod read;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Components, PipelineError};
use crate::diet::DietConfig;
use crate::embed::FineTuning;
use crate::features::{FeaturizerConfig, PatternsConfig};
use crate::text::WhitespaceTokenizerConfig;

/// One component of a pipeline with its options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    pub const NAMES: [&'static str; 10] = [
        "WhitespaceTokenizer",
        "RegexFeaturizer",
        "LexicalSyntacticFeaturizer",
        "CountVectorsFeaturizer",
        "LanguageModelFeaturizer",
        "WordVectorsFeaturizer",
        "DIETClassifier",
        "RegexEntityExtractor",
        "EntitySynonymMapper",
        "FallbackClassifier",
    ];

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

/// Where dense features come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseConfig {
    /// The folder of a pretrained encoder, or a file of word vectors.
    #[serde(alias = "model_weights", alias = "file")]
    pub path: PathBuf,
    /// Whether the encoder learns from the examples before DIET does ([`FineTuning`]).
    #[serde(default)]
    pub fine_tune: bool,
    /// Rounds through the examples then; few examples are gone through more often.
    #[serde(default = "DenseConfig::default_epochs")]
    pub fine_tune_epochs: usize,
    /// Largest learning rate then.
    #[serde(default = "DenseConfig::default_learning_rate")]
    pub fine_tune_learning_rate: f64,
}

impl DenseConfig {
    fn default_epochs() -> usize {
        FineTuning::default().epochs
    }

    fn default_learning_rate() -> f64 {
        FineTuning::default().learning_rate
    }
}

/// When an intent is too unsure to act on; names and defaults of Rasa's `FallbackClassifier`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FallbackConfig {
    /// Below this confidence.
    pub threshold: Threshold,
    /// Or this close to the next intent.
    pub ambiguity_threshold: f32,
}

/// A confidence: a number, or the word `fitted`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Threshold {
    /// This one.
    Share(f32),
    /// Ours: the one that was found in training ([`FittedConfidence`](crate::diet::FittedConfidence)); Rasa's 0.3 where
    /// none was.
    Fitted(Fitted),
}

/// The word `fitted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fitted {
    /// As found in training.
    Fitted,
}

impl Threshold {
    /// The number, where this one was `fitted`.
    #[must_use]
    pub fn or(self, fitted: Option<f32>) -> f32 {
        match self {
            Self::Share(share) => share,
            Self::Fitted(_) => fitted.unwrap_or(0.3),
        }
    }
}

impl Default for FallbackConfig {
    fn default() -> Self {
        Self { threshold: Threshold::Share(0.3), ambiguity_threshold: 0.1 }
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

/// A pipeline that comes with the program.
///
/// # Example
///
/// ```
/// use talkformer::pipeline::Recipe;
///
/// let mut config = Recipe::accurate();
/// config.change_diet(|diet| diet.epochs = 20);
/// assert_eq!(Recipe::find("accurate").unwrap().name, "accurate");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipe {
    /// What it is called; the folder below `models/`.
    pub name: &'static str,
    /// Its `config.yml`.
    pub yaml: &'static str,
}

impl Recipe {
    /// All recipes, the default first.
    pub const ALL: [Self; 3] = [
        Self { name: "accurate", yaml: include_str!("../../../models/accurate/config.yml") },
        Self { name: "small", yaml: include_str!("../../../models/small/config.yml") },
        Self { name: "rasa", yaml: include_str!("../../../models/rasa/config.yml") },
    ];

    /// The most accurate pipeline, and the default.
    #[must_use]
    pub fn accurate() -> PipelineConfig {
        Self::ALL[0].read()
    }

    /// The pipeline for little memory and a quick start.
    #[must_use]
    pub fn small() -> PipelineConfig {
        Self::ALL[1].read()
    }

    /// The pipeline that Rasa fills in by itself.
    #[must_use]
    pub fn rasa() -> PipelineConfig {
        Self::ALL[2].read()
    }

    fn read(self) -> PipelineConfig {
        self.config().expect("a test reads every built-in recipe")
    }

    /// The recipe with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|recipe| recipe.name == name)
    }

    /// What it says.
    ///
    /// # Errors
    ///
    /// Never for the recipes in [`Recipe::ALL`]; a test reads them.
    pub fn config(self) -> Result<PipelineConfig, PipelineError> {
        PipelineConfig::from_yaml(self.yaml, &format!("recipe {}", self.name))
    }
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
mod tests {
    use super::*;

    const START: &str = "pipeline:\n- name: WhitespaceTokenizer\n";

    fn error(rest: &str) -> String {
        PipelineConfig::from_yaml(&format!("{START}{rest}"), "config.yml").unwrap_err().to_string()
    }

    #[test]
    fn the_recipes_are_valid() {
        for recipe in Recipe::ALL {
            recipe.config().unwrap_or_else(|error| panic!("{error}"));
        }
        assert!(Recipe::find("rasa").is_some() && Recipe::find("none").is_none());
    }

    #[test]
    fn unknown_things_are_named_and_the_known_ones_listed() {
        assert!(error("- name: Oracle\n").contains("unknown component `Oracle`"));
        assert!(error("- name: Oracle\n").contains("DIETClassifier"));
        let message = error("- name: DIETClassifier\n  epoch: 3\n");
        assert!(message.contains("unknown option `epoch`") && message.contains("`epochs`"), "{message}");
        let message = error("- name: DIETClassifier\n  epochs: many\n");
        assert!(message.contains("config.yml: component DIETClassifier"), "{message}");
        let message = error("- name: CountVectorsFeaturizer\n  analyser: word\n");
        assert!(message.contains("unknown field `analyser`") && message.contains("`analyzer`"), "{message}");
    }

    #[test]
    fn components_must_fit_together() {
        assert!(error("- name: DIETClassifier\n").contains("there must be one at least"));
        assert!(error("- name: CountVectorsFeaturizer\n").contains("exactly one DIETClassifier"));
        let twice = "- name: WhitespaceTokenizer\n- name: CountVectorsFeaturizer\n- name: DIETClassifier\n";
        assert!(error(twice).contains("exactly one tokenizer"));
        let alias = "- name: CountVectorsFeaturizer\n  alias: words\n- name: DIETClassifier\n  featurizers: [chars]\n";
        assert!(error(alias).contains("called words"));
    }

    #[test]
    fn module_paths_and_policies_are_accepted() {
        let yaml = "recipe: default.v1\nassistant_id: x\nlanguage: de\npolicies:\n- name: TEDPolicy\npipeline:\n\
            - name: rasa.nlu.tokenizers.whitespace_tokenizer.WhitespaceTokenizer\n\
            - name: CountVectorsFeaturizer\n  analyzer: char_wb\n  min_ngram: 1\n  max_ngram: 4\n\
            - name: DIETClassifier\n  epochs: 100\n  constrain_similarities: true\n  random_seed:\n";
        let config = PipelineConfig::from_yaml(yaml, "config.yml").unwrap();
        assert_eq!(config.language.as_deref(), Some("de"));
        assert_eq!(config.diet().0.training.epochs, 100);
    }

    #[test]
    fn broken_yaml_names_the_line() {
        let message =
            PipelineConfig::from_yaml("pipeline:\n- name: [\n", "config.yml").unwrap_err().to_string();
        assert!(message.starts_with("config.yml: ") && message.contains("line"), "{message}");
    }
}
