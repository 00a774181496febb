//! The flags.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use talkformer::pipeline::TrainingOptions;

use super::embed::args::{Attention, Embed, Similar, VectorsCommand};
use super::pipelines::{Computing, Opening, Overrides, PipelineArgs};
use super::test::args::TestNlu;

const AFTER: &str = "\
Examples:
  talkformer demo
  talkformer train nlu --data data/nlu.yml --out models
  talkformer test nlu --model models --data data/test.yml
  talkformer test nlu --data data/nlu.yml --cross-validation
  talkformer parse --model models 'book a table for two'
  talkformer parse --model models --input messages.txt > answers.jsonl
  talkformer embed --model all-MiniLM-L6-v2 --input messages.txt --out vectors.npy

Each command has examples in its own --help.

Exit codes:
  0  done (also when the reader of the output goes away)
  1  failed: the message on standard error names the file and what to change; so it is where a line of the input
     could not be read, though all others were answered
  2  the flags are wrong
  130  interrupted with Ctrl-C";

/// Understands what people say: intents and entities, learnt from examples, on your own machine.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train on the built-in conference data, score it and parse five messages.
    Demo(Demo),
    /// Train a model.
    #[command(subcommand, after_help = "Example:\n  talkformer train nlu --data data/nlu.yml --out models")]
    Train(TrainCommand),
    /// Score a model on labelled messages.
    #[command(subcommand, after_help = "Example:\n  talkformer test nlu --model models --data data/test.yml")]
    Test(TestCommand),
    /// Check and extend training data.
    #[command(subcommand, after_help = DATA_AFTER)]
    Data(DataCommand),
    /// Answer messages with a model, one line of JSON each.
    Parse(Parse),
    /// Turn texts into vectors that depend on the context.
    Embed(Embed),
    /// Find the lines of a file that mean nearly the same.
    Similar(Similar),
    /// Show which token attends to which in a pretrained encoder.
    Attention(Attention),
    /// Download a pretrained encoder from the Hugging Face hub.
    #[cfg(feature = "hub")]
    Download(super::embed::args::Download),
    /// Work with files of word vectors.
    #[command(
        subcommand,
        after_help = "Example:\n  talkformer vectors convert cc.en.300.bin cc.en.300.safetensors"
    )]
    Vectors(VectorsCommand),
    /// Measure how fast this machine multiplies, attends, trains and answers; takes half a minute at most.
    Bench(Bench),
    /// Print a script that completes commands and flags in a shell.
    Completions(Completions),
    /// Print the manual page, or write one page for each command.
    Man(Manual),
}

const DATA_AFTER: &str = "\
Examples:
  talkformer data stats --data data/nlu.yml
  talkformer data review --data data/nlu.yml
  talkformer data suggest --model models --input messages.txt";

const COMPLETIONS_AFTER: &str = "\
Examples:
  talkformer completions bash > ~/.local/share/bash-completion/completions/talkformer
  talkformer completions zsh > ~/.zfunc/_talkformer
  talkformer completions fish > ~/.config/fish/completions/talkformer.fish";

#[derive(Debug, clap::Args)]
#[command(after_help = COMPLETIONS_AFTER)]
pub(crate) struct Completions {
    /// The shell.
    pub shell: clap_complete::Shell,
}

const MAN_AFTER: &str = "\
Examples:
  talkformer man > talkformer.1
  talkformer man --out ~/.local/share/man/man1";

#[derive(Debug, clap::Args)]
#[command(after_help = MAN_AFTER)]
pub(crate) struct Manual {
    /// Write one page for each command into this folder.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TrainCommand {
    /// Learn intents and entities.
    Nlu(TrainNlu),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TestCommand {
    /// Accuracy and F1 with intervals, calibration, out of scope; a report with the files of `rasa test nlu`.
    Nlu(Box<TestNlu>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Count intents, entities and examples, and point out likely mistakes.
    Stats(Stats),
    /// Find likely errors: mislabelled examples, intents that are hard to tell apart, missing annotations.
    Review(Review),
    /// Pick what to annotate next: unlabelled messages that the model is unsure of and that differ from each other.
    Suggest(Suggest),
}

const DEMO_AFTER: &str = "\
Examples:
  talkformer demo
  talkformer demo --out models --threads 2";

#[derive(Debug, clap::Args)]
#[command(after_help = DEMO_AFTER)]
pub(crate) struct Demo {
    /// Save the model here.
    #[arg(long, short, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Worker threads; by default one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print events and results as JSON lines.
    #[arg(long)]
    pub json: bool,
}

/// Precision of products; sums are `f32` in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Precision {
    /// 32 bits.
    F32,
    /// 16 bits, faster on processors that support them; elsewhere `f32` is used.
    Bf16,
}

impl From<Precision> for talkformer::nn::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "it must be above 0 and at most 1".to_owned())
}

