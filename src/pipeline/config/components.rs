//! The components that a pipeline may list, with their options.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::custom::CustomKind;
use super::{Component, ConfigWarning, DenseConfig, FallbackConfig, ResponseSelectorConfig, Threshold};
use crate::diet::DietConfig;
use crate::embed::PieceVectors;
use crate::features::{CustomConfig, FeaturizerConfig, LexicalConfig, NGramConfig, PatternsConfig};
use crate::prediction::{DIET_CLASSIFIER, REGEX_EXTRACTOR, SYNONYM_MAPPER};
use crate::settings::{ConfigError, Rule, Settings};
use crate::text::WhitespaceTokenizerConfig;

/// A kind of component. One more is one more line in [`KINDS`] and, where it is served, the function that it names.
pub(super) struct Kind {
    /// What it is called in a file.
    pub(super) name: &'static str,
    /// What becomes of it.
    pub(super) fate: Fate,
}

/// What becomes of a component that a file lists.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    /// It is served: this makes it of its options.
    Served(fn(Options<'_>) -> Result<Component, ConfigError>),
    /// It finds tokens; [`WhitespaceTokenizer`](crate::text::WhitespaceTokenizer) does that here, otherwise than it does.
    Tokenizer(&'static str),
    /// It learns this; [`DIET_CLASSIFIER`] learns it instead.
    Learnt(Task),
    /// It is left out: what is lost, and what serves instead.
    LeftOut(&'static str),
}

/// What a classifier or an extractor learns from examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Intents,
    Entities,
}

/// All NLU components of Rasa 3.6, and ours, in the order in which messages say them.
#[rustfmt::skip]
pub(super) const KINDS: &[Kind] = &[
    Kind { name: TOKENIZER, fate: Fate::Served(tokenizer) },
    Kind { name: "JiebaTokenizer", fate: Fate::Tokenizer("Chinese is cut into characters, and n-grams of them serve for words") },
    Kind { name: "MitieTokenizer", fate: Fate::Tokenizer("it cuts at blanks and strips the punctuation around words") },
    Kind { name: "SpacyTokenizer", fate: Fate::Tokenizer("it cuts at blanks and strips punctuation, without lemmas and parts of speech") },

    Kind { name: "SpacyNLP", fate: Fate::LeftOut("it loads a language model for other components, none of which needs it here") },
    Kind { name: "MitieNLP", fate: Fate::LeftOut("it loads a language model for other components, none of which needs it here") },

    Kind { name: "RegexFeaturizer", fate: Fate::Served(patterns) },
    Kind { name: LexicalConfig::COMPONENT, fate: Fate::Served(lexical) },
    Kind { name: NGramConfig::COMPONENT, fate: Fate::Served(ngrams) },
    Kind { name: ENCODER, fate: Fate::Served(encoder) },
    Kind { name: "WordVectorsFeaturizer", fate: Fate::Served(word_vectors) },
    Kind { name: "PieceVectorsFeaturizer", fate: Fate::Served(piece_vectors) },
    Kind { name: "SpacyFeaturizer", fate: Fate::LeftOut("its word vectors are lost; WordVectorsFeaturizer or LanguageModelFeaturizer with a file or folder of yours serves instead") },
    Kind { name: "MitieFeaturizer", fate: Fate::LeftOut("its word vectors are lost; WordVectorsFeaturizer or LanguageModelFeaturizer with a file or folder of yours serves instead") },
    Kind { name: "ConveRTFeaturizer", fate: Fate::LeftOut("its sentence vectors are lost; LanguageModelFeaturizer with the folder of an encoder serves instead") },

    Kind { name: DIET_CLASSIFIER, fate: Fate::Served(diet) },
    Kind { name: "KeywordIntentClassifier", fate: Fate::Learnt(Task::Intents) },
    Kind { name: "LogisticRegressionClassifier", fate: Fate::Learnt(Task::Intents) },
    Kind { name: "MitieIntentClassifier", fate: Fate::Learnt(Task::Intents) },
    Kind { name: "SklearnIntentClassifier", fate: Fate::Learnt(Task::Intents) },
    Kind { name: "FallbackClassifier", fate: Fate::Served(fallback) },

    Kind { name: "CRFEntityExtractor", fate: Fate::Learnt(Task::Entities) },
    Kind { name: "MitieEntityExtractor", fate: Fate::Learnt(Task::Entities) },
    Kind { name: REGEX_EXTRACTOR, fate: Fate::Served(extractor) },
    Kind { name: SYNONYM_MAPPER, fate: Fate::Served(synonyms) },
    Kind { name: "SpacyEntityExtractor", fate: Fate::LeftOut("names, places and dates are not found without examples; annotate some, and DIETClassifier learns them") },
    Kind { name: "DucklingEntityExtractor", fate: Fate::LeftOut("times, numbers and amounts are not turned into values; annotate them to have them found, and ask a Duckling server for their values") },

    Kind { name: "ResponseSelector", fate: Fate::Served(response_selector) },
    Kind { name: "RegexMessageHandler", fate: Fate::LeftOut("a message such as `/greet` is a text like any other") },

    // Names of earlier versions that are still met in files.
    Kind { name: "ConveRTTokenizer", fate: Fate::Tokenizer("it cuts at blanks and strips the punctuation around words") },
    Kind { name: "LanguageModelTokenizer", fate: Fate::Tokenizer("it cuts at blanks and strips the punctuation around words") },
    Kind { name: "HFTransformersNLP", fate: Fate::LeftOut("it loads a language model for other components, none of which needs it here") },
    Kind { name: "EmbeddingIntentClassifier", fate: Fate::Learnt(Task::Intents) },
    Kind { name: "DucklingHTTPExtractor", fate: Fate::LeftOut("times, numbers and amounts are not turned into values; annotate them to have them found, and ask a Duckling server for their values") },
];

/// The tokenizer of this crate.
pub(super) const TOKENIZER: &str = "WhitespaceTokenizer";

/// The featurizer that needs an encoder.
const ENCODER: &str = "LanguageModelFeaturizer";

/// Why room for later is not needed.
const GROWS: &str = "fine-tuning makes all the room that it needs";

impl Kind {
    /// The kind that a file calls by this name. Rasa also accepts the path of the module; the class is its last part.
    pub(super) fn find(path: &str) -> Option<&'static Self> {
        let name = path.strip_prefix("rasa.").and_then(|path| path.rsplit('.').next()).unwrap_or(path);
        KINDS.iter().find(|kind| kind.name == name)
    }
}

/// What is lost where a featurizer of Rasa's would download its model: here it has none.
pub(super) fn without_source(kind: &Kind, own: &Map<String, Value>) -> Option<&'static str> {
    let given = ["path", "model_weights", "file"]
        .iter()
        .any(|name| own.get(*name).is_some_and(|value| !value.is_null()));
    let lost = "nothing is downloaded, and no `model_weights` says where an encoder lies; with the folder of one, its features are used";
    (kind.name == ENCODER && !given).then_some(lost)
}

