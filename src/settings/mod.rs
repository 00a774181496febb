//! Options by name. A configuration lists each of its options once, with name, field and [`Rule`]; reading a file,
//! writing it back, checking, and the list for the documentation all follow from that list ([`Settings`]).
//!
//! Groups of options that several models share, such as those of [`train`](crate::train), list their own, and the
//! configuration of a model lists its groups. Files stay flat, under Rasa's names.

#[cfg(test)]
mod document;
mod error;
mod rule;
mod serial;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

#[cfg(test)]
pub(crate) use document::markdown;
pub use error::ConfigError;
pub(crate) use error::short;
pub use rule::{Range, Rule};
pub(crate) use serial::{deserialize, serialize};

/// The value of one option, whatever its type.
pub trait OptionField {
    /// What it is, as JSON.
    fn get(&self) -> Value;

    /// Replaces it.
    ///
    /// # Errors
    ///
    /// If the value is of another type.
    fn set(&mut self, value: Value) -> Result<(), serde_json::Error>;
}

impl<T: Serialize + DeserializeOwned> OptionField for T {
    fn get(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn set(&mut self, value: Value) -> Result<(), serde_json::Error> {
        *self = serde_json::from_value(value)?;
        Ok(())
    }
}

/// Called with the name, the value and the rule of each option.
pub type Visit<'v> = dyn FnMut(&'static str, &mut dyn OptionField, Rule) + 'v;

/// Called with options that have no effect beside the others, and why that is so.
pub type Tell<'t> = dyn FnMut(&[&'static str], &'static str) + 't;

/// One line of the table of options.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OptionEntry {
    /// Its name in a file.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// What it may be.
    pub rule: Rule,
}

/// A configuration, or a group of options, that knows its options by name.
///
/// # Example
///
/// ```
/// use talkformer::diet::DietConfig;
/// use talkformer::settings::Settings;
///
/// let mut config = DietConfig::default();
/// config.set("transformer_size", 128)?;
/// assert_eq!(config.transformer.model_dim, 128);
/// let error = config.set("epoch", 20).unwrap_err().to_string();
/// assert!(error.starts_with("unknown option `epoch`, did you mean `epochs`?"));
/// # Ok::<(), talkformer::settings::ConfigError>(())
/// ```
pub trait Settings: Clone + Default {
    /// Shows each option to `visit`, always in the same order.
    fn options(&mut self, visit: &mut Visit<'_>);

    /// Checks what depends on several options.
    ///
    /// # Errors
    ///
    /// The first options that do not fit together.
    fn check_relations(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// Tells which options have no effect, whatever their values, beside the values of the others.
    fn idle(&self, _tell: &mut Tell<'_>) {}

    /// The options that have another value than by default but no effect beside the others, each with the reason.
    ///
    /// They are no error: files are easier to read and to change if they may hold what is not used at the moment.
    #[must_use]
    fn without_effect(&self) -> Vec<(&'static str, &'static str)> {
        let mut idle = Vec::new();
        self.idle(&mut |options, why| idle.extend(options.iter().map(|option| (*option, why))));
        let pairs = self.table().into_iter().zip(Self::default().table());
        let changed = pairs.filter(|(own, default)| own.value != default.value);
        changed.filter_map(|(own, _)| idle.iter().find(|(option, _)| *option == own.name).copied()).collect()
    }

    /// Checks every option.
    ///
    /// # Errors
    ///
    /// The first option that is out of its range, or does not fit the others.
    fn validate(&self) -> Result<(), ConfigError> {
        for OptionEntry { name, value, rule } in self.table() {
            if let Rule::Range(range) = rule
                && !range.holds(&value)
            {
                return Err(ConfigError::Range { option: name, range });
            }
        }
        self.check_relations()
    }

    /// All options with their values; those of the default are the documentation.
    #[must_use]
    fn table(&self) -> Vec<OptionEntry> {
        let mut entries = Vec::new();
        let mut own = self.clone();
        own.options(&mut |name, field, rule| entries.push(OptionEntry { name, value: field.get(), rule }));
        entries
    }

    /// Replaces one option; whether the value makes sense is for [`Settings::validate`] to say.
    ///
    /// # Errors
    ///
    /// If there is no such option, or the value is of another type.
    fn set(&mut self, option: &str, value: impl Into<Value>) -> Result<(), ConfigError> {
        let value = value.into();
        let mut found = None;
        self.options(&mut |name, field, _| {
            if name == option {
                found = Some(field.set(value.clone()));
            }
        });
        let unknown = || ConfigError::unknown(option, self.table().iter().map(|entry| entry.name));
        found.ok_or_else(unknown)?.map_err(|error| ConfigError::value(option, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Default, PartialEq)]
    struct Pair {
        width: usize,
        share: Option<f64>,
    }

    impl Settings for Pair {
        fn options(&mut self, visit: &mut Visit<'_>) {
            visit("width", &mut self.width, Rule::Range(Range::between(1, 9)));
            visit("share", &mut self.share, Rule::Any);
            visit("colour", &mut "red".to_owned(), Rule::WithoutEffect("nothing is drawn"));
        }

        fn idle(&self, tell: &mut Tell<'_>) {
            if self.width == 1 {
                tell(&["share"], "a width of 1 cannot be shared");
            }
        }
    }

    #[test]
    fn options_are_set_by_name_and_checked_by_rule() {
        let mut pair = Pair::default();
        assert_eq!(pair.validate().unwrap_err().to_string(), "option `width` must be between 1 and 9");
        pair.set("width", 5).unwrap();
        pair.set("share", 0.5).unwrap();
        pair.set("colour", "blue").unwrap();
        assert_eq!((pair.validate(), pair), (Ok(()), Pair { width: 5, share: Some(0.5) }));
    }

    #[test]
    fn an_option_that_is_given_and_idle_is_told_and_no_idle_one_is_written() {
        let mut pair = Pair { width: 1, share: None };
        assert_eq!(pair.without_effect(), []);
        pair.share = Some(0.5);
        assert_eq!(pair.without_effect(), [("share", "a width of 1 cannot be shared")]);
        let written = |pair: &Pair| serialize(pair, serde_json::value::Serializer).unwrap().to_string();
        assert_eq!(written(&pair), r#"{"width":1}"#);
        pair.width = 2;
        assert_eq!(pair.without_effect(), []);
        assert_eq!(written(&pair), r#"{"share":0.5,"width":2}"#);
    }

    #[test]
    fn what_cannot_be_set_is_named() {
        let mut pair = Pair::default();
        let error = pair.set("widht", 5).unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown option `widht`, did you mean `width`? known are width, share, colour"
        );
        let error = pair.set("zzz", 5).unwrap_err();
        assert_eq!(error.to_string(), "unknown option `zzz`; known are width, share, colour");
        let error = pair.set("width", "wide").unwrap_err();
        assert!(error.to_string().starts_with("option `width`: invalid type"), "{error}");
        assert_eq!(error.option(), "width");
    }
}
