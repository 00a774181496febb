//! Which label an input has, told by what is known of each label.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::{Candidates, Similarity, SimilarityConfig, SimilarityLoss};
use crate::nn::{DenseLayers, Pass, SparseLinear};
use crate::numbers::SparseRows;

/// Tells labels apart by the similarity of an input to what is known of each label, such as the words of its name.
///
/// # Shapes
///
/// - inputs: `[input, input_dim]`, features of the labels: `[label, column]`
#[derive(Clone, Debug)]
pub struct LabelHead {
    features: SparseRows,
    label: SparseLinear,
    hidden: DenseLayers,
    similarity: Similarity,
    identity: Vec<u64>,
    multi_label: bool,
}

/// Sizes and kind of a [`LabelHead`].
#[derive(Clone, Debug, PartialEq)]
pub struct LabelHeadConfig {
    /// Width of the inputs.
    pub input_dim: usize,
    /// Number of columns of the features of labels.
    pub label_columns: usize,
    /// Width of the rows that these become before the hidden layers.
    pub label_dim: usize,
    /// Width of the space in which inputs and labels are compared.
    pub embedding_dim: usize,
    /// Whether an input has a set of labels, not one.
    pub multi_label: bool,
    /// How inputs and labels are compared.
    pub similarity: SimilarityConfig,
}

impl LabelHead {
    /// Draws or loads the weights. `hidden` are the layers between the features of the labels and their embedding.
    ///
    /// # Errors
    ///
    /// If weights are missing or of another shape.
    pub fn new(
        config: &LabelHeadConfig,
        features: &SparseRows,
        hidden: DenseLayers,
        vb: VarBuilder,
    ) -> Result<Self> {
        let (input, embedding) = (config.input_dim, config.embedding_dim);
        let width = hidden.output(config.label_dim);
        let similarity = config.similarity.clone();
        Ok(Self {
            features: features.clone(),
            label: SparseLinear::new(config.label_columns, config.label_dim, 0.0, vb.pp("label"))?,
            hidden,
            similarity: Similarity::new(input, width, embedding, similarity, vb.pp("similarity"))?,
            identity: (0..features.len() as u64).collect(),
            multi_label: config.multi_label,
        })
    }

    /// The loss of a batch of inputs, whose right labels are `gold`: one each, or a set of any size where inputs have
    /// sets of labels.
    ///
    /// # Errors
    ///
    /// If there are not as many right answers as inputs, one does not exist, or one is missing.
    pub fn loss(&self, inputs: &Tensor, gold: &[&[u32]], pass: &Pass) -> Result<SimilarityLoss> {
        let labels = self.labels(pass)?;
        let embedded = self.similarity.embed(inputs)?;
        if self.multi_label {
            return self.multi_label_loss(&embedded, &labels, gold);
        }
        let one_each: Option<Vec<u32>> = gold.iter().map(|labels| labels.first().copied()).collect();
        let Some(gold) = one_each else { bail!("an input has no label") };
        let candidates = Candidates { gold: &gold, identity: &self.identity };
        self.similarity.loss(&embedded, &labels, candidates, pass.next_seed().unwrap_or(0))
    }

    /// The loss over sets of labels, as much as all labels together: their mean would be lost beside other losses (with
    /// 40 labels the intents were hardly learnt), while the sum weighs about what the cross-entropy over all labels does.
    fn multi_label_loss(
        &self,
        embedded: &Tensor,
        labels: &Tensor,
        sets: &[&[u32]],
    ) -> Result<SimilarityLoss> {
        let found = self.similarity.multi_label_loss(embedded, labels, sets)?;
        Ok(SimilarityLoss { loss: (found.loss * self.identity.len() as f64)?, ..found })
    }

    /// Similarity of each input to each label: `[input, label]`.
    ///
    /// # Errors
    ///
    /// If rows have another width than the head.
    pub fn scores(&self, inputs: &Tensor, pass: &Pass) -> Result<Tensor> {
        let labels = self.labels(pass)?;
        self.similarity.scores(&self.similarity.embed(inputs)?, &labels)
    }

    /// What is known of each label: `[label, width]`.
    fn labels(&self, pass: &Pass) -> Result<Tensor> {
        self.hidden.forward(&self.label.forward(&self.features, pass)?, pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{input, seeded};

    fn head(multi_label: bool) -> Result<LabelHead> {
        let (_, vb) = seeded();
        let similarity = SimilarityConfig { negatives: 0, ..Default::default() };
        let config = LabelHeadConfig {
            input_dim: 5,
            label_columns: 3,
            label_dim: 4,
            embedding_dim: 2,
            multi_label,
            similarity,
        };
        let mut features = SparseRows::default();
        (0..3).for_each(|label| features.push([(label, 1.0)]));
        let hidden = DenseLayers::new(&[6], 4, 1.0, 0.0, vb.pp("hidden"))?;
        LabelHead::new(&config, &features, hidden, vb)
    }

    #[test]
    fn sets_weigh_as_much_as_all_labels_together() -> Result<()> {
        let (head, inputs, pass) = (head(true)?, input((2, 5))?, Pass::inference());
        let scores = head.scores(&inputs, &pass)?.to_vec2::<f64>()?;
        let binary = |score: f64, member: f64| score.exp().ln_1p() - member * score;
        let members = [[1.0, 0.0, 1.0], [0.0; 3]];
        let all = scores.iter().flatten().zip(members.as_flattened());
        let expected = all.map(|(score, member)| binary(*score, *member)).sum::<f64>() / 2.0;
        let found = head.loss(&inputs, &[&[0, 2], &[]], &pass)?.loss.to_scalar::<f64>()?;
        assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
        Ok(())
    }

    #[test]
    fn a_single_label_must_be_there() -> Result<()> {
        let (head, inputs, pass) = (head(false)?, input((2, 5))?, Pass::inference());
        assert!(head.loss(&inputs, &[&[0], &[2]], &pass).is_ok());
        assert!(head.loss(&inputs, &[&[0], &[]], &pass).is_err());
        Ok(())
    }
}