/// A custom component of this name with the options of an entry of the pipeline.
pub(super) fn custom(
    kind: CustomKind,
    name: String,
    own: Map<String, Value>,
) -> Result<Component, ConfigError> {
    let mut options = Options { component: name, own, warnings: &mut Vec::new() };
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
pub(super) struct Options<'w> {
    pub(super) component: String,
    pub(super) own: Map<String, Value>,
    /// What a person should know of them.
    pub(super) warnings: &'w mut Vec<ConfigWarning>,
}

impl Options<'_> {
    /// Only those options that all tokenizers share; the others are about how this one finds tokens.
    pub(super) fn of_tokenizer(mut self) -> Self {
        let Ok(Value::Object(shared)) = serde_json::to_value(WhitespaceTokenizerConfig::default()) else {
            unreachable!("options are a map")
        };
        let other: Vec<String> =
            self.own.keys().filter(|name| !shared.contains_key(*name)).cloned().collect();
        let other: Vec<&str> = other.iter().map(String::as_str).collect();
        self.ignore(&other, "another tokenizer serves");
        self
    }

    /// Takes these options out, where they are given, with a warning that they do nothing.
    fn ignore(&mut self, options: &[&str], why: &str) {
        let given =
            options.iter().filter(|option| self.own.remove(**option).is_some_and(|value| !value.is_null()));
        let options: Vec<String> = given.map(|option| (*option).to_owned()).collect();
        if !options.is_empty() {
            let component = self.component.clone();
            self.warnings.push(ConfigWarning::NoEffect { component, options, why: why.to_owned() });
        }
    }

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

pub(super) fn tokenizer(options: Options<'_>) -> Result<Component, ConfigError> {
    Ok(Component::WhitespaceTokenizer(options.over(WhitespaceTokenizerConfig::default())?))
}

fn patterns(mut options: Options<'_>) -> Result<Component, ConfigError> {
    options.ignore(&["number_additional_patterns"], GROWS);
    let alias = options.alias()?;
    let config = FeaturizerConfig::Patterns(options.over(PatternsConfig::default())?);
    Ok(Component::Featurizer { alias, config })
}

fn lexical(mut options: Options<'_>) -> Result<Component, ConfigError> {
    let alias = options.alias()?;
    let config: LexicalConfig = options.over(LexicalConfig::default())?;
    config.validate()?;
    Ok(Component::Featurizer { alias, config: FeaturizerConfig::Lexical(config) })
}

