//! From features to the rows that the heads read.

use crate::diet::{DietConfig, Widths};
use crate::features::Features;
use crate::infer::{Bag, Buffers, DenseLayers, Source, Transformer, WeightsError};

/// The layers below the heads.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    sequence: Bag,
    sentence: Bag,
    /// Width of the dense features.
    dense: usize,
    hidden: DenseLayers,
    transformer: Option<Transformer>,
    model_dim: usize,
}

impl Layers {
    pub(super) fn new(
        config: &DietConfig,
        widths: Widths,
        source: &Source<'_>,
    ) -> Result<Self, WeightsError> {
        let dense = config.layers.dense_dimension.text;
        let sequence = Bag::new(widths.sequence, dense, &source.at("sequence"))?;
        let sentence = Bag::new(widths.sentence, dense, &source.at("sentence"))?;
        let density = config.transformer.connection_density;
        let input = dense + widths.dense;
        let hidden =
            DenseLayers::new(&config.layers.hidden_sizes.text, input, density, &source.at("hidden"))?;
        let width = hidden.output(input);
        let layered = config.transformer.layers > 0;
        let transformer = || Transformer::new(width, &config.transformer(), &source.at("transformer"));
        let model_dim = if layered { config.transformer.model_dim } else { width };
        let transformer = layered.then(transformer).transpose()?;
        Ok(Self { sequence, sentence, dense: widths.dense, hidden, transformer, model_dim })
    }

    /// Width of the rows that the heads read.
    pub(super) fn model_dim(&self) -> usize {
        self.model_dim
    }

    /// The layers that messages and labels may share.
    pub(super) fn hidden(&self) -> &DenseLayers {
        &self.hidden
    }

    /// Leaves in `x` the rows that the heads read: `[row, model_dim]`, of each message its tokens, then itself; those of
    /// a message are from one offset to the next.
    pub(super) fn forward(&self, messages: &[impl AsRef<Features>], offsets: &[usize], rows: &mut Buffers) {
        let (dim, end) = (self.sequence.dim(), offsets[messages.len()]);
        rows.x.resize(end * dim, 0.0);
        for (features, ends) in messages.iter().map(AsRef::as_ref).zip(offsets.windows(2)) {
            let (tokens, message) =
                rows.x[ends[0] * dim..ends[1] * dim].split_at_mut((ends[1] - ends[0] - 1) * dim);
            self.sequence.forward(&features.sequence, tokens);
            self.sentence.forward(&features.sentence, message);
        }
        if self.dense > 0 {
            self.append_dense(messages, &rows.x, &mut rows.spare);
            std::mem::swap(&mut rows.x, &mut rows.spare);
        }
        self.hidden.forward(end, &mut rows.x, &mut rows.spare, &mut rows.scratch.wide);
        if let Some(transformer) = &self.transformer {
            transformer.forward(offsets, rows);
        }
    }

    /// The rows of the sparse features with the dense ones behind them.
    ///
    /// # Panics
    ///
    /// If a message has no dense features, or others than the network was trained with.
    fn append_dense(&self, messages: &[impl AsRef<Features>], sparse: &[f32], joined: &mut Vec<f32>) {
        let mut sparse = sparse.chunks_exact(self.sequence.dim());
        joined.clear();
        for features in messages.iter().map(AsRef::as_ref) {
            let dense = features.dense.as_ref().filter(|own| own.dim == self.dense);
            let dense = dense.expect("dense features of the width that the network was trained with");
            let mut dense = dense.rows();
            for own in sparse.by_ref().take(features.sequence.len() + 1) {
                joined.extend_from_slice(own);
                joined.extend(dense.by_ref().take(self.dense));
            }
        }
    }
}
