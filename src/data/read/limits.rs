//! How much of a file to accept.

use serde_saphyr::options::NonFiniteFloatPolicy;
use serde_saphyr::{Options, budget, options};

/// Bounds on what a reader takes in before it gives up with
/// [`ReadError::TooLarge`](super::ReadError::TooLarge).
///
/// The default suits a person's own files: millions of examples load. [`Limits::strict`] suits data that
/// strangers send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest file, in bytes.
    pub bytes: usize,
    /// Most YAML values (texts, lists and maps) in one file. An example in the list form takes four.
    pub nodes: usize,
    /// Deepest nesting of YAML lists and maps.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // 4 GiB are more than 32 bits can count.
        let bytes = usize::try_from(4_u64 << 30).unwrap_or(usize::MAX);
        Self { bytes, nodes: 100_000_000, depth: 64 }
    }
}

impl Limits {
    /// Bounds for data from strangers: 16 MiB, a quarter of a million values, nested 16 deep.
    #[must_use]
    pub const fn strict() -> Self {
        Self { bytes: 16 << 20, nodes: 250_000, depth: 16 }
    }

    /// The same bounds in the words of the YAML library.
    pub(super) fn options(&self) -> Options {
        let budget = budget! {
            max_reader_input_bytes: Some(self.bytes),
            max_nodes: self.nodes,
            // Each list and map also ends, and each alias is an event of its own.
            max_events: self.nodes.saturating_mul(2).saturating_add(16),
            max_total_scalar_bytes: self.bytes,
            max_depth: self.depth,
        };
        options! {
            budget: budget,
            with_snippet: false,
            // `yes` and `no` are texts.
            strict_booleans: true,
            // `.inf` is a text like any other here.
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        }
    }
}
