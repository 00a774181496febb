//! What a `config.yml` asks for that is done otherwise here, or not at all.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something in a `config.yml` that a person should know of, though it is no reason to refuse the file.
///
/// Printed with `Display` it is one line, without the name of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ConfigWarning {
    /// The file lists no components: those of the default recipe are used.
    NoPipeline {
        /// The recipe.
        recipe: String,
    },
    /// A key beside `pipeline` that means nothing here.
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A component was left out.
    LeftOut {
        /// The component, as the file calls it.
        component: String,
        /// What is lost, and what serves instead.
        lost: String,
    },
    /// Another component does the work of this one.
    ServedBy {
        /// The component, as the file calls it.
        component: String,
        /// The one that serves.
        by: String,
        /// How.
        how: String,
    },
    /// A component was added in place of what was left out.
    Added {
        /// The component.
        component: String,
        /// What would be missing without it.
        missing: String,
    },
    /// Options that do nothing here.
    NoEffect {
        /// The component.
        component: String,
        /// The options.
        options: Vec<String>,
        /// Why they do nothing.
        why: String,
    },
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPipeline { recipe } => {
                write!(f, "there is no `pipeline`: that of the recipe `{recipe}` is used")
            }
            Self::UnknownKey { key } => write!(f, "the key `{key}` means nothing here"),
            Self::LeftOut { component, lost } => write!(f, "{component} is left out: {lost}"),
            Self::ServedBy { component, by, how } => write!(f, "{by} serves for {component}: {how}"),
            Self::Added { component, missing } => write!(f, "{component} was added: {missing}"),
            Self::NoEffect { component, options, why } => {
                let names: Vec<String> = options.iter().map(|option| format!("`{option}`")).collect();
                let verb = if names.len() == 1 { "has" } else { "have" };
                write!(f, "{component}: {} {verb} no effect here: {why}", names.join(", "))
            }
        }
    }
}
