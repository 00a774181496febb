//! The tag of each token, decided for the whole sequence at once.

use std::sync::Arc;

use candle_core::{DType, Result, Tensor, bail};
use candle_nn::VarBuilder;

use crate::kernels::crf::{Lattice, Likelihood, Moves, Rules, best_path, likelihood};
#[cfg(feature = "cuda")]
use crate::kernels::cuda::CrfBatch;
use crate::nn::op::scalar_with_gradients;
#[cfg(feature = "cuda")]
use crate::nn::op::{cuda, on_cuda};
use crate::nn::{Linear, Segments, glorot_uniform};

/// Which tag may begin, follow and end a sequence; fixed, in training as in decoding.
#[derive(Clone, Debug)]
pub struct TagRules(Rules);

impl TagRules {
    /// Rules for `tags` tags.
    pub fn new(
        tags: usize,
        follows: impl Fn(u32, u32) -> bool,
        begins: impl Fn(u32) -> bool,
        ends: impl Fn(u32) -> bool,
    ) -> Self {
        let all = 0..tags as u32;
        let pairs = all.clone().flat_map(|previous| all.clone().map(move |next| (previous, next)));
        Self(Rules {
            tags,
            follows: pairs.map(|(previous, next)| follows(previous, next)).collect(),
            begins: all.clone().map(begins).collect(),
            ends: all.map(ends).collect(),
        })
    }

    /// As the kernels take them.
    pub(crate) fn as_rules(&self) -> &Rules {
        &self.0
    }
}

/// A linear-chain conditional random field (Lafferty et al. 2001) over the tags of a sequence.
///
/// A tag sequence scores `Σ_t (h_t·W + b)[y_t] + Σ_{t>0} A[y_{t−1}, y_t]`. The loss is `−log p(gold)`
/// among all *legal* sequences, summed over tokens and averaged over messages; decoding is
/// the likeliest legal sequence (Viterbi). There are no scores for beginning and ending beyond the rules.
///
/// # Shapes
///
/// - input: `[token, dim]`, packed as its [`Segments`] say
#[derive(Clone, Debug)]
pub struct Crf {
    emission: Linear,
    transitions: Tensor,
    rules: TagRules,
    r_drop: f64,
}

/// The loss of a batch, and the likeliest tags.
#[derive(Clone, Debug)]
pub struct CrfLoss {
    /// `−log p(gold)`, mean over messages.
    pub loss: Tensor,
    /// The likeliest tag of each token on its own: `[token]`. It comes with the gradient and needs no decoding.
    pub likeliest: Vec<u32>,
}

/// The tags of one message.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// One tag per token.
    pub tags: Vec<u32>,
    lattice: Lattice<f32>,
    logits: Vec<f32>,
    transitions: Arc<[f32]>,
}

impl Decoded {
    /// The probability that the tokens from `first` on, `count` of them, carry exactly the decoded tags,
    /// whatever the others carry: a marginal of the CRF.
    ///
    /// # Panics
    ///
    /// If there are no such tokens.
    #[must_use]
    pub fn probability(&self, first: usize, count: usize) -> f32 {
        let tags = &self.tags[first..first + count];
        self.lattice.probability(&self.logits, &self.transitions, first, tags)
    }
}

impl Crf {
    /// Draws or loads the weights of a head on rows of width `dim`.
    ///
    /// # Errors
    ///
    /// If weights are missing or of another shape.
    pub fn new(dim: usize, rules: TagRules, vb: VarBuilder) -> Result<Self> {
        let tags = rules.0.tags;
        let transitions = vb.get_with_hints((tags, tags), "transitions", glorot_uniform(tags, tags))?;
        Ok(Self { emission: Linear::new(dim, tags, vb.pp("emission"))?, transitions, rules, r_drop: 0.0 })
    }

    /// Adds R-Drop with this weight; see [the module](super).
    #[must_use]
    pub fn with_r_drop(self, r_drop: f64) -> Self {
        Self { r_drop, ..self }
    }

