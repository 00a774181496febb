//! From YAML to components.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::{Components, PipelineError};
use super::components::{self, Kind};
use super::{Component, PipelineConfig};

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

/// Reads a file, without checking whether its components fit together.
pub(super) fn config(yaml: &str, file: &str, custom: &Components) -> Result<PipelineConfig, PipelineError> {
    let problem = |problem: String| PipelineError::Config { file: file.to_owned(), problem };
    let raw: RawConfig = serde_saphyr::from_str(yaml).map_err(|error| problem(first_line(&error)))?;
    let Some(pipeline) = raw.pipeline.filter(|pipeline| !pipeline.is_empty()) else {
        return Err(problem(
            "there is no `pipeline`; list its components, such as `- name: WhitespaceTokenizer`".into(),
        ));
    };
    let components =
        pipeline.into_iter().map(|entry| component(entry, file, custom)).collect::<Result<_, _>>()?;
    Ok(PipelineConfig { language: raw.language, components })
}

/// The first line of an error: some libraries add an excerpt of the source.
fn first_line(error: &impl ToString) -> String {
    let text = error.to_string();
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

fn component(
    mut entry: Map<String, Value>,
    file: &str,
    custom: &Components,
) -> Result<Component, PipelineError> {
    let file = file.to_owned();
    let Some(Value::String(name)) = entry.remove("name") else {
        return Err(PipelineError::Config {
            file,
            problem: "each entry of `pipeline` needs a `name`".to_owned(),
        });
    };
    let (component, found) = match (custom.kind(&name), Kind::find(&name)) {
        (Some(kind), _) => (name.clone(), components::custom(kind, name, entry)),
        (None, Some(kind)) => (kind.name.to_owned(), kind.component(entry)),
        (None, None) => {
            let known = Component::names().collect::<Vec<_>>().join(", ");
            return Err(PipelineError::UnknownComponent { file, name, known });
        }
    };
    found.map_err(|error| PipelineError::Option { file, component, error })
}
