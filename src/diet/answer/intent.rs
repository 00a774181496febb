//! How similar a message is to each intent.

use super::affine::Affine;
use super::bag::Bag;
use super::encoder::Hidden;
use super::source::{Source, WeightsError};
use crate::diet::{DietConfig, Labels};
use crate::features::LabelFeatures;
use crate::sparse::SparseRows;

/// The intent head, with every label embedded once and for all.
#[derive(Clone, Debug)]
pub(super) struct IntentHead {
    text: Affine,
    shortcut: Option<Bag>,
    /// `[label, embedding]`
    labels: Vec<f32>,
    cosine: bool,
}

impl IntentHead {
    pub(super) fn new(
        config: &DietConfig,
        model_dim: usize,
        sentence_width: usize,
        labels: &Labels,
        features: &LabelFeatures,
        shared: &Hidden,
        source: &Source<'_>,
    ) -> Result<Self, WeightsError> {
        let embedding = config.embedding_dimension;
        let cosine = config.similarity().is_cosine();
        let shortcut = || Bag::new(sentence_width, embedding, &source.at("shortcut"));
        let text = source.at("similarity.text");
        Ok(Self {
            text: Affine::new(model_dim, embedding, 1.0, &text)?,
            shortcut: config.use_shortcut.then(shortcut).transpose()?,
            labels: embed_labels(config, labels, features, shared, source, cosine)?,
            cosine,
        })
    }

    /// Appends the similarity of one message, `[model_dim]`, to each label.
    pub(super) fn scores(
        &self,
        message: &[f32],
        sentence: &SparseRows,
        row: &mut Vec<f32>,
        out: &mut Vec<f32>,
    ) {
        self.text.forward(1, message, row);
        self.into_space(row);
        if let Some(shortcut) = &self.shortcut {
            // The mean of two similarities to a label is the similarity of the mean.
            let own = row.len();
            row.resize(2 * own, 0.0);
            let (first, second) = row.split_at_mut(own);
            shortcut.forward(sentence, second);
            self.into_space(second);
            first.iter_mut().zip(second).for_each(|(a, b)| *a = f32::midpoint(*a, *b));
            row.truncate(own);
        }
        let similarity = |label: &[f32]| label.iter().zip(&*row).map(|(a, b)| a * b).sum::<f32>();
        out.extend(self.labels.chunks_exact(row.len()).map(similarity));
    }

    /// Number of labels.
    pub(super) fn labels(&self) -> usize {
        self.labels.len() / self.text.output()
    }

    fn into_space(&self, embedded: &mut [f32]) {
        if self.cosine {
            unit(embedded);
        }
    }
}

/// `[label, embedding]`; at full precision, for it costs nothing later.
fn embed_labels(
    config: &DietConfig,
    labels: &Labels,
    features: &LabelFeatures,
    shared: &Hidden,
    source: &Source<'_>,
    cosine: bool,
) -> Result<Vec<f32>, WeightsError> {
    let source = &source.precisely();
    let (dense, count) = (config.dense_dimension.label, labels.intents.len());
    let own;
    let hidden = if config.share_hidden_layers {
        shared
    } else {
        let sizes = &config.hidden_layers_sizes.label;
        own = Hidden::new(sizes, dense, config.connection_density, &source.at("hidden"))?;
        &own
    };
    let mut x = vec![0.0; count * dense];
    Bag::new(features.width, dense, &source.at("label"))?.forward(&features.rows, &mut x);
    hidden.forward(count, &mut x, &mut Vec::new(), &mut Vec::new());
    let mut embedded = Vec::new();
    let map = source.at("similarity.label");
    Affine::new(hidden.output(dense), config.embedding_dimension, 1.0, &map)?.forward(
        count,
        &x,
        &mut embedded,
    );
    if cosine {
        embedded.chunks_exact_mut(config.embedding_dimension).for_each(unit);
    }
    Ok(embedded)
}

/// Scales a row to length one.
fn unit(row: &mut [f32]) {
    let length = (row.iter().map(|x| x * x).sum::<f32>() + 1e-12).sqrt();
    row.iter_mut().for_each(|x| *x /= length);
}
