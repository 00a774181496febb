//! Attention that learns where to look.
//!
//! A story says who is where and then asks: *Ann is in Oslo, Ida is in Lima, …; where is Ida?* Any place can
//! be the right answer. The question has to find the sentence with the same name and return its
//! place, which is what attention does: query and key match by name, and the value is the place. One
//! head learns this here from stories alone, in a training loop short enough to read.
//!
//! ```text
//! cargo run --release --example self_attention
//! ```
//!
//! It takes less than a second once built, and prints
//!
//! ```text
//! Before learning, who looks (row) at what (column):
//!
//!       Ann Oslo  Ida Lima  Fay Kyiv  Cid Cork  Eve Bern      Ann?      Ida?      Cid?
//! Ann?     0.123     0.123     0.124     0.129     0.129     0.121     0.123     0.128
//! Ida?     0.123     0.122     0.124     0.126     0.122     0.129     0.127     0.128
//! Cid?     0.130     0.126     0.124     0.123     0.122     0.127     0.122     0.126
//!
//! step   loss  right answers (unseen stories)
//!    0  1.043   11.6 %
//!   50  0.692   61.0 %
//!  100  0.059  100.0 %
//!  150  0.013  100.0 %
//!  200  0.007  100.0 %
//!  250  0.004  100.0 %
//!  300  0.003  100.0 %
//!  350  0.002  100.0 %
//!  400  0.002  100.0 %
//!
//! After learning:
//!
//!       Ann Oslo  Ida Lima  Fay Kyiv  Cid Cork  Eve Bern      Ann?      Ida?      Cid?
//! Ann?     0.811     0.024     0.017     0.024     0.026     0.040     0.029     0.027
//! Ida?     0.024     0.815     0.026     0.016     0.016     0.030     0.043     0.031
//! Cid?     0.025     0.018     0.030     0.813     0.009     0.029     0.031     0.045
//! ```
//!
//! Read the row of a question. Before training it attends equally to everything; afterwards to the one sentence
//! about the same person, and hardly to anything else. The story shown is not one of the training stories.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use candle_core::{D, DType, Device, Tensor};
use rand::SeedableRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;
use talkformer::nn::{GradientSink, Linear, Parameters, Pass, Segments, SelfAttention, TransformerConfig};
use talkformer::train::{AdamW, AdamWConfig, Gradients};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const NAMES: [&str; 8] = ["Ann", "Bob", "Cid", "Dan", "Eve", "Fay", "Gus", "Ida"];
const PLACES: [&str; 8] = ["Rome", "Oslo", "Lima", "Bonn", "Kyiv", "Cork", "Nice", "Bern"];
const SENTENCES: usize = 5;
const QUESTIONS: usize = 3;
const MODEL_DIM: usize = NAMES.len() + PLACES.len() + NAMES.len();

const SEED: u64 = 7;
const STEPS: usize = 400;
const BATCH: usize = 64;
const LEARNING_RATE: f64 = 0.005;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => fail("the loss did not fall"),
        Err(error) => fail(&error.to_string()),
    }
}

fn fail(reason: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "self_attention: {reason}");
    ExitCode::FAILURE
}

/// Trains, shows the progress, and returns whether the loss fell to a tenth.
fn run() -> Result<bool> {
    let mut out = io::stdout();
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let unseen: Vec<Story> = (0..1000).map(|_| Story::tell(&mut random)).collect();
    let reader = Reader::new()?;

    writeln!(out, "Before learning, who looks (row) at what (column):\n\n{}", reader.looks(&unseen[0])?)?;
    writeln!(out, "step   loss  right answers (unseen stories)")?;
    let mut optimizer = AdamW::new(AdamWConfig::default());
    let (mut first, mut last) = (f64::NAN, f64::NAN);
    for step in 0..=STEPS {
        let batch: Vec<Story> = (0..BATCH).map(|_| Story::tell(&mut random)).collect();
        let loss = reader.loss(&batch)?;
        last = f64::from(loss.to_scalar::<f32>()?);
        if step == 0 {
            first = last;
        }
        if step % 50 == 0 {
            writeln!(out, "{step:>4}  {last:.3}  {:>5.1} %", 100.0 * reader.accuracy(&unseen)?)?;
        }
        let gradients = reader.gradients(&loss)?;
        optimizer.step(&reader.parameters, vec![gradients], LEARNING_RATE)?;
    }
    writeln!(out, "\nAfter learning:\n\n{}", reader.looks(&unseen[0])?)?;
    Ok(last < 0.1 * first)
}

// 1. The task.

/// Who is where, and who is asked about.
struct Story {
    /// Pairs of name and place, all different.
    sentences: Vec<(usize, usize)>,
    /// Which of the sentences hold the answers.
    questions: Vec<usize>,
}

impl Story {
    fn tell(random: &mut ChaCha8Rng) -> Self {
        let mut names: Vec<usize> = (0..NAMES.len()).collect();
        let mut places: Vec<usize> = (0..PLACES.len()).collect();
        names.shuffle(random);
        places.shuffle(random);
        let sentences: Vec<_> = names.into_iter().zip(places).take(SENTENCES).collect();
        let order: Vec<usize> = (0..SENTENCES).collect();
        Self { sentences, questions: order.sample(random, QUESTIONS).copied().collect() }
    }

