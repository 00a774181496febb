//! Dense features: what an encoder says of a message.

/// Dense features of one message, all rows equally wide and as long as one, or zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DenseFeatures {
    /// Width of a row.
    pub dim: usize,
    /// `[token, dim]`
    pub tokens: Vec<f32>,
    /// That of the message: `[dim]`.
    pub message: Vec<f32>,
}

impl DenseFeatures {
    /// The length to which rows are scaled in the network, beside sparse ones.
    const LENGTH: f32 = 3.0;

    /// The numbers that the network reads, tokens first: `[token + 1, dim]`.
    pub(crate) fn rows(&self) -> impl Iterator<Item = f32> + '_ {
        self.tokens.iter().chain(&self.message).map(|x| x * Self::LENGTH)
    }
}
