//! From YAML to components.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::{Components, PipelineError};
use super::{Component, DenseConfig, FallbackConfig, PipelineConfig, Threshold};
use crate::diet::DietConfig;
use crate::features::{FeaturizerConfig, LexicalConfig, NGramConfig};

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

/// What a file says, whether or not its components fit together.
pub(super) fn config(
    yaml: &str,
    file: &str,
    components: &Components,
) -> Result<PipelineConfig, PipelineError> {
    let problem = |problem: String| PipelineError::Config { file: file.to_owned(), problem };
    let raw: RawConfig = serde_saphyr::from_str(yaml).map_err(|error| problem(first_line(&error)))?;
    let Some(pipeline) = raw.pipeline.filter(|pipeline| !pipeline.is_empty()) else {
        return Err(problem(
            "there is no `pipeline`; list its components, such as `- name: WhitespaceTokenizer`".into(),
        ));
    };
    let components = pipeline
        .into_iter()
        .map(|entry| components.read(&entry).map_or_else(|| component(entry, file), Ok))
        .collect::<Result<_, _>>()?;
    Ok(PipelineConfig { language: raw.language, components })
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
            let config: DenseConfig = reader.options(entry)?;
            if config.fine_tune && name == "WordVectorsFeaturizer" {
                return Err(reader.error("word vectors cannot be fine-tuned: leave out `fine_tune`"));
            }
            if config.fine_tune_epochs == 0 || !(0.0..1.0).contains(&config.fine_tune_learning_rate) {
                let problem = "`fine_tune_epochs` must be at least 1, `fine_tune_learning_rate` from 0 up to 1; usual are 3 and 1e-4";
                return Err(reader.error(problem));
            }
            Component::DenseFeaturizer { alias, config }
        }
        "DIETClassifier" => {
            let featurizers = match entry.remove("featurizers") {
                Some(list) => reader.read(list)?,
                None => Vec::new(),
            };
            let config: DietConfig = reader.options(entry)?;
            config.validate().map_err(|error| reader.error(&error.to_string()))?;
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
