//! The seeds of the dropouts of a transformer.

use super::super::Pass;

/// One seed for each dropout.
pub(super) struct Seeds {
    pub(super) embedding: u64,
    pub(super) layers: Vec<LayerSeeds>,
}

/// One seed for each dropout of a layer.
pub(super) struct LayerSeeds {
    pub(super) attention_scores: u64,
    pub(super) attention_output: u64,
    pub(super) feed_forward_hidden: u64,
    pub(super) feed_forward_output: u64,
}

impl Seeds {
    /// Draws in the order in which the blocks would.
    pub(super) fn draw(pass: &Pass, layers: usize) -> Self {
        let next = || pass.next_seed().unwrap_or(0);
        let embedding = next();
        let layer = |_| LayerSeeds {
            attention_scores: next(),
            attention_output: next(),
            feed_forward_hidden: next(),
            feed_forward_output: next(),
        };
        Self { embedding, layers: (0..layers).map(layer).collect() }
    }
}
