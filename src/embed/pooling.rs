//! How the rows of a text become one vector.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::EmbedError;
use crate::kernels::activation::activate;
use crate::kernels::{Activation, Affine};

/// How the rows of a text become its vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pooling {
    /// The mean of all rows, special ones included.
    #[default]
    Mean,
    /// In each dimension, the largest number of all rows.
    Max,
    /// The row that stands for the text as a whole: that of `[CLS]`, or of a message in our own models. Of a text that was split,
    /// the mean of those of its parts.
    Cls,
    /// The sum of all `n` rows divided by `√n`.
    MeanSqrtLen,
    /// The mean of all rows, in which the first counts once, the second twice and so on.
    WeightedMean,
    /// The last row. Of a text that was split, the mean of those of its parts.
    LastToken,
}

impl Pooling {
    /// Pools `rows` (`[row, out.len()]`) into `out`; without rows it becomes zeros. `sentences` are the rows of the whole.
    fn pool(self, rows: &[f32], sentences: &[usize], out: &mut [f32]) {
        let dim = out.len();
        out.fill(0.0);
        let count = rows.len() / dim.max(1);
        let row = |at: usize| &rows[at * dim..(at + 1) * dim];
        match self {
            _ if rows.is_empty() => {}
            Self::Mean => mean(rows.chunks_exact(dim), out),
            Self::Max => {
                out.fill(f32::NEG_INFINITY);
                rows.chunks_exact(dim)
                    .for_each(|row| out.iter_mut().zip(row).for_each(|(top, x)| *top = top.max(*x)));
            }
            Self::Cls => mean(sentences.iter().map(|at| row(*at)), out),
            Self::MeanSqrtLen => {
                mean(rows.chunks_exact(dim), out);
                out.iter_mut().for_each(|mean| *mean *= (count as f32).sqrt());
            }
            Self::WeightedMean => {
                let whole = 0.5 * count as f32 * (count as f32 + 1.0);
                for at in 0..count {
                    let share = (at + 1) as f32 / whole;
                    out.iter_mut().zip(row(at)).for_each(|(sum, x)| *sum += share * x);
                }
            }
            // A part begins with the row that stands for it, so the one before is the last of another part.
            Self::LastToken => {
                let ends: Vec<usize> = sentences.iter().skip(1).copied().chain([count]).collect();
                mean(ends.iter().map(|end| row(end - 1)), out);
            }
        }
    }
}

/// How the rows of a text become one vector by default: poolings side by side, and what the encoder has behind them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolingDefaults {
    /// Their vectors are concatenated in this order.
    pub poolings: Vec<Pooling>,
    /// Whether the vector is scaled to length one in the end.
    pub normalize: bool,
    /// What happens to the vector before that.
    steps: Arc<[Step]>,
}

/// A step from the pooled vector to that of the text.
#[derive(Debug)]
pub(super) enum Step {
    /// Scales it to length one.
    Normalize,
    /// `activation(x·W + b)`
    Dense(Affine, Activation),
}

impl PoolingDefaults {
    /// One pooling, and whether its vector is scaled to length one.
    #[must_use]
    pub fn new(pooling: Pooling, normalize: bool) -> Self {
        Self { poolings: vec![pooling], normalize, steps: Arc::new([]) }
    }

    /// Several poolings, further steps, and whether what comes out is scaled to length one.
    pub(super) fn with_steps(poolings: Vec<Pooling>, steps: Vec<Step>, normalize: bool) -> Self {
        Self { poolings, normalize, steps: steps.into() }
    }

    /// The width of a text's vector, for rows of width `dim`.
    pub(super) fn dim(&self, dim: usize) -> usize {
        let last = self.steps.iter().rev().find_map(|step| match step {
            Step::Dense(map, _) => Some(map.output()),
            Step::Normalize => None,
        });
        last.unwrap_or(self.poolings.len() * dim)
    }

