//! What can be wrong with a request for attention: sizes, and nothing else.

/// Why attention could not be computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttentionError {
    /// An argument does not fit the ones before it.
    #[error("`{argument}` has shape {got:?}, expected {expected:?}")]
    Shape {
        /// The name of the argument.
        argument: &'static str,
        /// The shape that would have fitted.
        expected: [usize; 2],
        /// The shape that came.
        got: [usize; 2],
    },
    /// The columns of an argument cannot be dealt out evenly, at least one to each head.
    #[error("`{argument}` has width {width}, which {heads} heads cannot share: use a multiple of {heads}")]
    Heads {
        /// The name of the argument.
        argument: &'static str,
        /// Its width.
        width: usize,
        /// The heads that were to share it.
        heads: usize,
    },
    /// Zero heads were asked for.
    #[error("attention needs at least one head")]
    NoHeads,
}

/// Passes if `argument` has the `expected` shape.
pub(super) fn expect_shape(
    argument: &'static str,
    expected: (usize, usize),
    got: (usize, usize),
) -> Result<(), AttentionError> {
    if got == expected {
        return Ok(());
    }
    Err(AttentionError::Shape { argument, expected: expected.into(), got: got.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_argument_and_both_shapes() {
        let error = expect_shape("k", (5, 3), (5, 2)).unwrap_err();
        assert_eq!(error.to_string(), "`k` has shape [5, 2], expected [5, 3]");
        assert_eq!(expect_shape("k", (5, 3), (5, 3)), Ok(()));
    }
}
