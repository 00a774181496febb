//! An encoder learns what distinguishes the classes of some texts.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use candle_core::{D, DType, Device, Result as TensorResult, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder, ops};

use super::Tuned;
use super::blocks::{LAYERS, RELATIVE_BIASES, block_config, block_tensors};
use super::parts::Parts;
use super::tokenizer::{PieceTokenizer, Pieces};
use crate::embed::{EmbedError, LongTexts, Pooling};
use crate::nn::{Encoder, Linear, Parameters, Pass, Segments};
use crate::text::Span;
use crate::train::{
    AdamWConfig, BatchLoss, BatchStrategy, Decay, Event, Ratio, Schedule, Score, Trainable, Trainer,
    TrainerConfig,
};

/// A text, and what an encoder is to learn from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson<'t> {
    /// The text.
    pub text: &'t str,
    /// What it is about, counted from zero: usually one class; none where that is not known.
    pub classes: Vec<u32>,
    /// Its words.
    pub words: &'t [Span],
    /// What each word is, counted from zero; empty where that is not known.
    pub tags: Vec<u32>,
}

/// Lets the layers of an encoder learn from texts with classes and tags; vectors of tokens and places stay as they are.
///
/// A text's vector `v` is held against one vector `p` a class, which begins as the mean of the texts of the class, and a
/// token's row `r` against one a tag:
///
/// ```text
/// loss = cross_entropy(cos(v, p) / temperature, class) + cross_entropy(r·W + b, tag)
/// ```
///
/// The temperature is 0.05, as it is common where sentences are compared ([Reimers and Gurevych, 2019](https://arxiv.org/abs/1908.10084)).
///
/// # Example
///
/// ```no_run
/// use std::sync::atomic::AtomicBool;
/// use talkformer::embed::{Embedder, FineTuning, Lesson, Pretrained};
///
/// let lesson = |text, class| Lesson { text, classes: vec![class], words: &[], tags: vec![] };
/// let lessons = [lesson("where is my card", 0), lesson("the card is late", 0), lesson("change my pin", 1)];
/// let path = "all-MiniLM-L6-v2".as_ref();
/// let tuned = FineTuning::default().run(path, &lessons, &AtomicBool::new(false), |_| {})?;
/// let encoder = Pretrained::open_tuned(path, &tuned, &Default::default())?;
/// let embedder = Embedder::new(Box::new(encoder), Default::default());
/// # Ok::<(), talkformer::embed::EmbedError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct FineTuning {
    /// Rounds through the texts, at least.
    pub epochs: usize,
    /// Steps, at least: few texts are gone through more often.
    pub minimum_steps: usize,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Texts per step.
    pub batch_size: usize,
    /// Share of what is between two parts of a layer that is dropped while learning.
    pub dropout: f64,
    /// Decides every random draw.
    pub seed: u64,
    /// Worker threads; results depend on how many.
    pub threads: usize,
}

