//! The flags of `talkformer test nlu`.

use std::path::PathBuf;

use super::cross_validation::CrossValidationArgs;
use super::learning_curve::LearningCurveArgs;
use super::model::ModelArgs;

const TEST_AFTER: &str = "\
Examples:
  talkformer test nlu --model models --data test.yml
  talkformer test nlu --model models --data test.yml --compare other-model --out results
  talkformer test nlu --data nlu.yml --cross-validation --folds 5 --recipe small
  talkformer test nlu --data nlu.yml --config a.yml b.yml --percentages 0 25 50 75 --runs 3

Files go to results/, under Rasa's names, and report.html holds them all; --no-report writes none. With --json
they are written only where --out says so. Names in --help of `rasa test nlu` work here as well.";

#[derive(Debug, clap::Args)]
#[command(after_help = TEST_AFTER)]
pub(crate) struct TestNlu {
    #[command(flatten)]
    pub scored: ModelArgs,
    /// Labelled messages: a file or a folder.
    #[arg(long, short = 'u', visible_alias = "nlu", value_name = "PATH")]
    pub data: PathBuf,
    #[command(flatten)]
    pub report: ReportArgs,
    /// The intent of messages that are out of scope; by default `out_of_scope`, `oos` or `nlu_fallback`.
    #[arg(long, value_name = "INTENT")]
    pub out_of_scope: Option<String>,
    #[command(flatten)]
    pub cross: CrossValidationArgs,
    #[command(flatten)]
    pub curve: LearningCurveArgs,
    #[command(flatten)]
    pub pipelines: PipelineArgs,
    /// Worker threads; by default one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What the report holds and where it goes.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct ReportArgs {
    /// Where the report goes, replacing an earlier one; by default to `results`.
    #[arg(long, value_name = "DIR", conflicts_with = "no_report")]
    pub out: Option<PathBuf>,
    /// Write no files.
    #[arg(long)]
    pub no_report: bool,
    /// Write the messages that were answered rightly, too.
    #[arg(long)]
    pub successes: bool,
    /// Do not write the messages that were answered wrongly.
    #[arg(long)]
    pub no_errors: bool,
    /// Write no SVG and PNG files; report.html has its drawings all the same.
    #[arg(long)]
    pub no_plot: bool,
}

/// What to train, where models are trained.
#[derive(Debug, clap::Args)]
pub(crate) struct PipelineArgs {
    /// Rasa config.yml to train with; several are compared by a learning curve.
    #[arg(long, short, value_name = "FILE", num_args = 1.., conflicts_with = "recipe")]
    pub config: Vec<PathBuf>,
    /// Built-in pipelines to train with: accurate, small or rasa.
    #[arg(long, value_name = "NAME", num_args = 1..)]
    pub recipe: Vec<String>,
    /// Rounds through the data when training, instead of what the pipeline says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub epochs: Option<u32>,
    /// Decides parts and, when training, all other draws, instead of what the pipeline says.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl TestNlu {
    /// Whether models are trained on shares of the data.
    pub(crate) fn is_learning_curve(&self) -> bool {
        let pipelines = self.pipelines.config.len().max(self.pipelines.recipe.len());
        self.curve.is_asked_for() || (pipelines > 1 && !self.cross.cross_validation)
    }

    /// Whether models are trained.
    pub(crate) fn trains(&self) -> bool {
        self.cross.cross_validation || self.is_learning_curve()
    }
}
