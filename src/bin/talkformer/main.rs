//! The `talkformer` program: flags in, results out.

mod args;
mod bench;
mod demo;
mod embed;
mod help;
mod lines;
mod output;
mod parse;
mod pipelines;
mod progress;
mod report;
mod review;
mod score;
mod stats;
mod suggest;
mod test;
mod texts;
mod threads;
mod train;
mod trainings;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, Command, DataCommand, TestCommand, TrainCommand};
use embed::args::VectorsCommand;
use output::{Interrupted, is_closed_pipe};

/// Faster than the system's allocator, which returns the memory of each large tensor to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = Args::parse().command;
    let trains = match &command {
        Command::Demo(_) | Command::Train(_) | Command::Bench(_) | Command::Data(DataCommand::Review(_)) => {
            true
        }
        Command::Test(TestCommand::Nlu(args)) => args.trains(),
        _ => false,
    };
    if trains {
        threads::one_per_worker();
    }
    let result = match command {
        Command::Demo(args) => demo::run(&args),
        Command::Train(TrainCommand::Nlu(args)) => train::run(&args),
        Command::Test(TestCommand::Nlu(args)) => test::run(&args),
        Command::Data(DataCommand::Stats(args)) => stats::run(&args),
        Command::Data(DataCommand::Review(args)) => review::run(&args),
        Command::Data(DataCommand::Suggest(args)) => suggest::run(&args),
        Command::Parse(args) => parse::run(&args),
        Command::Embed(args) => embed::run(&args),
        Command::Similar(args) => embed::similar::run(&args),
        Command::Attention(args) => embed::attention::run(&args),
        #[cfg(feature = "hub")]
        Command::Download(args) => embed::download::run(&args),
        Command::Vectors(VectorsCommand::Convert(args)) => embed::vectors::convert(&args),
        Command::Vectors(VectorsCommand::Distil(args)) => embed::vectors::distil(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Completions(args) => help::completions(&args),
        Command::Man(args) => help::manual(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Not `eprintln`, which panics if standard error is closed.
            let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("error: {error:#}\n"));
            ExitCode::from(if error.is::<Interrupted>() { 130 } else { 1 })
        }
    }
}
