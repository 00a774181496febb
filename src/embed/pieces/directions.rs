//! In which directions vectors differ most: principal components.

use crate::kernels::dropout::bits;

/// How often the directions are improved; their order by then no longer changes vectors noticeably.
const ROUNDS: usize = 60;

/// The directions in which rows differ most (principal components; Hotelling, 1933).
pub(super) struct Directions {
    /// Width of a row.
    width: usize,
    /// The one in which they differ most first, each of length one: `[direction, width]`.
    rows: Vec<f64>,
}

impl Directions {
    /// The `dim` directions in which rows `[row, width]` differ most, by orthogonal iteration on their covariance in `f64`.
    pub(super) fn of(rows: &[f32], width: usize, dim: usize) -> Self {
        let count = (rows.len() / width).max(1) as f64;
        let mut covariance = vec![0.0; width * width];
        for row in centred(rows, width) {
            for (own, x) in covariance.chunks_exact_mut(width).zip(&row) {
                own.iter_mut().zip(&row).for_each(|(sum, y)| *sum += x * y / count);
            }
        }
        Self { width, rows: directions(&covariance, width, dim.min(width)) }
    }

    /// Moves the mean of rows `[row, width]` to zero, and gives each as its lengths along the directions: `[row, direction]`.
    pub(super) fn along(&self, rows: &[f32]) -> Vec<f32> {
        let lengths = |row: Vec<f64>| -> Vec<f32> {
            self.rows.chunks_exact(self.width).map(|one| dot(one, &row) as f32).collect()
        };
        centred(rows, self.width).flat_map(lengths).collect()
    }
}

/// Rows without their mean.
fn centred(rows: &[f32], width: usize) -> impl Iterator<Item = Vec<f64>> {
    let count = (rows.len() / width).max(1) as f64;
    let mut mean = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x) / count);
    }
    let centred = move |row: &[f32]| row.iter().zip(&mean).map(|(x, mean)| f64::from(*x) - mean).collect();
    rows.chunks_exact(width).map(centred)
}

/// The eigenvectors of the largest eigenvalues of a symmetric matrix `[width, width]` without negative ones, largest first:
/// `[dim, width]`.
fn directions(matrix: &[f64], width: usize, dim: usize) -> Vec<f64> {
    let drawn = |at: usize| (bits(1, at as u64) >> 11) as f64 / (1_u64 << 53) as f64 - 0.5;
    let mut directions: Vec<f64> = (0..dim * width).map(drawn).collect();
    for _ in 0..ROUNDS {
        let turned =
            |one: &[f64]| -> Vec<f64> { matrix.chunks_exact(width).map(|row| dot(row, one)).collect() };
        directions = directions.chunks_exact(width).flat_map(turned).collect();
        orthonormalise(&mut directions, width);
    }
    directions
}

/// Takes from each row what lies along the ones before it, and makes it as long as one (Gram and Schmidt).
fn orthonormalise(rows: &mut [f64], width: usize) {
    for at in 0..rows.len() / width {
        let (before, rest) = rows.split_at_mut(at * width);
        let own = &mut rest[..width];
        // Twice, for rounding leaves a little of what was long.
        for _ in 0..2 {
            for one in before.chunks_exact(width) {
                let along = dot(one, own);
                own.iter_mut().zip(one).for_each(|(x, y)| *x -= along * y);
            }
        }
        let length = dot(own, own).sqrt().max(f64::MIN_POSITIVE);
        own.iter_mut().for_each(|x| *x /= length);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_distances_where_the_other_directions_are_empty() {
        // Two directions of five, and a mean elsewhere.
        let (one, other) = ([1.0, 2.0, 0.0, -1.0, 1.0], [0.0, 1.0, 3.0, 2.0, 0.0_f32]);
        let row = |at: usize| {
            let (a, b) = ((at * 7 % 11) as f32, (at * 5 % 13) as f32 / 4.0);
            (0..5).map(move |i| 9.0 + a * one[i] + b * other[i])
        };
        let rows: Vec<f32> = (0..40).flat_map(row).collect();
        let found = Directions::of(&rows, 5, 2).along(&rows);
        let distance = |rows: &[f32], dim: usize, a: usize, b: usize| {
            let (a, b) = (&rows[a * dim..(a + 1) * dim], &rows[b * dim..(b + 1) * dim]);
            a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
        };
        for (a, b) in [(0, 1), (3, 17), (39, 4)] {
            let (was, is) = (distance(&rows, 5, a, b), distance(&found, 2, a, b));
            assert!((was - is).abs() < 1e-3 * was, "{was} {is}");
        }
        let spread = |at: usize| found.chunks(2).map(|row| row[at] * row[at]).sum::<f32>();
        assert!(spread(0) > spread(1));
        assert!(found.chunks(2).map(|row| row[0]).sum::<f32>().abs() < 1e-2);
    }
}
