//! Weights by name.

use std::borrow::Cow;

use super::shard::AffineWeights;
use crate::bundle::{Values, Weight, Weights};
use crate::kernels::{Affine, LayerNorm, Matrix, Precision};
use crate::nn::connections;
use crate::numbers::Table;

/// Weights that do not fit their configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// A layer without its weights.
    #[error("there is no tensor `{tensor}`")]
    Missing {
        /// Its name.
        tensor: String,
    },
    /// A layer of another size.
    #[error("tensor `{tensor}` has the shape {found:?} instead of {expected:?}")]
    Shape {
        /// Its name.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it should have.
        expected: Vec<usize>,
    },
}

/// The weights whose names begin with a prefix, and the precision of their products.
#[derive(Clone, Debug)]
pub(crate) struct Source<'w> {
    weights: &'w Weights,
    pub(super) precision: Precision,
    prefix: String,
}

impl<'w> Source<'w> {
    pub(crate) fn new(weights: &'w Weights, precision: Precision) -> Self {
        Self { weights, precision, prefix: String::new() }
    }

    /// The weights of one part.
    pub(crate) fn at(&self, name: impl std::fmt::Display) -> Self {
        Self { prefix: self.name(name), ..self.clone() }
    }

    /// The same weights, for products in `f32`.
    pub(crate) fn in_f32(&self) -> Self {
        Self { precision: Precision::F32, ..self.clone() }
    }

    /// The values of a tensor of this shape.
    pub(crate) fn values(&self, name: &str, shape: &[usize]) -> Result<Cow<'w, [f32]>, WeightsError> {
        Ok(self.weight(name, shape)?.to_f32())
    }

    /// A table of this shape, in few bits.
    pub(super) fn table(&self, name: &str, rows: usize, dim: usize) -> Result<Stored<'w>, WeightsError> {
        let weight = self.weight(name, &[rows, dim])?;
        Ok(match &weight.values {
            Values::Table(table) => Stored::Codes(table),
            _ => Stored::Plain(weight.to_f32()),
        })
    }

    /// A map with bias, of which only a share `density` of the weights exists.
    pub(crate) fn affine(&self, input: usize, output: usize, density: f64) -> Result<Affine, WeightsError> {
        let MapValues { weight, bias, .. } = self.map(input, output, density)?;
        Ok(Affine::new(Matrix::new(&weight, input, output), bias, self.precision))
    }

    /// The same before it is packed.
    pub(super) fn map(
        &self,
        input: usize,
        output: usize,
        density: f64,
    ) -> Result<MapValues<'w>, WeightsError> {
        let bias = self.values("bias", &[output])?.into_owned();
        Ok(MapValues { bias, ..self.map_without_bias(input, output, density)? })
    }

    pub(super) fn map_without_bias(
        &self,
        input: usize,
        output: usize,
        density: f64,
    ) -> Result<MapValues<'w>, WeightsError> {
        let mut weight = self.values("weight", &[input, output])?;
        if density < 1.0 {
            let exists = connections(&self.prefix, density, input, output);
            let missing = weight.to_mut().iter_mut().enumerate().filter(|(at, _)| !exists(*at));
            missing.for_each(|(_, weight)| *weight = 0.0);
        }
        Ok(MapValues { weight, bias: Vec::new(), dims: (input, output) })
    }

    /// A layer norm of rows of this width.
    pub(super) fn layer_norm(&self, dim: usize, epsilon: f64) -> Result<LayerNorm, WeightsError> {
        let vector = |name| Ok(self.values(name, &[dim])?.into_owned());
        Ok(LayerNorm { weight: vector("weight")?, bias: vector("bias")?, epsilon: epsilon as f32 })
    }

    fn name(&self, name: impl std::fmt::Display) -> String {
        if self.prefix.is_empty() { name.to_string() } else { format!("{}.{name}", self.prefix) }
    }

    fn weight(&self, name: &str, shape: &[usize]) -> Result<&'w Weight, WeightsError> {
        let tensor = self.name(name);
        match self.weights.get(&tensor) {
            None => Err(WeightsError::Missing { tensor }),
            Some(weight) if weight.shape != shape => {
                Err(WeightsError::Shape { tensor, found: weight.shape.clone(), expected: shape.to_vec() })
            }
            Some(weight) => Ok(weight),
        }
    }
}

/// The numbers of a map.
pub(super) struct MapValues<'w> {
    weight: Cow<'w, [f32]>,
    bias: Vec<f32>,
    dims: (usize, usize),
}

impl MapValues<'_> {
    pub(super) fn weights(&self) -> AffineWeights<'_> {
        AffineWeights { weight: Matrix::new(&self.weight, self.dims.0, self.dims.1), bias: &self.bias }
    }
}

/// A table as it is stored.
pub(super) enum Stored<'w> {
    Codes(&'w Table),
    Plain(Cow<'w, [f32]>),
}
