//! Rasa's `config.yml`, as far as it concerns understanding a message.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::PipelineError;
use crate::diet::DietConfig;
use crate::features::{FeaturizerConfig, LexicalConfig, NGramConfig, PatternsConfig};
use crate::text::WhitespaceTokenizerConfig;

/// One component of a pipeline with its options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Component {
    /// Finds the tokens.
    WhitespaceTokenizer(WhitespaceTokenizerConfig),
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

    /// What a featurizer is called.
    fn alias(&self) -> Option<&str> {
        match self {
            Self::Featurizer { alias, .. } | Self::DenseFeaturizer { alias, .. } => Some(alias),
            _ => None,
        }
    }
}

/// Where dense features come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseConfig {
    /// The folder of a pretrained encoder, or a file of word vectors.
    #[serde(alias = "model_weights", alias = "file")]
    pub path: PathBuf,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// What it is called; the folder below `models/`.
    pub name: &'static str,
    /// Its `config.yml`.
    pub yaml: &'static str,
}

impl Recipe {
    /// All recipes, the default first.
    pub const ALL: [Self; 3] = [
        Self { name: "accurate", yaml: include_str!("../../models/accurate/config.yml") },
        Self { name: "small", yaml: include_str!("../../models/small/config.yml") },
        Self { name: "rasa", yaml: include_str!("../../models/rasa/config.yml") },
    ];

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

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "keys that are accepted because Rasa's files have them")]
struct RawConfig {
    version: Option<Value>,
    recipe: Option<Value>,
    assistant_id: Option<Value>,
    language: Option<String>,
    pipeline: Option<Vec<Map<String, Value>>>,
    policies: Option<Value>,
    importers: Option<Value>,
}

impl PipelineConfig {
    /// Reads a `config.yml`; `file` is named in errors.
    ///
    /// # Errors
    ///
    /// If it is not YAML, a component or an option does not exist, or the components do not fit together.
    pub fn from_yaml(yaml: &str, file: &str) -> Result<Self, PipelineError> {
        let problem = |problem: String| PipelineError::Config { file: file.to_owned(), problem };
        let raw: RawConfig = serde_saphyr::from_str(yaml).map_err(|error| problem(first_line(&error)))?;
        let Some(pipeline) = raw.pipeline.filter(|pipeline| !pipeline.is_empty()) else {
            return Err(problem(
                "there is no `pipeline`; list its components, such as `- name: WhitespaceTokenizer`".into(),
            ));
        };
        let components =
            pipeline.into_iter().map(|entry| component(entry, file)).collect::<Result<_, _>>()?;
        let config = Self { language: raw.language, components };
        config.validate(file)?;
        Ok(config)
    }

