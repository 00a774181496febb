//! Settings of attention.

use std::num::NonZero;

use crate::kernels::Precision;

/// Which keys a query sees in [`attention`](super::attention), and how it is computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttentionConfig {
    /// Whether a query sees only its own position and what came before. The last query is at the position of the
    /// last key, so a single query after many keys sees them all.
    pub causal: bool,
    /// How many positions a query sees to each side of its own; `None` for all. With zero it sees only its own.
    pub window: Option<usize>,
    /// What scores are multiplied by, above zero; `None` for `1 / √head_dim`.
    pub scale: Option<f64>,
    /// The number format of products on the CPU.
    pub precision: Precision,
    /// How many threads may work on one call; zero for as many as there are processors. The result is the same, byte
    /// for byte. Where every processor already has a worker of its own, one is best.
    pub threads: usize,
}

impl AttentionConfig {
    /// Whether a query may see a key.
    pub(super) fn is_visible(&self, query: usize, key: usize, [queries, keys]: [usize; 2]) -> bool {
        let (query, key) = (query + keys, key + queries); // both counted from the same place
        (!self.causal || key <= query) && self.window.is_none_or(|window| query.abs_diff(key) <= window)
    }

    /// How many threads may work on it, zero replaced.
    pub(crate) fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, NonZero::get);
        if self.threads == 0 { all() } else { self.threads }
    }
}
