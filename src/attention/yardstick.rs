//! The slow twin that the tests measure against: one number at a time, each sum kept exact.
//!
//! It shares no code with the fast path, and `exp` here is of the raw score, so inputs must be modest.

use ndarray::{Array2, ArrayView2};

use super::{Attention, Scale, Visible};

/// Attention for one head, straight from the definition.
pub(super) fn slow_attention(
    q: &Array2<f64>,
    k: &Array2<f64>,
    v: &Array2<f64>,
    visible: &Visible,
    scale: Scale,
) -> Attention<f64> {
    let divisor = if scale == Scale::Raw { 1.0 } else { (q.ncols() as f64).sqrt() };
    let strength = |i: usize, j: usize| {
        let score = careful_sum((0..q.ncols()).map(|d| q[[i, d]] * k[[j, d]])) / divisor;
        if visible.sees(i, j) { score.exp() } else { 0.0 }
    };
    let weights = Array2::from_shape_fn((q.nrows(), k.nrows()), |(i, j)| {
        strength(i, j) / careful_sum((0..k.nrows()).map(|other| strength(i, other)))
    });
    let context = Array2::from_shape_fn((q.nrows(), v.ncols()), |(i, d)| {
        careful_sum((0..k.nrows()).map(|j| weights[[i, j]] * v[[j, d]]))
    });
    Attention { context, weights }
}

/// Neumaier's sum: what each addition rounds away is collected and returned at the end.
fn careful_sum(terms: impl Iterator<Item = f64>) -> f64 {
    let (total, lost) = terms.fold((0.0_f64, 0.0), |(total, lost), term| {
        let sum = total + term;
        let (large, small) = if total.abs() >= term.abs() { (total, term) } else { (term, total) };
        (sum, lost + ((large - sum) + small))
    });
    total + lost
}

/// Numbers between -1 and 1 that follow no row and no column: `[rows, columns]`.
pub(super) fn wave(rows: usize, columns: usize, seed: usize) -> Array2<f64> {
    Array2::from_shape_fn((rows, columns), |(i, j)| ((97 * seed + 31 * i + 17 * j * (i + 1)) as f64).sin())
}

/// Fails where two matrices differ by more than `tolerance` or in shape.
pub(super) fn assert_close(got: ArrayView2<f64>, expected: ArrayView2<f64>, tolerance: f64) {
    assert_eq!(got.dim(), expected.dim());
    for ((place, got), expected) in got.indexed_iter().zip(expected) {
        assert!((got - expected).abs() <= tolerance, "at {place:?}: got {got}, expected {expected}");
    }
}

#[test]
fn a_careful_sum_loses_nothing() {
    let sum = careful_sum([1.0, 1e100, 1.0, -1e100].into_iter());
    assert!((sum - 2.0).abs() < 1e-15, "got {sum}");
}
