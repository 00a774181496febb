//! Who may see whom.
//!
//! Libraries disagree on whether `true` hides or shows, so the name says it: [`Visible`]. In come
//! lengths, out comes one `bool` for each pair of query and key. Read next: `dot_product.rs`, which
//! looks only where it may.

use ndarray::{Array2, ArrayView2};

use super::error::{AttentionError, expect_shape};

/// May this query see this key? `true` means yes.
///
/// The constructors cover the usual cases, [`and`](Self::and) joins two, and any other pattern comes
/// in as a matrix through `Visible::from`.
///
/// # Shapes
///
/// - `[query, key]`
///
/// # Example
///
/// Three words and one place of padding, read from left to right:
///
/// ```
/// use ndarray::array;
/// use talkformer::attention::Visible;
///
/// let visible = Visible::causal(4).and(&Visible::padding(3, (4, 4)))?;
/// let expected = Visible::from(array![
///     [true, false, false, false],
///     [true, true, false, false],
///     [true, true, true, false],
///     [true, true, true, false], // the padding still asks, but nobody sees it
/// ]);
/// assert_eq!(visible, expected);
/// # Ok::<(), talkformer::attention::AttentionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible(Array2<bool>);

impl Visible {
    /// Every query sees every key; `shape` is `(query, key)`.
    ///
    /// ```
    /// use talkformer::attention::Visible;
    ///
    /// assert!(Visible::everything((2, 3)).sees(0, 2));
    /// ```
    #[must_use]
    pub fn everything(shape: (usize, usize)) -> Self {
        Self(Array2::from_elem(shape, true))
    }

    /// Each position sees itself and what came before it, so a reader cannot peek ahead.
    ///
    /// ```
    /// use talkformer::attention::Visible;
    ///
    /// let visible = Visible::causal(3);
    /// assert!(visible.sees(2, 0) && visible.sees(2, 2) && !visible.sees(0, 2));
    /// ```
    #[must_use]
    pub fn causal(seq: usize) -> Self {
        Self(Array2::from_shape_fn((seq, seq), |(query, key)| key <= query))
    }

    /// The first `length` keys are words and seen by all; the rest is padding and seen by none.
    ///
    /// `shape` is `(query, key)`. A `length` beyond the last key hides nothing.
    ///
    /// ```
    /// use talkformer::attention::Visible;
    ///
    /// let visible = Visible::padding(2, (3, 3));
    /// assert!(visible.sees(0, 1) && !visible.sees(0, 2));
    /// ```
    #[must_use]
    pub fn padding(length: usize, shape: (usize, usize)) -> Self {
        Self(Array2::from_shape_fn(shape, |(_, key)| key < length))
    }

    /// What is visible in both.
    ///
    /// # Errors
    ///
    /// [`AttentionError::Shape`] if the two differ in shape.
    ///
    /// # Example
    ///
    /// ```
    /// use talkformer::attention::Visible;
    ///
    /// let visible = Visible::causal(3).and(&Visible::padding(1, (3, 3)))?;
    /// assert!(visible.sees(1, 0) && !visible.sees(1, 1));
    /// # Ok::<(), talkformer::attention::AttentionError>(())
    /// ```
    pub fn and(&self, other: &Self) -> Result<Self, AttentionError> {
        expect_shape("other", self.0.dim(), other.0.dim())?;
        Ok(Self(&self.0 & &other.0))
    }

    /// May `query` see `key`? Nothing is visible outside the matrix.
    ///
    /// ```
    /// use talkformer::attention::Visible;
    ///
    /// assert!(!Visible::everything((2, 3)).sees(2, 0));
    /// ```
    #[must_use]
    pub fn sees(&self, query: usize, key: usize) -> bool {
        self.0.get((query, key)).copied().unwrap_or(false)
    }

    /// The whole matrix: `[query, key]`.
    ///
    /// ```
    /// use talkformer::attention::Visible;
    ///
    /// assert_eq!(Visible::everything((2, 3)).view().dim(), (2, 3));
    /// ```
    #[must_use]
    pub fn view(&self) -> ArrayView2<'_, bool> {
        self.0.view()
    }
}

/// Takes a matrix whose `true` means "may see".
impl From<Array2<bool>> for Visible {
    fn from(visible: Array2<bool>) -> Self {
        Self(visible)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn causal_is_the_lower_triangle() {
        let expected = array![[true, false, false], [true, true, false], [true, true, true]];
        assert_eq!(Visible::causal(3).view(), expected);
    }

    #[test]
    fn padding_hides_columns_and_not_rows() {
        assert_eq!(Visible::padding(1, (2, 3)).view(), array![[true, false, false], [true, false, false]]);
        assert_eq!(Visible::padding(0, (1, 2)).view(), array![[false, false]]);
        assert_eq!(Visible::padding(9, (2, 3)), Visible::everything((2, 3)));
    }

    #[test]
    fn and_keeps_what_both_allow() {
        let visible = Visible::causal(3).and(&Visible::padding(2, (3, 3))).unwrap();
        assert_eq!(visible.view(), array![[true, false, false], [true, true, false], [true, true, false]]);
        assert_eq!(visible.and(&Visible::everything((3, 3))), Ok(visible));
    }

    #[test]
    fn masks_of_two_shapes_do_not_join() {
        let error = Visible::causal(3).and(&Visible::everything((3, 2))).unwrap_err();
        assert_eq!(error, AttentionError::Shape { argument: "other", expected: [3, 3], got: [3, 2] });
    }

    #[test]
    fn no_words_is_a_mask_too() {
        assert_eq!(Visible::causal(0).view().dim(), (0, 0));
        assert!(!Visible::causal(0).sees(0, 0));
    }
}
