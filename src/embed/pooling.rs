//! How the rows of a text become one vector.

use serde::{Deserialize, Serialize};

/// How the rows of a text become its vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean of all rows, special ones included.
    #[default]
    Mean,
    /// In each dimension, the largest number of all rows.
    Max,
    /// The row that stands for the text as a whole: that of `[CLS]`, or of a message in our own models. Of a text that was split,
    /// the mean of those of its parts.
    Cls,
}

impl Pooling {
    /// Pools `rows` (`[row, out.len()]`) into `out`; without rows it becomes zeros. `sentences` are the rows of the whole.
    pub(super) fn pool(self, rows: &[f32], sentences: &[usize], out: &mut [f32]) {
        let dim = out.len();
        out.fill(0.0);
        match self {
            _ if rows.is_empty() => {}
            Self::Mean => mean(rows.chunks_exact(dim), out),
            Self::Max => {
                out.fill(f32::NEG_INFINITY);
                rows.chunks_exact(dim)
                    .for_each(|row| out.iter_mut().zip(row).for_each(|(top, x)| *top = top.max(*x)));
            }
            Self::Cls => mean(sentences.iter().map(|at| &rows[at * dim..(at + 1) * dim]), out),
        }
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
        assert_eq!(pool(Pooling::Max, &[]), [0.0; 2]);
        let (mut vector, mut zeros) = ([3.0, 4.0], [0.0; 2]);
        normalize(&mut vector);
        normalize(&mut zeros);
        assert_eq!((vector, zeros), ([0.6, 0.8], [0.0; 2]));
    }
}
