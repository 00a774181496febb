//! The running means of an epoch.

use std::time::Instant;

use super::{BatchLoss, EpochReport, Ratio};

/// Sums of an epoch in progress.
pub(super) struct EpochSums {
    report: EpochReport,
    begun: Instant,
    loss: f64,
    parts: Vec<(&'static str, f64)>,
    ratios: Vec<(&'static str, Ratio)>,
}

impl EpochSums {
    pub(super) fn new(epoch: usize, epochs: usize) -> Self {
        let report = EpochReport { epoch, epochs, ..Default::default() };
        Self { report, begun: Instant::now(), loss: 0.0, parts: Vec::new(), ratios: Vec::new() }
    }

    /// Adds a batch of `count` examples.
    pub(super) fn add(&mut self, count: usize, loss: &BatchLoss) {
        let count_f = count as f64;
        self.report.examples += count;
        for (name, part) in &loss.parts {
            *entry(&mut self.parts, name) += part * count_f;
            self.loss += part * count_f;
        }
        for (name, ratio) in &loss.ratios {
            entry(&mut self.ratios, name).add(*ratio);
        }
    }

    /// The means so far.
    pub(super) fn report(&self) -> EpochReport {
        let count = self.report.examples.max(1) as f64;
        let share = |(name, ratio): &(&'static str, Ratio)| Some((*name, ratio.share()?));
        EpochReport {
            loss: self.loss / count,
            parts: self.parts.iter().map(|(name, part)| (*name, part / count)).collect(),
            shares: self.ratios.iter().filter_map(share).collect(),
            elapsed: self.begun.elapsed(),
            ..self.report.clone()
        }
    }
}

/// The value of a name, added if it is missing.
fn entry<'a, T: Default>(entries: &'a mut Vec<(&'static str, T)>, name: &'static str) -> &'a mut T {
    let at = entries.iter().position(|(own, _)| *own == name).unwrap_or_else(|| {
        entries.push((name, T::default()));
        entries.len() - 1
    });
    &mut entries[at].1
}
