//! The intent of a message: by its row after the transformer, and by its features directly.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::network::{Hidden, Losses};
use super::{DietConfig, Example, Labels};
use crate::features::LabelFeatures;
use crate::heads::{Candidates, Similarity, SimilarityLoss};
use crate::nn::{Pass, SparseLinear};
use crate::train::Ratio;

/// Decides the intent of a message by its similarity to the names of the intents.
#[derive(Clone, Debug)]
pub(super) struct IntentHead {
    features: LabelFeatures,
    label: SparseLinear,
    hidden: Hidden,
    similarity: Similarity,
    identity: Vec<u64>,
    /// Whether a message may have several intents.
    several: bool,
}

impl IntentHead {
    pub(super) fn new(
        config: &DietConfig,
        model_dim: usize,
        labels: &Labels,
        features: &LabelFeatures,
        shared: &Hidden,
        vb: VarBuilder,
    ) -> Result<Self> {
        let dense = config.layers.dense_dimension.label;
        let hidden = if config.layers.share_hidden {
            shared.clone()
        } else {
            Hidden::new(&config.layers.hidden_sizes.label, dense, config, vb.pp("hidden"))?
        };
        let (width, embedding) = (hidden.output(dense), config.layers.embedding_dimension);
        Ok(Self {
            features: features.clone(),
            label: SparseLinear::new(features.width, dense, 0.0, vb.pp("label"))?,
            hidden,
            similarity: Similarity::new(
                model_dim,
                width,
                embedding,
                config.similarity.clone(),
                vb.pp("similarity"),
            )?,
            identity: (0..labels.intents.len() as u64).collect(),
            several: labels.separator.is_some(),
        })
    }

    fn labels(&self, pass: &Pass) -> Result<Tensor> {
        self.hidden.forward(&self.label.forward(&self.features.rows, pass)?, pass) // [label, width]
    }

    pub(super) fn loss(
        &self,
        messages: &Tensor,
        examples: &[&Example],
        pass: &Pass,
        losses: &mut Losses,
    ) -> Result<()> {
        let with_intent = |(row, example): (usize, &&Example)| Some((row as u32, example.intent?));
        let (rows, gold): (Vec<u32>, Vec<u32>) = examples.iter().enumerate().filter_map(with_intent).unzip();
        if rows.is_empty() {
            return Ok(());
        }
        let index = Tensor::new(&rows[..], messages.device())?;
        let messages = messages.index_select(&index, 0)?;
        let candidates = Candidates { gold: &gold, identity: &self.identity };
        let sets: Vec<&[u32]> = rows.iter().map(|row| &examples[*row as usize].intents[..]).collect();
        let labels = self.labels(pass)?;
        let share = rows.len() as f64 / examples.len() as f64;
        let embedded = self.similarity.embed(&messages)?;
        let found = if self.several {
            self.set_loss(&embedded, &labels, &sets)?
        } else {
            self.similarity.loss(&embedded, &labels, candidates, pass.next_seed().unwrap_or(0))?
        };
        losses.add("intent", (found.loss * share)?)?;
        losses.ratio("intent_accuracy", Ratio { part: found.correct as f64, whole: rows.len() as f64 });
        Ok(())
    }

    /// The loss over sets of labels, as much as all labels together: their mean would be lost beside the other losses
    /// (with 40 labels the intents were hardly learnt), while the sum weighs about what the cross-entropy over all labels
    /// does.
    fn set_loss(&self, embedded: &Tensor, labels: &Tensor, sets: &[&[u32]]) -> Result<SimilarityLoss> {
        let found = self.similarity.set_loss(embedded, labels, sets)?;
        Ok(SimilarityLoss { loss: (found.loss * self.identity.len() as f64)?, ..found })
    }

    #[cfg(test)]
    pub(super) fn scores(&self, messages: &Tensor) -> Result<Vec<Vec<f32>>> {
        let pass = Pass::inference();
        let labels = self.labels(&pass)?;
        let scores = self.similarity.scores(&self.similarity.embed(messages)?, &labels)?;
        scores.to_dtype(candle_core::DType::F32)?.to_vec2()
    }
}
