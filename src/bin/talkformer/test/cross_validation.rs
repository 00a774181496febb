//! `talkformer test nlu --cross-validation`: every message is answered by a model that was not trained on it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use serde_json::{Value, json};
use talkformer::data::Utterance;
use talkformer::metrics::Bootstrap;
use talkformer::pipeline::{Evaluation, EvaluationOptions, reported_intents};
use talkformer::prediction::Prediction;
use talkformer::report::{FoldScores, Report, Tested};

use super::args::TestNlu;
use super::{check_out_of_scope, facts, options};
use crate::output::{json_line, warn};
use crate::trainings::out_of_fold;
use crate::{report, score, train};

/// Whether and how data is cut into parts.
#[derive(Debug, clap::Args)]
pub(crate) struct CrossValidationArgs {
    /// Train models on parts of the data and answer each message with one that has not seen it; --model is not used.
    #[arg(long, conflicts_with_all = ["percentages", "runs"])]
    pub cross_validation: bool,
    /// Number of parts in a cross-validation.
    #[arg(long, short, value_name = "N", default_value = "5", requires = "cross_validation")]
    pub folds: usize,
}

/// Answers every message with a model that was not trained on it, and scores the answers.
pub(super) fn run(args: &TestNlu) -> anyhow::Result<()> {
    let mut pipelines = args.pipelines()?;
    let (Some((pipeline, name)), true) = (pipelines.pop(), pipelines.is_empty()) else {
        bail!("--cross-validation takes one pipeline; give one --config or one --recipe")
    };
    let folder = report::folder(args)?;
    let separator = pipeline.intent_separator();
    let (options, data) = (options(args).separator(separator), train::read(&args.data)?);
    check_out_of_scope(args, &data.utterances);
    let found =
        out_of_fold(&pipeline, &data, args.cross.folds, args.overrides.seed, args.threads, args.computing)?;
    warn(&found.warnings);
    warn(found.trainings.iter().flat_map(|training| &training.warnings).collect::<BTreeSet<_>>());
    let evaluation = Evaluation::new(&data.utterances, &found.predictions, &options);
    let folds = fold_scores(&data.utterances, &found.predictions, &found.folds, &options);
    if args.json {
        let mut all = serde_json::to_value(&evaluation)?;
        let scores = folds.iter().map(|one| {
            let (mean, deviation) = one.mean_and_deviation();
            json!({"score": one.name, "mean": mean, "deviation": deviation, "values": one.values})
        });
        all["cross_validation"] = json!({"folds": args.cross.folds, "repeated_texts": found.repeated_texts, "scores": scores.collect::<Vec<Value>>()});
        json_line(&all)?;
    } else {
        score::print(&evaluation)?;
        score::print_folds(&folds)?;
    }
    let utterances = &reported_intents(&data.utterances, &found.predictions)[..];
    let tested = Tested { utterances, predictions: &found.predictions, evaluation: &evaluation };
    let facts = facts(args, &[("pipeline", name), ("folds", args.cross.folds.to_string())]);
    let (title, notes) = ("How well a model understands what it has not seen", &found.warnings[..]);
    let report =
        Report { title, facts: &facts, notes, tested: Some(tested), folds: &folds, ..Report::default() };
    folder.map_or(Ok(()), |folder| report::write(&report, &folder, args))
}

/// Scores of each part alone.
fn fold_scores(
    utterances: &[Utterance],
    predictions: &[Prediction],
    folds: &[usize],
    options: &EvaluationOptions,
) -> Vec<FoldScores> {
    let mut parts: BTreeMap<usize, (Vec<Utterance>, Vec<Prediction>)> = BTreeMap::new();
    for ((utterance, prediction), fold) in utterances.iter().zip(predictions).zip(folds) {
        let part = parts.entry(*fold).or_default();
        part.0.push(utterance.clone());
        part.1.push(prediction.clone());
    }
    let options = options.clone().bootstrap(Bootstrap { draws: 0, seed: 0 });
    let scored: Vec<Evaluation> =
        parts.values().map(|(gold, found)| Evaluation::new(gold, found, &options)).collect();
    let intents = scored.iter().any(|one| one.intent.messages > 0);
    let entities = scored.iter().any(|one| one.entity.entities > 0);
    let score = |name: &str, value: fn(&Evaluation) -> f64| FoldScores {
        name: name.to_owned(),
        values: scored.iter().map(value).collect(),
    };
    let mut all = Vec::new();
    if intents {
        all.push(score("intent accuracy", |one| one.intent.accuracy));
        all.push(score("intent weighted F1", |one| one.intent.weighted_f1));
    }
    if entities {
        all.push(score("entity F1, exact span", |one| one.entity.exact_span.f1));
    }
    all
}
