//! The gradients of one step: what each worker found, and their sum.

use std::collections::{BTreeMap, HashMap};

use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor, TensorId, Var, bail};

use crate::kernels::sums;
use crate::nn::op::{Element, has_kernels, with_values};
use crate::nn::{Buffer, GradientSink, GradientValues, HandedGradient, sum_rows};

/// The gradients that one worker found.
#[derive(Debug, Default)]
pub struct Gradients {
    of: BTreeMap<String, Gradient>,
}

/// The gradient of one parameter.
#[derive(Debug)]
pub(super) enum Gradient {
    /// Of all its numbers.
    Whole(Buffer<f32>),
    /// Of some rows of a table, in rising order: `[row, dim]`.
    Rows(Vec<u32>, Buffer<f32>),
    /// Of a parameter that is not the processor's.
    OnDevice(DeviceGradient),
}

/// The gradient of a parameter on a GPU.
#[derive(Clone, Debug)]
pub(super) struct DeviceGradient {
    /// For a table: the rows that it is of, in rising order.
    pub(super) rows: Option<Vec<u32>>,
    pub(super) values: Tensor,
}

impl DeviceGradient {
    /// The sum of some gradients of one parameter.
    pub(super) fn sum(parts: impl IntoIterator<Item = Self>) -> Result<Option<Self>> {
        let mut parts = parts.into_iter();
        let Some(mut sum) = parts.next() else { return Ok(None) };
        parts.try_for_each(|part| sum.add(part))?;
        Ok(Some(sum))
    }

    fn add(&mut self, other: Self) -> Result<()> {
        match (&mut self.rows, other.rows) {
            (None, None) => self.values = (&self.values + other.values)?,
            (Some(rows), Some(others)) => {
                let mut both = [&rows[..], &others[..]].concat();
                both.sort_unstable();
                both.dedup();
                // The place of each row of the two among those of both: a sum is a product with ones there.
                let place = |row: &u32| both.binary_search(row).map_or(0, |at| at as u32);
                let places: Vec<u32> = rows.iter().chain(&others).map(place).collect();
                let values = Tensor::cat(&[&self.values, &other.values], 0)?;
                self.values = sum_rows(&values, &places, both.len())?;
                *rows = both;
            }
            _ => bail!("two gradients of one parameter differ in shape"),
        }
        Ok(())
    }
}

impl Gradient {
    pub(super) fn values(&self) -> &[f32] {
        match self {
            Self::Whole(values) | Self::Rows(_, values) => values,
            Self::OnDevice(_) => &[],
        }
    }

    /// Adds what another worker found for the same parameter.
    fn add(&mut self, other: &Self) -> Result<()> {
        match (&mut *self, other) {
            (Self::Whole(values), Self::Whole(others)) if values.len() == others.len() => {
                sums::add(values, others);
            }
            (Self::Rows(rows, values), Self::Rows(other_rows, others)) => {
                let (rows, values) = merge((rows, values), (other_rows, others));
                *self = Self::Rows(rows, values);
            }
            (Self::OnDevice(own), Self::OnDevice(other)) => own.add(other.clone())?,
            _ => bail!("two gradients of one parameter differ in shape"),
        }
        Ok(())
    }
}

/// The rows of both, in rising order, those of both added.
fn merge(a: (&[u32], &Buffer<f32>), b: (&[u32], &Buffer<f32>)) -> (Vec<u32>, Buffer<f32>) {
    let dim = (a.1.len() + b.1.len()) / (a.0.len() + b.0.len()).max(1);
    let mut rows = Vec::with_capacity(a.0.len() + b.0.len());
    rows.extend_from_slice(a.0);
    rows.extend_from_slice(b.0);
    rows.sort_unstable();
    rows.dedup();
    let mut values = a.1.sibling(rows.len() * dim);
    let (mut next_a, mut next_b) = (0, 0);
    for (row, out) in rows.iter().zip(values.chunks_exact_mut(dim.max(1))) {
        let next = |at: &mut usize, rows: &[u32]| {
            let found = rows.get(*at) == Some(row);
            *at += usize::from(found);
            found.then(|| (*at - 1) * dim)
        };
        let (at_a, at_b) = (next(&mut next_a, a.0), next(&mut next_b, b.0));
        match (at_a, at_b) {
            (Some(at), other) => {
                out.copy_from_slice(&a.1[at..at + dim]);
                if let Some(at) = other {
                    sums::add(out, &b.1[at..at + dim]);
                }
            }
            (None, Some(at)) => out.copy_from_slice(&b.1[at..at + dim]),
            (None, None) => out.fill(0.0),
        }
    }
    (rows, values)
}

