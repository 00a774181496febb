//! Embeddings that are close if they belong together.

use candle_core::{D, DType, Result, Tensor, bail};
use candle_nn::VarBuilder;
use candle_nn::ops::log_softmax;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::nn::Linear;

/// How close two embeddings are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimilarityType {
    /// Inner product for cross-entropy, cosine for margin.
    #[default]
    Auto,
    /// Inner product.
    Inner,
    /// Cosine of the angle.
    Cosine,
}

/// How similarities become a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossType {
    /// The right label should have the largest softmax share.
    #[default]
    CrossEntropy,
    /// The right label should be closer than one threshold, the others farther than another (`StarSpace`).
    Margin,
}

/// Settings of the similarity loss; names and defaults are those of Rasa's `DIETClassifier`.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarityConfig {
    /// How similarities become a loss.
    pub loss_type: LossType,
    /// How close two embeddings are.
    pub similarity_type: SimilarityType,
    /// Wrong answers drawn per message and kind; zero means every other label, once.
    pub negatives: usize,
    /// Whether every similarity is also pushed to its side of zero (a sigmoid cross-entropy each).
    pub constrain: bool,
    /// Whether messages that are learnt already count less.
    pub scale_loss: bool,
    /// Margin: similarity beyond which the right label is close enough.
    pub maximum_positive: f64,
    /// Margin: similarity below which a wrong label is far enough.
    pub maximum_negative: f64,
    /// Margin: whether only the closest wrong label counts.
    pub use_maximum_negative: bool,
    /// Margin: weight of the pairs that are not (message, label).
    pub negative_margin_scale: f64,
    /// Share of the target that is spread over all labels (all-label cross-entropy only).
    pub label_smoothing: f64,
    /// How much two readings of a message learn from each other; see [the module](super). Zero: each message is read
    /// once.
    pub r_drop: f64,
}

impl Default for SimilarityConfig {
    fn default() -> Self {
        Self {
            loss_type: LossType::CrossEntropy,
            similarity_type: SimilarityType::Auto,
            negatives: 20,
            constrain: false,
            scale_loss: false,
            maximum_positive: 0.8,
            maximum_negative: -0.4,
            use_maximum_negative: true,
            negative_margin_scale: 0.8,
            label_smoothing: 0.0,
            r_drop: 0.0,
        }
    }
}

impl SimilarityConfig {
    /// Whether embeddings are compared by the angle between them.
    pub(crate) fn is_cosine(&self) -> bool {
        match self.similarity_type {
            SimilarityType::Cosine => true,
            SimilarityType::Inner => false,
            SimilarityType::Auto => self.loss_type == LossType::Margin,
        }
    }
}

/// The intent head of DIET: a message embedding and label embeddings in one space.
///
/// The loss compares the similarity of a message and its label (`pos`) with four kinds of wrong pairs:
/// message and wrong label, label and other message, label and wrong label, message and other
/// message; section 3.1 of [Bunk et al., 2020](https://arxiv.org/abs/2004.09936). A wrong pair that happens
/// to be of the same label does not count.
///
/// # Shapes
///
/// - messages: `[message, text_dim]`, labels: `[label, label_dim]`
#[derive(Clone, Debug)]
pub struct Similarity {
    text: Linear,
    label: Linear,
    config: SimilarityConfig,
}

/// What the right answers of a batch are and what else could be.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// For each message, the row of its answer: `[message]`.
    pub gold: &'a [u32],
    /// What each answer is, so that equal ones are not taken for wrong ones: `[label]`.
    pub identity: &'a [u64],
}

/// What the loss of a batch comes with.
#[derive(Clone, Debug)]
pub struct SimilarityLoss {
    /// Mean over messages.
    pub loss: Tensor,
    /// Messages whose right label is closer than all others; of several labels, those whose right ones are above zero and
    /// the others are not.
    pub correct: usize,
}

