//! The position-wise network.

use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;

use super::fused::{FeedForwardParameters, Parameter, WeightAndBias};
use super::{Activation, Dropout, Linear, Pass, TransformerConfig, activate};

/// `f(x·W₁ + b₁)·W₂ + b₂`, each row on its own, where `f` is the [`Activation`], usually GELU
/// ([Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), section 3.3, with `ReLU`).
///
/// # Shapes
///
/// - input and output: `[row, model_dim]`
#[derive(Clone, Debug)]
pub struct FeedForward {
    expand: Linear,
    contract: Linear,
    activation: Activation,
    dropout: Dropout,
}

impl FeedForward {
    /// Draws or loads the weights.
    ///
    /// # Errors
    ///
    /// If the source of weights has them in another shape, or not at all.
    pub fn new(config: &TransformerConfig, vb: VarBuilder) -> Result<Self> {
        let linear = |name: &str, input, output| {
            let vb = vb.pp(name);
            Linear::new(input, output, vb.clone())?.with_density(config.connection_density, &vb)
        };
        Ok(Self {
            expand: linear("expand", config.model_dim, config.ff_dim)?,
            contract: linear("contract", config.ff_dim, config.model_dim)?,
            activation: config.activation,
            dropout: Dropout::new(config.dropout),
        })
    }

    pub(super) fn fused(&self, norm: WeightAndBias<Parameter>) -> Result<FeedForwardParameters<Parameter>> {
        Ok(FeedForwardParameters { norm, expand: self.expand.fused()?, contract: self.contract.fused()? })
    }

    /// Transforms each row.
    ///
    /// # Errors
    ///
    /// If rows are not `model_dim` wide.
    pub fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let hidden = activate(self.activation, &self.expand.forward(x)?)?; // [row, ff_dim]
        self.contract.forward(&self.dropout.forward(&hidden, pass)?) // [row, model_dim]
    }
}
