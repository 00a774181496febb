//! The encoder that learns, with its examples.

use std::collections::{BTreeMap, HashMap};

use candle_core::{D, DType, Device as Opened, Result as TensorResult, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder, ops};

use super::super::Tuned;
use super::super::blocks::{LAYERS, RELATIVE_BIASES, block_config, block_tensors};
use super::super::folder::Stage;
use super::super::parts::Parts;
use super::super::tokenizer::Pieces;
use super::{FineTuning, FineTuningExample};
use crate::embed::{EmbedError, Pooling};
use crate::kernels::dropout::bits;
use crate::nn::{Activation, Encoder, Linear, Parameters, Pass, Segments, activate, select_rows, unit_rows};
use crate::train::{BatchLoss, Ratio, Score, Trainable};

/// A text in numbers.
#[derive(Debug)]
pub(super) struct Example {
    ids: Vec<u32>,
    classes: Vec<u32>,
    /// Tokens of words whose tag is known, with the tag.
    tags: Vec<(usize, u32)>,
}

impl Example {
    pub(super) fn new(pieces: Pieces, example: &FineTuningExample<'_>) -> Self {
        let mut tags = Vec::new();
        let mut word = 0;
        for (at, span) in pieces.spans.iter().enumerate().filter(|(at, _)| !pieces.special[*at]) {
            // Both lists are in the order of the text.
            while example.words.get(word).is_some_and(|word| word.end <= span.start) {
                word += 1;
            }
            let touched = example.words.get(word).is_some_and(|word| word.overlaps(*span));
            tags.extend(example.tags.get(word).filter(|_| touched).map(|tag| (at, *tag)));
        }
        Self { ids: pieces.ids, classes: example.classes.clone(), tags }
    }
}

/// The encoder with its examples.
pub(super) struct Tuner {
    encoder: Encoder,
    poolings: Vec<Pooling>,
    /// What happens to the pooled vectors.
    stages: Vec<TextStage>,
    parameters: Parameters,
    /// One vector a class: `[class, model_dim]`.
    classes: Option<Tensor>,
    tags: Option<Linear>,
    dtype: DType,
    device: Opened,
    examples: Vec<Example>,
    /// Those with this first class: `[class][place]`.
    of_class: Vec<Vec<usize>>,
}

impl Tuner {
    /// The temperature: cosines are divided by it.
    const TEMPERATURE: f64 = 0.07;

    /// What the logarithm of a probability is where there is none.
    const NEVER: f32 = -1e9;

    /// Texts whose vectors are computed together before anything is learnt.
    const TOGETHER: usize = 64;

    pub(super) fn new(
        config: &FineTuning,
        parts: &Parts<'_>,
        examples: Vec<Example>,
        dtype: DType,
        device: &Opened,
    ) -> Result<Self, EmbedError> {
        let count = |found: Option<u32>| found.map_or(0, |last| last as usize + 1);
        let class_count = count(examples.iter().flat_map(|one| one.classes.iter().copied()).max());
        let tag_count = count(examples.iter().flat_map(|one| one.tags.iter().map(|(_, tag)| *tag)).max());
        if class_count < 2 && tag_count < 2 {
            return Err(EmbedError::NothingToTune);
        }
        let folder = parts.source.file(&parts.folder.encoder);
        let failed = |error: candle_core::Error| EmbedError::file(&folder, error);
        let mut block = block_config(parts)?;
        block.layers.dropout = config.dropout;
        let mut fixed = block_tensors(parts, dtype, device)?;
        let learnt = |name: &str| name.starts_with(LAYERS) && !name.ends_with(RELATIVE_BIASES);
        let parameters = Parameters::new(config.seed);
        for (name, tensor) in fixed.extract_if(|name, _| learnt(name)) {
            parameters.insert(&name, &tensor).map_err(failed)?;
        }
        let source = Box::new(PartlyLearnt { fixed, learnt: parameters.clone() });
        let encoder = Encoder::new(&block, VarBuilder::from_backend(source, dtype, device.clone()));
        let mut tuner = Self {
            encoder: encoder.map_err(failed)?,
            poolings: parts.folder.poolings.clone(),
            stages: parts
                .folder
                .stages
                .iter()
                .map(|stage| TextStage::new(stage, dtype, device))
                .collect::<TensorResult<_>>()
                .map_err(failed)?,
            parameters,
            classes: None,
            tags: None,
            dtype,
            device: device.clone(),
            of_class: vec![Vec::new(); class_count],
            examples,
        };
        for at in 0..tuner.examples.len() {
            if let Some(class) = tuner.class(at) {
                tuner.of_class[class as usize].push(at);
            }
        }
        if class_count > 1 {
            let means = tuner.class_means(class_count).map_err(failed)?;
            tuner.classes = Some(tuner.parameters.insert(CLASSES, &means).map_err(failed)?);
        }
        if tag_count > 1 {
            let vb = tuner.parameters.builder(dtype, device).pp(TAGS);
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
            let vectors = unit_rows(&self.vectors(&rows, &batch.segments)?)?.detach(); // [text, model_dim]
            let found = self.targets(some, count)?.t()?.contiguous()?.matmul(&vectors)?;
            sum = Some(sum.map_or(Ok(found.clone()), |sum| sum + found)?);
        }
        sum.map_or_else(|| Tensor::zeros((count, 0), self.dtype, &self.device), |sum| unit_rows(&sum))
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
        Tensor::from_vec(targets, (examples.len(), classes), &self.device)?.to_dtype(self.dtype)
    }

