//! What a transformer learns, with a tensor, its values or its gradient in each place.

use candle_core::{Result, Tensor, TensorId, bail};

use super::super::TransformerConfig;

/// What a linear map or a layer norm learns.
#[derive(Clone, Debug)]
pub(in crate::nn) struct WeightAndBias<V> {
    pub(in crate::nn) weight: V,
    pub(in crate::nn) bias: V,
}

/// What attention and the norm before it learn.
#[derive(Clone, Debug)]
pub(in crate::nn) struct AttentionParameters<V> {
    pub(in crate::nn) norm: WeightAndBias<V>,
    pub(in crate::nn) query_key_value: V,
    pub(in crate::nn) relative_keys: Option<V>,
    pub(in crate::nn) relative_values: Option<V>,
    pub(in crate::nn) output: WeightAndBias<V>,
}

/// What the feed-forward network and the norm before it learn.
#[derive(Clone, Debug)]
pub(in crate::nn) struct FeedForwardParameters<V> {
    pub(in crate::nn) norm: WeightAndBias<V>,
    pub(in crate::nn) expand: WeightAndBias<V>,
    pub(in crate::nn) contract: WeightAndBias<V>,
}

/// What a layer learns.
#[derive(Clone, Debug)]
pub(in crate::nn) struct Layer<V> {
    pub(in crate::nn) attention: AttentionParameters<V>,
    pub(in crate::nn) feed_forward: FeedForwardParameters<V>,
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
        let (attention, feed_forward) = (self.attention, self.feed_forward);
        let mut all = Vec::from(attention.norm.into_all());
        all.push(attention.query_key_value);
        all.extend(attention.relative_keys.into_iter().chain(attention.relative_values));
        let rest = [attention.output, feed_forward.norm, feed_forward.expand, feed_forward.contract];
        all.extend(rest.into_iter().flat_map(WeightAndBias::into_all));
        all
    }

    fn try_map<'a, U>(&'a self, f: &mut impl FnMut(&'a V) -> Result<U>) -> Result<Layer<U>> {
        let (attention, feed_forward) = (&self.attention, &self.feed_forward);
        Ok(Layer {
            attention: AttentionParameters {
                norm: attention.norm.try_map(f)?,
                query_key_value: f(&attention.query_key_value)?,
                relative_keys: attention.relative_keys.as_ref().map(&mut *f).transpose()?,
                relative_values: attention.relative_values.as_ref().map(&mut *f).transpose()?,
                output: attention.output.try_map(f)?,
            },
            feed_forward: FeedForwardParameters {
                norm: feed_forward.norm.try_map(f)?,
                expand: feed_forward.expand.try_map(f)?,
                contract: feed_forward.contract.try_map(f)?,
            },
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

impl<T> Stack<&[T]> {
    /// Whether these are the values of such a transformer for rows of width `input_dim`.
    pub(super) fn fits(&self, config: &TransformerConfig, input_dim: usize) -> bool {
        let TransformerConfig { model_dim: dim, ff_dim, .. } = *config;
        let linear = |map: &WeightAndBias<&[T]>, input: usize, output: usize| {
            (map.weight.len(), map.bias.len()) == (input * output, output)
        };
        let norm = |norm: &WeightAndBias<&[T]>| linear(norm, 1, dim);
        let table = |table: Option<&[T]>, wanted: bool| {
            table.map(<[T]>::len) == wanted.then_some((2 * config.relative_reach + 1) * dim)
        };
        let attention = |own: &AttentionParameters<&[T]>| {
            norm(&own.norm)
                && own.query_key_value.len() == 3 * dim * dim
                && table(own.relative_keys, config.relative_keys)
                && table(own.relative_values, config.relative_values)
                && linear(&own.output, dim, dim)
        };
        let feed_forward = |own: &FeedForwardParameters<&[T]>| {
            norm(&own.norm) && linear(&own.expand, dim, ff_dim) && linear(&own.contract, ff_dim, dim)
        };
        linear(&self.input, input_dim, dim)
            && self.layers.len() == config.layers
            && self
                .layers
                .iter()
                .all(|layer| attention(&layer.attention) && feed_forward(&layer.feed_forward))
            && norm(&self.norm)
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