impl Similarity {
    /// Draws or loads the two maps into a space of width `embedding_dim`.
    ///
    /// # Errors
    ///
    /// If weights are missing or of another shape.
    pub fn new(
        text_dim: usize,
        label_dim: usize,
        embedding_dim: usize,
        config: SimilarityConfig,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            text: Linear::new(text_dim, embedding_dim, vb.pp("text"))?,
            label: Linear::new(label_dim, embedding_dim, vb.pp("label"))?,
            config,
        })
    }

    /// Messages in the common space: `[message, embedding]`.
    ///
    /// # Errors
    ///
    /// If rows have another width than the head.
    pub fn embed(&self, messages: &Tensor) -> Result<Tensor> {
        self.text.forward(messages)
    }

    /// Similarity of every embedded message to every label: `[message, label]`.
    ///
    /// # Errors
    ///
    /// If rows have other widths than the head.
    pub fn scores(&self, embedded: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let (messages, labels) = self.in_common_space(embedded, labels)?;
        messages.matmul(&labels.t()?)
    }

    /// The loss of a batch of embedded messages; `seed` decides which wrong answers are drawn.
    ///
    /// # Errors
    ///
    /// If there are not as many right answers as messages, or one does not exist.
    pub fn loss(
        &self,
        embedded: &Tensor,
        labels: &Tensor,
        candidates: Candidates<'_>,
        seed: u64,
    ) -> Result<SimilarityLoss> {
        let (messages, labels) = self.in_common_space(embedded, labels)?;
        let (count, known) = (messages.dim(0)?, labels.dim(0)?);
        if candidates.gold.len() != count || candidates.identity.len() != known {
            bail!(
                "{} right answers for {count} messages, {} of {known} labels",
                candidates.gold.len(),
                candidates.identity.len()
            );
        }
        let all = messages.matmul(&labels.t()?)?; // [message, label]
        let correct = count_correct(&all, candidates)?;
        let loss = if self.config.negatives == 0 && self.config.loss_type == LossType::CrossEntropy {
            self.all_labels(&all, candidates)?
        } else {
            self.sampled(&messages, &labels, &all, candidates, seed)?
        };
        let loss = self.with_agreement(loss, || log_softmax(&all, D::Minus1))?;
        Ok(SimilarityLoss { loss, correct })
    }

    /// The loss of a batch of embedded messages that may have several labels each: the mean over messages and labels of
    /// the binary cross-entropy `ln(1 + eˢ) − y·s`, where `y` is 1 for a label of the message and 0 for another.
    ///
    /// Large similarities make a large loss, never one that is not a number.
    ///
    /// # Errors
    ///
    /// If there are not as many sets as messages, or a label does not exist.
    pub fn set_loss(&self, embedded: &Tensor, labels: &Tensor, sets: &[&[u32]]) -> Result<SimilarityLoss> {
        let all = self.scores(embedded, labels)?; // [message, label]
        let (count, known) = all.dims2()?;
        let mut members = vec![0.0_f32; count * known];
        if sets.len() != count || sets.iter().copied().flatten().any(|label| *label as usize >= known) {
            bail!("{} sets of labels for {count} messages, of {known} labels", sets.len());
        }
        for (row, set) in members.chunks_mut(known.max(1)).zip(sets) {
            set.iter().for_each(|label| row[*label as usize] = 1.0);
        }
        let found = all.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let right = |(scores, members): &(&[f32], &[f32])| {
            scores.iter().zip(*members).all(|(score, member)| (*score > 0.0) == (*member > 0.5))
        };
        let correct = found.chunks(known.max(1)).zip(members.chunks(known.max(1))).filter(right).count();
        let members = Tensor::from_vec(members, (count, known), all.device())?.to_dtype(all.dtype())?;
        let loss = (softplus(&all)? - (&all * members)?)?.mean_all()?;
        // Of each label, the probability of being one of the message's, and of not being one.
        let sides = || Tensor::stack(&[softplus(&all.neg()?)?.neg()?, softplus(&all)?.neg()?], 2);
        let loss = self.with_agreement(loss, || sides()?.reshape((count * known, 2)))?;
        Ok(SimilarityLoss { loss, correct })
    }

    /// Adds how far apart the two readings of each message are: the mean of `KL(other ‖ own)` over the rows of `logs`,
    /// of which the second half are the messages of the first once more.
    fn with_agreement(&self, loss: Tensor, logs: impl FnOnce() -> Result<Tensor>) -> Result<Tensor> {
        if self.config.r_drop == 0.0 {
            return Ok(loss);
        }
        let logs = logs()?;
        let half = logs.dim(0)? / 2;
        let fixed = logs.detach();
        let others = Tensor::cat(&[fixed.narrow(0, half, half)?, fixed.narrow(0, 0, half)?], 0)?;
        let apart = (others.exp()? * (others - logs)?)?.sum(1)?.mean_all()?;
        loss + (apart * self.config.r_drop)?
    }

    fn in_common_space(&self, embedded: &Tensor, labels: &Tensor) -> Result<(Tensor, Tensor)> {
        let (messages, labels) = (embedded.clone(), self.label.forward(labels)?);
        if self.config.is_cosine() { Ok((unit(&messages)?, unit(&labels)?)) } else { Ok((messages, labels)) }
    }

    /// Cross-entropy over all labels.
    fn all_labels(&self, all: &Tensor, candidates: Candidates<'_>) -> Result<Tensor> {
        let all = (all + accidents(all, candidates)?)?;
        let logs = log_softmax(&all, D::Minus1)?; // [message, label]
        let gold = Tensor::new(candidates.gold, all.device())?.unsqueeze(1)?;
        let right = logs.gather(&gold, 1)?.squeeze(1)?; // [message]
        let smoothing = self.config.label_smoothing;
        let spread = (logs.mean(1)? * smoothing)?;
        let loss = (((right * (1.0 - smoothing))? + spread)?).neg()?;
        self.weigh(&loss)?.mean_all()
    }

    /// The loss against drawn wrong answers.
    fn sampled(
        &self,
        messages: &Tensor,
        labels: &Tensor,
        all: &Tensor,
        candidates: Candidates<'_>,
        seed: u64,
    ) -> Result<Tensor> {
        let (count, known) = (messages.dim(0)?, labels.dim(0)?);
        let draws = self.config.negatives.max(1);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let own: Vec<u64> = candidates.gold.iter().map(|gold| candidates.identity[*gold as usize]).collect();
        let wrong_labels = Draw::new(&own, candidates.identity, draws, &mut random, all)?;
        let wrong_messages = Draw::new(&own, &own, draws, &mut random, all)?;
        debug_assert!(count > 0 && known > 0);

        let gold = Tensor::new(candidates.gold, all.device())?;
        let right = labels.index_select(&gold, 0)?; // [message, embedding]
        let pos = (messages * &right)?.sum_keepdim(1)?; // [message, 1]
        let message_label = wrong_labels.of(all)?; // [message, draw]
        let label_label = wrong_labels.of(&right.matmul(&labels.t()?)?)?;
        let label_message = wrong_messages.of(&right.matmul(&messages.t()?)?)?;
        let message_message = wrong_messages.of(&messages.matmul(&messages.t()?)?)?;
        let negatives = [message_label, label_message, label_label, message_message];
        let loss = match self.config.loss_type {
            LossType::CrossEntropy => self.cross_entropy(&pos, &negatives)?,
            LossType::Margin => self.margin(&pos, &negatives)?,
        };
        self.weigh(&loss)?.mean_all()
    }

    fn cross_entropy(&self, pos: &Tensor, negatives: &[Tensor; 4]) -> Result<Tensor> {
        let everything: Vec<&Tensor> = [pos].into_iter().chain(negatives).collect();
        // The similarities among labels and among messages are left to the constraint, where there is one.
        let competing = if self.config.constrain { &everything[..3] } else { &everything[..] };
        let logs = log_softmax(&Tensor::cat(competing, 1)?, D::Minus1)?;
        let loss = logs.narrow(1, 0, 1)?.squeeze(1)?.neg()?; // [message]
        if !self.config.constrain {
            return Ok(loss);
        }
        let sides =
            Tensor::cat(&[&softplus(&pos.neg()?)?, &softplus(&Tensor::cat(&everything[1..], 1)?)?], 1)?;
        loss + sides.mean(1)?
    }

    fn margin(&self, pos: &Tensor, negatives: &[Tensor; 4]) -> Result<Tensor> {
        let config = &self.config;
        let hinge = |x: Tensor| x.relu();
        // Through the index: candle's `max` hands the gradient to each of several equal draws.
        let largest = |x: &Tensor| x.gather(&x.argmax_keepdim(1)?, 1)?.squeeze(1);
        let closest = |x: &Tensor| hinge((largest(x)? + config.maximum_negative)?);
        let near = hinge((pos.squeeze(1)?.neg()? + config.maximum_positive)?)?;
        let far = if config.use_maximum_negative {
            closest(&negatives[0])?
        } else {
            hinge((&negatives[0] + config.maximum_negative)?)?.sum(1)?
        };
        let others = ((closest(&negatives[1])? + closest(&negatives[2])?)? + closest(&negatives[3])?)?;
        (near + far)? + (others * config.negative_margin_scale)?
    }

    /// Messages of which the model is sure count less, once it is sure of some: `((1 − p) / 0.5)⁴`.
    fn weigh(&self, loss: &Tensor) -> Result<Tensor> {
        if !self.config.scale_loss {
            return Ok(loss.clone());
        }
        let sure = loss.detach().neg()?.exp()?;
        if sure.max(0)?.to_dtype(DType::F64)?.to_scalar::<f64>()? <= 0.5 {
            return Ok(loss.clone());
        }
        loss * ((1.0 - sure)? * 2.0)?.powf(4.0)?
    }
}

