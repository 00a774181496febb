//! The flags of `talkformer test nlu`.

use std::path::PathBuf;

use super::cross_validation::CrossValidationArgs;
use super::learning_curve::LearningCurveArgs;
use super::model::ModelArgs;
use crate::pipelines::{Computing, Named, Overrides, PipelinesArgs};

const TEST_AFTER: &str = "\
Examples:
  talkformer test nlu --model models --data test.yml
  talkformer test nlu --model models --data test.yml --compare other-model --out results
  talkformer test nlu --data nlu.yml --cross-validation --folds 5 --recipe small
  talkformer test nlu --data nlu.yml --config a.yml b.yml --percentages 0 25 50 75 --runs 3

Messages that are in the training data of the model are counted, and the others scored apart as well. Entities count
whichever component found them.

Files go to results/, under Rasa's names, and report.html holds them all; --no-report writes none. With --json
they are written only where --out says so. Most flags are called as in `rasa test nlu`.";

#[derive(Debug, clap::Args)]
#[command(after_help = TEST_AFTER)]
pub(crate) struct TestNlu {
    #[command(flatten)]
    pub scored: ModelArgs,
    /// Labelled messages: a file or a folder.
    #[arg(long, short = 'u', visible_alias = "nlu", value_name = "PATH")]
    pub data: PathBuf,
    /// Where the report goes, replacing an earlier one; by default to `results`.
    #[arg(long, value_name = "DIR", conflicts_with = "no_report")]
    pub out: Option<PathBuf>,
    /// Write no files.
    #[arg(long)]
    pub no_report: bool,
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
    pub pipelines: PipelinesArgs,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Worker threads; by default one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub computing: Computing,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What the report holds.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// Write the messages that were answered correctly, too.
    #[arg(long)]
    pub successes: bool,
    /// Do not write the messages that were answered incorrectly.
    #[arg(long)]
    pub no_errors: bool,
    /// Write no SVG and PNG files; report.html contains the drawings all the same.
    #[arg(long)]
    pub no_plot: bool,
}

impl TestNlu {
    /// The pipelines to train, with the settings that replace theirs.
    pub(super) fn pipelines(&self) -> anyhow::Result<Vec<Named>> {
        let mut pipelines = self.pipelines.resolve()?;
        for (pipeline, _) in &mut pipelines {
            pipeline.change_diet(|diet| self.overrides.apply(diet));
        }
        Ok(pipelines)
    }

    /// Whether models are trained on shares of the data.
    pub(crate) fn is_learning_curve(&self) -> bool {
        self.curve.is_asked_for() || (self.pipelines.count() > 1 && !self.cross.cross_validation)
    }

    /// Whether models are trained.
    pub(crate) fn trains(&self) -> bool {
        self.cross.cross_validation || self.is_learning_curve()
    }
}
