//! `talkformer test nlu --model`: a model is scored on labelled messages, and compared with another if asked for.

use std::path::{Path, PathBuf};

use serde_json::json;
use talkformer::pipeline::{Evaluation, Nlu, reported_intents};
use talkformer::prediction::Prediction;
use talkformer::report::{Other, Report, Tested};

use super::args::TestNlu;
use super::{check_out_of_scope, facts, options};
use crate::output::{json_line, warn};
use crate::pipelines::Opening;
use crate::threads::limited;
use crate::{report, score};

/// Which model is scored.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelArgs {
    /// A model, or a folder of models, of which the newest is taken.
    #[arg(long, short, value_name = "DIR", default_value = "models")]
    pub model: PathBuf,
    #[command(flatten)]
    pub opening: Opening,
    /// Another model to compare with on the same messages, and a test of whether the difference could be chance.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["cross_validation", "percentages", "runs"])]
    pub compare: Option<PathBuf>,
}

/// Scores a model and, if asked for, another on the same messages.
pub(super) fn run(args: &TestNlu) -> anyhow::Result<()> {
    let folder = report::folder(args)?;
    let (options, data) = (options(args), talkformer::data::read(&args.data)?);
    warn(&data.warnings);
    let utterances = &data.utterances;
    anyhow::ensure!(!utterances.is_empty(), "{}: there is no example to test on", args.data.display());
    check_out_of_scope(args, utterances);
    let answer = |path: &Path| -> anyhow::Result<(Vec<Prediction>, Evaluation)> {
        let nlu = limited(
            Nlu::open_with(path, &args.scored.opening.options().device(args.computing.device))?,
            args.threads,
        );
        let texts: Vec<&str> = utterances.iter().map(|utterance| utterance.text.as_str()).collect();
        let predictions = nlu.parse_batch(&texts)?;
        let evaluation = nlu.score(utterances, &predictions, &options)?;
        Ok((predictions, evaluation))
    };
    let (predictions, evaluation) = answer(&args.scored.model)?;
    let other =
        args.scored.compare.as_deref().map(|path| anyhow::Ok((path.display().to_string(), answer(path)?.1)));
    let other = other.transpose()?;
    let compared = other.as_ref().map(|(name, theirs)| Other {
        name,
        evaluation: theirs,
        comparison: evaluation.compare(theirs, options.bootstrap),
    });
    if args.json {
        let mut all = serde_json::to_value(&evaluation)?;
        if let Some(found) = &compared {
            all["comparison"] =
                json!({"model": found.name, "scores": found.evaluation, "difference": found.comparison});
        }
        json_line(&all)?;
    } else {
        score::print(&evaluation)?;
        if let Some(found) = &compared {
            score::print_comparison(found)?;
        }
    }
    let utterances = &reported_intents(utterances, &predictions)[..];
    let tested = Tested { utterances, predictions: &predictions, evaluation: &evaluation };
    let facts = facts(args, &[("model", args.scored.model.display().to_string())]);
    let title = "How well the model understands";
    let report = Report { title, facts: &facts, tested: Some(tested), other: compared, ..Report::default() };
    folder.map_or(Ok(()), |folder| report::write(&report, &folder, args))
}