    /// The loss of the gold tags, one per token.
    ///
    /// # Errors
    ///
    /// If rows, segments and gold tags do not fit each other, or a gold tag does not exist; where two readings learn from
    /// each other, if the second half of the gold tags is not the first once more.
    pub fn loss(&self, rows: &Tensor, tokens: &Segments, gold: &[u32]) -> Result<CrfLoss> {
        let tags = self.rules.0.tags;
        let logits = self.emission.forward(rows)?; // [token, tag]
        if logits.dim(0)? != tokens.rows() || gold.len() != tokens.rows() {
            bail!("{} rows and {} gold tags for {} tokens", logits.dim(0)?, gold.len(), tokens.rows());
        }
        if let Some(tag) = gold.iter().find(|tag| **tag as usize >= tags) {
            bail!("gold tag {tag} does not exist: there are {tags}");
        }
        let (first, second) = gold.split_at(gold.len() / 2);
        if self.r_drop > 0.0 && first != second {
            bail!("readings that learn from each other have the same gold tags");
        }
        let share = 1.0 / tokens.count().max(1) as f64;
        #[cfg(feature = "cuda")]
        if on_cuda(&logits)
            && let Some(found) = self.loss_on_cuda(&logits.contiguous()?, tokens, gold, share)?
        {
            return Ok(found);
        }
        match logits.dtype() {
            DType::F64 => self.loss_as::<f64>(&logits, tokens, gold, share),
            _ => self.loss_as::<f32>(&logits, tokens, gold, share),
        }
    }

    fn loss_as<T: crate::nn::op::Element>(
        &self,
        logits: &Tensor,
        tokens: &Segments,
        gold: &[u32],
        share: f64,
    ) -> Result<CrfLoss> {
        let values = logits.flatten_all()?.to_vec1::<T>()?;
        let transitions = self.transitions.flatten_all()?.to_vec1::<T>()?;
        let found = likelihood(&self.rules.0, tokens.offsets(), &values, &transitions, gold);
        let likeliest = likeliest(&found, self.rules.0.tags, gold);
        let Likelihood { losses, mut grad_logits, grad_transitions } = found;
        let mut total: f64 = losses.into_iter().map(candle_core::WithDType::to_f64).sum();
        if self.r_drop > 0.0 {
            total += self.r_drop * agree(&values, &mut grad_logits, T::of(self.r_drop));
        }
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device())? * share;
        let gradients = [tensor(grad_logits, logits)?, tensor(grad_transitions, &self.transitions)?];
        let loss = scalar_with_gradients([logits, &self.transitions], total * share, gradients)?;
        Ok(CrfLoss { loss, likeliest })
    }

    /// The same on an NVIDIA GPU; `None` where it takes logarithms, which are the processor's work.
    #[cfg(feature = "cuda")]
    fn loss_on_cuda(
        &self,
        logits: &Tensor,
        tokens: &Segments,
        gold: &[u32],
        share: f64,
    ) -> Result<Option<CrfLoss>> {
        let batch = CrfBatch { rules: &self.rules.0, offsets: tokens.offsets(), gold };
        let found = cuda::with_numbers(&[logits, &self.transitions], |gpu, numbers| {
            gpu.crf(&batch, &numbers[0], &numbers[1])
        })?;
        let Some(found) = found else { return Ok(None) };
        let mut total = f64::from(found.losses.sum_all()?.to_scalar::<f32>()?);
        let mut grad_logits = found.grad_logits;
        if self.r_drop > 0.0 {
            // As `agree` below.
            let half = gold.len() / 2;
            let halves = |x: &Tensor| -> Result<_> { Ok((x.narrow(0, 0, half)?, x.narrow(0, half, half)?)) };
            let ((one, other), (own, others)) = (halves(&grad_logits)?, halves(&logits.detach())?);
            let difference = (&one - &other)?;
            let apart = ((own - others)? * &difference)?.sum_all()?.to_scalar::<f32>()?;
            total += self.r_drop * f64::from(apart);
            let pull = (difference * self.r_drop)?;
            grad_logits = Tensor::cat(&[(one + &pull)?, (other - &pull)?], 0)?;
        }
        let gradients = [(grad_logits * share)?, (found.grad_transitions * share)?];
        let loss = scalar_with_gradients([logits, &self.transitions], total * share, gradients)?;
        Ok(Some(CrfLoss { loss, likeliest: found.likeliest }))
    }

    /// The likeliest legal tags of each message.
    ///
    /// # Errors
    ///
    /// If rows and segments do not fit each other.
    pub fn decode(&self, rows: &Tensor, tokens: &Segments) -> Result<Vec<Decoded>> {
        let tags = self.rules.0.tags;
        let logits = self.emission.forward(rows)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        if logits.len() != tokens.rows() * tags {
            bail!("{} rows for {} tokens", logits.len() / tags, tokens.rows());
        }
        let transitions = self.transitions.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let moves = Moves::new(&self.rules.0, &transitions);
        let transitions: Arc<[f32]> = transitions.into();
        let decode = |range: std::ops::Range<usize>| {
            let logits = logits[range.start * tags..range.end * tags].to_vec();
            let path = best_path(&self.rules.0, &logits, &transitions);
            let lattice = Lattice::new(&self.rules.0, &moves, &logits, &transitions);
            Decoded { tags: path, lattice, logits, transitions: Arc::clone(&transitions) }
        };
        Ok(tokens.iter().map(decode).collect())
    }
}

