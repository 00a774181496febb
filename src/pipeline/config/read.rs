//! From YAML to components.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::{Components, PipelineError};
use super::components::{self, Fate, Kind, Options};
use super::fill::Filling;
use super::{Component, ConfigWarning, PipelineConfig, Recipe};
use crate::settings::{ConfigError, short};

/// What is read of a file.
#[derive(Deserialize)]
struct RawConfig {
    language: Option<String>,
    pipeline: Option<Value>,
}

/// The keys that Rasa's files have.
const KNOWN: [&str; 9] =
    ["version", "recipe", "assistant_id", "language", "pipeline", "policies", "importers", "imports", "data"];

/// The longest pipeline that is read.
const MOST_COMPONENTS: usize = 100;

/// Reads a file, without checking whether its components fit together.
pub(super) fn config(yaml: &str, file: &str, custom: &Components) -> Result<PipelineConfig, PipelineError> {
    let problem = |problem: String| PipelineError::Config { file: file.to_owned(), problem: short(&problem) };
    let most = PipelineConfig::MOST_BYTES;
    if yaml.len() > most {
        return Err(problem(format!(
            "{} bytes are too many for a pipeline; at most {most} are read",
            yaml.len()
        )));
    }
    // Depth, aliases and the number of values are bounded by the library.
    let raw: RawConfig = serde_saphyr::from_str(yaml).map_err(|error| problem(first_line(&error)))?;
    let keys: Map<String, Value> =
        serde_saphyr::from_str(yaml).map_err(|error| problem(first_line(&error)))?;
    let mut warnings = Vec::new();
    for key in keys.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
        match ConfigError::unknown(key, KNOWN) {
            ConfigError::Unknown { nearest: Some(nearest), .. } => {
                return Err(problem(format!("unknown key `{key}`, did you mean `{nearest}`?")));
            }
            _ => warnings.push(ConfigWarning::UnknownKey { key: key.clone() }),
        }
    }
    if !keys.keys().any(|key| KNOWN.contains(&key.as_str())) {
        return Err(problem(
            "this is no configuration: there is no `pipeline`, nor any other key of one".into(),
        ));
    }
    let entries = match raw.pipeline {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(other) => {
            return Err(problem(format!(
                "`pipeline` is {other}; list its components, such as `- name: WhitespaceTokenizer`, or leave it empty \
                 for the default recipe"
            )));
        }
    };
    if entries.is_empty() {
        let recipe = Recipe::ALL[0];
        warnings.push(ConfigWarning::NoPipeline { recipe: recipe.name().to_owned() });
        return Ok(PipelineConfig { language: raw.language, warnings, ..recipe.config() });
    }
    if entries.len() > MOST_COMPONENTS {
        let found = entries.len();
        return Err(problem(format!("{found} components are too many; at most {MOST_COMPONENTS} are read")));
    }
    let mut reading = Reading { file, custom, filling: Filling::default(), warnings };
    entries.into_iter().try_for_each(|entry| reading.entry(entry))?;
    let Reading { filling, mut warnings, .. } = reading;
    let components = filling.fill(&mut warnings);
    let mut once: Vec<ConfigWarning> = Vec::new();
    warnings.into_iter().for_each(|warning| {
        if !once.contains(&warning) {
            once.push(warning);
        }
    });
    Ok(PipelineConfig { language: raw.language, components, warnings: once })
}

/// The first line of an error: some libraries add an excerpt of the source.
fn first_line(error: &impl ToString) -> String {
    let text = error.to_string();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

/// A pipeline on its way from the file.
struct Reading<'f> {
    file: &'f str,
    custom: &'f Components,
    filling: Filling,
    warnings: Vec<ConfigWarning>,
}

impl Reading<'_> {
    /// Takes in one entry of the pipeline.
    fn entry(&mut self, entry: Value) -> Result<(), PipelineError> {
        let file = self.file.to_owned();
        let mut own = if let Value::Object(own) = entry { own } else { Map::new() };
        let Some(Value::String(path)) = own.remove("name") else {
            let problem = "each entry of `pipeline` needs a `name`".to_owned();
            return Err(PipelineError::Config { file, problem });
        };
        let of_option = |component: &str, error| {
            let (file, component) = (self.file.to_owned(), component.to_owned());
            PipelineError::Option { file, component, error }
        };
        if let Some(kind) = self.custom.kind(&path) {
            let component = components::custom(kind, path.clone(), own);
            self.filling.components.push(component.map_err(|error| of_option(&path, error))?);
            return Ok(());
        }
        let Some(kind) = Kind::find(&path) else {
            return Err(if path.contains('.') {
                PipelineError::PythonComponent { file, name: path }
            } else {
                let known = Component::names().collect::<Vec<_>>().join(", ");
                PipelineError::UnknownComponent { file, name: short(&path), known }
            });
        };
        let component = kind.name.to_owned();
        let lost = match kind.fate {
            Fate::Served(_) => components::without_source(kind, &own),
            Fate::LeftOut(lost) => Some(lost),
            Fate::Tokenizer(_) | Fate::Learnt(_) => None,
        };
        if let Some(lost) = lost {
            let alias = own.get("alias").and_then(Value::as_str).unwrap_or(kind.name);
            self.filling.left_out.push(alias.to_owned());
            self.warnings.push(ConfigWarning::LeftOut { component, lost: lost.to_owned() });
            return Ok(());
        }
        let options = Options { component: component.clone(), own, warnings: &mut self.warnings };
        let read = match kind.fate {
            Fate::Served(read) => read(options),
            Fate::Tokenizer(_) => components::tokenizer(options.of_tokenizer()),
            Fate::Learnt(task) => {
                self.filling.learnt.push((component, task));
                return Ok(());
            }
            Fate::LeftOut(_) => return Ok(()),
        };
        self.filling.components.push(read.map_err(|error| of_option(kind.name, error))?);
        if let Fate::Tokenizer(how) = kind.fate {
            let (by, how) = (components::TOKENIZER.to_owned(), how.to_owned());
            self.warnings.push(ConfigWarning::ServedBy { component, by, how });
        }
        Ok(())
    }
}
