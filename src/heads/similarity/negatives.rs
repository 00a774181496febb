//! Wrong answers, and those among them that are right by accident.

use candle_core::{Result, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// The right answers of a batch, and all labels to choose from.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// For each input, the row of its label: `[input]`.
    pub gold: &'a [u32],
    /// What each label is, so that equal ones are not taken for wrong ones: `[label]`.
    pub identity: &'a [u64],
}

/// Takes a pair of the same label out of a softmax.
const PENALTY: f32 = -1e9;

/// Wrong answers, drawn with replacement or all of them.
pub(super) struct Negatives {
    /// `[input, draw]`
    index: Tensor,
    /// `[input, draw]`: [`PENALTY`] where the draw is of the input's own label.
    penalty: Tensor,
}

impl Negatives {
    /// Draws `draws` of the labels `pool` for each input, whose own label is in `own`.
    pub(super) fn draw(
        own: &[u64],
        pool: &[u64],
        draws: usize,
        random: &mut ChaCha8Rng,
        like: &Tensor,
    ) -> Result<Self> {
        let index = (0..own.len() * draws).map(|_| (random.next_u64() % pool.len() as u64) as u32).collect();
        Self::new(own, pool, index, like)
    }

    /// Each of the labels `pool` once for each input, whose own label is in `own`.
    pub(super) fn all(own: &[u64], pool: &[u64], like: &Tensor) -> Result<Self> {
        Self::new(own, pool, (0..pool.len() as u32).collect::<Vec<_>>().repeat(own.len()), like)
    }

    fn new(own: &[u64], pool: &[u64], index: Vec<u32>, like: &Tensor) -> Result<Self> {
        let draws = index.len() / own.len().max(1);
        let is_own = |(at, drawn): (usize, &u32)| pool[*drawn as usize] == own[at / draws];
        let penalty = index.iter().enumerate().map(|draw| if is_own(draw) { PENALTY } else { 0.0 });
        let penalty = Tensor::from_vec(penalty.collect::<Vec<_>>(), (own.len(), draws), like.device())?;
        let index = Tensor::from_vec(index, (own.len(), draws), like.device())?;
        Ok(Self { index, penalty: penalty.to_dtype(like.dtype())? })
    }

    /// Their similarities, out of those to the whole pool: `[input, draw]`.
    pub(super) fn of(&self, similarities: &Tensor) -> Result<Tensor> {
        similarities.gather(&self.index, 1)? + &self.penalty
    }
}

/// [`PENALTY`] for labels that are the right one under another number, so that they do not count as wrong:
/// `[input, label]`.
pub(super) fn same_label_penalty(all: &Tensor, candidates: Candidates<'_>) -> Result<Tensor> {
    let identity = candidates.identity;
    let penalty = |gold: usize| {
        let same = move |(label, other): (usize, &u64)| *other == identity[gold] && label != gold;
        identity.iter().enumerate().map(move |label| if same(label) { PENALTY } else { 0.0 })
    };
    let penalties: Vec<f32> = candidates.gold.iter().flat_map(|gold| penalty(*gold as usize)).collect();
    Tensor::from_vec(penalties, all.shape(), all.device())?.to_dtype(all.dtype())
}