/// Adds to the gradient that each of two readings learns from the other: `weight · (m − m′)` with `m` the marginals of
/// the tags in the one, `m′` those in the other, which lies in the second half. That is the gradient of
/// `KL(other ‖ own)` over whole tag sequences; for the transitions, which both share, it comes to nothing. Returns the
/// sum of both divergences, `Σ (logit − logit′)·(m − m′)`.
fn agree<T: crate::nn::op::Element>(logits: &[T], gradient: &mut [T], weight: T) -> f64 {
    let half = gradient.len() / 2;
    let mut apart = 0.0;
    for at in 0..half {
        // Marginal minus gold, and the gold tags are the same.
        let difference = gradient[at] - gradient[half + at];
        apart += candle_core::WithDType::to_f64((logits[at] - logits[half + at]) * difference);
        gradient[at] += weight * difference;
        gradient[half + at] -= weight * difference;
    }
    apart
}

/// The tag with the largest marginal for each token; the gradient of the logits is marginal minus gold.
fn likeliest<T: crate::nn::op::Element>(found: &Likelihood<T>, tags: usize, gold: &[u32]) -> Vec<u32> {
    let rows = found.grad_logits.chunks_exact(tags).zip(gold);
    let best = rows.map(|(row, gold)| {
        let marginals = row.iter().enumerate().map(|(tag, x)| {
            let own = if tag == *gold as usize { T::one() } else { T::zero() };
            (tag as u32, *x + own)
        });
        marginals.fold((0, T::neg_infinity()), |top, next| if next.1 > top.1 { next } else { top }).0
    });
    best.collect()
}

#[cfg(test)]
mod tests {
    use candle_nn::Init;

    use super::*;
    use crate::nn::testing::{assert_gradients, input, seeded, shake};

    /// Tag 2 continues 1 or 2 and nothing else.
    fn rules() -> TagRules {
        TagRules::new(4, |previous, next| next != 2 || matches!(previous, 1 | 2), |tag| tag != 2, |_| true)
    }

    #[test]
    fn every_parameter_has_the_right_gradient() -> Result<()> {
        let (parameters, vb) = seeded();
        let crf = Crf::new(5, rules(), vb.pp("crf"))?;
        let rows = vb.get_with_hints((6, 5), "rows", Init::Uniform { lo: -1.0, up: 1.0 })?;
        let tokens = Segments::from_lengths([4, 0, 2]);
        assert_gradients(&parameters, || Ok(crf.loss(&rows, &tokens, &[0, 1, 2, 3, 1, 2])?.loss))
    }

