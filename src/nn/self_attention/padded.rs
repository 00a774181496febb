//! Sequences of a packed batch side by side, padded to one length: the form for candle's operations.

use std::ops::Range;

#[cfg(feature = "cuda")]
use candle_core::Shape;
use candle_core::{Device, Result, Tensor};

use super::super::Segments;
use super::super::attention::masked_softmax;
#[cfg(feature = "cuda")]
use super::super::op::{Backward, Element, Input, Operation, apply, cuda, on_cuda};
use crate::kernels::attention::seed_of_head;
use crate::kernels::dropout::{drops, threshold};

/// Sequences that are padded to the length of the longest of them.
#[derive(Debug)]
pub(super) struct Group {
    /// The rows of each.
    pub(super) sequences: Vec<Range<usize>>,
    pub(super) longest: usize,
}

/// Which scores count besides those of padding: `None` for all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hidden {
    pub(super) causal: bool,
    /// The seed of the pass and the share of scores that it drops.
    pub(super) dropout: Option<(u64, f64)>,
}

impl Group {
    /// Up to this many scores go together, however much of it is padding: starting the work takes longer than doing it.
    const FEW: usize = 1 << 22;
    /// More never go together, so that there is memory for them.
    const MANY: usize = 1 << 27;

    /// All sequences but the empty ones, the longest first, those of similar length together.
    pub(super) fn all(segments: &Segments, heads: usize) -> Vec<Self> {
        let mut sequences: Vec<Range<usize>> = segments.iter().filter(|range| !range.is_empty()).collect();
        sequences.sort_by_key(|range| std::cmp::Reverse(range.len()));
        let mut groups: Vec<Self> = Vec::new();
        for range in sequences {
            match groups.last_mut() {
                Some(group) if group.takes(range.len(), heads) => group.sequences.push(range),
                _ => groups.push(Self::of(range)),
            }
        }
        groups
    }

    /// One sequence.
    pub(super) fn of(rows: Range<usize>) -> Self {
        Self { longest: rows.len(), sequences: std::iter::once(rows).collect() }
    }

    fn takes(&self, len: usize, heads: usize) -> bool {
        let scores = (self.sequences.len() + 1) * heads * self.longest * self.longest;
        scores <= Self::FEW || (scores <= Self::MANY && 2 * len + 16 >= self.longest)
    }

    /// Rows with padding.
    pub(super) fn rows(&self) -> usize {
        self.sequences.len() * self.longest
    }

    /// For each row with padding, the packed row, if it has one.
    pub(super) fn packed_rows(&self) -> impl Iterator<Item = Option<u32>> + '_ {
        let of = |range: &Range<usize>| {
            let range = range.clone();
            (0..self.longest).map(move |at| (at < range.len()).then_some((range.start + at) as u32))
        };
        self.sequences.iter().flat_map(of)
    }

    /// Tells for each packed row of these sequences where it is among the rows with padding, which begin at `begin`.
    pub(super) fn tell_places(&self, begin: usize, places: &mut [u32]) {
        for (row, place) in self.packed_rows().zip(begin..) {
            if let Some(row) = row {
                places[row as usize] = place as u32;
            }
        }
    }

    /// The softmax over the scores that count, `[sequence, heads, query, key]`; zeros for a query that sees nothing.
    pub(super) fn softmax(&self, scores: &Tensor, hidden: Hidden) -> Result<Tensor> {
        let heads = scores.dim(1)?;
        #[cfg(feature = "cuda")]
        if on_cuda(scores) {
            let sequences = self.sequences.iter().map(|range| (range.start, range.len())).collect();
            let softmax = SoftmaxOnCuda { sequences, longest: self.longest, heads, hidden };
            return apply(softmax, &[scores]);
        }
        masked_softmax(scores, &self.mask(heads, hidden, scores.device())?)
    }

    /// Which scores count, dropout included, with the draws of our kernels: `[sequence, heads, query, key]` of ones and
    /// zeros, with one head where all see the same.
    fn mask(&self, heads: usize, hidden: Hidden, device: &Device) -> Result<Tensor> {
        let (count, longest) = (self.sequences.len(), self.longest);
        let own_heads = if hidden.dropout.is_some() { heads } else { 1 };
        let mut mask = vec![0_u8; count * own_heads * longest * longest];
        for (at, mask) in mask.chunks_exact_mut(longest * longest).enumerate() {
            let (range, head) = (&self.sequences[at / own_heads], at % own_heads);
            let draws = hidden
                .dropout
                .map(|(seed, rate)| (seed_of_head(seed, range.start, heads, head), threshold(rate)));
            for at in 0..range.len() * range.len() {
                let (query, key) = (at / range.len(), at % range.len());
                let future = hidden.causal && key > query;
                let drawn = draws.is_some_and(|(seed, limit)| drops(seed, at as u64, limit));
                mask[query * longest + key] = u8::from(!future && !drawn);
            }
        }
        let mask = Tensor::from_vec(mask, (count, own_heads, longest, longest), device)?;
        mask.broadcast_as((count, heads, longest, longest))
    }
}

