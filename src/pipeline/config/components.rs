//! The components that a pipeline may list, with their options.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::custom::CustomKind;
use super::{Component, DenseConfig, FallbackConfig, Threshold};
use crate::diet::DietConfig;
use crate::features::{CustomConfig, FeaturizerConfig, LexicalConfig, NGramConfig, PatternsConfig};
use crate::prediction::{DIET_CLASSIFIER, REGEX_EXTRACTOR, SYNONYM_MAPPER};
use crate::settings::{ConfigError, Settings};
use crate::text::WhitespaceTokenizerConfig;

/// A kind of component. One more is one more line in [`KINDS`] and the function that it names.
pub(super) struct Kind {
    /// What it is called in a file.
    pub(super) name: &'static str,
    /// Options of Rasa's that are accepted without effect.
    without_effect: &'static [&'static str],
    /// Makes the component of its options.
    read: fn(Options) -> Result<Component, ConfigError>,
}

/// All kinds, in the order in which messages say them.
pub(super) const KINDS: &[Kind] = &[
    Kind { name: "WhitespaceTokenizer", without_effect: &[], read: tokenizer },
    Kind { name: "RegexFeaturizer", without_effect: &["number_additional_patterns"], read: patterns },
    Kind { name: LexicalConfig::COMPONENT, without_effect: &[], read: lexical },
    Kind { name: NGramConfig::COMPONENT, without_effect: &["use_lemma"], read: ngrams },
    Kind { name: "LanguageModelFeaturizer", without_effect: &["model_name", "cache_dir"], read: encoder },
    Kind { name: "WordVectorsFeaturizer", without_effect: &["model_name", "cache_dir"], read: word_vectors },
    Kind { name: DIET_CLASSIFIER, without_effect: &[], read: diet },
    Kind { name: REGEX_EXTRACTOR, without_effect: &[], read: extractor },
    Kind { name: SYNONYM_MAPPER, without_effect: &[], read: synonyms },
    Kind { name: "FallbackClassifier", without_effect: &[], read: fallback },
];

impl Kind {
    /// The kind that a file calls by this name. Rasa also accepts the path of the module; the class is its last part.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        let name = path.rsplit('.').next().unwrap_or(path);
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// The component with the options of an entry of the pipeline.
    pub(super) fn component(&self, mut options: Map<String, Value>) -> Result<Component, ConfigError> {
        self.without_effect.iter().for_each(|option| drop(options.remove(*option)));
        (self.read)(Options { component: self.name.to_owned(), own: options })
    }
}

/// A custom component of this name with the options of an entry of the pipeline.
pub(super) fn custom(
    kind: CustomKind,
    name: String,
    own: Map<String, Value>,
) -> Result<Component, ConfigError> {
    let mut options = Options { component: name, own };
    Ok(match kind {
        CustomKind::Tokenizer => Component::CustomTokenizer(options.all()),
        CustomKind::Featurizer => {
            let alias = options.alias()?;
            Component::Featurizer { alias, config: FeaturizerConfig::Custom(options.all()) }
        }
        CustomKind::PostProcessor => Component::PostProcessor(options.all()),
    })
}

/// The options of one component, while it is read. `option:` with nothing behind it means the default; its name must be
/// known all the same.
struct Options {
    component: String,
    own: Map<String, Value>,
}

impl Options {
    /// Takes one option out; `None` where it is not given.
    fn take<T: DeserializeOwned>(&mut self, option: &str) -> Result<Option<T>, ConfigError> {
        let value = self.own.remove(option).filter(|value| !value.is_null());
        value.map(serde_json::from_value).transpose().map_err(|error| ConfigError::value(option, &error))
    }

    /// The name that `featurizers` refers to.
    fn alias(&mut self) -> Result<String, ConfigError> {
        Ok(self.take("alias")?.unwrap_or_else(|| self.component.clone()))
    }

    /// All other options, of a custom component.
    fn all(mut self) -> CustomConfig {
        self.own.retain(|_, value| !value.is_null());
        CustomConfig { name: self.component, options: self.own }
    }

    /// All other options, over those of a default, whose names are the known ones.
    fn over<T: Serialize + DeserializeOwned>(self, default: T) -> Result<T, ConfigError> {
        let Ok(Value::Object(mut all)) = serde_json::to_value(&default) else {
            unreachable!("options are a map")
        };
        let mut config = default;
        for (option, value) in self.own {
            if !all.contains_key(&option) {
                return Err(ConfigError::unknown(&option, all.keys()));
            }
            if value.is_null() {
                continue;
            }
            all.insert(option.clone(), value);
            // Read after each option, so that the message can name the one that is wrong.
            config = serde_json::from_value(Value::Object(all.clone()))
                .map_err(|error| ConfigError::value(&option, &error))?;
        }
        Ok(config)
    }
}