/// Wrong answers drawn with replacement, and which of them are right by accident.
struct Draw {
    /// `[message, draw]`
    index: Tensor,
    /// `[message, draw]`: −10⁹ where the draw is of the message's own label.
    penalty: Tensor,
}

impl Draw {
    fn new(own: &[u64], pool: &[u64], draws: usize, random: &mut ChaCha8Rng, like: &Tensor) -> Result<Self> {
        let index: Vec<u32> =
            (0..own.len() * draws).map(|_| (random.next_u64() % pool.len() as u64) as u32).collect();
        let accident = |(at, drawn): (usize, &u32)| pool[*drawn as usize] == own[at / draws];
        let penalty = index.iter().enumerate().map(|draw| if accident(draw) { -1e9_f32 } else { 0.0 });
        let penalty = Tensor::from_vec(penalty.collect::<Vec<_>>(), (own.len(), draws), like.device())?;
        let index = Tensor::from_vec(index, (own.len(), draws), like.device())?;
        Ok(Self { index, penalty: penalty.to_dtype(like.dtype())? })
    }

    fn of(&self, similarities: &Tensor) -> Result<Tensor> {
        similarities.gather(&self.index, 1)? + &self.penalty
    }
}

/// −10⁹ for labels that are the right one under another number, so that they do not count as wrong: `[message, label]`.
fn accidents(all: &Tensor, candidates: Candidates<'_>) -> Result<Tensor> {
    let identity = candidates.identity;
    let penalty = |gold: &u32| {
        let own = identity[*gold as usize];
        let same = move |(label, other): (usize, &u64)| *other == own && label != *gold as usize;
        let gold_row = identity.iter().enumerate().map(move |label| if same(label) { -1e9_f32 } else { 0.0 });
        gold_row.collect::<Vec<_>>()
    };
    let penalties: Vec<f32> = candidates.gold.iter().flat_map(penalty).collect();
    Tensor::from_vec(penalties, all.shape(), all.device())?.to_dtype(all.dtype())
}

