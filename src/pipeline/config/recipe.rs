//! The pipelines that come with the program.

use super::PipelineConfig;

/// A pipeline that comes with the program.
///
/// # Example
///
/// ```
/// use talkformer::pipeline::Recipe;
///
/// let mut config = Recipe::accurate();
/// config.change_diet(|diet| diet.training.epochs = 20);
/// assert_eq!(Recipe::find("accurate").unwrap().name(), "accurate");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipe {
    name: &'static str,
    yaml: &'static str,
}

impl Recipe {
    /// All recipes, the default first.
    pub const ALL: [Self; 3] = [
        Self { name: "accurate", yaml: include_str!("../../../models/accurate/config.yml") },
        Self { name: "small", yaml: include_str!("../../../models/small/config.yml") },
        Self { name: "rasa", yaml: include_str!("../../../models/rasa/config.yml") },
    ];

    /// The most accurate pipeline, and the default.
    #[must_use]
    pub fn accurate() -> PipelineConfig {
        Self::ALL[0].config()
    }

    /// The pipeline for little memory and a quick start.
    #[must_use]
    pub fn small() -> PipelineConfig {
        Self::ALL[1].config()
    }

    /// The pipeline that Rasa fills in by itself.
    #[must_use]
    pub fn rasa() -> PipelineConfig {
        Self::ALL[2].config()
    }

    /// The recipe with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|recipe| recipe.name == name)
    }

    /// What it is called; the folder below `models/`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Its `config.yml`.
    #[must_use]
    pub fn yaml(self) -> &'static str {
        self.yaml
    }

    /// The pipeline that its `config.yml` describes.
    ///
    /// # Panics
    ///
    /// Never: a test reads every recipe.
    #[must_use]
    pub fn config(self) -> PipelineConfig {
        let config = PipelineConfig::from_yaml(self.yaml, &format!("recipe {}", self.name));
        config.expect("a test reads every built-in recipe")
    }
}