    #[test]
    fn readings_learn_from_each_other_as_differences_of_their_divergence_say() -> Result<()> {
        let (parameters, vb) = seeded();
        let plain = Crf::new(5, rules(), vb)?;
        shake(&parameters)?;
        let tokens = Segments::from_lengths([3, 1, 3, 1]);
        let gold = [0, 1, 2, 3, 0, 1, 2, 3];
        let rows = candle_core::Var::from_tensor(&input((8, 5))?)?;
        // −log p(gold), not its mean, and the marginals of all tags.
        let reading = |rows: &Tensor| -> Result<(f64, Tensor, Tensor)> {
            let logits = candle_core::Var::from_tensor(&plain.emission.forward(rows)?)?;
            let values = logits.flatten_all()?.to_vec1::<f64>()?;
            let transitions = plain.transitions.flatten_all()?.to_vec1::<f64>()?;
            let found = likelihood(&plain.rules.0, tokens.offsets(), &values, &transitions, &gold);
            let mut marginals = found.grad_logits;
            gold.iter().enumerate().for_each(|(token, tag)| marginals[token * 4 + *tag as usize] += 1.0);
            let marginals = Tensor::from_vec(marginals, (8, 4), rows.device())?;
            Ok((found.losses.iter().sum(), logits.as_tensor().clone(), marginals))
        };
        let (_, _, marginals) = reading(&rows)?;
        let others = Tensor::cat(&[marginals.narrow(0, 4, 4)?, marginals.narrow(0, 0, 4)?], 0)?;
        let gold_rows = marginals.zeros_like()?.scatter_add(
            &Tensor::new(&gold, rows.device())?.unsqueeze(1)?,
            &Tensor::ones((8, 1), rows.dtype(), rows.device())?,
            1,
        )?;
        // The cross-entropy of a reading with respect to its twin differs from −log p(gold) in which tags are expected.
        let frozen = || -> Result<f64> {
            let (loss, logits, _) = reading(&rows)?;
            let expected = (logits * (&gold_rows - &others)?)?.sum_all()?.to_scalar::<f64>()?;
            Ok((loss + 0.7 * (loss + expected)) / 4.0)
        };
        let twins = plain.clone().with_r_drop(0.7);
        let loss = twins.loss(&rows, &tokens, &gold)?.loss;
        let found = loss.backward()?.get(&rows).unwrap().flatten_all()?.to_vec1::<f64>()?;
        for (found, slope) in found.iter().zip(crate::nn::testing::central_differences(&rows, frozen)?) {
            assert!((found - slope).abs() < 1e-6, "{found}, but differences say {slope}");
        }
        // Readings that agree have nothing to learn from each other, others do.
        let same = Tensor::cat(&[rows.narrow(0, 0, 4)?, rows.narrow(0, 0, 4)?], 0)?;
        let loss = |crf: &Crf, rows: &Tensor| crf.loss(rows, &tokens, &gold)?.loss.to_scalar::<f64>();
        assert!((loss(&twins, &same)? - loss(&plain, &same)?).abs() < 1e-12);
        assert!(loss(&twins, &rows)? > loss(&plain, &rows)?);
        Ok(())
    }

    #[test]
    fn decoding_is_legal_and_sure_of_itself_where_the_scores_are() -> Result<()> {
        let (parameters, vb) = seeded();
        let crf = Crf::new(5, rules(), vb)?;
        shake(&parameters)?;
        let rows = (input((6, 5))? * 30.0)?;
        let decoded = crf.decode(&rows, &Segments::from_lengths([4, 0, 2]))?;
        assert_eq!(decoded.iter().map(|message| message.tags.len()).collect::<Vec<_>>(), [4, 0, 2]);
        for message in &decoded {
            assert_ne!(message.tags.first(), Some(&2));
            assert!(message.tags.windows(2).all(|pair| pair[1] != 2 || matches!(pair[0], 1 | 2)));
            let whole = message.probability(0, message.tags.len());
            assert!((0.9..=1.0).contains(&whole), "{whole}");
        }
        Ok(())
    }

    #[test]
    fn gold_tags_that_do_not_fit_are_refused() -> Result<()> {
        let (_, vb) = seeded();
        let crf = Crf::new(5, rules(), vb)?;
        let (rows, tokens) = (input((2, 5))?, Segments::from_lengths([2]));
        assert!(crf.loss(&rows, &tokens, &[0]).is_err());
        assert!(crf.loss(&rows, &tokens, &[0, 4]).is_err());
        Ok(())
    }
}
