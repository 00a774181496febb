//! A whole transformer as one operation of candle's graph.
//!
//! Block by block, candle's graph makes a new tensor for every step of every layer, another for its gradient,
//! and adds each of them to zeros once more. Here a layer writes into memory that earlier steps used, steps
//! that touch the same memory share one loop, and the gradients of the parameters go straight to the
//! [`GradientSink`]. The blocks remain the readable form, and the tests compare this one with them.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `parameters` | what a transformer learns |
//! | `seeds` | the seeds of its dropouts |
//! | `forward`, `backward` | the two passes, part by part |
//! | `steps` | the steps that both are made of |

mod backward;
mod forward;
mod parameters;
mod seeds;
mod steps;

use candle_core::{Result, Shape, bail};

use super::op::{Backward, Element, Input, Operation, view_of_storage, with_values};
use super::{GradientSink, Pass, Segments, SinusoidalPositions, TransformerConfig};
use forward::Activations;
use seeds::Seeds;
use steps::Run;

pub(super) use parameters::{
    AttentionParameters, FeedForwardParameters, Layer, Parameter, Stack, WeightAndBias,
};

/// The transformer of one pass.
pub(super) struct FusedTransformer {
    config: TransformerConfig,
    positions: SinusoidalPositions,
    parameters: Stack<Parameter>,
    segments: Segments,
    seeds: Seeds,
    sink: GradientSink,
}

impl FusedTransformer {
    /// Draws the seeds of all dropouts.
    ///
    /// # Errors
    ///
    /// If the pass has no sink for the gradients of the parameters.
    pub(super) fn new(
        config: &TransformerConfig,
        positions: &SinusoidalPositions,
        parameters: Stack<Parameter>,
        segments: &Segments,
        pass: &Pass,
    ) -> Result<Self> {
        let Some(sink) = pass.sink() else { bail!("a fused pass needs a sink for its gradients") };
        Ok(Self {
            config: config.clone(),
            positions: positions.clone(),
            parameters,
            segments: segments.clone(),
            seeds: Seeds::draw(pass, config.layers),
            sink: sink.clone(),
        })
    }

    /// Runs `f` on the values of all parameters, for rows of width `input_dim`.
    ///
    /// # Errors
    ///
    /// If the parameters are not those of a transformer of this configuration.
    fn run<T: Element, R>(&self, input_dim: usize, f: impl FnOnce(Run<'_, T>) -> R) -> Result<R> {
        let held = self.parameters.try_map(&mut |parameter| Ok(parameter.values.storage_and_layout()))?;
        let stack = held.try_map(&mut |(storage, layout)| Ok(view_of_storage(storage, layout)?.values))?;
        if !stack.fits(&self.config, input_dim) {
            bail!("the parameters are not those of a transformer of this configuration: {:?}", self.config);
        }
        Ok(f(Run {
            config: &self.config,
            seeds: &self.seeds,
            segments: &self.segments,
            rows: self.segments.rows(),
            pool: T::pool(self.sink.workspace()),
            stack,
        }))
    }
}

impl Operation for FusedTransformer {
    const NAME: &'static str = "transformer";

    /// Used up by the backward pass, which takes over its memory.
    type State<T: Element> = Option<Activations<T>>;

    fn forward<T: Element>(
        &self,
        inputs: &[Input<'_, T>],
    ) -> Result<(Vec<T>, Shape, Option<Activations<T>>)> {
        let x = inputs[0];
        let (out, activations) = self.run(x.width(), |run| run.forward(x.values, &self.positions))?;
        Ok((out, Shape::from((self.segments.rows(), self.config.model_dim)), Some(activations)))
    }

    fn backward<T: Element>(
        &self,
        pass: Backward<'_, T, Option<Activations<T>>>,
    ) -> Result<Vec<Option<Vec<T>>>> {
        let x = pass.inputs[0];
        let Some(activations) = pass.state.take() else {
            bail!("the gradients of a fused pass can be computed once");
        };
        let (grad_x, gradients) =
            self.run(x.width(), |run| run.backward(x.values, activations, pass.grad))?;
        for (parameter, mut values) in self.parameters.pairs(gradients)? {
            if let Some(connections) = &parameter.connections {
                with_values::<T, _>(connections, |connections| {
                    values.iter_mut().zip(connections).for_each(|(x, connected)| *x *= *connected);
                })?;
            }
            self.sink.hand(parameter.id, None, T::gradient(values));
        }
        Ok(vec![Some(grad_x), None])
    }
}
