//! The flags that say what is trained: a configuration or a recipe, and settings that replace its own.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use talkformer::diet::DietConfig;
use talkformer::nn::Device;
use talkformer::pipeline::{OpeningOptions, PipelineConfig, Recipe};

use super::output::say;

/// A pipeline and its name: that of the file or of the recipe.
pub(crate) type Named = (PipelineConfig, String);

/// One pipeline.
#[derive(Debug, clap::Args)]
pub(crate) struct PipelineArgs {
    /// A Rasa config.yml; without it the recipe decides.
    #[arg(long, short, value_name = "FILE", conflicts_with = "recipe")]
    pub config: Option<PathBuf>,
    /// A built-in pipeline: accurate (the default), small or rasa.
    #[arg(long, value_name = "NAME")]
    pub recipe: Option<String>,
}

/// One pipeline or several.
#[derive(Debug, clap::Args)]
pub(crate) struct PipelinesArgs {
    /// Rasa config.yml to train with; several are compared by a learning curve.
    #[arg(long, short, value_name = "FILE", num_args = 1.., conflicts_with = "recipe")]
    pub config: Vec<PathBuf>,
    /// Built-in pipelines to train with: accurate, small or rasa.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub recipe: Vec<String>,
}

/// What a model needs besides its own folder.
#[derive(Debug, clap::Args)]
pub(crate) struct Opening {
    /// Where an encoder or word vectors of the model are by now, or the folder they lie in; once for each that was moved.
    #[arg(long = "encoder", value_name = "PATH")]
    pub encoders: Vec<PathBuf>,
}

impl Opening {
    pub(crate) fn options(&self) -> OpeningOptions {
        OpeningOptions::default().encoders(self.encoders.clone())
    }
}

/// What computes.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Computing {
    /// What computes: cpu, or, where the program was built for it, cuda, cuda:1 (the second GPU) or metal.
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: Device,
}

/// Settings in place of those of the pipeline.
#[derive(Debug, clap::Args)]
pub(crate) struct Overrides {
    /// Epochs, instead of what the pipeline says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Random seed, also for how the data is split, instead of what the pipeline says.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl PipelineArgs {
    /// Whether a flag names a pipeline.
    pub(crate) fn is_given(&self) -> bool {
        self.config.is_some() || self.recipe.is_some()
    }

    /// The pipeline that is named, or else the default recipe.
    pub(crate) fn resolve(&self) -> anyhow::Result<Named> {
        self.config.as_deref().map_or_else(|| of_recipe(self.recipe.as_deref()), of_file)
    }
}

impl PipelinesArgs {
    /// How many pipelines are named.
    pub(crate) fn count(&self) -> usize {
        self.config.len().max(self.recipe.len())
    }

    /// The pipelines that are named, or else the default recipe.
    pub(crate) fn resolve(&self) -> anyhow::Result<Vec<Named>> {
        match (&self.config[..], &self.recipe[..]) {
            ([], []) => Ok(vec![of_recipe(None)?]),
            ([], names) => names.iter().map(|name| of_recipe(Some(name))).collect(),
            (files, _) => files.iter().map(|file| of_file(file)).collect(),
        }
    }
}

impl Overrides {
    pub(crate) fn apply(&self, diet: &mut DietConfig) {
        if let Some(epochs) = self.epochs {
            diet.training.set_epochs(epochs as usize);
        }
        diet.training.random_seed = self.seed.or(diet.training.random_seed);
    }
}

fn of_file(file: &Path) -> anyhow::Result<Named> {
    let name = file.display().to_string();
    // One byte more than is accepted, so that the reader can say that it is too long.
    let read = || {
        let mut yaml = String::new();
        let most = PipelineConfig::MOST_BYTES as u64 + 1;
        std::fs::File::open(file)?.take(most).read_to_string(&mut yaml).map(|_| yaml)
    };
    let yaml = read().with_context(|| format!("{name}: cannot be read"))?;
    let config = PipelineConfig::from_yaml(&yaml, &name)?;
    config.warnings.iter().for_each(|warning| say(&format!("warning: {name}: {warning}")));
    Ok((config.with_files_beside(file.parent().unwrap_or(Path::new(""))), name))
}

fn of_recipe(name: Option<&str>) -> anyhow::Result<Named> {
    let name = name.unwrap_or(Recipe::ALL[0].name());
    let known = || Recipe::ALL.map(Recipe::name).join(", ");
    let recipe =
        Recipe::find(name).ok_or_else(|| anyhow!("unknown recipe `{name}`; known are {}", known()))?;
    Ok((recipe.config(), recipe.name().to_owned()))
}