/// The softmax over the scores that count, as one kernel.
#[cfg(feature = "cuda")]
pub(super) struct SoftmaxOnCuda {
    /// First row and length of each sequence.
    pub(super) sequences: Vec<(usize, usize)>,
    pub(super) longest: usize,
    pub(super) heads: usize,
    pub(super) hidden: Hidden,
}

#[cfg(feature = "cuda")]
impl Operation for SoftmaxOnCuda {
    const NAME: &'static str = "attention_weights";

    type State<T: Element> = ();

    fn forward<T: Element>(&self, _: &[Input<'_, T>]) -> Result<(Vec<T>, Shape, ())> {
        candle_core::bail!("{} is for a GPU only", Self::NAME)
    }

    fn backward<T: Element>(&self, _: Backward<'_, T, ()>) -> Result<Vec<Option<Vec<T>>>> {
        candle_core::bail!("{} is for a GPU only", Self::NAME)
    }

    fn forward_on_cuda(&self, gpu: cuda::Gpu<'_>, inputs: &[cuda::Numbers<'_>]) -> cuda::Output {
        let sequences = crate::kernels::cuda::Sequences {
            rows: &self.sequences,
            heads: self.heads,
            longest: self.longest,
            causal: self.hidden.causal,
            dropout: self.hidden.dropout,
        };
        Ok((gpu.attention_weights(&inputs[0], &sequences)?, Shape::from(inputs[0].dims)))
    }

    fn backward_on_cuda(&self, _: &[&Tensor], out: &Tensor, grad: &Tensor) -> cuda::Gradients {
        cuda::with_numbers(&[out, grad], |gpu, numbers| {
            let found = gpu.softmax_backward(&numbers[0], &numbers[1])?;
            Ok(vec![Some(cuda::tensor(found, out.shape(), gpu))])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_one_place() {
        let segments = Segments::from_lengths([3, 0, 700, 5, 690]);
        let groups = Group::all(&segments, 4);
        assert_eq!(groups.iter().map(|group| group.longest).collect::<Vec<_>>(), [700, 5]);
        let mut places = vec![u32::MAX; segments.rows()];
        let mut begin = 0;
        for group in &groups {
            group.tell_places(begin, &mut places);
            begin += group.rows();
        }
        let found: Vec<Option<u32>> = groups.iter().flat_map(Group::packed_rows).collect();
        assert_eq!(found.len(), begin);
        assert!(places.iter().enumerate().all(|(row, place)| found[*place as usize] == Some(row as u32)));
        assert_eq!(found.iter().flatten().count(), segments.rows());
    }

    #[test]
    fn short_sequences_go_together_however_much_padding_that_takes() {
        let groups = Group::all(&Segments::from_lengths([1, 40, 2]), 8);
        assert_eq!((groups.len(), groups[0].rows()), (1, 120));
        assert!(Group::all(&Segments::from_lengths([0, 0]), 8).is_empty());
    }
}
