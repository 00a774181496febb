//! The word *bank* is one vector in a dictionary and two different things in the world.
//!
//! In "money in the bank" and in "the bank of the river" it starts out the same. Then each word attends
//! to its neighbours, and the two banks become different: one is closer to *money*, the other to *river*.
//! Nothing here is trained; the vectors count which words share a sentence in the text below.
//!
//! ```text
//! cargo run --example attention
//! ```
//!
//! It takes a tenth of a second once built, and prints
//!
//! ```text
//! Who listens (row) to whom (column):
//!
//! "money in the bank"  money     in    the   bank
//! money                0.707  0.121  0.052  0.120
//! in                   0.193  0.605  0.084  0.118
//! the                  0.254  0.255  0.238  0.253
//! bank                 0.282  0.175  0.123  0.421
//!
//! "the bank of the river"    the   bank     of    the  river
//! the                      0.191  0.204  0.207  0.191  0.208
//! bank                     0.113  0.386  0.196  0.113  0.192
//! of                       0.075  0.128  0.534  0.075  0.187
//! the                      0.191  0.204  0.207  0.191  0.208
//! river                    0.058  0.096  0.143  0.058  0.645
//!
//! How alike they are (cosine):
//!
//! `bank` against              money     in    the     of  river
//! before                      0.484  0.260  0.638  0.382  0.334
//! in "money in the bank"      0.845  0.595  0.712  0.434  0.209
//! in "the bank of the river"  0.364  0.343  0.806  0.738  0.727
//!
//! `bank` in the one against `bank` in the other: 1.000 before, 0.698 after
//! ```
//!
//! Read the row of *bank*: in the first phrase, *money* gets most of the attention that it does not pay to itself.
//! *The* occurs with every word, so it matches all of them equally well and carries little information.
//!
//! More to try:
//!
//! ```text
//! cargo run --example attention -- --raw                             # without the division by √dim
//! cargo run --example attention -- farmer "the farmer saved money" "the farmer by the river"
//! cargo run --example attention -- --vectors glove.6B.50d.txt        # or another text file in GloVe or word2vec format
//! ```
//!
//! With long vectors and undivided scores, most words attend only to themselves, which is why scores are divided.
//! All `GloVe` vectors have a direction in common, so every cosine rises; *money* still gains
//! more than *river* in the first phrase, and *river* more than *money* in the second.

use std::collections::{BTreeSet, HashMap};
use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ndarray::{Array1, ArrayView1, Axis, stack};
use talkformer::attention::{Attention, Scale, contextualize};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: attention [--vectors FILE] [--raw] [WORD PHRASE PHRASE]";

fn main() -> ExitCode {
    match story().and_then(|text| print(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "attention: {error}");
            ExitCode::FAILURE
        }
    }
}

// 1. The main part: look up each word, let the words attend to each other, compare.

fn story() -> Result<String> {
    let request = Request::from_args(env::args_os().skip(1))?;
    let dictionary = match &request.vectors {
        Some(path) => Dictionary::read(path, &request.words())?,
        None => Dictionary::from_text(TEXT),
    };
    let [first, second] = &request.phrases;
    let first = Reading::new(first, &request, &dictionary)?;
    let second = Reading::new(second, &request, &dictionary)?;

    let mut text = String::from("Who listens (row) to whom (column):\n\n");
    text += &first.weight_table();
    text += &second.weight_table();
    text += &comparison(&request, &dictionary, &first, &second)?;
    Ok(text)
}

/// A phrase whose words have attended to each other.
struct Reading {
    words: Vec<String>,
    attention: Attention<f64>,
    /// The position of the word we look at.
    place: usize,
}

impl Reading {
    fn new(phrase: &str, request: &Request, dictionary: &Dictionary) -> Result<Self> {
        let words: Vec<_> = phrase.split_whitespace().map(String::from).collect();
        let place = words.iter().position(|word| *word == request.word);
        let place = place.ok_or_else(|| format!("`{}` is not in the phrase `{phrase}`", request.word))?;

        let rows = words.iter().map(|word| dictionary.vector(word)).collect::<Result<Vec<_>>>()?;
        let vectors = stack(Axis(0), &rows)?; // [seq, model_dim]
        let attention = contextualize(vectors.view(), request.scale); // the one line this is all about
        Ok(Self { words, attention, place })
    }

