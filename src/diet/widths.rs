//! How wide the features of a message are.

/// Number of columns of the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Widths {
    /// Per token.
    pub sequence: usize,
    /// Per message.
    pub sentence: usize,
    /// Dense ones, per token and per message.
    pub dense: usize,
}

impl Widths {
    /// What the linear path reads of a message: its sparse columns, then its dense ones.
    pub(super) fn joined(self) -> usize {
        self.sentence + self.dense
    }
}
