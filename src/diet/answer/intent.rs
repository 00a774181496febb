//! How similar a message is to each intent.

use crate::diet::multi_label::Decision;
use crate::diet::{DietConfig, Labels, Widths};
use crate::features::{Features, LabelFeatures};
use crate::infer::{Bag, DenseLayers, Source, WeightsError};
use crate::kernels::matmul::Accumulate::Overwrite;
use crate::kernels::{Affine, Matrix, MatrixMut, Packed, Precision, product};

/// The intent head, with all labels embedded beforehand.
#[derive(Clone, Debug)]
pub(super) struct IntentHead {
    text: Affine,
    /// The linear path, where there is one.
    linear: Option<Bag>,
    /// Sparse columns that it reads, before the dense ones.
    sentence_width: usize,
    /// What a similarity weighs; the linear path is weighed already.
    scale: f32,
    /// `[embedding, label]`
    labels: Packed,
    cosine: bool,
    /// Where a message may have several intents.
    pub(super) decision: Option<Decision>,
}

impl IntentHead {
    pub(super) fn new(
        config: &DietConfig,
        model_dim: usize,
        widths: Widths,
        labels: &Labels,
        features: &LabelFeatures,
        shared: &DenseLayers,
        source: &Source<'_>,
    ) -> Result<Self, WeightsError> {
        let embedding = config.layers.embedding_dimension;
        let cosine = config.similarity.is_cosine();
        let linear = || Bag::new(widths.joined(), labels.intents.len(), &source.at("linear"));
        let scale = source.values("scale", &[1])?;
        let decision = || -> Result<Decision, WeightsError> {
            let shape = vec![Decision::NUMBERS];
            let numbers = source.values("decision", &shape)?;
            let (tensor, found) = ("intent.decision".to_owned(), vec![numbers.len()]);
            Decision::of(&numbers).ok_or(WeightsError::Shape { tensor, found, expected: shape })
        };
        let text = source.at("similarity.text");
        let embedded = embed_labels(config, labels, features, shared, source, cosine)?;
        let embedded = Matrix::new(&embedded, labels.intents.len(), embedding).transposed();
        Ok(Self {
            text: text.affine(model_dim, embedding, 1.0)?,
            linear: config.intents.linear_path.then(linear).transpose()?,
            sentence_width: widths.sentence,
            scale: scale[0],
            labels: Packed::new(embedded, Precision::F32),
            decision: labels.separator.is_some().then(decision).transpose()?,
            cosine,
        })
    }

    /// Similarity of each message to each label: `[message, model_dim]` and features to `[message, label]`. `scratch` is
    /// memory to work in.
    pub(super) fn scores(
        &self,
        messages: &[f32],
        features: &[impl AsRef<Features>],
        scratch: &mut Vec<f32>,
        out: &mut Vec<f32>,
    ) {
        let (width, count) = (self.text.output(), messages.len() / self.text.input());
        self.text.forward(count, messages, scratch); // [message, embedding]
        self.place(scratch);
        let labels = self.labels.dims().1;
        out.resize(count * labels, 0.0);
        let embedded = Matrix::new(&scratch[..count * width], count, width);
        product(MatrixMut::new(out, count, labels), Overwrite, embedded, &self.labels);
        out.iter_mut().for_each(|score| *score *= self.scale);
        let Some(path) = &self.linear else { return };
        scratch.resize(labels, 0.0);
        for (out, features) in out.chunks_exact_mut(labels).zip(features) {
            path.forward(&features.as_ref().joined(self.sentence_width, 1.0), scratch);
            out.iter_mut().zip(&*scratch).for_each(|(score, own)| *score += own);
        }
    }

    /// Number of labels.
    pub(super) fn labels(&self) -> usize {
        self.labels.dims().1
    }

    /// Scales embedded messages to length one where only their direction counts.
    fn place(&self, embedded: &mut [f32]) {
        if self.cosine {
            embedded.chunks_exact_mut(self.text.output()).for_each(unit);
        }
    }
}

/// `[label, embedding]`; in `f32`, since labels are embedded only once.
fn embed_labels(
    config: &DietConfig,
    labels: &Labels,
    features: &LabelFeatures,
    shared: &DenseLayers,
    source: &Source<'_>,
    cosine: bool,
) -> Result<Vec<f32>, WeightsError> {
    let source = &source.in_f32();
    let (dense, count) = (config.layers.dense_dimension.label, labels.intents.len());
    let own;
    let hidden = if config.layers.share_hidden {
        shared
    } else {
        let sizes = &config.layers.hidden_sizes.label;
        own = DenseLayers::new(sizes, dense, config.transformer.connection_density, &source.at("hidden"))?;
        &own
    };
    let mut x = vec![0.0; count * dense];
    Bag::new(features.width, dense, &source.at("label"))?.forward(&features.rows, &mut x);
    hidden.forward(count, &mut x, &mut Vec::new(), &mut Vec::new());
    let mut embedded = Vec::new();
    let map = source.at("similarity.label");
    map.affine(hidden.output(dense), config.layers.embedding_dimension, 1.0)?
        .forward(count, &x, &mut embedded);
    if cosine {
        embedded.chunks_exact_mut(config.layers.embedding_dimension).for_each(unit);
    }
    Ok(embedded)
}

/// Scales a row to length one.
fn unit(row: &mut [f32]) {
    let length = (row.iter().map(|x| x * x).sum::<f32>() + 1e-12).sqrt();
    row.iter_mut().for_each(|x| *x /= length);
}