    /// The vector of the word in this context: `[model_dim]`.
    fn vector(&self) -> ArrayView1<'_, f64> {
        self.attention.context.row(self.place)
    }

    fn title(&self) -> String {
        format!("\"{}\"", self.words.join(" "))
    }

    fn weight_table(&self) -> String {
        let rows = self.words.iter().zip(self.attention.weights.rows());
        let rows: Vec<_> = rows.map(|(word, weights)| (word.clone(), weights.to_vec())).collect();
        table(&self.title(), &self.words, &rows)
    }
}

/// The cosine of the word with each neighbour, before attention and in each phrase.
fn comparison(request: &Request, dictionary: &Dictionary, one: &Reading, two: &Reading) -> Result<String> {
    let before = dictionary.vector(&request.word)?;
    let others = request.words().into_iter().filter(|word| *word != request.word).collect::<Vec<_>>();
    let neighbours = others.iter().map(|word| dictionary.vector(word)).collect::<Result<Vec<_>>>()?;
    let cosines = |vector| neighbours.iter().map(|other| cosine(vector, *other)).collect();

    let title = format!("`{}` against", request.word);
    let mut rows = vec![("before".to_owned(), cosines(before))];
    rows.extend([one, two].map(|reading| (format!("in {}", reading.title()), cosines(reading.vector()))));
    let mut text = String::from("How alike they are (cosine):\n\n") + &table(&title, &others, &rows);

    let (was, is) = (cosine(before, before), cosine(one.vector(), two.vector()));
    writeln!(
        text,
        "`{0}` in the one against `{0}` in the other: {was:.3} before, {is:.3} after",
        request.word
    )?;
    Ok(text)
}

/// The cosine of the angle between two vectors: 1 for the same direction, 0 for nothing in common.
fn cosine(a: ArrayView1<f64>, b: ArrayView1<f64>) -> f64 {
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

// 2. Where the vectors come from.

/// Twenty-seven sentences in which *bank* has two kinds of neighbours.
const TEXT: &str = "\
she keeps her money in the bank
the bank lends money to a farmer
he took the money out of the bank
a loan of money from the bank
the farmer put his money in the bank
the bank paid him for the money he saved
he went to the bank to pay back the loan
they count the coins at the bank
the price of bread is paid in coins
half of the money went to pay for the house
she saved money to pay for a house in the town
a loan is money to pay back in a year
the river runs past the bank
we sat on the bank of the river
trees grow along the bank of the river
the boat lay by the bank of the river
a fish swam near the bank
the water rose over the bank in the rain
the river carries water to the sea
the boat went down the river to the sea
fish swim in the water of the river
rain fills the river with water
the sun shone on the water
trees stand in the water by the river
the farmer sold bread in the town
the trees of the farmer stand in a row
one of the boats was sold in the town";

/// A vector for each word, the same wherever the word occurs.
struct Dictionary {
    source: String,
    vectors: HashMap<String, Array1<f64>>,
}

impl Dictionary {
    /// Represents a word by the words around it: one number for each word it could share a sentence with.
    ///
    /// The number is the positive pointwise mutual information of [Church and Hanks,
    /// 1990](https://aclanthology.org/J90-1003/), `max(0, ln(p(a, b) / (p(a) · p(b))))`: how much
    /// more often two words occur together than by chance. *The* occurs with every word, so it carries no information.
    fn from_text(text: &str) -> Self {
        let sentences: Vec<BTreeSet<_>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        let words: BTreeSet<_> = sentences.iter().flatten().copied().collect();
        let together = |a, b| sentences.iter().filter(|words| words.contains(a) && words.contains(b)).count();
        let share = |a, b| together(a, b) as f64 / sentences.len() as f64;
        let information = |a, b| (share(a, b) / (share(a, a) * share(b, b))).ln().max(0.0);

        let vector = |word| words.iter().map(|other| information(word, *other)).collect(); // [word]
        let vectors = words.iter().map(|word| (word.to_string(), vector(*word))).collect();
        Self { source: "the text of this example".to_owned(), vectors }
    }

    /// Reads the vectors of the `wanted` words from a text file of `GloVe` or word2vec.
    fn read(path: &Path, wanted: &[String]) -> Result<Self> {
        let source = path.display().to_string();
        let file = File::open(path).map_err(|error| format!("{source}: {error}"))?;
        let (mut vectors, mut width) = (HashMap::new(), None);
        for (index, line) in BufReader::new(file).split(b'\n').enumerate() {
            let at = |complaint: Box<dyn Error>| format!("{source}:{}: {complaint}", index + 1);
            let line = line.map_err(|error| at(error.into()))?;
            let line = str::from_utf8(&line).map_err(|_| at("not UTF-8: save the vectors as text".into()))?;
            if index == 0
                && let Some(promised) = header(line)
            {
                width = Some(promised);
                continue;
            }
            let (word, vector) = parse_row(line, width).map_err(at)?;
            width = Some(vector.len());
            if wanted.iter().any(|wanted| wanted == word) {
                vectors.entry(word.to_owned()).or_insert(vector);
            }
        }
        if width.is_none() {
            return Err(format!("{source} is empty: expected lines of `word number number …`").into());
        }
        Ok(Self { source, vectors })
    }

    fn vector(&self, word: &str) -> Result<ArrayView1<'_, f64>> {
        let missing =
            || format!("{} has no vector for `{word}`: choose another word or --vectors", self.source);
        Ok(self.vectors.get(word).ok_or_else(missing)?.view())
    }
}

