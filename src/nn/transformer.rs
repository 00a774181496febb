//! A stack of transformer layers over packed sequences.

use candle_core::{Result, Tensor, bail};
use candle_nn::VarBuilder;

use super::fused::{FusedTransformer, Stack};
use super::op::{apply, has_kernels};
use super::{
    Dropout, LayerNorm, Linear, Pass, Segments, SinusoidalPositions, TransformerConfig, TransformerLayer,
};

/// A transformer encoder: input map, positions, layers, and a last layer norm.
///
/// ```text
/// x ← dropout((x·W + b)·√model_dim + positions)
/// x ← layer(x)          for each layer
/// x ← norm(x)
/// ```
///
/// # Shapes
///
/// - input: `[row, input_dim]`, packed as its [`Segments`] say
/// - output: `[row, model_dim]`
///
/// # Example
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use talkformer::nn::{Parameters, Pass, Segments, Transformer, TransformerConfig};
///
/// let config = TransformerConfig { model_dim: 16, heads: 2, ff_dim: 64, ..Default::default() };
/// let transformer = Transformer::new(5, &config, Parameters::new(1).builder(DType::F32, &Device::Cpu))?;
/// let two_texts = Tensor::ones((7, 5), DType::F32, &Device::Cpu)?;
/// let y = transformer.forward(&two_texts, &Segments::from_lengths([4, 3]), &Pass::inference())?;
/// assert_eq!(y.dims(), [7, 16]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Transformer {
    input: Linear,
    positions: SinusoidalPositions,
    dropout: Dropout,
    layers: Vec<TransformerLayer>,
    norm: LayerNorm,
    config: TransformerConfig,
}

impl Transformer {
    /// Draws or loads the weights.
    ///
    /// # Errors
    ///
    /// As [`SelfAttention::new`](super::SelfAttention::new).
    pub fn new(input_dim: usize, config: &TransformerConfig, vb: VarBuilder) -> Result<Self> {
        let layer = |i| TransformerLayer::new(config, vb.pp("layers").pp(i));
        let input = Linear::new(input_dim, config.model_dim, vb.pp("input"))?;
        Ok(Self {
            input: input.with_density(config.connection_density, &vb.pp("input"))?,
            positions: SinusoidalPositions::new(config.model_dim),
            dropout: Dropout::new(config.dropout),
            layers: (0..config.layers).map(layer).collect::<Result<_>>()?,
            norm: LayerNorm::new(config.model_dim, config.norm_epsilon, vb.pp("norm"))?,
            config: config.clone(),
        })
    }

    /// Encodes the rows of each sequence.
    ///
    /// # Errors
    ///
    /// If `x` has other rows than `segments`, or rows of another width.
    pub fn forward(&self, x: &Tensor, segments: &Segments, pass: &Pass) -> Result<Tensor> {
        if pass.sink().is_some() && has_kernels(x) && self.config.has_fused_form() {
            return self.forward_fused(x, segments, pass);
        }
        let mut x = self.dropout.forward(&self.embed(x, segments)?, pass)?; // [row, model_dim]
        for layer in &self.layers {
            x = layer.forward(&x, segments, pass)?;
        }
        self.norm.forward(&x)
    }

    /// The same as one operation, which hands the gradients of its parameters to the sink of the pass.
    fn forward_fused(&self, x: &Tensor, segments: &Segments, pass: &Pass) -> Result<Tensor> {
        let weight = self.input.weight(); // [input_dim, model_dim]
        if x.dims2()? != (segments.rows(), weight.dim(0)?) {
            let (found, rows, map) = (x.shape(), segments.rows(), weight.shape());
            bail!("{found:?} does not fit {rows} rows of a map of {map:?}");
        }
        let parameters = Stack {
            input: self.input.fused()?,
            layers: self.layers.iter().map(TransformerLayer::fused).collect::<Result<_>>()?,
            norm: self.norm.fused(),
        };
        let transformer = FusedTransformer::new(&self.config, &self.positions, parameters, segments, pass)?;
        // The weight is an input so that the operation stands in the graph also where `x` learns nothing.
        apply(transformer, &[x, weight])
    }

