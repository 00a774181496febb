//! Dot-product attention: one sequence, one head.
//!
//! In come queries, keys and values, one row each per word; out come the mean each query takes of the
//! values, and the weights of that mean. Read next: `multi_head.rs`, which does this several times
//! side by side.

use ndarray::{Array2, ArrayView2, NdFloat};

use super::error::{AttentionError, expect_shape};
use super::mask::Visible;
use super::softmax::{masked_softmax, softmax};

/// What happens to a score between the dot product and the softmax.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Nothing: the `dot` score of [Luong et al., 2015](https://arxiv.org/abs/1508.04025).
    Raw,
    /// Division by `√key_dim`, as in [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), section 3.2.1.
    ///
    /// A dot product adds up `key_dim` terms, so it strays from zero like `√key_dim`. Without the
    /// division long vectors give all the weight to one key.
    #[default]
    InverseSqrt,
}

impl Scale {
    fn divisor<F: NdFloat>(self, key_dim: usize) -> F {
        match self {
            Self::Raw => F::one(),
            // A key of no width scores zero, and should not be divided by it.
            Self::InverseSqrt => F::from(key_dim.max(1)).expect("a size is a number").sqrt(),
        }
    }
}

/// What attention hands back.
#[derive(Clone, Debug, PartialEq)]
pub struct Attention<F> {
    /// The new vector of each query: `[query, value_dim]`.
    pub context: Array2<F>,
    /// How much of each value went into it: `[query, key]`, each row summing to one.
    pub weights: Array2<F>,
}

/// Dot-product attention for one sequence and one head.
///
/// Each query takes a weighted mean of the value rows, weighted by how well it matches each key:
/// `softmax(q · kᵀ / √key_dim) · v`, equation 1 of
/// [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762). [`Scale::Raw`] leaves the division out.
///
/// # Shapes
///
/// - `q`: `[query, key_dim]`
/// - `k`: `[key, key_dim]`
/// - `v`: `[key, value_dim]`
/// - `visible`: `[query, key]`; `None` shows everything
/// - returns: `context` `[query, value_dim]`, `weights` `[query, key]`
///
/// A query that may see nothing receives zeros. What a query may not see cannot touch it, NaN and
/// infinity included. A NaN it does see makes its row NaN, and so can a dot product that overflows
/// both ways.
///
/// # Errors
///
/// [`AttentionError::Shape`] names the argument whose shape does not fit.
///
/// # Example
///
/// ```
/// use ndarray::array;
/// use talkformer::attention::{Scale, dot_product_attention};
///
/// let q = array![[1.0, 0.0]]; // [query, key_dim]
/// let k = array![[3.0_f64.ln(), 0.0], [0.0, 1.0]]; // [key, key_dim]
/// let v = array![[4.0], [8.0]]; // [key, value_dim]
/// let attention = dot_product_attention(q.view(), k.view(), v.view(), None, Scale::Raw)?;
/// assert!((attention.weights[[0, 0]] - 0.75).abs() < 1e-12); // e^ln 3 : e⁰ = 3 : 1
/// assert!((attention.context[[0, 0]] - 5.0).abs() < 1e-12); // ¾ · 4 + ¼ · 8
/// # Ok::<(), talkformer::attention::AttentionError>(())
/// ```
pub fn dot_product_attention<F: NdFloat>(
    q: ArrayView2<F>,
    k: ArrayView2<F>,
    v: ArrayView2<F>,
    visible: Option<&Visible>,
    scale: Scale,
) -> Result<Attention<F>, AttentionError> {
    expect_shape("k", (k.nrows(), q.ncols()), k.dim())?;
    expect_shape("v", (k.nrows(), v.ncols()), v.dim())?;

    let scores = score(q, k, scale); // [query, key]
    let weights = match visible {
        Some(visible) => masked_softmax(scores.view(), visible)?,
        None => softmax(scores.view()),
    }; // [query, key]
    let context = mix(weights.view(), v, visible); // [query, value_dim]
    Ok(Attention { context, weights })
}

/// Lets every word of a phrase look at the whole phrase: attention whose queries, keys and values are
/// the word vectors themselves.
///
/// `softmax(x · xᵀ / √model_dim) · x`: equation 1 of
/// [Vaswani et al., 2017](https://arxiv.org/abs/1706.03762) without its projections, so a word listens
/// most to the words that resemble it, itself among them.
///
/// # Shapes
///
/// - `vectors`: `[seq, model_dim]`
/// - returns: `context` `[seq, model_dim]`, `weights` `[seq, seq]`
///
/// A phrase of one word is left as it is, and an empty one stays empty.
///
/// # Example
///
/// ```
/// use ndarray::array;
/// use talkformer::attention::{Scale, contextualize};
///
/// let attention = contextualize(array![[2.0, 0.0], [1.0, 1.0]].view(), Scale::InverseSqrt);
/// assert!(attention.context[[1, 0]] > 1.0); // the second word moved toward the first
/// ```
#[must_use]
pub fn contextualize<F: NdFloat>(vectors: ArrayView2<F>, scale: Scale) -> Attention<F> {
    let weights = softmax(score(vectors, vectors, scale).view()); // [seq, seq]
    let context = mix(weights.view(), vectors, None); // [seq, model_dim]
    Attention { context, weights }
}

