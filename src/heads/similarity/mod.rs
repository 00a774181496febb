//! Embeddings that are close if they belong together.

mod config;
mod loss;
mod negatives;
#[cfg(test)]
mod tests;

use candle_core::{D, DType, Result, Tensor, bail};
use candle_nn::VarBuilder;
use candle_nn::ops::log_softmax;

use crate::nn::{Linear, unit_rows};

pub use config::{LossType, SimilarityConfig, SimilarityType};
pub use negatives::Candidates;

/// Inputs and labels, embedded in one space. What belongs together is close.
///
/// The loss compares the similarity of an input and its label with four kinds of wrong pairs: input and wrong label,
/// label and other input, label and wrong label, input and other input; section 3.1 of
/// [Bunk et al., 2020](https://arxiv.org/abs/2004.09936). A wrong pair that happens to be of the same label does not
/// count.
///
/// # Shapes
///
/// - inputs: `[input, input_dim]`, labels: `[label, label_dim]`
#[derive(Clone, Debug)]
pub struct Similarity {
    text: Linear,
    label: Linear,
    config: SimilarityConfig,
}

/// The loss of a batch, and how many inputs are right.
#[derive(Clone, Debug)]
pub struct SimilarityLoss {
    /// Mean over inputs.
    pub loss: Tensor,
    /// Inputs whose right label is closer than all others; where an input has a set of labels, those whose right ones
    /// are above zero and the others are not.
    pub correct: usize,
}

impl Similarity {
    /// Draws or loads the two maps into a space of width `embedding_dim`.
    ///
    /// # Errors
    ///
    /// If weights are missing or of another shape.
    pub fn new(
        input_dim: usize,
        label_dim: usize,
        embedding_dim: usize,
        config: SimilarityConfig,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            text: Linear::new(input_dim, embedding_dim, vb.pp("text"))?,
            label: Linear::new(label_dim, embedding_dim, vb.pp("label"))?,
            config,
        })
    }

    /// Similarity of every input to every label: `[input, label]`.
    ///
    /// # Errors
    ///
    /// If rows have other widths than the head.
    pub fn scores(&self, inputs: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let (inputs, labels) = self.embed(inputs, labels)?;
        inputs.matmul(&labels.t()?)
    }

    /// The loss of a batch of inputs; `seed` decides which wrong answers are drawn.
    ///
    /// # Errors
    ///
    /// If there are not as many right answers as inputs, or one does not exist.
    pub fn loss(
        &self,
        inputs: &Tensor,
        labels: &Tensor,
        candidates: Candidates<'_>,
        seed: u64,
    ) -> Result<SimilarityLoss> {
        let (inputs, labels) = self.embed(inputs, labels)?;
        let (count, known) = (inputs.dim(0)?, labels.dim(0)?);
        let Candidates { gold, identity } = candidates;
        if gold.len() != count || identity.len() != known {
            bail!("{} right answers for {count} inputs, {} of {known} labels", gold.len(), identity.len());
        }
        let all = inputs.matmul(&labels.t()?)?; // [input, label]
        let correct = count_correct(&all, candidates)?;
        let loss = if self.config.negatives == 0 && self.config.loss_type == LossType::CrossEntropy {
            self.config.over_all_labels(&all, candidates)?
        } else {
            self.config.over_pairs(&inputs, &labels, &all, candidates, seed)?
        };
        let loss = self.config.with_agreement(loss, || log_softmax(&all, D::Minus1))?;
        Ok(SimilarityLoss { loss, correct })
    }

    /// The loss of a batch of inputs with a set of labels each: the mean over inputs and labels of the binary
    /// cross-entropy `ln(1 + eˢ) − y·s`, where `y` is 1 for a label of the input and 0 for another.
    ///
    /// Large similarities make a large loss, never one that is not a number.
    ///
    /// # Errors
    ///
    /// If there are not as many sets as inputs, or a label does not exist.
    pub fn multi_label_loss(
        &self,
        inputs: &Tensor,
        labels: &Tensor,
        sets: &[&[u32]],
    ) -> Result<SimilarityLoss> {
        let all = self.scores(inputs, labels)?; // [input, label]
        let (count, known) = all.dims2()?;
        if sets.len() != count || sets.iter().copied().flatten().any(|label| *label as usize >= known) {
            bail!("{} sets of labels for {count} inputs, of {known} labels", sets.len());
        }
        let mut members = vec![0.0_f32; count * known];
        for (row, set) in members.chunks_mut(known.max(1)).zip(sets) {
            set.iter().for_each(|label| row[*label as usize] = 1.0);
        }
        let correct = count_correct_sets(&all, &members)?;
        let members = Tensor::from_vec(members, (count, known), all.device())?.to_dtype(all.dtype())?;
        Ok(SimilarityLoss { loss: self.config.over_sets(&all, &members)?, correct })
    }

    /// Both in the common space: `[input, embedding]` and `[label, embedding]`.
    fn embed(&self, inputs: &Tensor, labels: &Tensor) -> Result<(Tensor, Tensor)> {
        let (inputs, labels) = (self.text.forward(inputs)?, self.label.forward(labels)?);
        if self.config.is_cosine() {
            Ok((unit_rows(&inputs)?, unit_rows(&labels)?))
        } else {
            Ok((inputs, labels))
        }
    }
}

/// Inputs whose right label is the closest.
fn count_correct(all: &Tensor, candidates: Candidates<'_>) -> Result<usize> {
    let best = all.detach().argmax(1)?.to_vec1::<u32>()?;
    let identity = |label: &u32| candidates.identity[*label as usize];
    Ok(best.iter().zip(candidates.gold).filter(|(best, gold)| identity(best) == identity(gold)).count())
}

/// Inputs for which exactly the labels of their set (1 in `members`) are above zero.
fn count_correct_sets(all: &Tensor, members: &[f32]) -> Result<usize> {
    let known = all.dim(1)?.max(1);
    let scores = all.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let right = |(scores, members): &(&[f32], &[f32])| {
        scores.iter().zip(*members).all(|(score, member)| (*score > 0.0) == (*member > 0.5))
    };
    Ok(scores.chunks(known).zip(members.chunks(known)).filter(right).count())
}
