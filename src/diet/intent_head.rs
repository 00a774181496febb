//! The intent of a message, by its row after the transformer.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{DietConfig, Example, Labels};
use crate::features::LabelFeatures;
use crate::heads::{LabelHead, Similarity};
use crate::nn::{DenseLayers, Pass, SparseLinear, select_rows};
use crate::train::{BatchLoss, Ratio};

/// Decides the intent of a message by its similarity to the names of the intents.
#[derive(Clone, Debug)]
pub(super) struct IntentHead(LabelHead);

impl IntentHead {
    /// `shared` are the hidden layers of the messages, which labels may go through as well.
    pub(super) fn new(
        config: &DietConfig,
        model_dim: usize,
        labels: &Labels,
        features: &LabelFeatures,
        shared: &DenseLayers,
        vb: VarBuilder,
    ) -> Result<Self> {
        let label_dim = config.layers.dense_dimension.label;
        let hidden = if config.layers.share_hidden {
            shared.clone()
        } else {
            let (sizes, density) = (&config.layers.hidden_sizes.label, config.transformer.connection_density);
            DenseLayers::new(sizes, label_dim, density, config.transformer.dropout, vb.pp("hidden"))?
        };
        let label = SparseLinear::new(features.width, label_dim, 0.0, vb.pp("label"))?;
        let similarity = Similarity::new(
            model_dim,
            hidden.output(label_dim),
            config.layers.embedding_dimension,
            config.similarity.clone(),
            vb.pp("similarity"),
        )?;
        Ok(Self(LabelHead::new(features.rows.clone(), label, hidden, similarity, labels.is_multi_label())))
    }

    /// Adds the loss of the messages that have an intent, `[message, model_dim]`.
    pub(super) fn loss(
        &self,
        messages: &Tensor,
        examples: &[&Example],
        pass: &Pass,
        losses: &mut BatchLoss,
    ) -> Result<()> {
        let with_intent = (0..).zip(examples).filter(|(_, example)| example.intent.is_some());
        let (rows, gold): (Vec<u32>, Vec<&[u32]>) =
            with_intent.map(|(row, example)| (row, &example.intents[..])).unzip();
        if rows.is_empty() {
            return Ok(());
        }
        let messages = select_rows(messages, &rows)?;
        let found = self.0.loss(&messages, &gold, pass)?;
        // The losses of a batch are means over all of its messages.
        let share = rows.len() as f64 / examples.len() as f64;
        losses.add("intent", (found.loss * share)?)?;
        losses.add_ratio("intent_accuracy", Ratio { part: found.correct as f64, whole: rows.len() as f64 });
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn scores(&self, messages: &Tensor) -> Result<Vec<Vec<f32>>> {
        self.0.scores(messages, &Pass::inference())?.to_dtype(candle_core::DType::F32)?.to_vec2()
    }
}