const TRAIN_AFTER: &str = "\
Examples:
  talkformer train nlu --data data/nlu.yml
  talkformer train nlu --data data/ --config config.yml --out models
  talkformer train nlu --data train.jsonl --recipe small --out my-model --json
  talkformer train nlu --finetune models --data new.yml --out models
  talkformer train nlu --data data/ --budget 60s
  talkformer train nlu --data private.yml --forget-examples --min-count 3
  talkformer train nlu --data data/nlu.yml --encoder all-MiniLM-L6-v2
  talkformer train nlu --data data/nlu.yml --device cuda

On the processor, with the same data, seed and number of threads, and without --budget, the model is the same, byte for byte.";

/// An encoder to learn with.
#[derive(Debug, clap::Args)]
pub(crate) struct TrainingEncoder {
    /// A pretrained encoder, such as all-MiniLM-L6-v2, which the model reads every message with as well: its folder, or its name
    /// on the Hugging Face hub, if it is in the cache of this user; a build with the feature `hub` fetches it once. It helps most
    /// in its own language and where examples are few; an answer then takes milliseconds instead of a fraction of one.
    /// With --finetune: where the encoder of the model is by now. May be repeated.
    #[arg(long = "encoder", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Let the encoder learn from the examples before the model does.
    #[arg(long, requires = "paths", conflicts_with = "finetune")]
    pub fine_tune: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = TRAIN_AFTER)]
pub(crate) struct TrainNlu {
    /// A file or a folder: Rasa YAML (.yml, .yaml) or JSON Lines (.jsonl).
    #[arg(long, short = 'u', visible_alias = "nlu", value_name = "PATH", default_value = "data")]
    pub data: PathBuf,
    /// Where the model goes: a new folder, a model to replace, or a folder of models.
    #[arg(long, short, value_name = "DIR", default_value = "models")]
    pub out: PathBuf,
    /// Fine-tune this model on the new examples together with those it stores. New words, intents and entity types are
    /// added; if a text is given again, its new labels count. The pipeline stays unless another is named.
    #[arg(long, value_name = "MODEL")]
    pub finetune: Option<PathBuf>,
    #[command(flatten)]
    pub encoder: TrainingEncoder,
    /// Share of the epochs to train when fine-tuning.
    #[arg(long, value_name = "SHARE", requires = "finetune", value_parser = share, default_value_t = TrainingOptions::EPOCH_FRACTION)]
    pub epoch_fraction: f64,
    /// How long training may take at most, such as 60s or 10m: the best model in this time. Where the time ends before the
    /// epochs do, the learning rate falls accordingly. What is learnt then depends on the speed of this machine.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub budget: Option<Duration>,
    /// Do not store the examples in the model. Its files still show the words, parts and combinations of words of the
    /// examples (see --min-count), synonyms, lookup tables, regular expressions and the names of labels. Fine-tuned, it
    /// learns from the new examples alone and does not store these either.
    #[arg(long)]
    pub forget_examples: bool,
    /// Keep no word, part of a word or combination of words that occurs in fewer than K examples, and no synonym that
    /// the annotations of fewer examples define. Parts of a rare word stay where other words share them, and lookup
    /// tables, regular expressions, synonym lists and names of labels stay whole. The higher K, the worse the answers.
    #[arg(long, value_name = "K", requires = "forget_examples", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub min_count: u32,
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Precision of the transformer's products in training, instead of what the pipeline says.
    #[arg(long, value_name = "NUMBERS")]
    pub precision: Option<Precision>,
    /// Worker threads; by default one per core.
    #[arg(long, visible_alias = "num-threads", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub computing: Computing,
    /// The licence to write on the model's card.
    #[arg(long, value_name = "TEXT")]
    pub licence: Option<String>,
    /// On Ctrl-C, save the model as trained so far instead of nothing.
    #[arg(long)]
    pub keep_interrupted: bool,
    /// Print events as JSON lines on standard output.
    #[arg(long)]
    pub json: bool,
}

const STATS_AFTER: &str = "\
Examples:
  talkformer data stats --data data/nlu.yml
  talkformer data stats --data train.jsonl --json";