    fn validate(&self, file: &str) -> Result<(), PipelineError> {
        let wrong =
            |problem: &str| Err(PipelineError::Order { file: file.to_owned(), problem: problem.to_owned() });
        let places = |wanted: fn(&Component) -> bool| -> Vec<usize> {
            (0..self.components.len()).filter(|at| wanted(&self.components[*at])).collect()
        };
        let tokenizers = places(|component| matches!(component, Component::WhitespaceTokenizer(_)));
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

/// What an error says, without the picture of the source that some libraries add.
fn first_line(error: &impl ToString) -> String {
    let text = error.to_string();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

fn component(mut entry: Map<String, Value>, file: &str) -> Result<Component, PipelineError> {
    let Some(Value::String(path)) = entry.remove("name") else {
        let problem = "each entry of `pipeline` needs a `name`".to_owned();
        return Err(PipelineError::Config { file: file.to_owned(), problem });
    };
    // Rasa also accepts the path of the module; the class is its last part.
    let name = path.rsplit('.').next().unwrap_or(&path).to_owned();
    let reader = Reader { file, name: &name };
    Ok(match name.as_str() {
        "WhitespaceTokenizer" => Component::WhitespaceTokenizer(reader.options(entry)?),
        "RegexFeaturizer" => {
            reader.without_effect(&mut entry, "number_additional_patterns");
            let alias = reader.alias(&mut entry)?;
            Component::Featurizer { alias, config: FeaturizerConfig::Patterns(reader.options(entry)?) }
        }
        "LexicalSyntacticFeaturizer" => {
            let alias = reader.alias(&mut entry)?;
            Component::Featurizer {
                alias,
                config: FeaturizerConfig::Lexical(reader.options::<LexicalConfig>(entry)?),
            }
        }
        "CountVectorsFeaturizer" => {
            let alias = reader.alias(&mut entry)?;
            reader.without_effect(&mut entry, "use_lemma");
            if entry.remove("use_shared_vocab") == Some(Value::Bool(true)) {
                return Err(reader.error("`use_shared_vocab: true` is not supported: messages and labels have vocabularies of their own"));
            }
            Component::Featurizer {
                alias,
                config: FeaturizerConfig::NGrams(reader.options::<NGramConfig>(entry)?),
            }
        }
        "LanguageModelFeaturizer" | "WordVectorsFeaturizer" => {
            let alias = reader.alias(&mut entry)?;
            for option in ["model_name", "cache_dir"] {
                reader.without_effect(&mut entry, option);
            }
            if !["model_weights", "file", "path"].iter().any(|option| entry.contains_key(*option)) {
                return Err(reader.error(
                    "say with `model_weights` (or `file`) where on this machine the folder of the encoder, or the file of word vectors, lies; nothing is downloaded",
                ));
            }
            Component::DenseFeaturizer { alias, config: reader.options(entry)? }
        }
        "DIETClassifier" => {
            let featurizers = match entry.remove("featurizers") {
                Some(list) => reader.read(list)?,
                None => Vec::new(),
            };
            let config: DietConfig = reader.options(entry)?;
            config
                .validate()
                .map_err(|error| reader.error(&format!("option `{}` {}", error.option, error.problem)))?;
            Component::DietClassifier { config: Box::new(config), featurizers }
        }
        "RegexEntityExtractor" => {
            entry.entry("case_sensitive").or_insert(Value::Bool(false));
            Component::RegexEntityExtractor(reader.options(entry)?)
        }
        "EntitySynonymMapper" => {
            if let Some(option) = entry.keys().next() {
                return Err(reader.error(&format!("unknown option `{option}`; there are none")));
            }
            Component::EntitySynonymMapper
        }
        "FallbackClassifier" => {
            let config: FallbackConfig = reader.options(entry)?;
            let share = |value: f32| (0.0..=1.0).contains(&value);
            if !matches!(config.threshold, Threshold::Fitted(_)) && !share(config.threshold.or(None))
                || !share(config.ambiguity_threshold)
            {
                return Err(reader.error("`threshold` and `ambiguity_threshold` must lie between 0 and 1"));
            }
            Component::FallbackClassifier(config)
        }
        _ => {
            let known = Component::NAMES.join(", ");
            return Err(PipelineError::UnknownComponent { file: file.to_owned(), name: path, known });
        }
    })
}

/// Reads the options of one component.
struct Reader<'a> {
    file: &'a str,
    name: &'a str,
}

impl Reader<'_> {
    fn error(&self, problem: &str) -> PipelineError {
        let (file, component) = (self.file.to_owned(), self.name.to_owned());
        PipelineError::Option { file, component, problem: problem.to_owned() }
    }

    fn read<T: DeserializeOwned>(&self, value: Value) -> Result<T, PipelineError> {
        serde_json::from_value(value).map_err(|error| self.error(&first_line(&error)))
    }

    fn options<T: DeserializeOwned>(&self, mut entry: Map<String, Value>) -> Result<T, PipelineError> {
        // `option:` with nothing behind it means the default, as in Rasa.
        entry.retain(|_, value| !value.is_null());
        self.read(Value::Object(entry))
    }

    fn alias(&self, entry: &mut Map<String, Value>) -> Result<String, PipelineError> {
        match entry.remove("alias") {
            None | Some(Value::Null) => Ok(self.name.to_owned()),
            Some(alias) => self.read(alias),
        }
    }

    #[allow(clippy::unused_self, reason = "reads as the others")]
    fn without_effect(&self, entry: &mut Map<String, Value>, option: &str) {
        entry.remove(option);
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
        assert!(message.contains("unknown field `epoch`") && message.contains("`epochs`"), "{message}");
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
        assert_eq!(config.diet().0.epochs, 100);
    }

    #[test]
    fn broken_yaml_names_the_line() {
        let message =
            PipelineConfig::from_yaml("pipeline:\n- name: [\n", "config.yml").unwrap_err().to_string();
        assert!(message.starts_with("config.yml: ") && message.contains("line"), "{message}");
    }
}