impl Default for FineTuning {
    /// One thread per core.
    fn default() -> Self {
        Self {
            epochs: 3,
            minimum_steps: 300,
            learning_rate: 1e-4,
            batch_size: 32,
            dropout: 0.1,
            seed: 1,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

impl FineTuning {
    /// No more tokens of a text are learnt from: the beginning says what a text is about, and attention compares each with each.
    const LONGEST: usize = 128;

    /// Learns from these texts; `observe` hears of every step.
    ///
    /// # Errors
    ///
    /// As [`Embedder::open`](crate::embed::Embedder::open); if there is nothing to tell apart; or if the training diverges.
    pub fn run(
        &self,
        path: &Path,
        lessons: &[Lesson<'_>],
        stop: &AtomicBool,
        observe: impl FnMut(Event),
    ) -> Result<Tuned, EmbedError> {
        let parts = Parts::open(path, None)?;
        let longest = parts.longest().min(Self::LONGEST);
        let tokenizer = PieceTokenizer::open(&parts.folder.encoder, longest, parts.config.vocabulary)?;
        let read = |lesson: &Lesson<'_>| -> Result<Example, EmbedError> {
            let (mut parts, _) = tokenizer.read(lesson.text, LongTexts::Truncate)?;
            Ok(Example::new(parts.pop().unwrap_or_default(), lesson))
        };
        let examples = lessons.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let failed = |error: candle_core::Error| EmbedError::file(path, format!("cannot be tuned: {error}"));
        let tuner = Tuner::new(self, &parts, examples, DType::F32)?;
        Trainer::new(self.trainer(tuner.examples.len()), stop).run(&tuner, observe).map_err(failed)?;
        tuner.tuned().map_err(failed)
    }

    fn trainer(&self, examples: usize) -> TrainerConfig {
        let batch_size = self.batch_size.max(1);
        let steps = examples.div_ceil(batch_size).max(1);
        TrainerConfig {
            epochs: self.epochs.max(self.minimum_steps.div_ceil(steps)),
            batch_size: (batch_size, batch_size),
            batch_strategy: BatchStrategy::Sequence,
            schedule: Schedule { peak: self.learning_rate, warm_up: 0.1, decay: Decay::Linear },
            optimizer: AdamWConfig { weight_decay: 0.01, clip_norm: 1.0, ..Default::default() },
            seed: self.seed,
            threads: self.threads.max(1),
            evaluate_every: 0,
            patience: 0,
            keep_best: false,
        }
    }
}

/// A text in numbers.
#[derive(Debug)]
struct Example {
    ids: Vec<u32>,
    classes: Vec<u32>,
    /// Tokens of words whose tag is known, with the tag.
    tags: Vec<(usize, u32)>,
}

impl Example {
    fn new(pieces: Pieces, lesson: &Lesson<'_>) -> Self {
        let mut tags = Vec::new();
        let mut word = 0;
        for (at, span) in pieces.spans.iter().enumerate().filter(|(at, _)| !pieces.special[*at]) {
            // Both lists are in the order of the text.
            while lesson.words.get(word).is_some_and(|word| word.end <= span.start) {
                word += 1;
            }
            let touched = lesson.words.get(word).is_some_and(|word| word.overlaps(*span));
            tags.extend(lesson.tags.get(word).filter(|_| touched).map(|tag| (at, *tag)));
        }
        Self { ids: pieces.ids, classes: lesson.classes.clone(), tags }
    }
}

/// The encoder with its examples.
struct Tuner {
    encoder: Encoder,
    pooling: Pooling,
    parameters: Parameters,
    /// One vector a class: `[class, model_dim]`.
    classes: Option<Tensor>,
    tags: Option<Linear>,
    dtype: DType,
    examples: Vec<Example>,
}

impl Tuner {
    /// What cosines are divided by.
    const TEMPERATURE: f64 = 0.05;

    /// Texts whose vectors are found together before anything is learnt.
    const TOGETHER: usize = 64;

    fn new(
        config: &FineTuning,
        parts: &Parts<'_>,
        examples: Vec<Example>,
        dtype: DType,
    ) -> Result<Self, EmbedError> {
        let count = |found: Option<u32>| found.map_or(0, |last| last as usize + 1);
        let class_count = count(examples.iter().flat_map(|one| one.classes.iter().copied()).max());
        let tag_count = count(examples.iter().flat_map(|one| one.tags.iter().map(|(_, tag)| *tag)).max());
        if class_count < 2 && tag_count < 2 {
            return Err(EmbedError::NothingToTune);
        }
        let folder = &parts.folder.encoder;
        let failed = |error: candle_core::Error| EmbedError::file(folder, error);
        let mut block = block_config(parts)?;
        block.layers.dropout = config.dropout;
        let mut fixed = block_tensors(parts, dtype, &Device::Cpu)?;
        let learnt = |name: &str| name.starts_with(LAYERS) && !name.ends_with(RELATIVE_BIASES);
        let parameters = Parameters::new(config.seed);
        for (name, tensor) in fixed.extract_if(|name, _| learnt(name)) {
            parameters.insert(&name, &tensor).map_err(failed)?;
        }
        let source = Box::new(Source { fixed, learnt: parameters.clone() });
        let encoder = Encoder::new(&block, VarBuilder::from_backend(source, dtype, Device::Cpu));
        let mut tuner = Self {
            encoder: encoder.map_err(failed)?,
            pooling: parts.folder.pooling,
            parameters,
            classes: None,
            tags: None,
            dtype,
            examples,
        };
        if class_count > 1 {
            let means = tuner.class_means(class_count).map_err(failed)?;
            tuner.classes = Some(tuner.parameters.insert(CLASSES, &means).map_err(failed)?);
        }
        if tag_count > 1 {
            let vb = tuner.parameters.builder(dtype, &Device::Cpu).pp(TAGS);
            tuner.tags = Some(Linear::new(block.layers.model_dim, tag_count, vb).map_err(failed)?);
        }
        Ok(tuner)
    }

    /// The mean direction of the texts of each class, before anything is learnt.
    fn class_means(&self, count: usize) -> TensorResult<Tensor> {
        let mut sum: Option<Tensor> = None;
        let all: Vec<usize> = (0..self.examples.len()).collect();
        for some in all.chunks(Self::TOGETHER) {
            let batch = self.batch(some);
            let rows = self.encoder.forward(&batch.ids, &batch.segments, &Pass::inference())?;
            let vectors = unit(&self.pool(&rows, &batch.segments)?)?.detach(); // [text, model_dim]
            let found = self.targets(some, count)?.t()?.contiguous()?.matmul(&vectors)?;
            sum = Some(sum.map_or(Ok(found.clone()), |sum| sum + found)?);
        }
        sum.map_or_else(|| Tensor::zeros((count, 0), self.dtype, &Device::Cpu), |sum| unit(&sum))
    }

    fn batch(&self, examples: &[usize]) -> Batch {
        let own = || examples.iter().map(|at| &self.examples[*at]);
        let segments = Segments::from_lengths(own().map(|one| one.ids.len()));
        let starts = segments.iter().map(|range| range.start);
        let tags = own()
            .zip(starts)
            .flat_map(|(one, start)| one.tags.iter().map(move |(at, tag)| (start + at, *tag)));
        let (tagged, tags) = tags.map(|(at, tag)| (at as u32, tag)).unzip();
        Batch { ids: own().flat_map(|one| one.ids.iter().copied()).collect(), segments, tagged, tags }
    }

    /// `[text, class]`: how much of a text belongs to each class; nothing where that is not known.
    fn targets(&self, examples: &[usize], classes: usize) -> TensorResult<Tensor> {
        let mut targets = vec![0.0_f32; examples.len() * classes];
        for (at, row) in examples.iter().zip(targets.chunks_exact_mut(classes)) {
            let own = &self.examples[*at].classes;
            own.iter().for_each(|class| row[*class as usize] = 1.0 / own.len() as f32);
        }
        Tensor::from_vec(targets, (examples.len(), classes), &Device::Cpu)?.to_dtype(self.dtype)
    }

    /// `[token, model_dim]` to `[text, model_dim]`. The largest numbers of a text have no useful gradient: where they are what
    /// is pooled, the mean learns for them.
    fn pool(&self, rows: &Tensor, segments: &Segments) -> TensorResult<Tensor> {
        let (texts, tokens) = (segments.count(), segments.rows());
        let mut shares = vec![0.0_f32; texts * tokens];
        for (row, range) in shares.chunks_exact_mut(tokens.max(1)).zip(segments.iter()) {
            match self.pooling {
                Pooling::Cls => row[range.start] = 1.0,
                Pooling::Mean | Pooling::Max => {
                    let share = 1.0 / range.len().max(1) as f32;
                    row[range].fill(share);
                }
            }
        }
        Tensor::from_vec(shares, (texts, tokens), &Device::Cpu)?.to_dtype(self.dtype)?.matmul(rows)
    }

    /// How many texts whose classes are known have one of them as the likeliest.
    fn right(&self, examples: &[usize], likely: &Tensor) -> TensorResult<Ratio> {
        let mut ratio = Ratio::default();
        for (at, found) in examples.iter().zip(likely.detach().argmax(D::Minus1)?.to_vec1::<u32>()?) {
            let own = &self.examples[*at].classes;
            ratio.whole += f64::from(u8::from(!own.is_empty()));
            ratio.part += f64::from(u8::from(own.contains(&found)));
        }
        Ok(ratio)
    }

    /// The layers as they are now.
    fn tuned(&self) -> TensorResult<Tuned> {
        let mut tensors = BTreeMap::new();
        for (name, var) in self.parameters.all() {
            if name.starts_with(LAYERS) {
                let values = var.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
                tensors.insert(name, (var.dims().to_vec(), values));
            }
        }
        Ok(Tuned::new(tensors))
    }
}

/// Some texts in numbers.
struct Batch {
    ids: Vec<u32>,
    segments: Segments,
    /// Tokens that have a tag.
    tagged: Vec<u32>,
    tags: Vec<u32>,
}

const CLASSES: &str = "classes";
const TAGS: &str = "tags";

impl Trainable for Tuner {
    fn examples(&self) -> usize {
        self.examples.len()
    }

    fn rows(&self, example: usize) -> usize {
        self.examples[example].ids.len()
    }

    fn class(&self, example: usize) -> Option<u32> {
        self.examples[example].classes.first().copied()
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn loss(&self, examples: &[usize], pass: &Pass) -> TensorResult<BatchLoss> {
        let batch = self.batch(examples);
        let rows = self.encoder.forward(&batch.ids, &batch.segments, pass)?; // [token, model_dim]
        let mut total = Tensor::zeros((), self.dtype, &Device::Cpu)?;
        let (mut parts, mut ratios) = (Vec::new(), Vec::new());
        if let Some(classes) = &self.classes {
            let targets = self.targets(examples, classes.dim(0)?)?;
            let vectors = unit(&self.pool(&rows, &batch.segments)?)?;
            let cosines = vectors.matmul(&unit(classes)?.t()?.contiguous()?)?; // [text, class]
            let likely = ops::log_softmax(&(cosines / Self::TEMPERATURE)?, D::Minus1)?;
            let loss = ((&targets * &likely)?.sum_all()? / -(examples.len() as f64))?;
            parts.push(("intent", number(&loss)?));
            ratios.push(("intent_accuracy", self.right(examples, &likely)?));
            total = (total + loss)?;
        }
        if let Some(tags) = self.tags.as_ref().filter(|_| !batch.tagged.is_empty()) {
            let tagged = rows.index_select(&Tensor::new(batch.tagged, &Device::Cpu)?, 0)?;
            let likely = ops::log_softmax(&tags.forward(&tagged)?, D::Minus1)?; // [tagged, tag]
            let own = Tensor::new(batch.tags, &Device::Cpu)?.unsqueeze(1)?;
            let loss = likely.gather(&own, 1)?.mean_all()?.neg()?;
            parts.push(("entity", number(&loss)?));
            total = (total + loss)?;
        }
        Ok(BatchLoss { total, parts, ratios })
    }

    fn evaluate(&self) -> TensorResult<Option<Score>> {
        Ok(None)
    }
}

fn number(scalar: &Tensor) -> TensorResult<f64> {
    scalar.to_dtype(DType::F64)?.to_scalar()
}

/// Rows scaled to length one.
fn unit(rows: &Tensor) -> TensorResult<Tensor> {
    let length = (rows.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?;
    rows.broadcast_div(&length)
}

/// Weights of which some are learnt.
struct Source {
    fixed: HashMap<String, Tensor>,
    learnt: Parameters,
}

impl SimpleBackend for Source {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Device,
    ) -> TensorResult<Tensor> {
        match self.fixed.get(name) {
            Some(tensor) if tensor.shape() == &shape => Ok(tensor.clone()),
            Some(tensor) => candle_core::bail!("{name} has the shape {:?}, not {shape:?}", tensor.shape()),
            None => self.learnt.get(shape, name, init, dtype, device),
        }
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> TensorResult<Tensor> {
        self.fixed
            .get(name)
            .map_or_else(|| self.learnt.get_unchecked(name, dtype, device), |tensor| Ok(tensor.clone()))
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.fixed.contains_key(name) || self.learnt.contains_tensor(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::{EmbedOptions, Embedder, Pretrained};
    use crate::nn::testing::central_differences;

    fn folder(family: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/encoders").join(family)
    }

    fn lesson(text: &str, class: u32) -> Lesson<'_> {
        Lesson { text, classes: vec![class], words: &[], tags: Vec::new() }
    }

    fn tuner(family: &str, lessons: &[Lesson<'_>], dtype: DType) -> Tuner {
        let parts = Parts::open(&folder(family), None).unwrap();
        let tokenizer = PieceTokenizer::open(&parts.folder.encoder, 32, parts.config.vocabulary).unwrap();
        let read =
            |lesson: &Lesson<'_>| tokenizer.read(lesson.text, LongTexts::Truncate).unwrap().0.remove(0);
        let examples = lessons.iter().map(|lesson| Example::new(read(lesson), lesson)).collect();
        Tuner::new(&FineTuning { dropout: 0.0, ..Default::default() }, &parts, examples, dtype).unwrap()
    }

    #[test]
    fn every_parameter_has_the_right_gradient() {
        let words = [Span::new(0, 5), Span::new(6, 9)];
        let lessons = [
            Lesson { text: "money now", classes: vec![0, 2], words: &words, tags: vec![1, 0] },
            lesson("the river", 1),
            Lesson { text: "a bank", classes: vec![], words: &[], tags: vec![] },
        ];
        for family in ["bert", "mpnet"] {
            let tuner = tuner(family, &lessons, DType::F64);
            crate::nn::testing::shake(&tuner.parameters).unwrap();
            let loss = || tuner.loss(&[0, 1, 2], &Pass::inference()).unwrap().total;
            let found = loss().backward().unwrap();
            for (name, var) in tuner.parameters.all() {
                let gradient = found.get(var.as_tensor()).expect(&name).flatten_all().unwrap();
                let gradient: Vec<f64> = gradient.to_vec1().unwrap();
                assert!(gradient.iter().any(|x| x.abs() > 1e-9), "{name}");
                let slopes = central_differences(&var, || loss().to_scalar()).unwrap();
                for (found, slope) in gradient.iter().zip(slopes) {
                    assert!((found - slope).abs() < 1e-5 * slope.abs().max(1e-2), "{name}: {found} {slope}");
                }
            }
        }
    }

    #[test]
    fn classes_begin_as_the_mean_direction_of_their_texts() {
        let lessons = [lesson("money", 0), lesson("the river bank", 1), lesson("a bank", 0)];
        let tuner = tuner("bert", &lessons, DType::F64);
        let means: Vec<Vec<f64>> = tuner.classes.as_ref().unwrap().to_vec2().unwrap();
        let options = EmbedOptions { normalize: Some(true), ..Default::default() };
        let embedder = Embedder::open(&folder("bert"), &options).unwrap();
        let vectors = embedder.embed(&["money", "the river bank", "a bank"]).unwrap().vectors.mapv(f64::from);
        let first = &vectors.row(0) + &vectors.row(2);
        let first = &first / first.dot(&first).sqrt();
        for (mean, expected) in means.iter().zip([first, vectors.row(1).to_owned()]) {
            assert!(mean.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }

    #[test]
    fn tokens_have_the_tag_of_the_word_they_touch() {
        let spans = [(0, 0), (0, 3), (3, 5), (6, 7), (8, 12), (12, 12)].map(|(from, to)| Span::new(from, to));
        let special = [true, false, false, false, false, true].to_vec();
        let pieces = Pieces { ids: (0..6).collect(), spans: spans.to_vec(), special };
        let words = [Span::new(0, 5), Span::new(8, 10), Span::new(10, 12)];
        let lesson = Lesson { text: "", classes: vec![], words: &words, tags: vec![4, 5, 6] };
        assert_eq!(Example::new(pieces, &lesson).tags, [(1, 4), (2, 4), (4, 5)]);
    }

    #[test]
    fn what_was_learnt_tells_the_classes_apart_better() {
        let texts = ["money in the bank", "a bank with money", "the bank of the river", "river and bank"];
        let lessons: Vec<Lesson<'_>> =
            texts.iter().zip([0, 0, 1, 1]).map(|(text, class)| lesson(text, class)).collect();
        for family in ["bert", "roberta", "mpnet"] {
            let path = folder(family);
            let tuning =
                FineTuning { minimum_steps: 60, learning_rate: 3e-3, threads: 2, ..Default::default() };
            let learn = || tuning.run(&path, &lessons, &AtomicBool::new(false), |_| {}).unwrap();
            let tuned = learn();
            assert_eq!(tuned, learn(), "the same seed gives the same numbers");
            let apart = |encoder: Pretrained| {
                let options = EmbedOptions { normalize: Some(true), ..Default::default() };
                let vectors = Embedder::new(Box::new(encoder), options).embed(&texts).unwrap().vectors;
                let cosine = |a: usize, b: usize| vectors.row(a).dot(&vectors.row(b));
                cosine(0, 1) + cosine(2, 3) - cosine(0, 2) - cosine(1, 3)
            };
            let before = apart(Pretrained::open(&path, &EmbedOptions::default()).unwrap());
            let after = apart(Pretrained::open_tuned(&path, &tuned, &EmbedOptions::default()).unwrap());
            assert!(after > before + 0.3, "{family}: {before} {after}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let path = folder("bert");
        let run = |lessons: &[Lesson<'_>]| {
            FineTuning::default().run(&path, lessons, &AtomicBool::new(false), |_| {})
        };
        assert!(matches!(run(&[]), Err(EmbedError::NothingToTune)));
        assert!(matches!(run(&[lesson("money", 0), lesson("river", 0)]), Err(EmbedError::NothingToTune)));
        let two = [lesson("money", 0), lesson("river", 1)];
        let error = FineTuning::default().run(&folder("distilbert"), &two, &AtomicBool::new(false), |_| {});
        assert!(error.unwrap_err().to_string().contains("no other activation than gelu"));
        let error = Pretrained::open_tuned(&path, &Tuned::default(), &EmbedOptions::default()).unwrap_err();
        assert!(
            error.to_string().contains("there is no `layers.0.attention.query_key_value.weight`"),
            "{error}"
        );
    }
}
