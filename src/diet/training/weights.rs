//! What a network has learnt, in the form in which it is stored.

use std::collections::BTreeMap;

use candle_core::{DType, Error, Result, Var, bail};

use super::Learner;
use crate::bundle::{Storage, Weights};
use crate::diet::confidence::DEFAULT_WEIGHTS;
use crate::diet::parameters::{Axis, DECISION, Declaration, LINEAR_BIAS, LINEAR_TABLE, SCALE};
use crate::numbers::SparseRows;

/// A tensor before it is stored: its shape and its values.
type Tensor = (Vec<usize>, Vec<f32>);

impl Learner<'_> {
    /// What was learnt, in the form in which it is stored: large tables in five bits and without the rows that no
    /// example has touched, neither here nor in an earlier model, matrices in `bf16`, the rest as it is. Held-out
    /// examples are scored with this form, so the score is that of the model that is saved.
    ///
    /// # Errors
    ///
    /// If a number is not finite: the training diverged.
    pub fn weights(&self) -> Result<Weights> {
        let mut found: BTreeMap<String, Var> = self.parameters.all().into_iter().collect();
        let network = |name: &str| -> Result<Option<Tensor>> {
            let Some(var) = found.remove(name) else { return Ok(None) };
            let values = var.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
            Ok(Some((var.dims().to_vec(), values)))
        };
        let mut fitted = self.fitted();
        let mut weights = Weights::new();
        self.store(&self.declarations.network, network, &mut weights)?;
        self.store(&self.declarations.fitted, |name| Ok(fitted.remove(name)), &mut weights)?;
        match found.keys().map(String::as_str).chain(fitted.keys().copied()).next() {
            Some(name) => bail!("the parameter {name} is not declared"),
            None => Ok(weights),
        }
    }

    /// Rounds the declared parameters to the forms that they are stored in.
    fn store(
        &self,
        declared: &[Declaration],
        mut take: impl FnMut(&str) -> Result<Option<Tensor>>,
        weights: &mut Weights,
    ) -> Result<()> {
        for own in declared {
            let Some((shape, values)) = take(&own.name)? else { bail!("there is no parameter {}", own.name) };
            let touched = self.touched(own, shape.first().copied().unwrap_or(0));
            let weight = own.storage.round(&own.name, shape, values, |row| touched[row]);
            weights.insert(own.name.clone(), weight.map_err(Error::wrap)?);
        }
        Ok(())
    }

    /// What is not learnt by the network itself.
    fn fitted(&self) -> BTreeMap<&'static str, Tensor> {
        let mut fitted = BTreeMap::new();
        let intents = self.labels.intents.len();
        if intents == 0 {
            return fitted;
        }
        let ensemble = match (&self.decision, &self.confidence, &self.linear) {
            (Some(decision), ..) => [1.0, 0.0, decision.linear],
            (None, Some(confidence), _) => confidence.weights(),
            (None, None, Some(_)) => DEFAULT_WEIGHTS,
            (None, None, None) => [1.0, 0.0, 0.0],
        };
        fitted.insert(SCALE, (vec![1], vec![ensemble[0]]));
        if self.config.intents.linear_path {
            let columns = self.widths.joined();
            // Before there is a linear path, it says nothing.
            let nothing = || (vec![0.0; columns * intents], vec![0.0; intents]);
            let (table, bias) = self.linear.as_ref().map_or_else(nothing, |path| path.weighted(ensemble));
            fitted.insert(LINEAR_TABLE, (vec![columns, intents], table));
            fitted.insert(LINEAR_BIAS, (vec![intents], bias));
        }
        if let Some(decision) = self.decision {
            let numbers = decision.numbers().to_vec();
            fitted.insert(DECISION, (vec![numbers.len()], numbers));
        }
        fitted
    }

    /// Which rows of a table are stored: those whose columns occur in the examples that were learnt from, or did in an
    /// earlier model's.
    fn touched(&self, own: &Declaration, rows: usize) -> Vec<bool> {
        let mut touched = vec![false; rows];
        if own.storage != Storage::Table || own.name == LINEAR_TABLE && self.linear.is_none() {
            return touched;
        }
        if let Some(earlier) = self.earlier_rows.get(&own.name) {
            touched.clone_from(earlier);
        }
        let mut mark = |rows: &SparseRows| {
            rows.columns().iter().for_each(|column| touched[*column as usize] = true);
        };
        // Only the linear path learns from the examples that are held out for calibration.
        let learnt = if own.name == LINEAR_TABLE { self.set.examples.len() } else { self.set.learnt() };
        for features in self.set.examples[..learnt].iter().map(|example| &example.features) {
            match own.axes.first() {
                Some(Axis::SequenceColumn) => mark(&features.sequence),
                Some(Axis::SentenceColumn | Axis::JoinedColumn) => mark(&features.sentence),
                _ => {}
            }
        }
        if own.axes.first() == Some(&Axis::JoinedColumn) {
            touched[self.widths.sentence..].fill(true); // dense features are always there
        }
        touched
    }
}