fn tokenizer(options: Options) -> Result<Component, ConfigError> {
    Ok(Component::WhitespaceTokenizer(options.over(WhitespaceTokenizerConfig::default())?))
}

fn patterns(mut options: Options) -> Result<Component, ConfigError> {
    let alias = options.alias()?;
    let config = FeaturizerConfig::Patterns(options.over(PatternsConfig::default())?);
    Ok(Component::Featurizer { alias, config })
}

fn lexical(mut options: Options) -> Result<Component, ConfigError> {
    let alias = options.alias()?;
    let config: LexicalConfig = options.over(LexicalConfig::default())?;
    config.validate()?;
    Ok(Component::Featurizer { alias, config: FeaturizerConfig::Lexical(config) })
}

fn ngrams(mut options: Options) -> Result<Component, ConfigError> {
    let alias = options.alias()?;
    ConfigError::unless(
        options.own.remove("use_shared_vocab") != Some(Value::Bool(true)),
        "use_shared_vocab",
        "must be false: messages and labels have vocabularies of their own",
    )?;
    let config: NGramConfig = options.over(NGramConfig::default())?;
    config.validate()?;
    Ok(Component::Featurizer { alias, config: FeaturizerConfig::NGrams(config) })
}

fn encoder(mut options: Options) -> Result<Component, ConfigError> {
    let alias = options.alias()?;
    let (option, problem) = (
        "model_weights",
        "(or `file`) must say where the encoder or the file of word vectors lies; nothing is downloaded",
    );
    let mut path =
        ["path", "model_weights", "file"].into_iter().filter_map(|name| options.take(name).transpose());
    let path = path.next().transpose()?.ok_or(ConfigError::Conflict { option, problem })?;
    let config: DenseConfig = options.over(DenseConfig::new(path))?;
    let rate = config.fine_tune_learning_rate;
    let problem = "must be at least 1; 3 are usual";
    ConfigError::unless(config.fine_tune_epochs > 0, "fine_tune_epochs", problem)?;
    let problem = "must be at least 0 and below 1; 1e-4 is usual";
    ConfigError::unless((0.0..1.0).contains(&rate), "fine_tune_learning_rate", problem)?;
    Ok(Component::DenseFeaturizer { alias, config })
}

fn word_vectors(options: Options) -> Result<Component, ConfigError> {
    let component = encoder(options)?;
    let tuned = matches!(&component, Component::DenseFeaturizer { config, .. } if config.fine_tune);
    ConfigError::unless(!tuned, "fine_tune", "must be left out: word vectors cannot be fine-tuned")?;
    Ok(component)
}

fn diet(mut options: Options) -> Result<Component, ConfigError> {
    let featurizers = options.take("featurizers")?.unwrap_or_default();
    let mut config = DietConfig::default();
    let known = config.table();
    for (option, value) in options.own {
        if !(value.is_null() && known.iter().any(|entry| entry.name == option)) {
            config.set(&option, value)?;
        }
    }
    config.validate()?;
    Ok(Component::DietClassifier { config: Box::new(config), featurizers })
}

fn extractor(options: Options) -> Result<Component, ConfigError> {
    let default = PatternsConfig { case_sensitive: false, ..PatternsConfig::default() };
    Ok(Component::RegexEntityExtractor(options.over(default)?))
}

fn synonyms(options: Options) -> Result<Component, ConfigError> {
    match options.own.keys().next() {
        Some(option) => Err(ConfigError::unknown(option, [""; 0])),
        None => Ok(Component::EntitySynonymMapper),
    }
}

fn fallback(options: Options) -> Result<Component, ConfigError> {
    let config: FallbackConfig = options.over(FallbackConfig::default())?;
    let problem = "must lie between 0 and 1";
    let share = |value: f32| (0.0..=1.0).contains(&value);
    let fits = matches!(config.threshold, Threshold::Fitted(_)) || share(config.threshold.or(None));
    ConfigError::unless(fits, "threshold", problem)?;
    ConfigError::unless(share(config.ambiguity_threshold), "ambiguity_threshold", problem)?;
    Ok(Component::FallbackClassifier(config))
}