    /// `[token, model_dim]` to `[text, dim]`: as the folder of the encoder says.
    fn vectors(&self, rows: &Tensor, segments: &Segments) -> TensorResult<Tensor> {
        let pooled = self.poolings.iter().map(|pooling| self.pool(*pooling, rows, segments));
        let pooled = Tensor::cat(&pooled.collect::<TensorResult<Vec<_>>>()?, 1)?;
        self.stages.iter().try_fold(pooled, |vectors, stage| stage.forward(&vectors))
    }

    /// `[token, model_dim]` to `[text, model_dim]`. The largest numbers of a text have no useful gradient: where they are what
    /// is pooled, the mean learns for them.
    fn pool(&self, pooling: Pooling, rows: &Tensor, segments: &Segments) -> TensorResult<Tensor> {
        let (texts, tokens) = (segments.count(), segments.rows());
        let mut shares = vec![0.0_f32; texts * tokens];
        for (row, range) in shares.chunks_exact_mut(tokens.max(1)).zip(segments.iter()) {
            let count = range.len().max(1) as f32;
            match pooling {
                Pooling::Cls => row[range.start] = 1.0,
                Pooling::LastToken => row[range.end - 1] = 1.0,
                Pooling::Mean | Pooling::Max => row[range].fill(1.0 / count),
                Pooling::MeanSqrtLen => row[range].fill(1.0 / count.sqrt()),
                Pooling::WeightedMean => {
                    let whole = 0.5 * count * (count + 1.0);
                    row[range].iter_mut().zip(1_u16..).for_each(|(x, at)| *x = f32::from(at) / whole);
                }
            }
        }
        Tensor::from_vec(shares, (texts, tokens), &self.device)?.to_dtype(self.dtype)?.matmul(rows)
    }

    /// These texts and, while learning, another of its class for each: itself where there is none, which dropout reads in
    /// another way.
    fn with_others(&self, examples: &[usize], pass: &Pass) -> Vec<usize> {
        let Some(seed) = pass.next_seed().filter(|_| self.classes.is_some()) else {
            return examples.to_vec();
        };
        let other = |(draw, at): (u64, &usize)| {
            let own = self.class(*at)?;
            let all = &self.of_class[own as usize];
            let place = all.binary_search(at).ok()?;
            // The one that lies so many places behind it; of two, the other one.
            let behind = 1 + bits(seed, draw) as usize % all.len().saturating_sub(1).max(1);
            Some(all[(place + behind) % all.len()])
        };
        examples.iter().copied().chain((0..).zip(examples).filter_map(other)).collect()
    }

