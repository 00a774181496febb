//! The loss of a batch, one sum to learn from and its parts by name to look at; shares of right answers, and scores.

use candle_core::{DType, Device, Result, Tensor};

/// A part of a whole, such as the right answers among all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratio {
    /// The part.
    pub part: f64,
    /// The whole.
    pub whole: f64,
}

impl Ratio {
    /// The share; `None` of nothing.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        (self.whole > 0.0).then(|| self.part / self.whole)
    }

    pub(super) fn add(&mut self, other: Self) {
        self.part += other.part;
        self.whole += other.whole;
    }
}

/// How a model does on the held-out examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The one number that decides which weights are best; larger is better.
    pub value: f64,
    /// What it is made of, by name.
    pub parts: Vec<(&'static str, f64)>,
}

/// The loss of some examples, and what a person wants to see of it.
#[derive(Clone, Debug)]
pub struct BatchLoss {
    /// Sum of all objectives, mean over the examples; what the gradients come from.
    pub total: Tensor,
    /// The objectives by name, each a mean over the examples.
    pub parts: Vec<(&'static str, f64)>,
    /// Shares of right answers by name.
    pub ratios: Vec<(&'static str, Ratio)>,
}

impl BatchLoss {
    /// No objective yet: a zero on `device`, which is all there is in a batch without labels.
    ///
    /// # Errors
    ///
    /// If candle cannot make a tensor on the device.
    pub fn zero(device: &Device) -> Result<Self> {
        Ok(Self { total: Tensor::zeros((), DType::F32, device)?, parts: Vec::new(), ratios: Vec::new() })
    }

    /// Adds one objective.
    ///
    /// # Errors
    ///
    /// If it is not a single number.
    pub fn add(&mut self, name: &'static str, loss: Tensor) -> Result<()> {
        let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        // The first one decides type and device.
        self.total = if self.parts.is_empty() { loss } else { (&self.total + loss)? };
        self.parts.push((name, value));
        Ok(())
    }

    /// Adds a share of right answers, which is shown and not learnt from.
    pub fn add_ratio(&mut self, name: &'static str, ratio: Ratio) {
        self.ratios.push((name, ratio));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_added_up_and_keep_their_names() -> Result<()> {
        let mut losses = BatchLoss::zero(&Device::Cpu)?;
        assert_eq!(losses.total.to_scalar::<f32>()?, 0.0);
        for (name, value) in [("one", 1.5_f32), ("two", 2.0)] {
            losses.add(name, Tensor::new(value, &Device::Cpu)?)?;
        }
        losses.add_ratio("right", Ratio { part: 1.0, whole: 2.0 });
        assert_eq!(losses.total.to_scalar::<f32>()?, 3.5);
        assert_eq!(losses.parts, [("one", 1.5), ("two", 2.0)]);
        assert_eq!(losses.ratios, [("right", Ratio { part: 1.0, whole: 2.0 })]);
        Ok(())
    }
}
