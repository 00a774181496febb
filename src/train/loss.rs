//! The loss of a batch: one sum to learn from, and its parts by name to look at.

use candle_core::{DType, Device, Result, Tensor};

use super::Ratio;

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

/// Adds up the losses of a batch under their names.
#[derive(Debug, Default)]
pub struct Losses {
    total: Option<Tensor>,
    parts: Vec<(&'static str, f64)>,
    ratios: Vec<(&'static str, Ratio)>,
}

impl Losses {
    /// Adds one objective.
    ///
    /// # Errors
    ///
    /// If it is not a single number.
    pub fn add(&mut self, name: &'static str, loss: Tensor) -> Result<()> {
        let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        self.parts.push((name, value));
        self.total = Some(match self.total.take() {
            Some(total) => (total + loss)?,
            None => loss,
        });
        Ok(())
    }

    /// Adds a share of right answers, which is shown and not learnt from.
    pub fn add_ratio(&mut self, name: &'static str, ratio: Ratio) {
        self.ratios.push((name, ratio));
    }

    /// The sum of what was added; zero on `device` where nothing was, as in a batch of messages without labels.
    ///
    /// # Errors
    ///
    /// If candle cannot make a tensor on the device.
    pub fn finish(self, device: &Device) -> Result<BatchLoss> {
        let nothing = || Tensor::zeros((), DType::F32, device);
        let total = self.total.map_or_else(nothing, Ok)?;
        Ok(BatchLoss { total, parts: self.parts, ratios: self.ratios })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_added_up_and_keep_their_names() -> Result<()> {
        let mut losses = Losses::default();
        for (name, value) in [("one", 1.5_f32), ("two", 2.0)] {
            losses.add(name, Tensor::new(value, &Device::Cpu)?)?;
        }
        losses.add_ratio("right", Ratio { part: 1.0, whole: 2.0 });
        let found = losses.finish(&Device::Cpu)?;
        assert_eq!(found.total.to_scalar::<f32>()?, 3.5);
        assert_eq!(found.parts, [("one", 1.5), ("two", 2.0)]);
        assert_eq!(found.ratios.len(), 1);
        assert_eq!(Losses::default().finish(&Device::Cpu)?.total.to_scalar::<f32>()?, 0.0);
        Ok(())
    }
}