    /// The supervised contrastive loss of unit vectors `[text, dim]` ([Khosla et al., 2020](https://arxiv.org/abs/2004.11362)): which
    /// of the other texts share a class with a text. `None` where no two do.
    fn contrast(&self, texts: &[usize], vectors: &Tensor) -> TensorResult<Option<Tensor>> {
        let count = texts.len();
        let classes = |at: usize| &self.examples[texts[at]].classes;
        let (mut hidden, mut shares, mut learning) = (vec![0.0; count * count], vec![0.0; count * count], 0);
        for (text, (hidden, shares)) in
            hidden.chunks_exact_mut(count).zip(shares.chunks_exact_mut(count)).enumerate()
        {
            let like = |other: &usize| {
                *other != text && classes(*other).iter().any(|class| classes(text).contains(class))
            };
            let like: Vec<usize> = (0..count).filter(like).collect();
            like.iter().for_each(|other| shares[*other] = 1.0 / like.len() as f32);
            learning += usize::from(!like.is_empty());
            // What is not known to be of another class is not compared with.
            (0..count).filter(|other| *other == text || classes(*other).is_empty()).for_each(|other| {
                hidden[other] = Self::NEVER;
            });
        }
        if learning == 0 {
            return Ok(None);
        }
        let square =
            |numbers: Vec<f32>| Tensor::from_vec(numbers, (count, count), &self.device)?.to_dtype(self.dtype);
        let cosines = vectors.matmul(&vectors.t()?.contiguous()?)?;
        let likely = ops::log_softmax(&((cosines / Self::TEMPERATURE)? + square(hidden)?)?, D::Minus1)?;
        Ok(Some(((square(shares)? * likely)?.sum_all()? / -(learning as f64))?))
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
    pub(super) fn tuned(&self) -> TensorResult<Tuned> {
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

/// What happens to pooled vectors; it stays as it is while the encoder learns.
enum TextStage {
    Normalize,
    /// `[in, out]` and `[out]`
    Dense {
        weight: Tensor,
        bias: Tensor,
        activation: Activation,
    },
}

impl TextStage {
    fn new(stage: &Stage, dtype: DType, device: &Opened) -> TensorResult<Self> {
        Ok(match stage {
            Stage::Normalize => Self::Normalize,
            Stage::Dense { map, activation } => {
                let output = map.bias.len();
                let weight = Tensor::from_slice(&map.weight, (output, map.weight.len() / output), device)?;
                Self::Dense {
                    weight: weight.t()?.contiguous()?.to_dtype(dtype)?,
                    bias: Tensor::from_slice(&map.bias, output, device)?.to_dtype(dtype)?,
                    activation: *activation,
                }
            }
        })
    }

    fn forward(&self, vectors: &Tensor) -> TensorResult<Tensor> {
        match self {
            Self::Normalize => unit_rows(vectors),
            Self::Dense { weight, bias, activation } => {
                activate(*activation, &vectors.matmul(weight)?.broadcast_add(bias)?)
            }
        }
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
        let examples = &self.with_others(examples, pass)[..];
        let batch = self.batch(examples);
        let rows = self.encoder.forward(&batch.ids, &batch.segments, pass)?; // [token, model_dim]
        let mut losses = BatchLoss::zero(&self.device)?;
        if let Some(classes) = &self.classes {
            let targets = self.targets(examples, classes.dim(0)?)?;
            let vectors = unit_rows(&self.vectors(&rows, &batch.segments)?)?;
            let cosines = vectors.matmul(&unit_rows(classes)?.t()?.contiguous()?)?; // [text, class]
            let likely = ops::log_softmax(&(cosines / Self::TEMPERATURE)?, D::Minus1)?;
            let loss = ((&targets * &likely)?.sum_all()? / -(examples.len() as f64))?;
            losses.add("intent", loss)?;
            if let Some(loss) = self.contrast(examples, &vectors)? {
                losses.add("contrast", loss)?;
            }
            losses.add_ratio("intent_accuracy", self.right(examples, &likely)?);
        }
        if let Some(tags) = self.tags.as_ref().filter(|_| !batch.tagged.is_empty()) {
            let tagged = select_rows(&rows, &batch.tagged)?;
            let likely = ops::log_softmax(&tags.forward(&tagged)?, D::Minus1)?; // [tagged, tag]
            let own = Tensor::new(batch.tags, &self.device)?.unsqueeze(1)?;
            losses.add("entity", likely.gather(&own, 1)?.mean_all()?.neg()?)?;
        }
        Ok(losses)
    }

    fn evaluate(&self) -> TensorResult<Option<Score>> {
        Ok(None)
    }
}

/// Weights of which some are learnt.
struct PartlyLearnt {
    fixed: HashMap<String, Tensor>,
    learnt: Parameters,
}

impl SimpleBackend for PartlyLearnt {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        device: &Opened,
    ) -> TensorResult<Tensor> {
        match self.fixed.get(name) {
            Some(tensor) if tensor.shape() == &shape => Ok(tensor.clone()),
            Some(tensor) => candle_core::bail!("{name} has the shape {:?}, not {shape:?}", tensor.shape()),
            None => self.learnt.get(shape, name, init, dtype, device),
        }
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Opened) -> TensorResult<Tensor> {
        self.fixed
            .get(name)
            .map_or_else(|| self.learnt.get_unchecked(name, dtype, device), |tensor| Ok(tensor.clone()))
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.fixed.contains_key(name) || self.learnt.contains_tensor(name)
    }
}

#[cfg(test)]
mod tests;
