//! `talkformer test nlu`

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use serde_json::{Value, json};
use talkformer::Error;
use talkformer::data::Utterance;
use talkformer::metrics::Bootstrap;
use talkformer::pipeline::{
    CrossValidation, CurveSeries, Evaluation, EvaluationOptions, LearningCurve, Nlu, PipelineConfig,
    PipelineError,
};
use talkformer::prediction::Prediction;
use talkformer::report::{FoldScores, Other, Report, Tested};
use talkformer::train::Event;

use super::args::TestNlu;
use super::output::{Interrupted, json_line, say, warn};
use super::progress::{Progress, stop_on_interrupt};
use super::threads::limited;
use super::{report, score, train};

pub(crate) fn run(args: &TestNlu) -> anyhow::Result<()> {
    if args.is_learning_curve() {
        return learning_curve(args);
    }
    if args.cross_validation {
        return cross_validation(args);
    }
    if !args.config.is_empty() || !args.recipe.is_empty() {
        bail!(
            "--config and --recipe say what to train; add --cross-validation or --percentages, or leave them out to test --model"
        );
    }
    model(args)
}

/// Scores a model and, where asked for, another on the same messages.
fn model(args: &TestNlu) -> anyhow::Result<()> {
    let folder = report::folder(args)?;
    let (options, data) = (options(args), talkformer::data::read(&args.data)?);
    warn(&data.warnings);
    let utterances = &data.utterances;
    anyhow::ensure!(!utterances.is_empty(), "{}: there is no example to test on", args.data.display());
    check_out_of_scope(args, utterances);
    let answer = |path: &Path| -> anyhow::Result<(Vec<Prediction>, Evaluation)> {
        let nlu = limited(Nlu::open(path)?, args.threads);
        let texts: Vec<&str> = utterances.iter().map(|utterance| utterance.text.as_str()).collect();
        let predictions = nlu.parse_batch(&texts)?;
        let evaluation = nlu.score(utterances, &predictions, &options);
        Ok((predictions, evaluation))
    };
    let (predictions, evaluation) = answer(&args.model)?;
    let other = args.compare.as_deref().map(|path| anyhow::Ok((path.display().to_string(), answer(path)?.1)));
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
            score::print_comparison(found.name, &found.comparison)?;
        }
    }
    let tested = Tested { utterances, predictions: &predictions, evaluation: &evaluation };
    let facts = facts(args, &[("model", args.model.display().to_string())]);
    let title = "How well the model understands";
    let report = Report { title, facts: &facts, tested: Some(tested), other: compared, ..Report::default() };
    folder.map_or(Ok(()), |folder| report::write(&report, &folder, args))
}

/// Answers every message by a model that has not seen it, and scores the answers.
fn cross_validation(args: &TestNlu) -> anyhow::Result<()> {
    let mut pipelines = pipelines(args)?;
    let (Some((pipeline, name)), true) = (pipelines.pop(), pipelines.is_empty()) else {
        bail!("--cross-validation takes one pipeline; give one --config or one --recipe")
    };
    let folder = report::folder(args)?;
    let (options, data) = (options(args), train::read(&args.data)?);
    check_out_of_scope(args, &data.utterances);
    let stop = stop_on_interrupt()?;
    let cut = CrossValidation::default().folds(args.folds).seed(args.seed.unwrap_or_default());
    let mut watch = Watch::default();
    let found = cut.run(&pipeline, &data, &train::options(args.threads, stop), |place, event| {
        watch.show(&format!("fold {} of {}", place.fold + 1, place.folds), &event);
    });
    watch.clear();
    let found = found.map_err(interrupted)?;
    warn(&found.warnings);
    warn(
        found
            .trainings
            .iter()
            .flat_map(|training| &training.warnings)
            .collect::<std::collections::BTreeSet<_>>(),
    );
    let evaluation = Evaluation::new(&data.utterances, &found.predictions, &options);
    let folds = fold_scores(&data.utterances, &found.predictions, &found.folds, args);
    if args.json {
        let mut all = serde_json::to_value(&evaluation)?;
        let scores = folds.iter().map(|one| {
            let (mean, deviation) = one.mean_and_deviation();
            json!({"score": one.name, "mean": mean, "deviation": deviation, "values": one.values})
        });
        all["cross_validation"] = json!({"folds": args.folds, "scores": scores.collect::<Vec<Value>>()});
        json_line(&all)?;
    } else {
        score::print(&evaluation)?;
        score::print_folds(&folds)?;
    }
    let tested =
        Tested { utterances: &data.utterances, predictions: &found.predictions, evaluation: &evaluation };
    let facts = facts(args, &[("pipeline", name), ("folds", args.folds.to_string())]);
    let (title, notes) = ("How well a model understands what it has not seen", &found.warnings[..]);
    let report =
        Report { title, facts: &facts, notes, tested: Some(tested), folds: &folds, ..Report::default() };
    folder.map_or(Ok(()), |folder| report::write(&report, &folder, args))
}

