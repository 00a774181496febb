//! A configuration to a flat map and back.

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::{Map, Value};

use super::{Rule, Settings};

/// All options by name, but for those without effect: no field remembers what a file said of these.
pub(crate) fn serialize<T: Settings, S: Serializer>(settings: &T, to: S) -> Result<S::Ok, S::Error> {
    let all = settings.table().into_iter();
    let kept = all.filter(|entry| !matches!(entry.rule, Rule::WithoutEffect(_)));
    to.collect_map(kept.map(|entry| (entry.name, entry.value)))
}

/// The options that are given; the others are those of the default.
pub(crate) fn deserialize<'de, T: Settings, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let mut settings = T::default();
    for (name, value) in Map::<String, Value>::deserialize(from)? {
        settings.set(&name, value).map_err(D::Error::custom)?;
    }
    Ok(settings)
}