#[derive(Debug, clap::Args)]
#[command(after_help = STATS_AFTER)]
pub(crate) struct Stats {
    /// A file or a folder.
    #[arg(long, short = 'u', visible_alias = "nlu", value_name = "PATH", default_value = "data")]
    pub data: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

const REVIEW_AFTER: &str = "\
Examples:
  talkformer data review --data data/nlu.yml
  talkformer data review --data data/ --config config.yml --most 100 --json > review.json
  talkformer data review --data train.jsonl --recipe small --folds 3

Each model is trained on all folds but one and answers that one, so this takes as long as N trainings. The most likely
errors come first; stop reading when they turn out to be correct.";

#[derive(Debug, clap::Args)]
#[command(after_help = REVIEW_AFTER)]
pub(crate) struct Review {
    /// A file or a folder.
    #[arg(long, short = 'u', visible_alias = "nlu", value_name = "PATH", default_value = "data")]
    pub data: PathBuf,
    #[command(flatten)]
    pub pipeline: PipelineArgs,
    /// How many parts the data is split into.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..))]
    pub folds: u16,
    /// The most to show of each kind.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub most: u32,
    #[command(flatten)]
    pub overrides: Overrides,
    /// Worker threads; by default one per core.
    #[arg(long, visible_alias = "num-threads", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub computing: Computing,
    /// Print one JSON object.
    #[arg(long)]
    pub json: bool,
}

const SUGGEST_AFTER: &str = "\
Examples:
  talkformer data suggest --model models --input messages.txt
  talkformer data suggest --model models --input messages.txt --most 100 --json > to-correct.jsonl

Blank lines are skipped, and so are lines that are not UTF-8 or longer than 1 MiB (then the exit code is 1). Messages
that occur more than once count once. With --json each line holds the text with the model's guesses as intent and
entities: correct them, and --data reads the file.";

#[derive(Debug, clap::Args)]
#[command(after_help = SUGGEST_AFTER)]
pub(crate) struct Suggest {
    /// A model, or a folder of models, of which the newest is taken.
    #[arg(long, short, value_name = "DIR", default_value = "models")]
    pub model: PathBuf,
    #[command(flatten)]
    pub opening: Opening,
    /// A file with one message a line; `-`, or nothing, is standard input.
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// The most messages to pick.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub most: u32,
    /// Worker threads; by default one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Print one JSON object a message.
    #[arg(long)]
    pub json: bool,
}

const PARSE_AFTER: &str = "\
Examples:
  talkformer parse --model models 'hello there' 'book room 4'
  talkformer parse --model models --input messages.txt
  talkformer parse --model models --explain 'book room 4'
  tail -f messages.txt | talkformer parse --model models

Without texts and without --input, messages are read from standard input, one a line; each line is answered
by one line, blank ones too. Offsets count characters. A line that is not UTF-8 or longer than 1 MiB (1048576 bytes) gets
an empty answer with the key `error`: {\"line\": 3, \"message\": …}. The lines behind it are answered, and the exit code is 1.

With --explain an answer has the key `explanation`: the next likeliest intent, the `margin` to it, ln(confidence / confidence of the
next), and as `evidence` how much smaller the margin is without each word. It takes an answer for each word.";

#[derive(Debug, clap::Args)]
#[command(after_help = PARSE_AFTER)]
pub(crate) struct Parse {
    /// A model, or a folder of models, of which the newest is taken.
    #[arg(long, short, value_name = "DIR", default_value = "models")]
    pub model: PathBuf,
    #[command(flatten)]
    pub opening: Opening,
    /// Messages to answer.
    #[arg(value_name = "TEXT", conflicts_with = "input")]
    pub texts: Vec<String>,
    /// A file with one message a line; `-` is standard input.
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Say which words speak for the intent, and how near the next one was.
    #[arg(long)]
    pub explain: bool,
    /// Worker threads; by default one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub computing: Computing,
}

const BENCH_AFTER: &str = "\
Examples:
  talkformer bench
  talkformer bench --quick --json
  talkformer bench --device cuda";

#[derive(Debug, clap::Args)]
#[command(after_help = BENCH_AFTER)]
pub(crate) struct Bench {
    /// Measure each thing only briefly, for a first look.
    #[arg(long)]
    pub quick: bool,
    #[command(flatten)]
    pub computing: Computing,
    /// Print one JSON object; times in seconds, rates in operations or bytes a second.
    #[arg(long)]
    pub json: bool,
}
