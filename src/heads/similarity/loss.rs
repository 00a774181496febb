//! How similarities become a loss.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::ops::log_softmax;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::config::{LossType, SimilarityConfig};
use super::negatives::{Candidates, Negatives, same_label_penalty};
use crate::nn::select_rows;

impl SimilarityConfig {
    /// Cross-entropy over all labels, of the similarities `[input, label]`.
    pub(super) fn over_all_labels(&self, all: &Tensor, candidates: Candidates<'_>) -> Result<Tensor> {
        let all = (all + same_label_penalty(all, candidates)?)?;
        let logs = log_softmax(&all, D::Minus1)?; // [input, label]
        let gold = Tensor::new(candidates.gold, all.device())?.unsqueeze(1)?;
        let right = logs.gather(&gold, 1)?.squeeze(1)?; // [input]
        let spread = (logs.mean(1)? * self.label_smoothing)?;
        let loss = (((right * (1.0 - self.label_smoothing))? + spread)?).neg()?;
        self.weigh(&loss)?.mean_all()
    }

    /// The loss against drawn wrong answers, or all of them where none are to be drawn. `inputs` and `labels` are embedded; `all` are their similarities.
    pub(super) fn over_pairs(
        &self,
        inputs: &Tensor,
        labels: &Tensor,
        all: &Tensor,
        candidates: Candidates<'_>,
        seed: u64,
    ) -> Result<Tensor> {
        debug_assert!(inputs.dim(0)? > 0 && labels.dim(0)? > 0);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let own: Vec<u64> = candidates.gold.iter().map(|gold| candidates.identity[*gold as usize]).collect();
        let mut wrong = |pool: &[u64]| match self.negatives {
            0 => Negatives::all(&own, pool, all),
            draws => Negatives::draw(&own, pool, draws, &mut random, all),
        };
        let (wrong_labels, wrong_inputs) = (wrong(candidates.identity)?, wrong(&own)?);

        let right = select_rows(labels, candidates.gold)?; // [input, embedding]
        let positive = (inputs * &right)?.sum_keepdim(1)?; // [input, 1]
        let input_label = wrong_labels.of(all)?; // [input, draw]
        let label_label = wrong_labels.of(&right.matmul(&labels.t()?)?)?;
        let label_input = wrong_inputs.of(&right.matmul(&inputs.t()?)?)?;
        let input_input = wrong_inputs.of(&inputs.matmul(&inputs.t()?)?)?;
        let negatives = [input_label, label_input, label_label, input_input];
        let loss = match self.loss_type {
            LossType::CrossEntropy => self.cross_entropy(&positive, &negatives)?,
            LossType::Margin => self.margin(&positive, &negatives)?,
        };
        self.weigh(&loss)?.mean_all()
    }

    fn cross_entropy(&self, positive: &Tensor, negatives: &[Tensor; 4]) -> Result<Tensor> {
        let everything: Vec<&Tensor> = [positive].into_iter().chain(negatives).collect();
        // The similarities among labels and among inputs are left to the constraint, where there is one.
        let competing = if self.constrain { &everything[..3] } else { &everything[..] };
        let logs = log_softmax(&Tensor::cat(competing, 1)?, D::Minus1)?;
        let loss = logs.narrow(1, 0, 1)?.squeeze(1)?.neg()?; // [input]
        if !self.constrain {
            return Ok(loss);
        }
        let sides =
            Tensor::cat(&[&softplus(&positive.neg()?)?, &softplus(&Tensor::cat(&everything[1..], 1)?)?], 1)?;
        loss + sides.mean(1)?
    }

    fn margin(&self, positive: &Tensor, negatives: &[Tensor; 4]) -> Result<Tensor> {
        let hinge = |x: Tensor| x.relu();
        // Through the index: candle's `max` hands the gradient to each of several equal draws.
        let largest = |x: &Tensor| x.gather(&x.argmax_keepdim(1)?, 1)?.squeeze(1);
        let closest = |x: &Tensor| hinge((largest(x)? + self.maximum_negative)?);
        let near = hinge((positive.squeeze(1)?.neg()? + self.maximum_positive)?)?;
        let far = if self.use_maximum_negative {
            closest(&negatives[0])?
        } else {
            hinge((&negatives[0] + self.maximum_negative)?)?.sum(1)?
        };
        let others = ((closest(&negatives[1])? + closest(&negatives[2])?)? + closest(&negatives[3])?)?;
        (near + far)? + (others * self.negative_margin_scale)?
    }

    /// Binary cross-entropy of each label on its own; `members` is 1 for a label of the input: `[input, label]` both.
    pub(super) fn over_sets(&self, all: &Tensor, members: &Tensor) -> Result<Tensor> {
        let loss = (softplus(all)? - (all * members)?)?.mean_all()?;
        // Of each label, the probability of being one of the input's, and of not being one.
        let sides = || Tensor::stack(&[softplus(&all.neg()?)?.neg()?, softplus(all)?.neg()?], 2);
        self.with_agreement(loss, || sides()?.reshape((all.elem_count(), 2)))
    }

    /// Adds how far apart the two readings of each input are: the mean of `KL(other ‖ own)` over the rows of `logs`,
    /// of which the second half are the inputs of the first once more.
    pub(super) fn with_agreement(
        &self,
        loss: Tensor,
        logs: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        if self.r_drop == 0.0 {
            return Ok(loss);
        }
        let logs = logs()?;
        let half = logs.dim(0)? / 2;
        let fixed = logs.detach();
        let others = Tensor::cat(&[fixed.narrow(0, half, half)?, fixed.narrow(0, 0, half)?], 0)?;
        let apart = (others.exp()? * (others - logs)?)?.sum(1)?.mean_all()?;
        loss + (apart * self.r_drop)?
    }

    /// Inputs of which the model is sure count less, once it is sure of some: `((1 − p) / 0.5)⁴`.
    fn weigh(&self, loss: &Tensor) -> Result<Tensor> {
        if !self.scale_loss {
            return Ok(loss.clone());
        }
        let sure = loss.detach().neg()?.exp()?;
        if sure.max(0)?.to_dtype(DType::F64)?.to_scalar::<f64>()? <= 0.5 {
            return Ok(loss.clone());
        }
        loss * ((1.0 - sure)? * 2.0)?.powf(4.0)?
    }
}

/// `ln(1 + eˣ)`, safe for large `x`.
pub(super) fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}
