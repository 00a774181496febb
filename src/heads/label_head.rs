//! Predicts the label of an input from features of the labels.

use candle_core::{Result, Tensor, bail};

use super::{Candidates, Similarity, SimilarityLoss};
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

impl LabelHead {
    /// A head for labels with these `features`, which go through `label` and `hidden` before they are compared; inputs
    /// have a set of labels each if `multi_label`, else one.
    #[must_use]
    pub fn new(
        features: SparseRows,
        label: SparseLinear,
        hidden: DenseLayers,
        similarity: Similarity,
        multi_label: bool,
    ) -> Self {
        let identity = (0..features.len() as u64).collect();
        Self { features, label, hidden, similarity, identity, multi_label }
    }

    /// The loss of a batch of inputs, whose right labels are `gold`: one each, or a set of any size where inputs have
    /// sets of labels.
    ///
    /// # Errors
    ///
    /// If there are not as many right answers as inputs, one does not exist, or one is missing.
    pub fn loss(&self, inputs: &Tensor, gold: &[&[u32]], pass: &Pass) -> Result<SimilarityLoss> {
        let labels = self.labels(pass)?;
        if self.multi_label {
            let found = self.similarity.multi_label_loss(inputs, &labels, gold)?;
            // The mean over labels would be lost beside other losses (with 40 labels the intents were hardly learnt),
            // while the sum weighs about what the cross-entropy over all labels does.
            return Ok(SimilarityLoss { loss: (found.loss * self.identity.len() as f64)?, ..found });
        }
        let one_each: Option<Vec<u32>> = gold.iter().map(|labels| labels.first().copied()).collect();
        let Some(gold) = one_each else { bail!("an input has no label") };
        let candidates = Candidates { gold: &gold, identity: &self.identity };
        self.similarity.loss(inputs, &labels, candidates, pass.next_seed().unwrap_or(0))
    }

    /// Similarity of each input to each label: `[input, label]`.
    ///
    /// # Errors
    ///
    /// If rows have another width than the head.
    pub fn scores(&self, inputs: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.similarity.scores(inputs, &self.labels(pass)?)
    }

    /// What is known of each label: `[label, width]`.
    fn labels(&self, pass: &Pass) -> Result<Tensor> {
        self.hidden.forward(&self.label.forward(&self.features, pass)?, pass)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heads::SimilarityConfig;
    use crate::nn::testing::{input, seeded};

    fn head(multi_label: bool) -> Result<LabelHead> {
        let (_, vb) = seeded();
        let mut features = SparseRows::default();
        (0..3).for_each(|label| features.push([(label, 1.0)]));
        let label = SparseLinear::new(3, 4, 0.0, vb.pp("label"))?;
        let hidden = DenseLayers::new(&[6], 4, 1.0, 0.0, vb.pp("hidden"))?;
        let config = SimilarityConfig { negatives: 0, ..Default::default() };
        let similarity = Similarity::new(5, 6, 2, config, vb.pp("similarity"))?;
        Ok(LabelHead::new(features, label, hidden, similarity, multi_label))
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
