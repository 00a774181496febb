//! Several heads, still with nothing to learn: split the columns, attend in each part, join.
//!
//! In come the same matrices as for one head; out come vectors of the same width, and one matrix of
//! weights per head. Read next: `nn`, where each head first learns what to look at.

use std::ops::Range;

use ndarray::{Array2, Array3, ArrayView2, Axis, NdFloat, s};

use super::dot_product::{Scale, dot_product_attention};
use super::error::{AttentionError, expect_shape};
use super::mask::Visible;

/// What several heads hand back.
#[derive(Clone, Debug, PartialEq)]
pub struct MultiHeadAttention<F> {
    /// The new vector of each query, the heads side by side: `[query, value_dim]`.
    pub context: Array2<F>,
    /// Each head's weights: `[heads, query, key]`, the last axis summing to one.
    pub weights: Array3<F>,
}

/// Dot-product attention in several heads, each with its own share of the columns.
///
/// `join(head₁, …, headₙ)` with `headᵢ = softmax(qᵢ · kᵢᵀ / √head_dim) · vᵢ`: section 3.2.2 of
/// [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762) without its projections, which are what a
/// model learns. One head is [`dot_product_attention`].
///
/// # Shapes
///
/// - `q`: `[query, heads · head_dim]`
/// - `k`: `[key, heads · head_dim]`
/// - `v`: `[key, value_dim]`, `value_dim` a multiple of `heads` too
/// - `visible`: `[query, key]`, the same for every head; `None` shows everything
/// - returns: `context` `[query, value_dim]`, `weights` `[heads, query, key]`
///
/// Hidden keys, NaN and empty sequences are treated as in [`dot_product_attention`].
///
/// # Errors
///
/// [`AttentionError::NoHeads`] for zero heads, [`AttentionError::Heads`] if a width does not give each
/// head the same number of columns, one at least, and [`AttentionError::Shape`] if shapes do not fit.
///
/// # Example
///
/// ```
/// use ndarray::array;
/// use talkformer::attention::{Scale, multi_head_attention};
///
/// let x = array![[9.0, 0.0, 0.0, 9.0], [0.0, 9.0, 0.0, 9.0]]; // [seq, model_dim]
/// let attention = multi_head_attention(x.view(), x.view(), x.view(), 2, None, Scale::InverseSqrt)?;
/// assert!(attention.weights[[0, 0, 1]] < 1e-9); // the first head tells the two words apart
/// assert_eq!(attention.weights[[1, 0, 1]], 0.5); // the second finds them alike
/// # Ok::<(), talkformer::attention::AttentionError>(())
/// ```
pub fn multi_head_attention<F: NdFloat>(
    q: ArrayView2<F>,
    k: ArrayView2<F>,
    v: ArrayView2<F>,
    heads: usize,
    visible: Option<&Visible>,
    scale: Scale,
) -> Result<MultiHeadAttention<F>, AttentionError> {
    expect_shape("k", (k.nrows(), q.ncols()), k.dim())?;
    let key_dim = head_dim("q", q.ncols(), heads)?;
    let value_dim = head_dim("v", v.ncols(), heads)?;

    let mut context = Array2::zeros((q.nrows(), v.ncols())); // [query, value_dim]
    let mut weights = Array3::zeros((heads, q.nrows(), k.nrows())); // [heads, query, key]
    for head in 0..heads {
        let [keys, values] = [key_dim, value_dim].map(|head_dim| columns(head, head_dim));
        let (q, k) = (q.slice(s![.., keys.clone()]), k.slice(s![.., keys])); // [query or key, head_dim]
        let part = dot_product_attention(q, k, v.slice(s![.., values.clone()]), visible, scale)?;
        context.slice_mut(s![.., values]).assign(&part.context);
        weights.index_axis_mut(Axis(0), head).assign(&part.weights);
    }
    Ok(MultiHeadAttention { context, weights })
}

/// The width left to each head.
fn head_dim(argument: &'static str, width: usize, heads: usize) -> Result<usize, AttentionError> {
    match width.checked_rem(heads) {
        None => Err(AttentionError::NoHeads),
        Some(0) if width > 0 => Ok(width / heads),
        Some(_) => Err(AttentionError::Heads { argument, width, heads }),
    }
}

/// The columns that belong to a head.
fn columns(head: usize, head_dim: usize) -> Range<usize> {
    head * head_dim..(head + 1) * head_dim
}

#[cfg(test)]
mod tests {
    use super::super::yardstick::{assert_close, slow_attention, wave};
    use super::*;

    const HEADS: usize = 2; // axes: query 3, key 5, key_dim 2·7, value_dim 2·11

