//! Softmax: scores become shares, row by row.
//!
//! In comes a matrix of scores, out comes one of weights. The textbook formula overflows at a score of
//! 89 in `f32` and divides zero by zero in a row with nothing to see; this one does neither.
//! Read next: `mask.rs`, for who may see whom.

use ndarray::{Array2, ArrayView2, ArrayViewMut1, NdFloat, Zip};

use super::error::{AttentionError, expect_shape};
use super::mask::Visible;

/// Turns every row of scores into weights that sum to one.
///
/// `weights[i, j] = exp(scores[i, j] - bestᵢ) / Σⱼ exp(scores[i, j] - bestᵢ)`, where `bestᵢ` is the
/// largest score of the row. Subtracting it changes nothing on paper, and keeps `exp` at one or below.
///
/// # Shapes
///
/// - `scores`: `[query, key]`
/// - returns: `[query, key]`
///
/// A score of `-inf` weighs nothing, and a row of nothing else gives zeros. Scores of `+inf` share the
/// row equally. A NaN turns its whole row, and only its row, into NaN.
///
/// # Example
///
/// ```
/// use ndarray::array;
/// use talkformer::attention::softmax;
///
/// let weights = softmax(array![[1e30, 1e30], [0.0, f64::NEG_INFINITY]].view());
/// assert_eq!(weights, array![[0.5, 0.5], [1.0, 0.0]]);
/// ```
#[must_use]
pub fn softmax<F: NdFloat>(scores: ArrayView2<F>) -> Array2<F> {
    let mut weights = scores.to_owned();
    weights.rows_mut().into_iter().for_each(normalize);
    weights
}

/// [`softmax`] over the visible scores alone; what is hidden weighs nothing.
///
/// # Shapes
///
/// - `scores`: `[query, key]`
/// - `visible`: `[query, key]`
/// - returns: `[query, key]`
///
/// A query that may see nothing receives a row of zeros. A hidden NaN harms nobody.
///
/// # Errors
///
/// [`AttentionError::Shape`] if `visible` is not shaped like `scores`.
///
/// # Example
///
/// ```
/// use ndarray::array;
/// use talkformer::attention::{Visible, masked_softmax};
///
/// let weights = masked_softmax(array![[7.0, 9.0], [7.0, 7.0]].view(), &Visible::causal(2))?;
/// assert_eq!(weights, array![[1.0, 0.0], [0.5, 0.5]]);
/// # Ok::<(), talkformer::attention::AttentionError>(())
/// ```
pub fn masked_softmax<F: NdFloat>(
    scores: ArrayView2<F>,
    visible: &Visible,
) -> Result<Array2<F>, AttentionError> {
    expect_shape("visible", scores.dim(), visible.view().dim())?;
    let seen = |&score: &F, &visible: &bool| if visible { score } else { F::neg_infinity() };
    let scores = Zip::from(scores).and(visible.view()).map_collect(seen); // [query, key]
    Ok(softmax(scores.view()))
}

/// Softmax of one row, in place.
fn normalize<F: NdFloat>(mut row: ArrayViewMut1<F>) {
    // From the lowest finite number up, so that a row of `-inf` stays far below its own best.
    let best = row.fold(F::min_value(), |best, &score| best.max(score));
    // `inf - inf` would be NaN, so the best score is recognised rather than subtracted.
    row.mapv_inplace(|score| if score == best { F::one() } else { (score - best).exp() });
    let total = row.sum();
    if total != F::zero() {
        row.mapv_inplace(|share| share / total);
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array};

    use super::super::yardstick::{assert_close, wave};
    use super::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn two_scores_by_hand() {
        let weights = softmax(array![[0.0, 3.0_f64.ln()]].view()); // e⁰ : e^ln 3 = 1 : 3
        assert_close(weights.view(), array![[0.25, 0.75]].view(), 1e-15);
    }

    #[test]
    fn every_row_sums_to_one() {
        let sums = softmax((wave(5, 7, 1) * 20.0).view()).sum_axis(Axis(1));
        assert!(sums.iter().all(|sum: &f64| (sum - 1.0).abs() < 1e-14), "{sums}");
    }

    #[test]
    fn a_constant_added_to_a_row_changes_nothing() {
        let scores = wave(3, 5, 2);
        assert_close(softmax(scores.view()).view(), softmax((&scores + 100.0).view()).view(), 1e-13);
    }

    #[test]
    fn huge_scores_survive() {
        let weights = softmax(array![[1e30_f32, 1e30], [f32::MAX, f32::MIN], [f32::MIN, f32::MIN]].view());
        assert_eq!(weights, array![[0.5, 0.5], [1.0, 0.0], [0.5, 0.5]]);
    }

    #[test]
    fn infinite_scores_take_their_limits() {
        let weights = softmax(array![[INF, INF, 9.0], [-INF, 0.0, 0.0], [-INF, INF, f64::MAX]].view());
        assert_eq!(weights, array![[0.5, 0.5, 0.0], [0.0, 0.5, 0.5], [0.0, 1.0, 0.0]]);
    }

    #[test]
    fn a_row_that_sees_nothing_gives_zeros() {
        assert_eq!(softmax(array![[-INF, -INF]].view()), array![[0.0, 0.0]]);
        let nothing = Visible::padding(0, (1, 2));
        assert_eq!(masked_softmax(array![[INF, f64::NAN]].view(), &nothing), Ok(array![[0.0, 0.0]]));
    }

    #[test]
    fn nan_spoils_its_own_row_alone() {
        let weights = softmax(array![[f64::NAN, -INF], [f64::NAN, INF], [0.0, 0.0]].view());
        assert!(weights.rows().into_iter().take(2).flatten().all(|weight| weight.is_nan()));
        assert_eq!(weights.row(2), array![0.5, 0.5]);
    }

    #[test]
    fn hiding_a_key_equals_leaving_it_out() {
        let scores = wave(2, 3, 4);
        let hidden = masked_softmax(scores.view(), &Visible::padding(2, (2, 3))).unwrap();
        let without = softmax(scores.slice(ndarray::s![.., ..2]));
        assert_eq!(hidden.slice(ndarray::s![.., ..2]), without);
        assert_eq!(hidden.column(2), array![0.0, 0.0]);
    }

    #[test]
    fn empty_matrices_stay_empty() {
        for dim in [(0, 0), (0, 3), (3, 0)] {
            assert_eq!(softmax(Array2::<f64>::zeros(dim).view()).dim(), dim);
        }
    }

    #[test]
    fn a_mask_of_another_shape_is_refused() {
        let error = masked_softmax(wave(2, 3, 5).view(), &Visible::everything((3, 2))).unwrap_err();
        assert_eq!(error, AttentionError::Shape { argument: "visible", expected: [2, 3], got: [3, 2] });
    }
}