    /// The attention weights of each layer and sequence: `[heads, query, key]` each.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn attention_weights(&self, x: &Tensor, segments: &Segments) -> Result<Vec<Vec<Tensor>>> {
        let pass = Pass::inference();
        let mut x = self.embed(x, segments)?;
        let mut all = Vec::with_capacity(self.layers.len());
        for layer in &self.layers {
            all.push(layer.attention_weights(&x, segments)?);
            x = layer.forward(&x, segments, &pass)?;
        }
        Ok(all)
    }

    fn embed(&self, x: &Tensor, segments: &Segments) -> Result<Tensor> {
        let scaled = (self.input.forward(x)? * (self.config.model_dim as f64).sqrt())?;
        self.positions.add(&scaled, segments)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use candle_nn::Init;

    use super::super::testing::{assert_close, assert_gradients, input, seeded, shake};
    use super::super::{GradientSink, Parameters, Precision};
    use super::*;

    fn config() -> TransformerConfig {
        TransformerConfig { model_dim: 6, heads: 2, ff_dim: 7, relative_keys: true, ..Default::default() }
    }

    #[test]
    fn every_parameter_has_the_right_gradient() -> Result<()> {
        let (parameters, vb) = seeded();
        let transformer = Transformer::new(5, &config(), vb.pp("transformer"))?;
        let x = vb.get_with_hints((4, 5), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
        assert_gradients(&parameters, || {
            transformer.forward(&x, &Segments::from_lengths([3, 1]), &Pass::inference())
        })
    }

    /// Everything at once, layers without relative tables, and no layers.
    fn configs() -> [TransformerConfig; 4] {
        let all = TransformerConfig {
            dropout: 0.3,
            attention_dropout: 0.2,
            connection_density: 0.6,
            relative_values: true,
            causal: true,
            ..config()
        };
        [
            TransformerConfig { dropout: 0.6, attention_dropout: 0.7, ..all.clone() },
            all,
            TransformerConfig { relative_keys: false, ..config() },
            TransformerConfig { layers: 0, ..config() },
        ]
    }

    #[test]
    fn as_one_operation_it_computes_the_same_and_has_the_same_gradients() -> Result<()> {
        for config in configs() {
            let (parameters, vb) = seeded();
            let transformer = Transformer::new(5, &config, vb.pp("transformer"))?;
            let x = vb.get_with_hints((7, 5), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
            shake(&parameters)?;
            let segments = Segments::from_lengths([4, 0, 1, 2]);
            let by_block = transformer.forward(&x, &segments, &Pass::training(3))?;
            let sink = GradientSink::default();
            let fused = transformer.forward(&x, &segments, &Pass::training(3).with_sink(&sink))?;
            assert_close(&fused, &by_block, 1e-12)?;

            let weigh = |y: &Tensor| (y * input(y.shape().clone())?)?.sum_all()?.backward();
            let (expected, found) = (weigh(&by_block)?, weigh(&fused)?);
            let handed = sink.take();
            for (name, var) in parameters.all() {
                let expected = expected.get(var.as_tensor()).unwrap().flatten_all()?.to_vec1::<f64>()?;
                let own = handed.iter().find(|gradient| gradient.parameter == var.as_tensor().id());
                let own = match own {
                    Some(gradient) => gradient.to_f64(),
                    None => found.get(var.as_tensor()).unwrap().flatten_all()?.to_vec1()?,
                };
                let close = own.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-11);
                assert!(own.len() == expected.len() && close, "{name}");
            }
        }
        Ok(())
    }

    #[test]
    fn in_bf16_it_computes_nearly_the_same() -> Result<()> {
        let config = TransformerConfig { model_dim: 64, heads: 2, ff_dim: 128, ..config() };
        let x = input((9, 5))?.to_dtype(DType::F32)?;
        let run = |precision| {
            let config = TransformerConfig { precision, ..config.clone() };
            let vb = Parameters::new(1).builder(DType::F32, &Device::Cpu);
            let pass = Pass::training(1).with_sink(&GradientSink::default());
            Transformer::new(5, &config, vb)?.forward(&x, &Segments::from_lengths([9]), &pass)
        };
        assert_close(&run(Precision::Bf16)?, &run(Precision::F32)?, 0.03)
    }

    #[test]
    fn rows_of_another_width_are_refused_in_either_form() -> Result<()> {
        let (_, vb) = seeded();
        let transformer = Transformer::new(5, &config(), vb)?;
        for pass in [Pass::training(1), Pass::training(1).with_sink(&GradientSink::default())] {
            assert!(transformer.forward(&input((3, 4))?, &Segments::from_lengths([3]), &pass).is_err());
            assert!(transformer.forward(&input((3, 5))?, &Segments::from_lengths([4]), &pass).is_err());
        }
        Ok(())
    }

    #[test]
    fn parameters_of_another_count_or_shape_are_refused() -> Result<()> {
        let (_, vb) = seeded();
        let transformer = Transformer::new(5, &config(), vb)?;
        let pass = || Pass::training(1).with_sink(&GradientSink::default());
        let run = |config| {
            let other = Transformer { config, ..transformer.clone() };
            other.forward(&input((3, 5))?, &Segments::from_lengths([3]), &pass())
        };
        assert!(run(config()).is_ok());
        for other in [
            TransformerConfig { ff_dim: 8, ..config() },
            TransformerConfig { layers: 3, ..config() },
            TransformerConfig { relative_keys: false, ..config() },
            TransformerConfig { relative_reach: 4, ..config() },
        ] {
            assert!(run(other).is_err());
        }
        Ok(())
    }

    #[test]
    fn the_gradients_of_a_fused_pass_are_computed_once() -> Result<()> {
        let (_, vb) = seeded();
        let transformer = Transformer::new(5, &config(), vb)?;
        let pass = Pass::training(1).with_sink(&GradientSink::default());
        let out = transformer.forward(&input((3, 5))?, &Segments::from_lengths([3]), &pass)?.sum_all()?;
        assert!(out.backward().is_ok() && out.backward().is_err());
        Ok(())
    }

    #[test]
    fn a_text_alone_equals_the_same_text_in_a_batch() -> Result<()> {
        let (_, vb) = seeded();
        let transformer = Transformer::new(5, &config(), vb)?;
        let (packed, segments) = (input((13, 5))?, Segments::from_lengths([4, 7, 2]));
        let together = transformer.forward(&packed, &segments, &Pass::inference())?;
        for range in segments.iter() {
            let alone = packed.narrow(0, range.start, range.len())?;
            let alone =
                transformer.forward(&alone, &Segments::from_lengths([range.len()]), &Pass::inference())?;
            assert_close(&together.narrow(0, range.start, range.len())?, &alone, 1e-12)?;
        }
        Ok(())
    }
}