    fn inputs() -> [Array2<f64>; 3] {
        [wave(3, HEADS * 7, 1), wave(5, HEADS * 7, 2), wave(5, HEADS * 11, 3)]
    }

    fn attend(
        [q, k, v]: &[Array2<f64>; 3],
        heads: usize,
        visible: Option<&Visible>,
    ) -> Result<MultiHeadAttention<f64>, AttentionError> {
        multi_head_attention(q.view(), k.view(), v.view(), heads, visible, Scale::InverseSqrt)
    }

    #[test]
    fn one_head_is_dot_product_attention() {
        let [q, k, v] = inputs();
        let one = dot_product_attention(q.view(), k.view(), v.view(), None, Scale::InverseSqrt).unwrap();
        let many = attend(&[q, k, v], 1, None).unwrap();
        assert_eq!(many.context, one.context);
        assert_eq!(many.weights.index_axis(Axis(0), 0), one.weights);
    }

    #[test]
    fn each_head_agrees_with_the_yardstick_on_its_own_columns() {
        let [q, k, v] = inputs();
        let visible = Visible::padding(4, (3, 5));
        let all = attend(&[q.clone(), k.clone(), v.clone()], HEADS, Some(&visible)).unwrap();
        assert_eq!(all.weights.dim(), (HEADS, 3, 5));
        for head in 0..HEADS {
            let part = |x: &Array2<f64>, dim| x.slice(s![.., head * dim..(head + 1) * dim]).to_owned();
            let slow =
                slow_attention(&part(&q, 7), &part(&k, 7), &part(&v, 11), &visible, Scale::InverseSqrt);
            assert_close(all.weights.index_axis(Axis(0), head), slow.weights.view(), 1e-14);
            assert_close(part(&all.context, 11).view(), slow.context.view(), 1e-14);
        }
    }

    #[test]
    fn a_head_is_blind_to_the_columns_of_another() {
        let [mut q, k, v] = inputs();
        let kept = attend(&[q.clone(), k.clone(), v.clone()], HEADS, None).unwrap();
        q.slice_mut(s![.., ..7]).fill(f64::NAN); // the first head's
        let changed = attend(&[q, k, v], HEADS, None).unwrap();
        assert_eq!(changed.context.slice(s![.., 11..]), kept.context.slice(s![.., 11..]));
        assert!(changed.context.slice(s![.., ..11]).iter().all(|x| x.is_nan()));
    }

    #[test]
    fn every_row_of_every_head_sums_to_one() {
        let sums = attend(&inputs(), HEADS, None).unwrap().weights.sum_axis(Axis(2));
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-14), "{sums}");
    }

    #[test]
    fn the_future_and_the_padding_stay_out_of_every_head() {
        let kept = wave(5, 6, 4);
        let mut changed = kept.clone();
        changed.slice_mut(s![2.., ..]).fill(f64::INFINITY);
        let visible = Visible::causal(5).and(&Visible::padding(2, (5, 5))).unwrap();
        let [kept, changed] =
            [kept, changed].map(|x| attend(&[x.clone(), x.clone(), x], 3, Some(&visible)).unwrap().context);
        assert_eq!(kept.slice(s![..2, ..]), changed.slice(s![..2, ..]));
    }

    #[test]
    fn nothing_visible_gives_zeros() {
        let all = attend(&inputs(), HEADS, Some(&Visible::padding(0, (3, 5)))).unwrap();
        assert_eq!(all.context, Array2::<f64>::zeros((3, 22)));
        assert_eq!(all.weights, Array3::<f64>::zeros((HEADS, 3, 5)));
    }

    #[test]
    fn an_empty_sequence_stays_empty() {
        let empty = || Array2::zeros((0, 6));
        let all = attend(&[empty(), empty(), empty()], 3, None).unwrap();
        assert_eq!((all.context.dim(), all.weights.dim()), ((0, 6), (3, 0, 0)));
    }

    #[test]
    fn heads_that_cannot_share_are_refused() {
        let [q, k, v] = inputs();
        assert_eq!(attend(&inputs(), 0, None), Err(AttentionError::NoHeads));
        let refused = |argument, width, heads| Err(AttentionError::Heads { argument, width, heads });
        assert_eq!(attend(&inputs(), 3, None), refused("q", 14, 3));
        assert_eq!(attend(&inputs(), 7, None), refused("v", 22, 7));
        let no_width = [Array2::zeros((3, 0)), Array2::zeros((5, 0)), v];
        assert_eq!(attend(&no_width, usize::MAX, None), refused("q", 0, usize::MAX));
        let misfit = AttentionError::Shape { argument: "k", expected: [5, 14], got: [5, 22] };
        assert_eq!(attend(&[q, inputs()[2].clone(), k], HEADS, None), Err(misfit));
    }
}