/// Rows scaled to length one.
fn unit(x: &Tensor) -> Result<Tensor> {
    x.broadcast_div(&(x.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?)
}

/// `ln(1 + eˣ)`, safe for large `x`.
fn softplus(x: &Tensor) -> Result<Tensor> {
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}

fn count_correct(all: &Tensor, candidates: Candidates<'_>) -> Result<usize> {
    let best = all.detach().argmax(1)?.to_vec1::<u32>()?;
    let identity = |label: &u32| candidates.identity[*label as usize];
    Ok(best.iter().zip(candidates.gold).filter(|(best, gold)| identity(best) == identity(gold)).count())
}

#[cfg(test)]
mod tests {
    use candle_nn::Init;

    use super::*;
    use crate::nn::testing::{assert_gradients, input, seeded};

    const GOLD: [u32; 5] = [0, 2, 1, 2, 2];
    const CANDIDATES: Candidates<'static> = Candidates { gold: &GOLD, identity: &[10, 11, 12] };

    fn configs() -> Vec<SimilarityConfig> {
        let default = SimilarityConfig { negatives: 4, ..Default::default() };
        let margin = SimilarityConfig { loss_type: LossType::Margin, ..default.clone() };
        vec![
            default.clone(),
            SimilarityConfig { constrain: true, ..default.clone() },
            SimilarityConfig { similarity_type: SimilarityType::Cosine, ..default.clone() },
            SimilarityConfig { negatives: 0, label_smoothing: 0.1, ..default },
            SimilarityConfig { use_maximum_negative: false, ..margin.clone() },
            margin,
        ]
    }

    #[test]
    fn every_parameter_has_the_right_gradient() -> Result<()> {
        for config in configs() {
            let (parameters, vb) = seeded();
            let head = Similarity::new(7, 3, 4, config, vb.pp("head"))?;
            let messages = vb.get_with_hints((5, 7), "messages", Init::Uniform { lo: -1.0, up: 1.0 })?;
            let labels = vb.get_with_hints((3, 3), "labels", Init::Uniform { lo: -1.0, up: 1.0 })?;
            assert_gradients(&parameters, || {
                Ok(head.loss(&head.embed(&messages)?, &labels, CANDIDATES, 3)?.loss)
            })?;
        }
        Ok(())
    }

    #[test]
    fn readings_learn_from_each_other_as_differences_of_their_divergence_say() -> Result<()> {
        let (parameters, vb) = seeded();
        let config = SimilarityConfig { negatives: 0, r_drop: 0.7, ..Default::default() };
        let plain = SimilarityConfig { r_drop: 0.0, ..config.clone() };
        let twins = Similarity::new(7, 3, 4, config, vb.pp("head"))?;
        let plain = Similarity { config: plain, ..twins.clone() };
        let messages = vb.get_with_hints((4, 7), "messages", Init::Uniform { lo: -1.0, up: 1.0 })?;
        let labels = vb.get_with_hints((3, 3), "labels", Init::Uniform { lo: -1.0, up: 1.0 })?;
        let candidates = Candidates { gold: &[0, 2, 0, 2], ..CANDIDATES };
        let sets: [&[u32]; 4] = [&[0, 1], &[2], &[0, 1], &[2]];
        let scores = || twins.scores(&twins.embed(&messages)?, &labels);
        // What the other reading says, as it is now.
        let others = |all: &Tensor| Tensor::cat(&[all.narrow(0, 2, 2)?, all.narrow(0, 0, 2)?], 0);
        let softmax = others(&log_softmax(&scores()?, 1)?.exp()?)?.detach();
        let sigmoid = others(&softplus(&scores()?.neg()?)?.neg()?.exp()?)?.detach();
        for several in [false, true] {
            let loss = |head: &Similarity, messages: &Tensor| {
                let embedded = head.embed(messages)?;
                let found = if several {
                    head.set_loss(&embedded, &labels, &sets)
                } else {
                    head.loss(&embedded, &labels, candidates, 3)
                };
                Ok::<_, candle_core::Error>(found?.loss)
            };
            let frozen = || -> Result<f64> {
                let all = scores()?;
                let cross = if several {
                    (softplus(&all)? - (&sigmoid * all)?)?.mean_all()?
                } else {
                    (&softmax * log_softmax(&all, 1)?)?.sum(1)?.neg()?.mean_all()?
                };
                (loss(&plain, &messages)? + (cross * 0.7)?)?.to_scalar()
            };
            let gradients = loss(&twins, &messages)?.backward()?;
            for (name, var) in parameters.all() {
                let found = gradients.get(&var).unwrap().flatten_all()?.to_vec1::<f64>()?;
                for (found, slope) in found.iter().zip(crate::nn::testing::central_differences(&var, frozen)?)
                {
                    assert!((found - slope).abs() < 1e-6, "{name}: {found}, but differences say {slope}");
                }
            }
            let first = messages.narrow(0, 0, 2)?;
            let same = Tensor::cat(&[&first, &first], 0)?;
            let apart =
                |messages: &Tensor| (loss(&twins, messages)? - loss(&plain, messages)?)?.to_scalar::<f64>();
            assert!(apart(&same)?.abs() < 1e-12 && apart(&messages)? > 0.0);
        }
        Ok(())
    }

    const SETS: [&[u32]; 5] = [&[0], &[], &[0, 1, 2], &[1, 2], &[2]];

    #[test]
    fn every_parameter_has_the_right_gradient_with_sets_of_labels() -> Result<()> {
        for similarity_type in [SimilarityType::Inner, SimilarityType::Cosine] {
            let (parameters, vb) = seeded();
            let config = SimilarityConfig { similarity_type, ..Default::default() };
            let head = Similarity::new(7, 3, 4, config, vb.pp("head"))?;
            let messages = vb.get_with_hints((5, 7), "messages", Init::Uniform { lo: -1.0, up: 1.0 })?;
            let labels = vb.get_with_hints((3, 3), "labels", Init::Uniform { lo: -1.0, up: 1.0 })?;
            assert_gradients(&parameters, || {
                Ok(head.set_loss(&head.embed(&messages)?, &labels, &SETS)?.loss)
            })?;
        }
        Ok(())
    }

    #[test]
    fn the_loss_over_sets_is_the_mean_binary_cross_entropy() -> Result<()> {
        let (_, vb) = seeded();
        let head = Similarity::new(7, 3, 4, SimilarityConfig::default(), vb)?;
        let (messages, labels) = (head.embed(&input((5, 7))?)?, input((3, 3))?);
        let scores = head.scores(&messages, &labels)?.to_vec2::<f64>()?;
        let (mut expected, mut right) = (0.0, 0);
        for (row, set) in scores.iter().zip(SETS) {
            let mut all = true;
            for (label, score) in row.iter().enumerate() {
                let (member, share) = (set.contains(&(label as u32)), 1.0 / (1.0 + (-score).exp()));
                expected -= if member { share.ln() } else { (1.0 - share).ln() } / 15.0;
                all &= member == (share > 0.5);
            }
            right += usize::from(all);
        }
        let found = head.set_loss(&messages, &labels, &SETS)?;
        assert!((found.loss.to_scalar::<f64>()? - expected).abs() < 1e-12);
        assert_eq!(found.correct, right);
        assert!(head.set_loss(&messages, &labels, &SETS[1..]).is_err());
        assert!(head.set_loss(&messages, &labels, &[&[3], &[], &[], &[], &[]]).is_err());
        Ok(())
    }

    #[test]
    fn large_similarities_are_a_large_loss_and_still_a_number() -> Result<()> {
        let (_, vb) = seeded();
        let head = Similarity::new(7, 3, 4, SimilarityConfig::default(), vb)?;
        for scale in [1e3, 1e8] {
            let messages = (head.embed(&input((5, 7))?)? * scale)?.to_dtype(DType::F64)?;
            let loss = head.set_loss(&messages, &input((3, 3))?, &SETS)?.loss.to_scalar::<f64>()?;
            assert!(loss.is_finite() && loss > scale / 1e3, "{loss}");
        }
        Ok(())
    }

    #[test]
    fn all_labels_is_the_softmax_cross_entropy() -> Result<()> {
        let (_, vb) = seeded();
        let config = SimilarityConfig { negatives: 0, ..Default::default() };
        let head = Similarity::new(7, 3, 4, config, vb)?;
        let (messages, labels) = (input((5, 7))?, input((3, 3))?);
        let scores = head.scores(&head.embed(&messages)?, &labels)?.to_vec2::<f64>()?;
        let loss = |(row, gold): (&Vec<f64>, &u32)| {
            row.iter().map(|x| x.exp()).sum::<f64>().ln() - row[*gold as usize]
        };
        let expected = scores.iter().zip(&GOLD).map(loss).sum::<f64>() / 5.0;
        let found = head.loss(&head.embed(&messages)?, &labels, CANDIDATES, 3)?.loss.to_scalar::<f64>()?;
        assert!((found - expected).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn a_label_that_stands_twice_is_not_held_against_itself() -> Result<()> {
        let (_, vb) = seeded();
        let head = Similarity::new(7, 3, 4, SimilarityConfig { negatives: 0, ..Default::default() }, vb)?;
        let candidates = Candidates { gold: &[0, 1, 0, 1, 0], identity: &[9, 9] };
        let found = head.loss(&head.embed(&input((5, 7))?)?, &input((2, 3))?, candidates, 1)?;
        assert!(found.loss.to_scalar::<f64>()?.abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn a_draw_of_the_same_label_weighs_nothing() -> Result<()> {
        // One label only: every draw is an accident, and the right answer has all of the softmax.
        let (_, vb) = seeded();
        let head = Similarity::new(7, 3, 4, SimilarityConfig { constrain: false, ..Default::default() }, vb)?;
        let candidates = Candidates { gold: &[0; 5], identity: &[9] };
        let found = head.loss(&head.embed(&input((5, 7))?)?, &input((1, 3))?, candidates, 1)?;
        assert!(found.loss.to_scalar::<f64>()?.abs() < 1e-12);
        assert_eq!(found.correct, 5);
        Ok(())
    }
}
