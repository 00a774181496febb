//! Self-attention over sequences of one length, forward and backward.

use candle_core::{DType, Device, Result, Tensor, Var};

use crate::nn::{Parameters, Pass, Segments, SelfAttention, TransformerConfig};

/// The learnable block: queries, keys and values projected from `[batch · seq, heads · head_dim]`, attention
/// inside each sequence, and the output projection.
#[derive(Debug)]
pub struct Attention {
    block: SelfAttention,
    x: Var,
    segments: Segments,
    /// `[batch, heads, seq, head_dim]`
    size: [usize; 4],
}

impl Attention {
    /// A block with drawn weights and an input, in `f32`.
    ///
    /// # Errors
    ///
    /// If a size is zero.
    pub fn new(batch: usize, heads: usize, seq: usize, head_dim: usize) -> Result<Self> {
        let model_dim = heads * head_dim;
        let config = TransformerConfig { model_dim, heads, connection_density: 1.0, ..Default::default() };
        let block = SelfAttention::new(&config, Parameters::new(1).builder(DType::F32, &Device::Cpu))?;
        let numbers = (0..batch * seq * model_dim).map(|i| ((i * 31) % 17) as f32 / 17.0 - 0.5);
        let x = Tensor::from_iter(numbers, &Device::Cpu)?.reshape((batch * seq, model_dim))?;
        let segments = Segments::from_lengths(vec![seq; batch]);
        Ok(Self { block, x: Var::from_tensor(&x)?, segments, size: [batch, heads, seq, head_dim] })
    }

    /// From rows to rows, on one thread.
    ///
    /// # Errors
    ///
    /// If candle cannot compute it.
    pub fn forward(&self) -> Result<Tensor> {
        self.block.forward(self.x.as_tensor(), &self.segments, &Pass::inference())
    }

    /// There and back again: the gradients of input and weights.
    ///
    /// # Errors
    ///
    /// If candle cannot compute it.
    pub fn forward_and_backward(&self) -> Result<()> {
        self.forward()?.sum_all()?.backward().map(drop)
    }

    /// Floating-point operations of one run: two products of attention and four projections, and twice as many
    /// again on the way back. (Kernels that compute scores again on the way back do more; it does not count.)
    #[must_use]
    pub fn operations(&self, backward: bool) -> f64 {
        let [batch, heads, seq, head_dim] = self.size.map(|size| size as f64);
        let attention = 4.0 * batch * heads * seq * seq * head_dim;
        let projections = 8.0 * batch * seq * (heads * head_dim).powi(2);
        (attention + projections) * if backward { 3.0 } else { 1.0 }
    }
}
