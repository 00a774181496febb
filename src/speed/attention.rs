//! Attention over sequences of one length, forward and backward, alone and with its projections.

use candle_core::{DType, Device, Result, Tensor, Var};

use crate::kernels::flash::{Flash, Inputs, Outputs};
use crate::kernels::{Instructions, Precision};
use crate::nn::{AttentionConfig, Parameters, Pass, Segments, SelfAttention, TransformerConfig, attention};

/// The learnable block: queries, keys and values projected from `[batch · seq, heads · head_dim]`, attention
/// inside each sequence, and the output projection.
#[derive(Debug)]
pub struct AttentionBlock {
    block: SelfAttention,
    x: Var,
    segments: Segments,
    /// `[batch, heads, seq, head_dim]`
    size: [usize; 4],
}

impl AttentionBlock {
    /// A block with random weights and an input, in `f32`.
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

    /// Forward and backward: the gradients of input and weights.
    ///
    /// # Errors
    ///
    /// If candle cannot compute it.
    pub fn forward_and_backward(&self) -> Result<()> {
        self.forward()?.sum_all()?.backward().map(drop)
    }

    /// Floating-point operations of one run: two products of attention and four projections, and twice as many
    /// in the backward pass. (What kernels compute again in the backward pass does not count.)
    #[must_use]
    pub fn operations(&self, backward: bool) -> f64 {
        let [batch, heads, seq, head_dim] = self.size.map(|size| size as f64);
        let projections = 8.0 * batch * seq * (heads * head_dim).powi(2);
        operations(self.size, backward) + projections * if backward { 3.0 } else { 1.0 }
    }
}

/// Attention alone, from queries, keys and values to context: `[batch, heads, seq, head_dim]` each.
#[derive(Debug)]
pub struct Attention {
    /// Queries, keys, values.
    inputs: [Var; 3],
    /// The gradient of the output.
    grad: Tensor,
    /// The same, and the gradient of the output.
    numbers: [Vec<f32>; 4],
    config: AttentionConfig,
    size: [usize; 4],
}

impl Attention {
    /// Made-up inputs.
    ///
    /// # Errors
    ///
    /// If candle cannot make them.
    pub fn new(size: [usize; 4], precision: Precision, threads: usize) -> Result<Self> {
        let numbers = [31, 37, 41, 43].map(|step| {
            let numbers = (0..size.iter().product()).map(|i: usize| ((i * step) % 17) as f32 / 17.0 - 0.5);
            numbers.collect::<Vec<f32>>()
        });
        let tensor = |at: usize| Tensor::from_slice(&numbers[at], size.to_vec(), &Device::Cpu);
        let input = |at| Var::from_tensor(&tensor(at)?);
        Ok(Self {
            inputs: [input(0)?, input(1)?, input(2)?],
            grad: tensor(3)?,
            numbers,
            config: AttentionConfig { precision, threads, ..Default::default() },
            size,
        })
    }

    /// The same inputs on a device.
    ///
    /// # Errors
    ///
    /// If candle cannot copy them.
    pub fn on(self, device: &Device) -> Result<Self> {
        let [q, k, v] = &self.inputs;
        let there = |x: &Var| Var::from_tensor(&x.to_device(device)?);
        let grad = self.grad.to_device(device)?;
        Ok(Self { inputs: [there(q)?, there(k)?, there(v)?], grad, ..self })
    }

    /// Waits until everything that was started is done.
    ///
    /// # Errors
    ///
    /// If the device has failed.
    pub fn finish(&self) -> Result<()> {
        self.inputs[0].device().synchronize()
    }

    /// The context.
    ///
    /// # Errors
    ///
    /// If candle cannot compute it.
    pub fn forward(&self) -> Result<Tensor> {
        let [q, k, v] = &self.inputs;
        attention(q, k, v, None, &self.config)
    }

    /// Forward and backward: the gradients of queries, keys and values, given that of the output.
    ///
    /// On the processor by the kernels alone: candle's graph, which adds each gradient to zeros, would take longer than
    /// short sequences do.
    ///
    /// # Errors
    ///
    /// If candle cannot compute it.
    pub fn forward_and_backward(&self) -> Result<()> {
        if self.grad.device().is_cpu() {
            std::hint::black_box(self.by_kernels());
            return Ok(());
        }
        (self.forward()? * &self.grad)?.sum_all()?.backward().map(drop)
    }

    /// The gradients of queries, keys and values.
    fn by_kernels(&self) -> [Vec<f32>; 3] {
        let [queries, keys, values, grads] = &self.numbers;
        let inputs = Inputs { queries, keys, values };
        let [batch, heads, seq, head_dim] = self.size;
        let flash = Flash {
            batch,
            heads,
            queries: seq,
            keys: seq,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            causal: false,
            window: None,
            visible: None,
            precision: self.config.precision,
            threads: self.config.threads(),
            instructions: Instructions::best(),
        };
        let (out, log_sums) = flash.forward(inputs);
        flash.backward(inputs, Outputs { out: &out, log_sums: &log_sums, grads })
    }

    /// Floating-point operations of one run: two products forward, and four backward.
    #[must_use]
    pub fn operations(&self, backward: bool) -> f64 {
        operations(self.size, backward)
    }
}

fn operations(size: [usize; 4], backward: bool) -> f64 {
    let [batch, heads, seq, head_dim] = size.map(|size| size as f64);
    4.0 * batch * heads * seq * seq * head_dim * if backward { 3.0 } else { 1.0 }
}
