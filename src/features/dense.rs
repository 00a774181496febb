//! Dense features: what an encoder says of a message.

use half::bf16;

/// Dense features of one message, all rows equally wide and as long as one, or zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DenseFeatures {
    /// Width of a row.
    pub dim: usize,
    /// `[token, dim]`, in half the memory: those of all examples are held while a network learns.
    tokens: Vec<bf16>,
    /// That of the message: `[dim]`.
    pub message: Vec<f32>,
}

impl DenseFeatures {
    /// Features of tokens, `[token, dim]`, and of the message they are of, `[dim]`.
    #[must_use]
    pub fn new(tokens: &[f32], message: Vec<f32>) -> Self {
        let tokens = tokens.iter().copied().map(bf16::from_f32).collect();
        Self { dim: message.len(), tokens, message }
    }

    /// The length to which rows are scaled in the network, beside sparse ones.
    const LENGTH: f32 = 3.0;

    /// The numbers that the network reads, tokens first: `[token + 1, dim]`.
    pub(crate) fn rows(&self) -> impl Iterator<Item = f32> + '_ {
        let tokens = self.tokens.iter().map(|x| x.to_f32());
        tokens.chain(self.message.iter().copied()).map(|x| x * Self::LENGTH)
    }

    /// Whether an encoder knew nothing of the message.
    pub(crate) fn are_none(&self) -> bool {
        self.rows().all(|x| x == 0.0)
    }
}
