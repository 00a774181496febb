//! A warm start: a network begins with what another has learnt, though words, intents and tags are not the same.
//!
//! Most weights know neither words nor labels and are copied as they are. A few have an axis on which each place stands
//! for something that has a name, as [`parameters`](super::parameters) declares: a column of the features, a word of
//! the names of intents, a tag. Each slice along such an axis moves to the place that has the same name now. A new name
//! keeps the numbers that the new network has drawn for it, and what no longer has a place is dropped. So words and
//! labels may come and go any number of times.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor, Var};

use super::multi_label::Decision;
use super::parameters::{Axis, Declarations};
use super::{FittedConfidence, Labels, WeightsError};
use crate::bundle::{Values, Weight, Weights};
use crate::data::TagSet;
use crate::features::{ColumnOrigins, LabelFeatures, name_origins};
use crate::nn::Parameters;

/// What a network can go on from: the weights of an earlier one, and what their places stood for.
#[derive(Clone, Copy, Debug)]
pub struct Predecessor<'a> {
    /// What it has learnt.
    pub weights: &'a Weights,
    /// Its columns, as seen from the new network.
    pub columns: &'a ColumnOrigins,
    /// What it could predict.
    pub labels: &'a Labels,
    /// The words of the names of its intents.
    pub label_features: &'a LabelFeatures,
    /// The weights of its ensemble, where these were fitted.
    pub confidence: Option<&'a FittedConfidence>,
}

/// For each place of an axis, the place in the earlier network that has the same name; `None` for an axis without names.
type Origins = Option<Vec<Option<u32>>>;

/// Rows of large tables that come from an earlier network, by the name of the table.
pub(super) type EarlierRows = BTreeMap<String, Vec<bool>>;

impl Predecessor<'_> {
    /// Moves the weights to where they belong in a network with these labels.
    ///
    /// # Errors
    ///
    /// If an axis without names has another size: the networks are not of the same shape.
    pub(super) fn move_weights(
        &self,
        declared: &Declarations,
        parameters: &Parameters,
        labels: &Labels,
        label_features: &LabelFeatures,
    ) -> std::result::Result<EarlierRows, WeightsError> {
        let vars: BTreeMap<String, Var> = parameters.all().into_iter().collect();
        let mut rows = EarlierRows::new();
        for own in &declared.0 {
            // What the earlier network does not have, such as a head for roles, begins as it is drawn.
            let (Some(old), Some(var)) = (self.weights.get(&own.name), vars.get(&own.name)) else { continue };
            let axes: Vec<Origins> =
                own.axes.iter().map(|axis| self.origins(*axis, labels, label_features)).collect();
            // Reading and writing a parameter cannot fail, but its shape may be another.
            if !overwrite(var, old, &axes).is_ok_and(|fits| fits) {
                let (tensor, found, expected) = (own.name.clone(), old.shape.clone(), var.dims().to_vec());
                return Err(WeightsError::Shape { tensor, found, expected });
            }
            if let (Values::Table(table), Some(Some(origins))) = (&old.values, axes.first()) {
                let has = |row: &Option<u32>| row.is_some_and(|row| table.row(row as usize).is_some());
                rows.insert(own.name.clone(), origins.iter().map(has).collect());
            }
        }
        Ok(rows)
    }

    /// How a message got its intents, where it could have more than one.
    pub(super) fn decision(&self) -> Option<Decision> {
        Decision::of(&self.weights.get(Decision::PARAMETER)?.to_f32())
    }

    /// Where the places along an axis were.
    fn origins(&self, axis: Axis, labels: &Labels, label_features: &LabelFeatures) -> Origins {
        Some(match axis {
            Axis::Fixed => return None,
            Axis::SequenceColumn => self.columns.sequence.clone(),
            Axis::SentenceColumn => self.columns.sentence.clone(),
            Axis::LabelWord => name_origins(&label_features.words, &self.label_features.words),
            Axis::Tag(kind) => tag_origins(labels.tags(kind), self.labels.tags(kind)),
        })
    }
}

/// Puts what an earlier network has learnt into a parameter; whether the shapes allow it.
fn overwrite(var: &Var, old: &Weight, axes: &[Origins]) -> Result<bool> {
    let mut values = var.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let fits = moved(old, axes, var.dims(), &mut values);
    var.set(&Tensor::from_vec(values, var.shape(), var.device())?.to_dtype(var.dtype())?)?;
    Ok(fits)
}

