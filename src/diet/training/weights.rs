//! What a network has learnt, in the form in which it is stored.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Error, Result, Var, bail};

use super::Learner;
use crate::bundle::{Storage, Weights};
use crate::diet::confidence::DEFAULT_WEIGHTS;
use crate::diet::multi_label::Decision;
use crate::diet::parameters::{Axis, Declaration};
use crate::features::Features;
use crate::nn::op::with_values;
use crate::numbers::SparseRows;

impl Learner<'_> {
    /// What was learnt, in the form in which it is stored: large tables in five bits and without the rows that no
    /// example has touched, neither here nor in an earlier model, matrices in `bf16`, the rest as it is. Held-out
    /// examples are scored with this form, so the score is that of the model that is saved.
    ///
    /// # Errors
    ///
    /// If a number is not finite: the training diverged.
    pub fn weights(&self) -> Result<Weights> {
        let mut weights = self.rounded()?;
        for own in self.declarations.0.iter().filter(|own| own.axes.first() == Some(&Axis::SequenceColumn)) {
            weights.get_mut(&own.name).into_iter().for_each(|weight| self.token_columns.spread(weight));
        }
        Ok(weights)
    }

    /// The same with the columns of tokens that occur alone.
    pub(super) fn rounded(&self) -> Result<Weights> {
        let found: BTreeMap<String, Var> = self.parameters.all().into_iter().collect();
        let mut weights = self.fitted()?;
        for own in &self.declarations.0 {
            let Some(var) = found.get(&own.name) else { bail!("there is no parameter {}", own.name) };
            let touched = self.touched(own);
            // On the processor these are the numbers themselves: a copy of a large table would be the peak of a training.
            let values = var.flatten_all()?.to_dtype(DType::F32)?.to_device(&Device::Cpu)?;
            with_values(&values, |values| {
                store(&mut weights, &own.name, own.storage, var.dims().to_vec(), values, &touched)
            })??;
        }
        Ok(weights)
    }

    /// What is fitted to what the network has learnt, or beside it: the scale of its similarities, the linear path, and
    /// how a message gets its intents where it may have more than one.
    fn fitted(&self) -> Result<Weights> {
        let mut weights = Weights::new();
        let intents = self.labels.intents.len();
        if intents == 0 {
            return Ok(weights);
        }
        let ensemble = match (&self.decision, &self.confidence, &self.linear) {
            (Some(decision), ..) => [1.0, 0.0, decision.linear],
            (None, Some(confidence), _) => confidence.weights(),
            (None, None, Some(_)) => DEFAULT_WEIGHTS,
            (None, None, None) => [1.0, 0.0, 0.0],
        };
        store(&mut weights, "intent.scale", Storage::F32, vec![1], &ensemble[..1], &[])?;
        if self.config.intents.linear_path {
            let columns = self.widths.joined();
            let mut touched = vec![false; columns];
            // Zeros until the linear path is fitted.
            let (mut table, mut bias) = (vec![0.0; columns * intents], vec![0.0; intents]);
            if let Some(path) = &self.linear {
                (table, bias) = path.weighted(ensemble);
                // It also learns from the examples that are held out for calibration.
                mark(&mut touched, self.set.examples.iter().map(|example| &example.features.sentence));
                touched[self.widths.sentence..].fill(true); // dense features are always there
            }
            let shape = vec![columns, intents];
            store(&mut weights, "intent.linear.table", Storage::Table, shape, &table, &touched)?;
            store(&mut weights, "intent.linear.bias", Storage::F32, vec![intents], &bias, &[])?;
        }
        if let Some(decision) = self.decision {
            let numbers = decision.numbers();
            store(&mut weights, Decision::PARAMETER, Storage::F32, vec![numbers.len()], &numbers, &[])?;
        }
        Ok(weights)
    }

    /// Which rows of a table are stored: those whose columns occur in the examples that were learnt from, or did in an
    /// earlier model's. Nothing for what is no table.
    fn touched(&self, own: &Declaration) -> Vec<bool> {
        let (columns, rows): (_, fn(&Features) -> &SparseRows) = match own.axes.first() {
            Some(Axis::SequenceColumn) => (self.widths.sequence, |features| &features.sequence),
            Some(Axis::SentenceColumn) => (self.widths.sentence, |features| &features.sentence),
            _ => return Vec::new(),
        };
        let mut touched = self.earlier_rows.get(&own.name).cloned().unwrap_or_else(|| vec![false; columns]);
        let learnt = &self.set.examples[..self.set.learnt()];
        mark(&mut touched, learnt.iter().map(|example| rows(&example.features)));
        touched
    }
}

/// Marks the columns that occur.
fn mark<'f>(touched: &mut [bool], rows: impl Iterator<Item = &'f SparseRows>) {
    rows.flat_map(SparseRows::columns).for_each(|column| touched[*column as usize] = true);
}

/// Adds a parameter, rounded to the form that it is stored in; of a table, the touched rows.
fn store(
    weights: &mut Weights,
    name: &str,
    storage: Storage,
    shape: Vec<usize>,
    values: &[f32],
    touched: &[bool],
) -> Result<()> {
    let weight = storage.round(name, shape, values, |row| touched[row]).map_err(Error::wrap)?;
    weights.insert(name.to_owned(), weight);
    Ok(())
}
