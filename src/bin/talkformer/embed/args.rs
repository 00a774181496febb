//! The flags of the commands that work with vectors.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use talkformer::embed::{self, EmbedOptions, Embedder};
use talkformer::pipeline;

use crate::args::Precision;
use crate::pipelines::{Computing, Opening};

/// Which encoder computes the vectors, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct EncoderArgs {
    /// The folder of a pretrained encoder (config.json, model.safetensors, tokenizer.json), a file of word vectors, or a
    /// model trained by `talkformer train`.
    #[arg(long, short, value_name = "PATH")]
    pub model: PathBuf,
    #[command(flatten)]
    pub opening: Opening,
    /// How the rows of a text become one vector; by default as the encoder says.
    #[arg(long, value_name = "HOW")]
    pub pooling: Option<Pooling>,
    /// Whether vectors are scaled to length one; by default as the encoder says.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub normalize: Option<bool>,
    /// What happens to texts that are too long for the encoder.
    #[arg(long, value_name = "HOW", default_value = "truncate")]
    pub long_texts: LongTexts,
    /// Precision of products.
    #[arg(long, value_name = "NUMBERS", default_value = "f32")]
    pub precision: Precision,
    /// Worker threads; by default one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    #[command(flatten)]
    pub computing: Computing,
}

/// How many rows become one.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Pooling {
    /// Their mean.
    Mean,
    /// The largest number of each dimension.
    Max,
    /// The row that stands for the text as a whole.
    Cls,
    /// Their sum, divided by the root of their number.
    MeanSqrtLen,
    /// Their mean, in which the second counts twice, the third three times and so on.
    WeightedMean,
    /// The last row.
    LastToken,
}

/// Texts that are too long.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LongTexts {
    /// Cut the rest off, and say how many texts that affected.
    Truncate,
    /// Encode the parts separately and pool them together.
    Split,
}

impl EncoderArgs {
    /// Opens the model with these options in place of [`options`](Self::options).
    pub(crate) fn open(&self, options: &EmbedOptions) -> anyhow::Result<Embedder> {
        Ok(pipeline::embedder_with(&self.model, options, &self.opening.options())?)
    }

    pub(crate) fn options(&self) -> EmbedOptions {
        let pooling = self.pooling.map(|pooling| match pooling {
            Pooling::Mean => embed::Pooling::Mean,
            Pooling::Max => embed::Pooling::Max,
            Pooling::Cls => embed::Pooling::Cls,
            Pooling::MeanSqrtLen => embed::Pooling::MeanSqrtLen,
            Pooling::WeightedMean => embed::Pooling::WeightedMean,
            Pooling::LastToken => embed::Pooling::LastToken,
        });
        let long_texts = match self.long_texts {
            LongTexts::Truncate => embed::LongTexts::Truncate,
            LongTexts::Split => embed::LongTexts::Split,
        };
        let default = EmbedOptions::default();
        let threads = self.threads.map_or(default.threads, usize::from);
        let options = default.threads(threads).precision(self.precision.into()).device(self.computing.device);
        options.pooling(pooling).normalize(self.normalize).long_texts(long_texts)
    }
}

const EMBED_AFTER: &str = "\
Examples:
  talkformer embed --model all-MiniLM-L6-v2 'money in the bank'
  talkformer embed --model all-MiniLM-L6-v2 --input messages.txt --out vectors.npy
  talkformer embed --model glove.safetensors --input messages.jsonl --out vectors.npy
  talkformer embed --model models --tokens 'book room 4'

Without texts and without --input, texts are read from standard input, one a line. Of a .jsonl file the field `text` of
each line is embedded. JSON Lines hold `text` and `embedding`, with --tokens `tokens` with `start` and `end` in characters.
A line that holds no text, is not UTF-8 or is longer than 1 MiB becomes one with an empty text and the key `error`:
{\"line\": 3, \"message\": …}; the lines behind it are embedded, and the exit code is 1. In an array (.npy, .arrow), where row n
is line n, it is an error, and no file is written.";

#[derive(Debug, clap::Args)]
#[command(after_help = EMBED_AFTER)]
pub(crate) struct Embed {
    #[command(flatten)]
    pub encoder: EncoderArgs,
    /// Texts to embed.
    #[arg(value_name = "TEXT", conflicts_with = "input")]
    pub texts: Vec<String>,
    /// A file with one text a line, or JSON Lines with the field `text` (.jsonl); `-` is standard input.
    #[arg(long, short, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Where the vectors go; by default to standard output.
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// How they are written; by default as the name of --out ends, otherwise as JSON Lines.
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// One vector for each token.
    #[arg(long)]
    pub tokens: bool,
}

/// How vectors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A JSON object a line.
    Jsonl,
    /// A `NumPy` array `[text, dim]` of `f32`.
    Npy,
    /// An Arrow IPC file with the columns `text` and `embedding`, in a build with `--features arrow`.
    Arrow,
}

const SIMILAR_AFTER: &str = "\
Examples:
  talkformer similar --model all-MiniLM-L6-v2 --input faq.txt 'how do I get my money back?'
  talkformer similar --model all-MiniLM-L6-v2 --input faq.jsonl --most 5 --json 'refund' < /dev/null