/// How well each query matches each key: `[query, key]`.
fn score<F: NdFloat>(q: ArrayView2<F>, k: ArrayView2<F>, scale: Scale) -> Array2<F> {
    q.dot(&k.t()) / scale.divisor::<F>(k.ncols())
}

/// `weights · v`, adding up only what is visible: zero times a hidden NaN would still be NaN.
fn mix<F: NdFloat>(weights: ArrayView2<F>, v: ArrayView2<F>, visible: Option<&Visible>) -> Array2<F> {
    let mut context = Array2::zeros((weights.nrows(), v.ncols())); // [query, value_dim]
    for ((query, key), &weight) in weights.indexed_iter() {
        if visible.is_none_or(|visible| visible.sees(query, key)) {
            context.row_mut(query).scaled_add(weight, &v.row(key));
        }
    }
    context
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, array, s};

    use super::super::yardstick::{assert_close, slow_attention, wave};
    use super::*;

    const QUERY: usize = 3; // all four different, no two with a common factor
    const KEY: usize = 5;
    const KEY_DIM: usize = 7;
    const VALUE_DIM: usize = 2;

    fn inputs() -> [Array2<f64>; 3] {
        [wave(QUERY, KEY_DIM, 1), wave(KEY, KEY_DIM, 2), wave(KEY, VALUE_DIM, 3)]
    }

    fn attend<F: NdFloat>([q, k, v]: &[Array2<F>; 3], visible: Option<&Visible>) -> Attention<F> {
        dot_product_attention(q.view(), k.view(), v.view(), visible, Scale::InverseSqrt).unwrap()
    }

    fn attend_to_itself(x: &Array2<f64>, visible: &Visible) -> Attention<f64> {
        attend(&[x.clone(), x.clone(), x.clone()], Some(visible))
    }

    #[test]
    fn two_tokens_by_hand() {
        // Scores: [2·ln 3, 0] / √4 = [ln 3, 0], weights [3/4, 1/4].
        let q = array![[2.0, 0.0, 0.0, 0.0]];
        let k = array![[3.0_f64.ln(), 0.0, 0.0, 0.0], [0.0, 5.0, 0.0, 0.0]];
        let attention = attend(&[q, k, array![[1.0, 0.0], [0.0, 1.0]]], None);
        assert_close(attention.weights.view(), array![[0.75, 0.25]].view(), 1e-15);
        assert_close(attention.context.view(), array![[0.75, 0.25]].view(), 1e-15);
    }

    #[test]
    fn agrees_with_the_yardstick() {
        let [q, k, v] = inputs();
        let scattered = Visible::from(Array2::from_shape_fn((QUERY, KEY), |(i, j)| (i + 2 * j) % 3 != 0));
        for scale in [Scale::Raw, Scale::InverseSqrt] {
            for visible in [Visible::everything((QUERY, KEY)), scattered.clone()] {
                let fast =
                    dot_product_attention(q.view(), k.view(), v.view(), Some(&visible), scale).unwrap();
                let slow = slow_attention(&q, &k, &v, &visible, scale);
                assert_close(fast.weights.view(), slow.weights.view(), 1e-14);
                assert_close(fast.context.view(), slow.context.view(), 1e-14);
            }
        }
    }

    #[test]
    fn weights_sum_to_one() {
        let sums = attend(&inputs(), None).weights.sum_axis(Axis(1));
        assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-14), "{sums}");
    }

    #[test]
    fn no_mask_and_a_mask_of_everything_are_one() {
        assert_eq!(attend(&inputs(), None), attend(&inputs(), Some(&Visible::everything((QUERY, KEY)))));
    }

    #[test]
    fn order_of_keys_is_irrelevant() {
        let [q, k, v] = inputs();
        let order = [3, 0, 4, 1, 2];
        let moved = attend(&[q.clone(), k.select(Axis(0), &order), v.select(Axis(0), &order)], None);
        let kept = attend(&[q, k, v], None);
        assert_close(moved.context.view(), kept.context.view(), 1e-15);
        assert_close(moved.weights.view(), kept.weights.select(Axis(1), &order).view(), 1e-15);
    }

    #[test]
    fn a_causal_row_ignores_the_future() {
        let kept = wave(5, 7, 4);
        let mut changed = kept.clone();
        changed.slice_mut(s![3.., ..]).fill(f64::NAN);
        let [kept, changed] = [kept, changed].map(|x| attend_to_itself(&x, &Visible::causal(5)).context);
        assert_eq!(kept.slice(s![..3, ..]), changed.slice(s![..3, ..]));
        assert!(changed.slice(s![3.., ..]).iter().all(|x| x.is_nan()));
    }

    #[test]
    fn padding_never_changes_other_positions() {
        let words = wave(3, 7, 5);
        let alone = attend_to_itself(&words, &Visible::everything((3, 3))).context;
        for filler in [0.0, 1e300, f64::INFINITY, f64::NAN] {
            let mut padded = Array2::from_elem((5, 7), filler);
            padded.slice_mut(s![..3, ..]).assign(&words);
            let padded = attend_to_itself(&padded, &Visible::padding(3, (5, 5)));
            assert_close(padded.context.slice(s![..3, ..]), alone.view(), 1e-15);
        }
    }

    #[test]
    fn a_query_that_sees_nothing_gets_zeros() {
        let attention = attend(&inputs(), Some(&Visible::padding(0, (QUERY, KEY))));
        assert_eq!(attention.context, Array2::<f64>::zeros((QUERY, VALUE_DIM)));
        assert_eq!(attention.weights, Array2::<f64>::zeros((QUERY, KEY)));
    }

    #[test]
    fn huge_vectors_survive() {
        let x = array![[f32::MAX, 0.0], [0.0, f32::MAX]]; // scores overflow to infinity
        assert_eq!(contextualize(x.view(), Scale::InverseSqrt).context, x);
    }

    #[test]
    fn nan_spoils_only_the_rows_that_see_it() {
        let [q, k, mut v] = inputs();
        v[[KEY - 1, 0]] = f64::NAN;
        let context = attend(&[q, k, v], None).context;
        assert!(context.column(0).iter().all(|x| x.is_nan()));
        assert!(context.column(1).iter().all(|x| x.is_finite()));
    }

    #[test]
    #[allow(clippy::cast_possible_truncation, reason = "what it loses is what is measured")]
    fn f32_stays_close_to_f64() {
        let double = attend(&inputs(), None);
        let single = attend(&inputs().map(|x| x.mapv(|x| x as f32)), None);
        // Seven terms of size one, each rounded at 6e-8, then a mean.
        assert_close(single.context.mapv(f64::from).view(), double.context.view(), 1e-6);
        assert_close(single.weights.mapv(f64::from).view(), double.weights.view(), 1e-6);
    }

    #[test]
    fn raw_is_sharper_than_scaled() {
        let x = wave(5, 7, 6);
        let top = |scale| contextualize(x.view(), scale).weights.diag().sum();
        assert!(top(Scale::Raw) > top(Scale::InverseSqrt));
        assert_eq!(Scale::default(), Scale::InverseSqrt);
    }

    #[test]
    fn contextualize_is_attention_to_oneself() {
        let x = wave(5, 7, 7);
        assert_eq!(contextualize(x.view(), Scale::default()), attend(&[x.clone(), x.clone(), x], None));
    }

    #[test]
    fn empty_axes_are_no_accident() {
        let [no_width, no_words] = [(3, 0), (0, 3)].map(Array2::<f64>::zeros);
        let even = contextualize(no_width.view(), Scale::InverseSqrt);
        assert_close(even.weights.view(), Array2::from_elem((3, 3), 1.0 / 3.0).view(), 1e-15);
        assert_eq!(contextualize(no_words.view(), Scale::InverseSqrt).context.dim(), (0, 3));
        let no_keys = attend(&[wave(2, 3, 8), no_words, Array2::zeros((0, 5))], None);
        assert_eq!(no_keys.context, Array2::<f64>::zeros((2, 5)));
    }

    #[test]
    fn any_memory_order_will_do() {
        let [q, k, v] = inputs();
        let columns_first = [&q, &k, &v].map(|x| x.t().as_standard_layout().reversed_axes().to_owned());
        let kept = attend(&[q, k, v], None);
        assert_close(attend(&columns_first, None).context.view(), kept.context.view(), 1e-15);
    }

    #[test]
    fn each_misfit_is_named() {
        let [q, k, v] = inputs();
        let complaint = |q: &Array2<f64>, k: &Array2<f64>, v: &Array2<f64>, visible: Option<&Visible>| {
            dot_product_attention(q.view(), k.view(), v.view(), visible, Scale::Raw).unwrap_err().to_string()
        };
        assert_eq!(complaint(&q, &v, &v, None), "`k` has shape [5, 2], expected [5, 7]");
        assert_eq!(complaint(&q, &k, &q, None), "`v` has shape [3, 7], expected [5, 7]");
        let other = Visible::causal(3);
        assert_eq!(complaint(&q, &k, &v, Some(&other)), "`visible` has shape [3, 3], expected [3, 5]");
    }
}
