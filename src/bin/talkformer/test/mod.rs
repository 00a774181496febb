//! `talkformer test nlu`: scores a model, or trains models and scores them.

pub(crate) mod args;
mod cross_validation;
mod learning_curve;
mod model;

use anyhow::bail;
use talkformer::data::Utterance;
use talkformer::pipeline::EvaluationOptions;

use args::TestNlu;

use super::output::say;
use super::train;

pub(crate) fn run(args: &TestNlu) -> anyhow::Result<()> {
    if args.is_learning_curve() {
        return learning_curve::run(args);
    }
    if args.cross.cross_validation {
        return cross_validation::run(args);
    }
    if args.pipelines.count() > 0 {
        bail!(
            "--config and --recipe say what to train; add --cross-validation or --percentages, or leave them out to test --model"
        );
    }
    model::run(args)
}

fn options(args: &TestNlu) -> EvaluationOptions {
    EvaluationOptions::default().out_of_scope(args.out_of_scope.clone())
}

fn facts(args: &TestNlu, more: &[(&'static str, String)]) -> Vec<(&'static str, String)> {
    let data = ("data", args.data.display().to_string());
    [data].into_iter().chain(more.iter().cloned()).chain([("command", train::command_line())]).collect()
}

/// Warns of an intent that no message has: it is probably misspelt.
fn check_out_of_scope(args: &TestNlu, utterances: &[Utterance]) {
    if let Some(name) = &args.out_of_scope
        && !utterances.iter().any(|utterance| utterance.intent.as_ref() == Some(name))
    {
        say(&format!("warning: no message has the intent `{name}` of --out-of-scope"));
    }
}