/// The width announced by a first line `count width`, which word2vec writes and `GloVe` does not.
fn header(line: &str) -> Option<usize> {
    let (count, width) = line.trim_end().split_once(' ')?;
    count.parse::<usize>().and(width.parse()).ok()
}

/// One line: a word and its numbers. Only plain spaces separate them, since words may contain other kinds of spaces.
fn parse_row(line: &str, width: Option<usize>) -> Result<(&str, Array1<f64>)> {
    let (word, numbers) = line
        .trim_end()
        .split_once(' ')
        .ok_or("expected `word number number …`: repair or remove the line")?;
    let vector = numbers.split(' ').map(parse_number).collect::<Result<Array1<_>>>()?;
    match width {
        Some(width) if width != vector.len() => {
            let found = vector.len();
            Err(format!("`{word}` has width {found}, expected {width}: repair or remove the line").into())
        }
        _ => Ok((word, vector)),
    }
}

fn parse_number(text: &str) -> Result<f64> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| format!("`{text}` is not a number: repair or remove the line").into())
}

// 3. Command line and output.

struct Request {
    vectors: Option<PathBuf>,
    scale: Scale,
    word: String,
    phrases: [String; 2],
}

impl Request {
    fn from_args(mut args: impl Iterator<Item = OsString>) -> Result<Self> {
        let (mut vectors, mut scale, mut rest) = (None, Scale::InverseSqrt, Vec::new());
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--vectors") => vectors = Some(args.next().ok_or(USAGE)?.into()),
                Some("--raw") => scale = Scale::Raw,
                Some(text) if !text.starts_with('-') => rest.push(text.to_owned()),
                _ => return Err(USAGE.into()),
            }
        }
        if rest.is_empty() {
            rest = ["bank", "money in the bank", "the bank of the river"].map(String::from).to_vec();
        }
        let [word, first, second] = <[String; 3]>::try_from(rest).map_err(|_| USAGE)?;
        Ok(Self { vectors, scale, word, phrases: [first, second] })
    }

    /// The words of both phrases, each once, in order of appearance.
    fn words(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let words = self.phrases.iter().flat_map(|phrase| phrase.split_whitespace());
        words.filter(|word| seen.insert(*word)).map(String::from).collect()
    }
}

/// Aligned columns of numbers under a title.
fn table(title: &str, columns: &[String], rows: &[(String, Vec<f64>)]) -> String {
    let length = |text: &str| text.chars().count();
    let left = rows.iter().map(|(label, _)| length(label)).chain([length(title)]).max().unwrap_or(0);
    let widths: Vec<_> = columns.iter().map(|column| length(column).max(5) + 2).collect();

    let line = |label: &str, cells: Vec<String>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:>width$}"));
        format!("{label:left$}{}\n", cells.collect::<String>())
    };
    let head = line(title, columns.to_vec());
    let body = rows.iter().map(|(label, row)| line(label, row.iter().map(|x| format!("{x:.3}")).collect()));
    head + &body.collect::<String>() + "\n"
}

/// Writes to standard output; a closed pipe is not an error.
fn print(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
