//! Dense features: what an encoder says of a message.

/// Steps from zero to the largest number of a row.
const STEPS: f32 = 127.0;

/// Dense features of one message, all rows equally wide and as long as one, or zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DenseFeatures {
    /// Width of a row.
    pub dim: usize,
    /// `[token, dim]`, in a quarter of the memory, for those of all examples are held while a network learns: each number is so
    /// many 127ths of the largest of its row.
    tokens: Vec<i8>,
    /// That one of each token.
    largest: Vec<f32>,
    /// That of the message: `[dim]`.
    pub message: Vec<f32>,
}

impl DenseFeatures {
    /// Features of tokens, `[token, dim]`, and of the message they are of, `[dim]`.
    #[must_use]
    pub fn new(tokens: &[f32], message: Vec<f32>) -> Self {
        let dim = message.len();
        let (mut steps, mut largest) = (Vec::with_capacity(tokens.len()), Vec::new());
        for row in tokens.chunks_exact(dim.max(1)) {
            let most = row.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            let step = if most > 0.0 { STEPS / most } else { 0.0 };
            steps.extend(row.iter().map(|x| (x * step).round_ties_even() as i8));
            largest.push(most);
        }
        Self { dim, tokens: steps, largest, message }
    }

    /// The length to which rows are scaled in the network, beside sparse ones.
    const LENGTH: f32 = 3.0;

    /// The numbers that the network reads, tokens first: `[token + 1, dim]`.
    pub(crate) fn rows(&self) -> impl Iterator<Item = f32> + '_ {
        let rows = self.tokens.chunks_exact(self.dim.max(1)).zip(&self.largest);
        let tokens = rows.flat_map(|(row, largest)| {
            let step = largest / STEPS;
            row.iter().map(move |x| f32::from(*x) * step)
        });
        tokens.chain(self.message.iter().copied()).map(|x| x * Self::LENGTH)
    }

    /// Whether an encoder knew nothing of the message.
    pub(crate) fn are_none(&self) -> bool {
        self.rows().all(|x| x == 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_within_half_a_step_of_the_largest_of_their_row() {
        let tokens = [0.6, -0.8, 0.003, 0.0, 0.0, 0.0];
        let message = vec![0.1, 0.2, 0.3];
        let read: Vec<f32> =
            DenseFeatures::new(&tokens, message.clone()).rows().map(|x| x / DenseFeatures::LENGTH).collect();
        let largest = [0.8, 0.8, 0.8, 0.0, 0.0, 0.0];
        for ((found, wanted), largest) in read.iter().zip(tokens).zip(largest) {
            assert!((found - wanted).abs() <= largest / 254.0 + 1e-6, "{found} {wanted}");
        }
        assert!(read[6..].iter().zip(message).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(DenseFeatures::new(&[0.0; 6], vec![0.0; 3]).are_none());
    }
}