/// Trains on shares of the data.
fn learning_curve(args: &TestNlu) -> anyhow::Result<()> {
    let pipelines = pipelines(args)?;
    let folder = report::folder(args)?;
    let data = train::read(&args.data)?;
    let default = LearningCurve::default();
    let (runs, seed) = (args.runs.map_or(default.runs, usize::from), args.seed.unwrap_or(default.seed));
    let curve = default.runs(runs).seed(seed);
    let curve = if args.percentages.is_empty() { curve } else { curve.percentages(args.percentages.clone()) };
    let stop = stop_on_interrupt()?;
    let mut series: Vec<CurveSeries> = Vec::new();
    for (pipeline, name) in &pipelines {
        let mut watch = Watch::default();
        let options = train::options(args.threads, Arc::clone(&stop));
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

/// The pipelines to train with, the default recipe where none is named.
fn pipelines(args: &TestNlu) -> anyhow::Result<Vec<(PipelineConfig, String)>> {
    let mut all: Vec<(PipelineConfig, String)> = if args.config.is_empty() {
        let default = [talkformer::pipeline::Recipe::ALL[0].name.to_owned()];
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

fn options(args: &TestNlu) -> EvaluationOptions {
    EvaluationOptions::default().out_of_scope(args.out_of_scope.clone())
}

fn facts(args: &TestNlu, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let data = ("data", args.data.display().to_string());
    [data].into_iter().chain(more.iter().cloned()).chain([("command", train::command_line())]).collect()
}

/// A name that no message has is a mistake worth a word.
fn check_out_of_scope(args: &TestNlu, utterances: &[Utterance]) {
    if let Some(name) = &args.out_of_scope
        && !utterances.iter().any(|utterance| utterance.intent.as_ref() == Some(name))
    {
        say(&format!("warning: no message has the intent `{name}` of --out-of-scope"));
    }
}

/// Scores of each part alone.
fn fold_scores(
    utterances: &[Utterance],
    predictions: &[Prediction],
    folds: &[usize],
    args: &TestNlu,
) -> Vec<FoldScores> {
    let mut parts: BTreeMap<usize, (Vec<Utterance>, Vec<Prediction>)> = BTreeMap::new();
    for ((utterance, prediction), fold) in utterances.iter().zip(predictions).zip(folds) {
        let part = parts.entry(*fold).or_default();
        part.0.push(utterance.clone());
        part.1.push(prediction.clone());
    }
    let options = options(args).bootstrap(Bootstrap { draws: 0, seed: 0 });
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

/// Half a cross-validation is none: asking to stop ends the program as it does elsewhere.
fn interrupted(error: Error) -> anyhow::Error {
    match error {
        Error::Pipeline(PipelineError::Stopped { during }) => {
            anyhow::Error::from(Interrupted).context(format!("stopped during {during}; nothing was written"))
        }
        other => other.into(),
    }
}

/// Says which model is being trained, and on a terminal how far it is.
#[derive(Default)]
struct Watch {
    bar: Option<Progress>,
}

impl Watch {
    fn show(&mut self, place: &str, event: &Event) {
        if matches!(event, Event::Started { .. }) {
            self.clear();
            say(place);
            self.bar = std::io::stderr().is_terminal().then(|| Progress::new(false));
        }
        self.bar.iter_mut().for_each(|bar| bar.show(event));
    }

    fn clear(&mut self) {
        self.bar.take().iter_mut().for_each(Progress::clear);
    }
}