fn ngrams(mut options: Options<'_>) -> Result<Component, ConfigError> {
    let alias = options.alias()?;
    options.ignore(&["use_lemma"], "words have no lemmas");
    options.ignore(&["token_pattern"], "as in Rasa, words are runs of letters, digits and `_`");
    options.ignore(&["additional_vocabulary_size"], GROWS);
    if options.own.get("use_shared_vocab") == Some(&Value::Bool(false)) {
        options.own.remove("use_shared_vocab");
    }
    options.ignore(&["use_shared_vocab"], "messages and labels have vocabularies of their own");
    let config: NGramConfig = options.over(NGramConfig::default())?;
    config.validate()?;
    Ok(Component::Featurizer { alias, config: FeaturizerConfig::NGrams(config) })
}

fn encoder(mut options: Options<'_>) -> Result<Component, ConfigError> {
    options.ignore(&["model_name"], "the files of the encoder say what it is");
    options.ignore(&["cache_dir"], "nothing is downloaded");
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
    let problem = "must be at least 1 and at most 10,000; 3 are usual";
    ConfigError::unless((1..=10_000).contains(&config.fine_tune_epochs), "fine_tune_epochs", problem)?;
    let problem = "must be at least 0 and below 1; 1e-4 is usual";
    ConfigError::unless((0.0..1.0).contains(&rate), "fine_tune_learning_rate", problem)?;
    Ok(Component::DenseFeaturizer { alias, config })
}

/// The table that comes with the program, for examples in its language, unless the options say otherwise.
fn piece_vectors(mut options: Options<'_>) -> Result<Component, ConfigError> {
    let own = |name: &str| Value::String(name.to_owned());
    options.own.entry("path").or_insert_with(|| own(PieceVectors::ENGLISH));
    options.own.entry("language").or_insert_with(|| own(PieceVectors::LANGUAGE));
    word_vectors(options)
}

fn word_vectors(options: Options<'_>) -> Result<Component, ConfigError> {
    let component = encoder(options)?;
    let tuned = matches!(&component, Component::DenseFeaturizer { config, .. } if config.fine_tune);
    ConfigError::unless(!tuned, "fine_tune", "must be left out: word vectors cannot be fine-tuned")?;
    Ok(component)
}

fn diet(mut options: Options<'_>) -> Result<Component, ConfigError> {
    let featurizers = options.take("featurizers")?.unwrap_or_default();
    let mut config = DietConfig::default();
    let known = config.table();
    options.ignore(&["finetuning_epoch_fraction"], "`--epoch-fraction` says it");
    for entry in &known {
        if let Rule::WithoutEffect(why) = entry.rule {
            // A value that cannot be right is refused all the same.
            let given = options.own.get(entry.name).filter(|value| !value.is_null());
            given.map(|value| config.set(entry.name, value.clone())).transpose()?;
            options.ignore(&[entry.name], why);
        }
    }
    for (option, value) in options.own {
        if !(value.is_null() && known.iter().any(|entry| entry.name == option)) {
            config.set(&option, value)?;
        }
    }
    config.validate()?;
    Ok(Component::DietClassifier { config: Box::new(config), featurizers })
}

/// The response keys are labels of `DIETClassifier`, so that the options of a network of its own do nothing here.
fn response_selector(mut options: Options<'_>) -> Result<Component, ConfigError> {
    let retrieval_intent = options.take("retrieval_intent")?;
    let known: Vec<&str> = DietConfig::default().table().iter().map(|entry| entry.name).collect();
    let names: Vec<String> = options.own.keys().cloned().collect();
    let all = || known.iter().copied().chain(["retrieval_intent", "use_text_as_label", "featurizers"]);
    if let Some(option) = names.iter().find(|name| !all().any(|own| own == *name)) {
        return Err(ConfigError::unknown(option, all()));
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    options.ignore(&names, "DIETClassifier learns the response keys as it learns intents");
    Ok(Component::ResponseSelector(ResponseSelectorConfig { retrieval_intent }))
}

fn extractor(options: Options<'_>) -> Result<Component, ConfigError> {
    let default = PatternsConfig { case_sensitive: false, ..PatternsConfig::default() };
    Ok(Component::RegexEntityExtractor(options.over(default)?))
}

fn synonyms(options: Options<'_>) -> Result<Component, ConfigError> {
    match options.own.keys().next() {
        Some(option) => Err(ConfigError::unknown(option, [""; 0])),
        None => Ok(Component::EntitySynonymMapper),
    }
}

fn fallback(options: Options<'_>) -> Result<Component, ConfigError> {
    let config: FallbackConfig = options.over(FallbackConfig::default())?;
    let problem = "must lie between 0 and 1";
    let share = |value: f32| (0.0..=1.0).contains(&value);
    let fits = matches!(config.threshold, Threshold::Fitted(_)) || share(config.threshold.or(None));
    ConfigError::unless(fits, "threshold", problem)?;
    ConfigError::unless(share(config.ambiguity_threshold), "ambiguity_threshold", problem)?;
    Ok(Component::FallbackClassifier(config))
}
