//! The border: features of messages in, packed rows out.

use crate::features::Features;
use crate::nn::Segments;
use crate::numbers::SparseRows;

/// Some messages, packed: the rows of each are its tokens and then the message as a whole.
///
/// ```text
/// packed rows:   a₀ a₁ a₂ [a]  b₀ [b]        [x] stands for the whole message x
/// tokens:        a₀ a₁ a₂ b₀                  features of tokens
/// messages:      [a] [b]                      features of messages
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    /// Features of all tokens: `[token, sequence column]`.
    pub sequence: SparseRows,
    /// Features of all messages: `[message, sentence column]`.
    pub sentence: SparseRows,
    /// Dense features of all packed rows, where there are some: `[row, dense_dim]`.
    pub dense: Vec<f32>,
    /// Which tokens belong to which message.
    pub tokens: Segments,
    /// Which packed rows belong to which message.
    pub rows: Segments,
    /// For each packed row, its place among the tokens followed by the messages: `[row]`.
    pub order: Vec<u32>,
    /// The packed row of each token: `[token]`.
    pub token_rows: Vec<u32>,
    /// The packed row of each message: `[message]`.
    pub message_rows: Vec<u32>,
}

impl Batch {
    /// Packs these messages.
    pub fn new<'a>(messages: impl IntoIterator<Item = &'a Features>) -> Self {
        let (mut sequence, mut sentence) = (SparseRows::default(), SparseRows::default());
        let (mut lengths, mut dense) = (Vec::new(), Vec::new());
        for features in messages {
            sequence.extend(&features.sequence, 0..features.sequence.len());
            sentence.extend(&features.sentence, 0..1);
            lengths.push(features.sequence.len());
            dense.extend(features.dense.iter().flat_map(|own| own.rows()));
        }
        let tokens = Segments::from_lengths(lengths.iter().copied());
        let rows = Segments::from_lengths(lengths.iter().map(|len| len + 1));
        let mut order = Vec::with_capacity(rows.rows());
        let (mut token_rows, mut message_rows) = (Vec::new(), Vec::new());
        for (message, range) in tokens.iter().enumerate() {
            token_rows.extend(range.clone().map(|token| (token + message) as u32));
            message_rows.push((range.end + message) as u32);
            order.extend(range.map(|token| token as u32));
            order.push((tokens.rows() + message) as u32);
        }
        Self { sequence, sentence, dense, tokens, rows, order, token_rows, message_rows }
    }

    /// What each packed row holds, as a number: equal rows have equal numbers.
    #[must_use]
    pub fn identities(&self) -> Vec<u64> {
        let mut identities = vec![0; self.rows.rows()];
        for (token, row) in self.token_rows.iter().enumerate() {
            identities[*row as usize] = identity(self.sequence.row(token));
        }
        identities
    }
}

fn identity(entries: impl Iterator<Item = (u32, f32)>) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    entries.for_each(|(column, value)| (column, value.to_bits()).hash(&mut hasher));
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(tokens: &[u32], message: u32) -> Features {
        let mut features = Features::default();
        tokens.iter().for_each(|column| features.sequence.push([(*column, 1.0)]));
        features.sentence.push([(message, 1.0)]);
        features
    }

    #[test]
    fn each_message_follows_its_tokens() {
        let batch = Batch::new(&[features(&[1, 2, 1], 8), features(&[], 9), features(&[5], 7)]);
        assert_eq!(batch.order, [0, 1, 2, 4, 5, 3, 6]);
        assert_eq!(batch.token_rows, [0, 1, 2, 5]);
        assert_eq!(batch.message_rows, [3, 4, 6]);
        assert_eq!((batch.tokens.rows(), batch.rows.rows()), (4, 7));
        let identities = batch.identities();
        assert!(identities[0] == identities[2] && identities[0] != identities[1]);
    }
}
