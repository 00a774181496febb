//! What a piece adds to the meaning of a text, learnt from texts of words put together at random.
//!
//! An encoder gives to a text another vector than the mean of what it gives to its pieces alone: it hardly listens to *of*, and much
//! to *refund*. From its vectors of many texts one sees how much it listens to each. The texts need not mean anything, so none have
//! to be collected.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Words in a text.
const WORDS: std::ops::RangeInclusive<usize> = 2..=7;

/// How soon words of a vocabulary become rarer, as it is sorted by how often they are used: the `n`-th is drawn with a weight of
/// `1 / √(n + RARER)`.
const RARER: usize = 100;

/// How much a vector is held where it was, against a text that it makes up.
const STRENGTH: f32 = 0.3;

/// Steps towards the solution; more change no score.
const STEPS: usize = 25;

/// Texts of the words with these numbers, of which the most used come first.
pub(super) fn draw(words: &[u32], count: usize) -> Vec<Vec<u32>> {
    let sums = (0..words.len()).scan(0.0, |sum, at| {
        *sum += 1.0 / ((at + RARER) as f64).sqrt();
        Some(*sum)
    });
    let sums: Vec<f64> = sums.collect();
    let Some(all) = sums.last() else { return Vec::new() };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let text = |_| {
        let length = rng.random_range(WORDS);
        let word = |_| {
            let drawn = rng.random_range(0.0..*all);
            words[sums.partition_point(|sum| *sum <= drawn)]
        };
        (0..length).map(word).collect()
    };
    (0..count).map(text).collect()
}

/// Texts as the places of their pieces, and the vector that each should have: `[text, dim]`.
pub(super) struct Texts<'a> {
    pub(super) pieces: &'a [Vec<u32>],
    pub(super) wanted: &'a [f32],
    pub(super) dim: usize,
}

impl Texts<'_> {
    /// Moves the vectors of pieces `[piece, dim]`, multiplied by the number that serves best, to where the means of texts are nearest
    /// to what is wanted: the least `Σ |mean − wanted|² + STRENGTH · Σ |vector − vector before|²`
    /// (ridge regression; Hoerl and Kennard, 1970; by conjugate gradients).
    pub(super) fn fit(&self, vectors: &mut [f32]) {
        let means = self.means(vectors);
        let scale = dot(&means, self.wanted) / dot(&means, &means).max(f64::MIN_POSITIVE);
        vectors.iter_mut().for_each(|x| *x *= scale as f32);
        let means = self.means(vectors);
        let missing: Vec<f32> = self.wanted.iter().zip(&means).map(|(wanted, mean)| wanted - mean).collect();
        let mut residual = self.spread(&missing, vectors.len());
        let mut direction = residual.clone();
        let mut left = dot(&residual, &residual);
        for _ in 0..STEPS {
            let mut turned = self.spread(&self.means(&direction), vectors.len());
            turned.iter_mut().zip(&direction).for_each(|(turned, x)| *turned += STRENGTH * x);
            let step = (left / dot(&direction, &turned).max(f64::MIN_POSITIVE)) as f32;
            vectors.iter_mut().zip(&direction).for_each(|(x, along)| *x += step * along);
            residual.iter_mut().zip(&turned).for_each(|(x, turned)| *x -= step * turned);
            let now = dot(&residual, &residual);
            let kept = (now / left.max(f64::MIN_POSITIVE)) as f32;
            direction.iter_mut().zip(&residual).for_each(|(x, residual)| *x = residual + kept * *x);
            left = now;
        }
    }

    /// The mean of the vectors of each text: `[text, dim]`.
    fn means(&self, vectors: &[f32]) -> Vec<f32> {
        let mut means = vec![0.0; self.pieces.len() * self.dim];
        for (mean, pieces) in means.chunks_exact_mut(self.dim).zip(self.pieces) {
            for at in pieces {
                let own = &vectors[*at as usize * self.dim..][..self.dim];
                mean.iter_mut().zip(own).for_each(|(mean, x)| *mean += x / pieces.len() as f32);
            }
        }
        means
    }

    /// Gives to each piece its share of the rows of its texts: what turns [`means`](Self::means) around.
    fn spread(&self, rows: &[f32], len: usize) -> Vec<f32> {
        let mut vectors = vec![0.0; len];
        for (row, pieces) in rows.chunks_exact(self.dim).zip(self.pieces) {
            for at in pieces {
                let own = &mut vectors[*at as usize * self.dim..][..self.dim];
                own.iter_mut().zip(row).for_each(|(own, x)| *own += x / pieces.len() as f32);
            }
        }
        vectors
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_that_make_the_texts_are_found_from_half_their_lengths() {
        let dim = 3;
        let words: Vec<u32> = (0..20).collect();
        let pieces = draw(&words, 4000);
        assert!(pieces.iter().all(|text| WORDS.contains(&text.len())));
        let truth: Vec<f32> =
            (0..20 * dim).map(|i| ((i * 7 % 13) as f32 - 6.0) * (i / dim % 4) as f32).collect();
        let wanted = Texts { pieces: &pieces, wanted: &[], dim }.means(&truth);
        // Directions are known, lengths are not.
        let mut found: Vec<f32> = (0..20 * dim).map(|i| ((i * 7 % 13) as f32 - 6.0) / 5.0).collect();
        Texts { pieces: &pieces, wanted: &wanted, dim }.fit(&mut found);
        let worst = found.iter().zip(&truth).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 0.1, "{worst}");
    }

    #[test]
    fn a_piece_in_no_text_is_only_scaled() {
        let (pieces, wanted) = ([vec![0, 1], vec![1]], [2.0, 2.0]);
        let mut vectors = [1.0, 1.0, 5.0];
        Texts { pieces: &pieces, wanted: &wanted, dim: 1 }.fit(&mut vectors);
        assert!(vectors.iter().zip([2.0, 2.0, 10.0]).all(|(a, b)| (a - b).abs() < 1e-4), "{vectors:?}");
    }

    #[test]
    fn without_words_there_is_no_text() {
        assert!(draw(&[], 5).is_empty());
    }
}
