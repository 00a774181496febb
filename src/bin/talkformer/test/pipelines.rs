//! The pipelines that a test trains.

use talkformer::Error;
use talkformer::pipeline::{PipelineConfig, PipelineError, Recipe};

use super::args::PipelineArgs;
use crate::output::Interrupted;
use crate::train;

/// The pipelines to train with, the default recipe where none is named.
pub(super) fn pipelines(args: &PipelineArgs) -> anyhow::Result<Vec<(PipelineConfig, String)>> {
    let mut all: Vec<(PipelineConfig, String)> = if args.config.is_empty() {
        let default = [Recipe::ALL[0].name().to_owned()];
        let names = if args.recipe.is_empty() { &default[..] } else { &args.recipe[..] };
        names.iter().map(|name| train::pipeline_of_recipe(name)).collect::<anyhow::Result<_>>()?
    } else {
        args.config.iter().map(|file| train::pipeline_of_file(file)).collect::<anyhow::Result<_>>()?
    };
    for (pipeline, _) in &mut all {
        pipeline.change_diet(|diet| {
            if let Some(epochs) = args.epochs {
                diet.training.set_epochs(epochs as usize);
            }
            diet.training.random_seed = args.seed.or(diet.training.random_seed);
        });
    }
    Ok(all)
}

/// Half a cross-validation is none: asking to stop ends the program as it does elsewhere.
pub(super) fn interrupted(error: Error) -> anyhow::Error {
    match error {
        Error::Pipeline(PipelineError::Stopped { during }) => {
            anyhow::Error::from(Interrupted).context(format!("stopped during {during}; nothing was written"))
        }
        other => other.into(),
    }
}