    /// The vector of a text with these rows of width `dim`.
    pub(super) fn vector(
        &self,
        rows: &[f32],
        sentences: &[usize],
        dim: usize,
    ) -> Result<Vec<f32>, EmbedError> {
        let mut vector = vec![0.0; self.poolings.len() * dim];
        for (pooling, out) in self.poolings.iter().zip(vector.chunks_exact_mut(dim.max(1))) {
            pooling.pool(rows, sentences, out);
        }
        for step in &*self.steps {
            match step {
                Step::Normalize => normalize(&mut vector),
                Step::Dense(map, activation) => {
                    if map.input() != vector.len() {
                        return Err(EmbedError::Pooling { found: vector.len(), expected: map.input() });
                    }
                    let mut mapped = Vec::new();
                    map.forward(1, &vector, &mut mapped);
                    vector.resize(mapped.len(), 0.0);
                    activate(*activation, &mapped, &mut vector);
                }
            }
        }
        if self.normalize {
            normalize(&mut vector);
        }
        Ok(vector)
    }
}

/// The mean of some rows; zeros where there is none.
fn mean<'r>(rows: impl ExactSizeIterator<Item = &'r [f32]>, out: &mut [f32]) {
    let share = 1.0 / rows.len().max(1) as f32;
    rows.for_each(|row| out.iter_mut().zip(row).for_each(|(sum, x)| *sum += x));
    out.iter_mut().for_each(|sum| *sum *= share);
}

/// Scales a vector to length one; zeros stay zeros.
pub(crate) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x /= length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Matrix, Precision};

    #[test]
    fn each_pooling_does_what_it_says() {
        let rows = [1.0, -2.0, 3.0, 0.0, 5.0, -4.0];
        let pool = |pooling: Pooling, rows: &[f32]| {
            let mut out = [9.0; 2];
            pooling.pool(rows, &[1], &mut out);
            out
        };
        assert_eq!(pool(Pooling::Mean, &rows), [3.0, -2.0]);
        assert_eq!(pool(Pooling::Max, &rows), [5.0, 0.0]);
        assert_eq!(pool(Pooling::Cls, &rows), [3.0, 0.0]);
        assert_eq!(pool(Pooling::LastToken, &rows), [5.0, -4.0]);
        let weighted = pool(Pooling::WeightedMean, &rows); // (1·1 + 2·3 + 3·5) / 6 and (-2 - 3·4) / 6
        assert!((weighted[0] - 22.0 / 6.0).abs() < 1e-5 && (weighted[1] + 14.0 / 6.0).abs() < 1e-5);
        let sqrt = pool(Pooling::MeanSqrtLen, &rows).map(|x| x * 3.0_f32.sqrt());
        assert!((sqrt[0] - 9.0).abs() < 1e-5 && (sqrt[1] + 6.0).abs() < 1e-5);
        let mut parts = [0.0; 2];
        Pooling::LastToken.pool(&rows, &[0, 2], &mut parts);
        assert_eq!(parts, [4.0, -2.0]);
        for pooling in [Pooling::Max, Pooling::LastToken, Pooling::WeightedMean, Pooling::MeanSqrtLen] {
            assert_eq!(pool(pooling, &[]), [0.0; 2]);
        }
        let (mut vector, mut zeros) = ([3.0, 4.0], [0.0; 2]);
        normalize(&mut vector);
        normalize(&mut zeros);
        assert_eq!((vector, zeros), ([0.6, 0.8], [0.0; 2]));
    }

    #[test]
    fn steps_come_one_after_the_other() {
        let matrix = [1.0, 0.0, 0.0, -1.0, 2.0, 0.0, 0.0, 0.5]; // [in 4, out 2]
        let map = Affine::new(Matrix::new(&matrix, 4, 2), vec![0.0, 1.0], Precision::F32);
        let poolings = vec![Pooling::Max, Pooling::Cls];
        let steps = vec![Step::Normalize, Step::Dense(map, Activation::Relu)];
        let defaults = PoolingDefaults::with_steps(poolings, steps, false);
        // Pooled to [3, 4, 0, 4], whose length is √41; then 3/√41 and 1 - 4/√41 + 2/√41.
        let found = defaults.vector(&[0.0, 4.0, 3.0, -4.0], &[0], 2).unwrap();
        let expected = [3.0 / 41.0_f32.sqrt(), 1.0 - 2.0 / 41.0_f32.sqrt()];
        assert_eq!(defaults.dim(2), 2);
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
        let defaults = PoolingDefaults { poolings: vec![Pooling::Max], ..defaults };
        let error = defaults.vector(&[1.0, 2.0], &[0], 2).unwrap_err();
        assert!(error.to_string().contains("2 numbers"), "{error}");
    }
}