fn tag_origins(now: Option<&TagSet>, earlier: Option<&TagSet>) -> Vec<Option<u32>> {
    let names = |set: Option<&TagSet>| -> Vec<String> {
        set.map_or_else(Vec::new, |set| (0..set.len() as u32).map(|tag| set.name(tag)).collect())
    };
    name_origins(&names(now), &names(earlier))
}

/// Puts the values of a tensor where they belong in another; whether the shapes allow it.
fn moved(old: &Weight, axes: &[Origins], dims: &[usize], values: &mut [f32]) -> bool {
    if old.shape.len() != dims.len() {
        return false;
    }
    let named = |axis: usize| axes.get(axis).and_then(Option::as_ref);
    let fits = |axis: usize| match named(axis) {
        Some(origins) => origins.len() == dims[axis],
        None => old.shape[axis] == dims[axis],
    };
    if !(0..dims.len()).all(fits) {
        return false;
    }
    let found = old.to_f32();
    let absent = |row: usize| matches!(&old.values, Values::Table(table) if table.row(row).is_none());
    let origin = |axis: usize, place: usize| match named(axis) {
        Some(origins) => {
            origins[place].map(|origin| origin as usize).filter(|origin| *origin < old.shape[axis])
        }
        None => Some(place),
    };
    match dims {
        // Names are only on axes of vectors and matrices.
        [rows, columns] => {
            for row in 0..*rows {
                // A row of a table that no example had touched was not kept.
                let Some(from) = origin(0, row).filter(|from| !absent(*from)) else { continue };
                let (from, to) = (from * old.shape[1], row * columns);
                if named(1).is_none() {
                    values[to..to + columns].copy_from_slice(&found[from..from + columns]);
                    continue;
                }
                for column in 0..*columns {
                    if let Some(origin) = origin(1, column) {
                        values[to + column] = found[from + origin];
                    }
                }
            }
        }
        [_] => {
            for (place, value) in values.iter_mut().enumerate() {
                *value = origin(0, place).map_or(*value, |origin| found[origin]);
            }
        }
        _ => values.copy_from_slice(&found),
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::Table;

    #[test]
    fn a_matrix_moves_along_both_axes_and_new_places_stay_as_drawn() {
        let old = Weight::f32(vec![2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let mut values = vec![0.5; 6];
        let axes = [Some(vec![Some(1), None, Some(0)]), Some(vec![Some(2), Some(0)])];
        assert!(moved(&old, &axes, &[3, 2], &mut values));
        assert_eq!(values, [6.0, 4.0, 0.5, 0.5, 3.0, 1.0]);
    }

    #[test]
    fn an_axis_without_names_must_have_the_same_size() {
        let old = Weight::f32(vec![2, 3], vec![0.0; 6]);
        assert!(!moved(&old, &[Some(vec![None]), None], &[1, 4], &mut [0.0; 4]));
        assert!(!moved(&old, &[], &[6], &mut [0.0; 6]));
        let vector = Weight::f32(vec![2], vec![7.0, 8.0]);
        let mut values = [0.0; 3];
        assert!(moved(&vector, &[Some(vec![None, Some(0), Some(1)])], &[3], &mut values));
        assert_eq!(values, [0.0, 7.0, 8.0]);
    }

    #[test]
    fn rows_that_a_table_does_not_keep_are_new() {
        let old = Weight::table(Table::new(&[1.0, 1.0, 2.0, 2.0], 2, |row| row == 1));
        let mut values = [0.5; 4];
        assert!(moved(&old, &[Some(vec![Some(0), Some(1)]), None], &[2, 2], &mut values));
        assert_eq!(values[..2], [0.5; 2]);
        assert!((values[2] - 2.0).abs() < 0.1);
    }

    #[test]
    fn tags_are_known_by_their_names() {
        let (now, earlier) = (TagSet::new(["a", "b", "c"], true), TagSet::new(["b"], true));
        let origins = tag_origins(Some(&now), Some(&earlier));
        let expected = [Some(0), None, None, None, None, Some(1), Some(2), Some(3), Some(4)];
        assert_eq!(origins[..9], expected);
        assert_eq!(tag_origins(Some(&now), None), [None; 13]);
    }
}
