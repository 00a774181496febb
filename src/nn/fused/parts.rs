//! What a transformer is made of, with a tensor, its values or its gradient in each place.

use candle_core::{Result, Tensor, TensorId};

use super::super::Linear;

/// Something with a weight and a bias.
#[derive(Clone, Debug)]
pub(in crate::nn) struct Affine<V> {
    pub(in crate::nn) weight: V,
    pub(in crate::nn) bias: V,
}

/// One of each thing that a layer learns: the tensors, their values, or their gradients.
#[derive(Clone, Debug)]
pub(in crate::nn) struct Layer<V> {
    pub(in crate::nn) attention_norm: Affine<V>,
    pub(in crate::nn) query_key_value: V,
    pub(in crate::nn) relative_keys: Option<V>,
    pub(in crate::nn) relative_values: Option<V>,
    pub(in crate::nn) output: Affine<V>,
    pub(in crate::nn) feed_forward_norm: Affine<V>,
    pub(in crate::nn) expand: Affine<V>,
    pub(in crate::nn) contract: Affine<V>,
}

/// One of each thing that a transformer learns.
#[derive(Clone, Debug)]
pub(in crate::nn) struct Stack<V> {
    pub(in crate::nn) input: Affine<V>,
    pub(in crate::nn) layers: Vec<Layer<V>>,
    pub(in crate::nn) norm: Affine<V>,
}

impl<V> Affine<V> {
    pub(super) fn into_all(self) -> [V; 2] {
        [self.weight, self.bias]
    }

    pub(super) fn map<'a, U>(&'a self, f: &mut impl FnMut(&'a V) -> U) -> Affine<U> {
        Affine { weight: f(&self.weight), bias: f(&self.bias) }
    }
}

impl<V> Layer<V> {
    pub(super) fn into_all(self) -> Vec<V> {
        let mut all = Vec::from(self.attention_norm.into_all());
        all.push(self.query_key_value);
        all.extend(self.relative_keys.into_iter().chain(self.relative_values));
        let rest = [self.output, self.feed_forward_norm, self.expand, self.contract];
        all.extend(rest.into_iter().flat_map(Affine::into_all));
        all
    }

    pub(super) fn map<'a, U>(&'a self, f: &mut impl FnMut(&'a V) -> U) -> Layer<U> {
        Layer {
            attention_norm: self.attention_norm.map(f),
            query_key_value: f(&self.query_key_value),
            relative_keys: self.relative_keys.as_ref().map(&mut *f),
            relative_values: self.relative_values.as_ref().map(&mut *f),
            output: self.output.map(f),
            feed_forward_norm: self.feed_forward_norm.map(f),
            expand: self.expand.map(f),
            contract: self.contract.map(f),
        }
    }
}

impl<V> Stack<V> {
    /// The same with something else in each place, always in the same order.
    pub(super) fn map<'a, U>(&'a self, f: &mut impl FnMut(&'a V) -> U) -> Stack<U> {
        Stack {
            input: self.input.map(f),
            layers: self.layers.iter().map(|layer| layer.map(f)).collect(),
            norm: self.norm.map(f),
        }
    }

    pub(super) fn all(&self) -> Vec<&V> {
        self.map(&mut |value| value).into_all()
    }

    /// The things themselves, in the order in which [`map`](Self::map) goes through them.
    pub(super) fn into_all(self) -> Vec<V> {
        let layers = self.layers.into_iter().flat_map(Layer::into_all);
        self.input.into_all().into_iter().chain(layers).chain(self.norm.into_all()).collect()
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

impl Affine<Parameter> {
    /// Weight and bias of a map that has both.
    pub(in crate::nn) fn of(layer: &Linear) -> Result<Self> {
        match layer.fused()? {
            (weight, Some(bias)) => Ok(Self { weight, bias }),
            (_, None) => candle_core::bail!("a map of a transformer layer has no bias"),
        }
    }
}
