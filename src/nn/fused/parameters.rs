//! What a transformer learns, with a tensor, its shape, its values or its gradient in each place.

use candle_core::{Result, Tensor, TensorId, bail};

use super::super::{Linear, TransformerConfig};

/// What a linear map or a layer norm learns.
#[derive(Clone, Debug)]
pub(in crate::nn) struct WeightAndBias<V> {
    pub(in crate::nn) weight: V,
    pub(in crate::nn) bias: V,
}

/// What a layer learns.
#[derive(Clone, Debug)]
pub(in crate::nn) struct Layer<V> {
    pub(in crate::nn) attention_norm: WeightAndBias<V>,
    pub(in crate::nn) query_key_value: V,
    pub(in crate::nn) relative_keys: Option<V>,
    pub(in crate::nn) relative_values: Option<V>,
    pub(in crate::nn) output: WeightAndBias<V>,
    pub(in crate::nn) feed_forward_norm: WeightAndBias<V>,
    pub(in crate::nn) expand: WeightAndBias<V>,
    pub(in crate::nn) contract: WeightAndBias<V>,
}

/// What a transformer learns.
#[derive(Clone, Debug)]
pub(in crate::nn) struct Stack<V> {
    pub(in crate::nn) input: WeightAndBias<V>,
    pub(in crate::nn) layers: Vec<Layer<V>>,
    pub(in crate::nn) norm: WeightAndBias<V>,
}

impl<V> WeightAndBias<V> {
    fn into_all(self) -> [V; 2] {
        [self.weight, self.bias]
    }

    fn try_map<'a, U>(&'a self, f: &mut impl FnMut(&'a V) -> Result<U>) -> Result<WeightAndBias<U>> {
        Ok(WeightAndBias { weight: f(&self.weight)?, bias: f(&self.bias)? })
    }
}

impl<V> Layer<V> {
    fn into_all(self) -> Vec<V> {
        let mut all = Vec::from(self.attention_norm.into_all());
        all.push(self.query_key_value);
        all.extend(self.relative_keys.into_iter().chain(self.relative_values));
        let rest = [self.output, self.feed_forward_norm, self.expand, self.contract];
        all.extend(rest.into_iter().flat_map(WeightAndBias::into_all));
        all
    }

    fn try_map<'a, U>(&'a self, f: &mut impl FnMut(&'a V) -> Result<U>) -> Result<Layer<U>> {
        Ok(Layer {
            attention_norm: self.attention_norm.try_map(f)?,
            query_key_value: f(&self.query_key_value)?,
            relative_keys: self.relative_keys.as_ref().map(&mut *f).transpose()?,
            relative_values: self.relative_values.as_ref().map(&mut *f).transpose()?,
            output: self.output.try_map(f)?,
            feed_forward_norm: self.feed_forward_norm.try_map(f)?,
            expand: self.expand.try_map(f)?,
            contract: self.contract.try_map(f)?,
        })
    }
}

impl<V> Stack<V> {
    /// The same with something else in each place.
    pub(super) fn try_map<'a, U>(&'a self, f: &mut impl FnMut(&'a V) -> Result<U>) -> Result<Stack<U>> {
        Ok(Stack {
            input: self.input.try_map(f)?,
            layers: self.layers.iter().map(|layer| layer.try_map(f)).collect::<Result<_>>()?,
            norm: self.norm.try_map(f)?,
        })
    }

    /// What stands in the same place of another stack, side by side.
    ///
    /// # Errors
    ///
    /// If one has more places than the other.
    pub(super) fn pairs<U>(&self, other: Stack<U>) -> Result<Vec<(&V, U)>> {
        let (own, other) = (self.try_map(&mut Ok)?.into_all(), other.into_all());
        if own.len() != other.len() {
            bail!("{} parameters where the transformer has {}", own.len(), other.len());
        }
        Ok(own.into_iter().zip(other).collect())
    }

    fn into_all(self) -> Vec<V> {
        let layers = self.layers.into_iter().flat_map(Layer::into_all);
        self.input.into_all().into_iter().chain(layers).chain(self.norm.into_all()).collect()
    }
}

impl Stack<Vec<usize>> {
    /// The shapes of all parameters.
    fn shapes(config: &TransformerConfig, input_dim: usize) -> Self {
        let (dim, ff_dim, buckets) = (config.model_dim, config.ff_dim, 2 * config.relative_reach + 1);
        let linear = |input, output| WeightAndBias { weight: vec![input, output], bias: vec![output] };
        let norm = || WeightAndBias { weight: vec![dim], bias: vec![dim] };
        let table = |wanted: bool| wanted.then(|| vec![config.heads, buckets, dim / config.heads]);
        let layer = |_| Layer {
            attention_norm: norm(),
            query_key_value: vec![dim, 3 * dim],
            relative_keys: table(config.relative_keys),
            relative_values: table(config.relative_values),
            output: linear(dim, dim),
            feed_forward_norm: norm(),
            expand: linear(dim, ff_dim),
            contract: linear(ff_dim, dim),
        };
        Self { input: linear(input_dim, dim), layers: (0..config.layers).map(layer).collect(), norm: norm() }
    }
}

/// A parameter as the operation sees it.
#[derive(Clone, Debug)]
pub(in crate::nn) struct Parameter {
    /// Whose gradient it is.
    pub(in crate::nn) id: TensorId,
    /// The values, those without a connection zero.
    pub(in crate::nn) values: Tensor,
    /// Which ones learn, where not all do.
    pub(in crate::nn) connections: Option<Tensor>,
}

impl Parameter {
    /// One of which every number learns.
    pub(in crate::nn) fn plain(tensor: &Tensor) -> Self {
        Self { id: tensor.id(), values: tensor.detach(), connections: None }
    }
}

impl WeightAndBias<Parameter> {
    /// Weight and bias of a linear map that has both.
    pub(in crate::nn) fn of(layer: &Linear) -> Result<Self> {
        match layer.fused()? {
            (weight, Some(bias)) => Ok(Self { weight, bias }),
            (_, None) => bail!("a linear map of a transformer layer has no bias"),
        }
    }
}

impl Stack<Parameter> {
    /// That these are the parameters of such a transformer.
    pub(super) fn check(&self, config: &TransformerConfig) -> Result<()> {
        let shapes = Stack::shapes(config, self.input.weight.values.dim(0)?);
        for (parameter, shape) in self.pairs(shapes)? {
            if parameter.values.dims() != shape {
                bail!("a parameter of {:?} where {shape:?} is expected", parameter.values.shape());
            }
        }
        Ok(())
    }
}