    /// One row per sentence, then one per question; three groups of columns, with a one in each that is used:
    /// the person in the sentence, the place, the person in the question.
    fn rows(&self) -> Vec<f32> {
        let told = self.sentences.iter().map(|(name, place)| (Some(*name), Some(*place), None));
        let asked = self.questions.iter().map(|sentence| (None, None, Some(self.sentences[*sentence].0)));
        let row = |(told, place, asked)| {
            let name = one_hot(NAMES.len(), told).chain(one_hot(PLACES.len(), place));
            name.chain(one_hot(NAMES.len(), asked))
        };
        told.chain(asked).flat_map(row).collect()
    }

    fn answers(&self) -> impl Iterator<Item = usize> {
        self.questions.iter().map(|sentence| self.sentences[*sentence].1)
    }

    /// The text of each row.
    fn labels(&self) -> Vec<String> {
        let told = self.sentences.iter().map(|(name, place)| format!("{} {}", NAMES[*name], PLACES[*place]));
        let asked = self.questions.iter().map(|sentence| format!("{}?", NAMES[self.sentences[*sentence].0]));
        told.chain(asked).collect()
    }
}

// 2. The model: one attention head, and a linear map from its output to the places.

struct Reader {
    parameters: Parameters,
    attention: SelfAttention,
    answer: Linear,
}

impl Reader {
    fn new() -> Result<Self> {
        let parameters = Parameters::new(SEED);
        let vb = parameters.builder(DType::F32, &Device::Cpu);
        let config = TransformerConfig { model_dim: MODEL_DIM, heads: 1, ..Default::default() };
        let attention = SelfAttention::new(&config, vb.pp("attention"))?;
        let answer = Linear::new(MODEL_DIM, PLACES.len(), vb.pp("answer"))?;
        Ok(Self { parameters, attention, answer })
    }

    /// The score of each place as the answer to each question: `[question, place]`.
    fn scores(&self, stories: &[Story]) -> Result<Tensor> {
        let (x, segments) = pack(stories)?; // [row, model_dim]
        let found = self.attention.forward(&x, &segments, &Pass::inference())?; // [row, model_dim]
        let asked = segments.iter().flat_map(|range| range.skip(SENTENCES)).map(|row| row as u32);
        let asked = Tensor::from_iter(asked, x.device())?;
        Ok(self.answer.forward(&found.index_select(&asked, 0)?)?)
    }

    /// The squared distance between the output and the right place.
    fn loss(&self, stories: &[Story]) -> Result<Tensor> {
        let answers =
            stories.iter().flat_map(Story::answers).flat_map(|place| one_hot(PLACES.len(), Some(place)));
        let answers = Tensor::from_iter(answers, &Device::Cpu)?.reshape(((), PLACES.len()))?; // [question, place]
        Ok((self.scores(stories)? - answers)?.sqr()?.sum(1)?.mean_all()?)
    }

    fn gradients(&self, loss: &Tensor) -> Result<Gradients> {
        let names =
            self.parameters.all().into_iter().map(|(name, var)| (var.as_tensor().id(), name)).collect();
        Ok(Gradients::collect(&names, &loss.backward()?, &GradientSink::default())?)
    }

    fn accuracy(&self, stories: &[Story]) -> Result<f64> {
        let given = self.scores(stories)?.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let right =
            stories.iter().flat_map(Story::answers).zip(&given).filter(|(a, b)| *a == **b as usize).count();
        Ok(right as f64 / given.len() as f64)
    }

    /// The attention weights of all rows for each question of a story, as a table.
    fn looks(&self, story: &Story) -> Result<String> {
        let (x, segments) = pack(std::slice::from_ref(story))?;
        let weights = self.attention.weights(&x, &segments)?[0].get(0)?.to_vec2::<f32>()?; // [query, key]
        let labels = story.labels();

        let mut table = format!("{:4}", "");
        labels.iter().try_for_each(|label| write!(table, "{label:>10}"))?;
        for (label, weights) in labels.iter().zip(&weights).skip(SENTENCES) {
            write!(table, "\n{label:4}")?;
            weights.iter().try_for_each(|weight| write!(table, "{weight:>10.3}"))?;
        }
        table.push('\n');
        Ok(table)
    }
}

/// The rows of all stories, one story after the other: `[row, model_dim]`.
fn pack(stories: &[Story]) -> Result<(Tensor, Segments)> {
    let segments = Segments::from_lengths(stories.iter().map(|_| SENTENCES + QUESTIONS));
    let rows: Vec<f32> = stories.iter().flat_map(Story::rows).collect();
    let shape = (segments.rows(), MODEL_DIM);
    Ok((Tensor::from_vec(rows, shape, &Device::Cpu)?, segments))
}

/// A one at this index and zeros elsewhere, or zeros only.
fn one_hot(count: usize, place: Option<usize>) -> impl Iterator<Item = f32> {
    (0..count).map(move |i| f32::from(Some(i) == place))
}
