//! A configuration to a flat map and back.

use std::collections::BTreeSet;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::{Map, Value};

use super::{Rule, Settings};

/// All options by name, but for those without effect: of those that never have one, no field remembers what a file said,
/// and those that are idle beside the others are read back as by default.
pub(crate) fn serialize<T: Settings, S: Serializer>(settings: &T, to: S) -> Result<S::Ok, S::Error> {
    let mut idle = BTreeSet::new();
    settings.idle(&mut |options, _| idle.extend(options.iter().copied()));
    let all = settings.table().into_iter();
    let kept =
        all.filter(|entry| !matches!(entry.rule, Rule::WithoutEffect(_)) && !idle.contains(entry.name));
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
