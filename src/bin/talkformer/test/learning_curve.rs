//! `talkformer test nlu --percentages`: models are trained on growing shares of the data, and pipelines are compared.

use std::sync::Arc;

use serde_json::json;
use talkformer::pipeline::{CurveSeries, LearningCurve};
use talkformer::report::Report;

use super::args::TestNlu;
use super::facts;
use crate::output::json_line;
use crate::progress::stop_on_interrupt;
use crate::trainings::{Watch, interrupted};
use crate::{report, score, train};

/// Which shares of the data, and how many runs.
#[derive(Debug, clap::Args)]
pub(crate) struct LearningCurveArgs {
    /// Draw a learning curve: leave out these percentages of the training data, and score held-out data each time.
    #[arg(long, value_name = "PERCENT", num_args = 1.., value_parser = clap::value_parser!(u8).range(0..100))]
    pub percentages: Vec<u8>,
    /// Runs of a learning curve, each with a different part held out; by default 3.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub runs: Option<u16>,
}

impl LearningCurveArgs {
    /// Whether a flag asks for a learning curve.
    pub(super) fn is_asked_for(&self) -> bool {
        !self.percentages.is_empty() || self.runs.is_some()
    }

    fn resolve(&self, seed: Option<u64>) -> LearningCurve {
        let default = LearningCurve::default();
        let (runs, seed) = (self.runs.map_or(default.runs, usize::from), seed.unwrap_or(default.seed));
        let curve = default.runs(runs).seed(seed);
        if self.percentages.is_empty() { curve } else { curve.percentages(self.percentages.clone()) }
    }
}

/// Trains on shares of the data.
pub(super) fn run(args: &TestNlu) -> anyhow::Result<()> {
    let pipelines = args.pipelines()?;
    let folder = report::folder(args)?;
    let data = train::read(&args.data)?;
    let curve = args.curve.resolve(args.overrides.seed);
    let stop = stop_on_interrupt()?;
    let mut series: Vec<CurveSeries> = Vec::new();
    for (pipeline, name) in &pipelines {
        let mut watch = Watch::default();
        let options = train::options(args.threads, args.computing, Arc::clone(&stop));
        let found = curve.run(name, pipeline, &data, &options, |run, percentage, event| {
            let place = format!("{name}, run {} of {}, without {percentage} %", run + 1, curve.runs);
            watch.show(&place, &event);
        });
        watch.clear();
        series.push(found.map_err(interrupted)?);
    }
    if args.json {
        json_line(&json!({"learning_curve": series}))?;
    } else {
        score::print_curve(&series)?;
    }
    let facts = facts(args, &[("runs", curve.runs.to_string())]);
    let title = "How scores grow with the number of examples";
    let report = Report { title, facts: &facts, curve: &series, ..Report::default() };
    folder.map_or(Ok(()), |folder| report::write(&report, &folder, args))
}