impl Gradients {
    /// Collects the gradients of one backward pass, from candle's graph and from the sink of the pass. What has
    /// no name is left out: it is not to be trained.
    ///
    /// # Errors
    ///
    /// If one does not belong to an `f32` parameter.
    pub fn collect(
        names: &HashMap<TensorId, String>,
        store: &GradStore,
        sink: &GradientSink,
    ) -> Result<Self> {
        let mut gradients = Self::default();
        for (id, name) in names {
            let Some(gradient) = store.get_id(*id) else { continue };
            let gradient = if has_kernels(gradient) {
                let mut values = f32::pool(sink.workspace()).take(gradient.elem_count());
                with_values::<f32, _>(&gradient.contiguous()?, |found| values.copy_from_slice(found))?;
                Gradient::Whole(values)
            } else {
                Gradient::OnDevice(DeviceGradient { rows: None, values: gradient.detach() })
            };
            gradients.of.insert(name.clone(), gradient);
        }
        for HandedGradient { parameter, rows, values } in sink.take() {
            let Some(name) = names.get(&parameter) else { continue };
            let gradient = match (values, rows) {
                (GradientValues::F32(values), Some(rows)) => Gradient::Rows(rows, values),
                (GradientValues::F32(values), None) => Gradient::Whole(values),
                (GradientValues::F64(_), _) => bail!("{name} is not an f32 parameter"),
                (GradientValues::OnDevice(values), rows) => {
                    Gradient::OnDevice(DeviceGradient { rows, values })
                }
            };
            gradients.add_one(name, gradient)?;
        }
        Ok(gradients)
    }

    fn add_one(&mut self, name: &str, gradient: Gradient) -> Result<()> {
        if let Some(own) = self.of.get_mut(name) {
            return own.add(&gradient);
        }
        self.of.insert(name.to_owned(), gradient);
        Ok(())
    }

    /// Adds the gradients of another backward pass.
    ///
    /// # Errors
    ///
    /// If two gradients of one parameter differ in shape.
    pub fn add(&mut self, other: Self) -> Result<()> {
        other.of.into_iter().try_for_each(|(name, gradient)| self.add_one(&name, gradient))
    }

    /// The gradient of one parameter, taken out, for where that is.
    pub(super) fn take_device(&mut self, name: &str, var: &Var) -> Result<Option<DeviceGradient>> {
        let device = |rows: Option<Vec<u32>>, values: &[f32]| -> Result<DeviceGradient> {
            let mut shape = var.dims().to_vec();
            if let (Some(rows), Some(first)) = (&rows, shape.first_mut()) {
                *first = rows.len();
            }
            Ok(DeviceGradient { values: Tensor::from_slice(values, shape, var.device())?, rows })
        };
        let found = match self.of.remove(name) {
            None => return Ok(None),
            Some(Gradient::OnDevice(found)) => found,
            Some(Gradient::Whole(values)) => device(None, &values)?,
            Some(Gradient::Rows(rows, values)) => device(Some(rows), &values)?,
        };
        Ok(Some(found))
    }

    /// The gradient of one parameter, taken out.
    pub(super) fn take(&mut self, name: &str) -> Option<Gradient> {
        self.of.remove(name)
    }
}

/// The sum over workers of the gradients of one parameter, in the order of the workers, and its squared length.
pub(super) fn sum(parts: Vec<Gradient>) -> Result<Option<(Gradient, f64)>> {
    let mut parts = parts.into_iter();
    let Some(mut sum) = parts.next() else { return Ok(None) };
    parts.try_for_each(|part| sum.add(&part))?;
    let squares = sums::squares(sum.values());
    Ok(Some((sum, squares)))
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// Gradients of one parameter.
    pub(crate) fn gradients(name: &str, rows: Option<&[u32]>, values: &[f32]) -> Gradients {
        let mut buffer = f32::pool(&crate::nn::Workspace::default()).take(values.len());
        buffer.copy_from_slice(values);
        let gradient = match rows {
            Some(rows) => Gradient::Rows(rows.to_vec(), buffer),
            None => Gradient::Whole(buffer),
        };
        Gradients { of: [(name.to_owned(), gradient)].into() }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::gradients;
    use super::*;

    #[test]
    fn rows_of_two_workers_are_added() {
        let mut a = gradients("table", Some(&[1, 5]), &[1.0, 2.0, 3.0, 4.0]);
        let b = gradients("table", Some(&[0, 5]), &[10.0, 20.0, 30.0, 40.0]);
        a.add(b).unwrap();
        let Some(Gradient::Rows(rows, values)) = a.take("table") else { panic!("rows stay rows") };
        assert_eq!(rows, [0, 1, 5]);
        assert_eq!(values[..], [10.0, 20.0, 1.0, 2.0, 33.0, 44.0]);
    }

    #[test]
    fn a_worker_without_rows_changes_nothing() {
        let mut a = gradients("table", Some(&[]), &[]);
        a.add(gradients("table", Some(&[2]), &[1.0, 2.0])).unwrap();
        a.add(gradients("table", Some(&[]), &[])).unwrap();
        let Some(Gradient::Rows(rows, values)) = a.take("table") else { panic!("rows stay rows") };
        assert_eq!((rows, &values[..]), (vec![2], &[1.0_f32, 2.0][..]));
    }

    #[test]
    fn gradients_of_different_shape_are_refused() {
        let mut a = gradients("x", None, &[1.0]);
        assert!(a.add(gradients("x", None, &[1.0, 2.0])).is_err());
        assert!(a.add(gradients("x", Some(&[0]), &[1.0])).is_err());
    }
}
