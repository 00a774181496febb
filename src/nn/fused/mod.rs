//! A whole transformer as one operation of candle's graph.
//!
//! Block by block, candle's graph makes a new tensor for every step of every layer, another for its gradient,
//! and adds each of them to zeros once more. Here a layer writes into memory that earlier steps used, steps
//! that follow each other in memory share one loop, and the gradients of the parameters go straight to the
//! [`GradientSink`]. The blocks remain the readable form, and the tests hold this one against them.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `parameters` | what a transformer learns |
//! | `seeds` | what its dropouts draw from |
//! | `forward`, `backward` | the two passes, part by part |
//! | `steps` | the steps that both are made of |

mod backward;
mod forward;
mod parameters;
mod seeds;
mod steps;

use candle_core::{Result, Shape, bail};

use super::op::{Element, Input, Operation, Outcome, view_of_storage, with_values};
use super::{GradientSink, Pass, Segments, SinusoidalPositions, TransformerConfig};
use forward::Activations;
use seeds::Seeds;
use steps::Run;

pub(super) use parameters::{Layer, Parameter, Stack, WeightAndBias};

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
    /// If the parameters are not those of a transformer of this configuration.
    pub(super) fn new(
        (config, positions): (&TransformerConfig, &SinusoidalPositions),
        parameters: Stack<Parameter>,
        segments: &Segments,
        (pass, sink): (&Pass, &GradientSink),
    ) -> Result<Self> {
        parameters.check(config)?;
        Ok(Self {
            config: config.clone(),
            positions: positions.clone(),
            parameters,
            segments: segments.clone(),
            seeds: Seeds::draw(pass, config.layers),
            sink: sink.clone(),
        })
    }

    /// Runs `f` on the values of all parameters.
    fn run<T: Element, R>(&self, f: impl FnOnce(Run<'_, T>) -> R) -> Result<R> {
        let held = self.parameters.try_map(&mut |parameter| Ok(parameter.values.storage_and_layout()))?;
        let values = held.try_map(&mut |(storage, layout)| Ok(view_of_storage(storage, layout)?.values))?;
        Ok(f(Run {
            config: &self.config,
            seeds: &self.seeds,
            segments: &self.segments,
            rows: self.segments.rows(),
            pool: T::pool(self.sink.workspace()),
            stack: values,
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
        let (out, activations) = self.run(|run| run.forward(inputs[0].values, &self.positions))?;
        Ok((out, Shape::from((self.segments.rows(), self.config.model_dim)), Some(activations)))
    }

    fn backward<T: Element>(
        &self,
        inputs: &[Input<'_, T>],
        outcome: Outcome<'_, T, Option<Activations<T>>>,
        grad: &[T],
    ) -> Result<Vec<Option<Vec<T>>>> {
        let Some(activations) = outcome.state.take() else {
            bail!("the gradients of a fused pass can be computed once");
        };
        let (grad_x, gradients) = self.run(|run| run.backward(inputs[0].values, activations, grad))?;
        for (parameter, mut values) in self.parameters.pairs(gradients)? {
            if values.len() != parameter.values.elem_count() {
                bail!("{} gradients of a parameter of {:?}", values.len(), parameter.values.shape());
            }
            if let Some(connections) = &parameter.connections {
                with_values::<T, _>(&[connections], |connections| {
                    values.iter_mut().zip(connections[0]).for_each(|(x, connected)| *x *= *connected);
                })?;
            }
            self.sink.hand(parameter.id, None, values);
        }
        Ok(vec![Some(grad_x), None])
    }
}
