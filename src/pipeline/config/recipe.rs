//! The pipelines that come with the program.

use super::super::PipelineError;
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
/// assert_eq!(Recipe::find("accurate").unwrap().name, "accurate");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipe {
    /// What it is called; the folder below `models/`.
    pub name: &'static str,
    /// Its `config.yml`.
    pub yaml: &'static str,
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
        Self::ALL[0].read()
    }

    /// The pipeline for little memory and a quick start.
    #[must_use]
    pub fn small() -> PipelineConfig {
        Self::ALL[1].read()
    }

    /// The pipeline that Rasa fills in by itself.
    #[must_use]
    pub fn rasa() -> PipelineConfig {
        Self::ALL[2].read()
    }

    fn read(self) -> PipelineConfig {
        self.config().expect("a test reads every built-in recipe")
    }

    /// The recipe with this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|recipe| recipe.name == name)
    }

    /// What it says.
    ///
    /// # Errors
    ///
    /// Never for the recipes in [`Recipe::ALL`]; a test reads them.
    pub fn config(self) -> Result<PipelineConfig, PipelineError> {
        PipelineConfig::from_yaml(self.yaml, &format!("recipe {}", self.name))
    }
}