Without texts, queries are read from standard input, one a line. Similarity is the cosine: 1 means the same direction.";

#[derive(Debug, clap::Args)]
#[command(after_help = SIMILAR_AFTER)]
pub(crate) struct Similar {
    #[command(flatten)]
    pub encoder: EncoderArgs,
    /// Texts to look for.
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
    /// A file with the lines to look through, or JSON Lines with the field `text` (.jsonl).
    #[arg(long, short, value_name = "FILE")]
    pub input: PathBuf,
    /// How many lines to show for each text.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub most: u32,
    /// Print one JSON object a text.
    #[arg(long)]
    pub json: bool,
}

const ATTENTION_AFTER: &str = "\
Examples:
  talkformer attention --model all-MiniLM-L6-v2 'money in the bank'
  talkformer attention --model all-MiniLM-L6-v2 --layer 3 --head 7 --svg bank.svg 'money in the bank'

Each row attends to the columns; the numbers are percent, and a row adds up to 100. Layers and heads are counted from 1; without
them all heads of the last layer are averaged.";

#[derive(Debug, clap::Args)]
#[command(after_help = ATTENTION_AFTER)]
pub(crate) struct Attention {
    #[command(flatten)]
    pub encoder: EncoderArgs,
    /// The text.
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// One layer, counted from 1; by default the last.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub layer: Option<u16>,
    /// One head, counted from 1; by default the mean of all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub head: Option<u16>,
    /// Draw all heads of the layer, or the one head, into this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Print all layers and heads as one JSON object.
    #[arg(long)]
    pub json: bool,
}

#[cfg(feature = "hub")]
const DOWNLOAD_AFTER: &str = "\
Example:
  talkformer download sentence-transformers/all-MiniLM-L6-v2 all-MiniLM-L6-v2";

#[cfg(feature = "hub")]
#[derive(Debug, clap::Args)]
#[command(after_help = DOWNLOAD_AFTER)]
pub(crate) struct Download {
    /// The repository, such as sentence-transformers/all-MiniLM-L6-v2.
    #[arg(value_name = "REPOSITORY")]
    pub repository: String,
    /// The folder to download into; what is there already is kept.
    #[arg(value_name = "DIR")]
    pub to: PathBuf,
    /// A branch, a tag or a commit.
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub revision: String,
    /// The address of another hub.
    #[arg(long, value_name = "URL", env = "HF_ENDPOINT")]
    pub endpoint: Option<String>,
    /// An access token, for repositories that need one.
    #[arg(long, value_name = "TOKEN", env = "HF_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum VectorsCommand {
    /// Convert word vectors to a file that opens instantly, however large it is.
    Convert(Convert),
    /// Make a small table of word pieces from an encoder: what it knows of single words, in 140 bytes each.
    Distil(Distil),
}

const DISTIL_AFTER: &str = "\
Example:
  talkformer vectors distil all-MiniLM-L6-v2 english.safetensors --language en --latin --licence Apache-2.0

A pipeline reads the table as it reads word vectors (`- name: WordVectorsFeaturizer` with `path: english.safetensors`), and so
does `embed --model`. It holds what each piece of the encoder's vocabulary adds to the vector of a text, learnt from texts of random
words, in the directions in which these differ most, in four bits a number. The vectors are made of the encoder's weights, so its
licence holds for them.";

#[derive(Debug, clap::Args)]
#[command(after_help = DISTIL_AFTER)]
pub(crate) struct Distil {
    /// The folder of the encoder.
    #[arg(value_name = "ENCODER")]
    pub encoder: PathBuf,
    /// The file to write, ending in .safetensors.
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// Numbers in a vector, an even number.
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u16).range(2..=4096))]
    pub dim: u16,
    /// Texts of random words to learn from.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    pub texts: u32,
    /// Leave out pieces with letters of other scripts than the Latin one.
    #[arg(long)]
    pub latin: bool,
    /// The language of the pieces, a code such as `en`; noted in the file.
    #[arg(long, value_name = "CODE", default_value = "")]
    pub language: String,
    /// The licence of the encoder; noted in the file.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub licence: String,
    /// Worker threads; by default one per core.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

const CONVERT_AFTER: &str = "\
Example:
  talkformer vectors convert cc.en.300.bin cc.en.300.safetensors

Formats that are read: GloVe, word2vec (text and binary), fastText (.vec, .bin), finalfusion. What is written is a
safetensors file with the tensors `vectors`, `words` and an index, which is mapped into memory instead of being read.";

#[derive(Debug, clap::Args)]
#[command(after_help = CONVERT_AFTER)]
pub(crate) struct Convert {
    /// The file to read.
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// The file to write, ending in .safetensors.
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// Only the first words, which in most files are the most frequent.
    #[arg(long, value_name = "N")]
    pub most: Option<usize>,
    /// Read words that are not valid UTF-8 with replacement characters, instead of stopping there.
    #[arg(long)]
    pub lossy: bool,
}
