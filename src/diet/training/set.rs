//! The examples that a network learns from.

use crate::diet::{Example, Widths};
use crate::features::{Known, UnitRanges};

/// The examples of a training, in the order in which they are used.
#[derive(Clone, Debug, Default)]
pub struct TrainingSet {
    /// All of them.
    pub examples: Vec<Example>,
    /// How many at the beginning are names of intents instead of messages.
    pub names: usize,
    /// How many at the end are held out for calibration: the network does not learn from them.
    pub calibration: usize,
    /// Columns that are scaled together.
    pub unit_ranges: UnitRanges,
    /// Whether tables have rows for columns that no example has as well, which an earlier model may have learnt.
    pub whole_tables: bool,
}

impl TrainingSet {
    /// Examples that are all learnt from.
    #[must_use]
    pub fn all(examples: Vec<Example>) -> Self {
        Self { examples, ..Self::default() }
    }

    /// How many the network learns from.
    pub(super) fn learnt(&self) -> usize {
        self.examples.len() - self.calibration
    }

    /// The columns that more than one example has: what is left of an example's features without what only it has are its
    /// leave-one-out features.
    pub(super) fn shared(&self, widths: Widths) -> Known {
        let features = self.examples.iter().map(|example| &example.features);
        Known::of(features, (widths.sequence, widths.sentence), 2)
    }

    /// The examples that have an intent.
    pub(super) fn with_intent(&self) -> Vec<&Example> {
        self.examples.iter().filter(|example| example.intent.is_some()).collect()
    }

    /// How many of the examples for calibration have an intent.
    pub(super) fn calibration_intents(&self) -> usize {
        let kept = &self.examples[self.learnt()..];
        kept.iter().filter(|example| example.intent.is_some()).count()
    }
}
