//! Plain layers with GELU between them.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::{Dropout, Linear, Pass, gelu};

/// `x ← dropout(gelu(x·W + b))` for each layer; often there is none.
///
/// # Shapes
///
/// - `[row, input]` to `[row, output]`
#[derive(Clone, Debug)]
pub struct DenseLayers {
    layers: Vec<Linear>,
    sizes: Vec<usize>,
    dropout: Dropout,
}

impl DenseLayers {
    /// Draws or loads layers of these `sizes` for rows of width `input`, of which only a share `density` of the
    /// weights exists.
    ///
    /// # Errors
    ///
    /// If weights are missing or of another shape.
    pub fn new(sizes: &[usize], input: usize, density: f64, drop_rate: f64, vb: VarBuilder) -> Result<Self> {
        let inputs = [input].into_iter().chain(sizes.iter().copied());
        let layer = |(at, (input, output)): (usize, (usize, &usize))| {
            let vb = vb.pp(at);
            Linear::new(input, *output, vb.clone())?.with_density(density, &vb)
        };
        let layers = inputs.zip(sizes).enumerate().map(layer).collect::<Result<_>>()?;
        Ok(Self { layers, sizes: sizes.to_vec(), dropout: Dropout::new(drop_rate) })
    }

    /// Width of the rows that come out.
    #[must_use]
    pub fn output(&self, input: usize) -> usize {
        self.sizes.last().copied().unwrap_or(input)
    }

    /// All layers, one after the other.
    ///
    /// # Errors
    ///
    /// If rows have another width than the first layer.
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.layers
            .iter()
            .try_fold(x.clone(), |x, layer| self.dropout.forward(&gelu(&layer.forward(&x)?)?, pass))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::testing::{assert_gradients, input, seeded};

    #[test]
    fn every_parameter_has_the_right_gradient() -> Result<()> {
        let (parameters, vb) = seeded();
        let layers = DenseLayers::new(&[5, 4], 3, 0.6, 0.3, vb)?;
        let x = input((4, 3))?;
        assert_gradients(&parameters, || layers.forward(&x, &Pass::training(3)))
    }

    #[test]
    fn without_layers_rows_stay_as_they_are() -> Result<()> {
        let (_, vb) = seeded();
        let layers = DenseLayers::new(&[], 3, 1.0, 0.5, vb)?;
        let x = input((4, 3))?;
        assert_eq!(layers.output(3), 3);
        assert_eq!(layers.forward(&x, &Pass::training(3))?.to_vec2::<f64>()?, x.to_vec2::<f64>()?);
        Ok(())
    }
}
