//! Settings of attention.

use std::num::NonZero;

use crate::kernels::Precision;

/// Who sees whom in [`attention`](super::attention), and how it is computed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttentionConfig {
    /// Whether a query sees only its own position and what came before. The last query stands where the
    /// last key stands, so a single query after many keys sees them all.
    pub causal: bool,
    /// How many positions a query sees to each side of its own; `None` for all. Zero leaves it itself.
    pub window: Option<usize>,
    /// What scores are multiplied by, above zero; `None` for `1 / √head_dim`.
    pub scale: Option<f64>,
    /// What products multiply on the CPU.
    pub precision: Precision,
    /// How many threads may work on one call; zero for as many as there are processors. They change no byte
    /// of the result. Where every processor has a worker of its own already, one is best.
    pub threads: usize,
}

impl AttentionConfig {
    /// Whether a query may see a key.
    pub(super) fn is_visible(&self, query: usize, key: usize, [queries, keys]: [usize; 2]) -> bool {
        let (query, key) = (query + keys, key + queries); // both counted from the same place
        (!self.causal || key <= query) && self.window.is_none_or(|window| query.abs_diff(key) <= window)
    }

    pub(super) fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, NonZero::get);
        if self.threads == 0 { all() } else { self.threads }
    }
}
