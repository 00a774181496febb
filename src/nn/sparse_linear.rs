//! The first learnable layer: sparse features in, dense rows out.

use candle_core::{Device, Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::Pass;
use super::op::{apply, has_operations};
use super::parameters::{Parameters, glorot_uniform};
use super::sparse_product::SparseProduct;
use crate::kernels::dropout::{drops, threshold};
use crate::numbers::SparseRows;

/// An affine map of sparse rows: `out[r] = b + Σ value · W[column]` over the entries of row `r`.
///
/// The table `W` may have tens of thousands of rows, of which a batch uses few. In a pass with a
/// [`GradientSink`](super::GradientSink), the gradients of the rows that were read go there, so that gradient and optimizer work
/// on those alone.
///
/// While training, each entry is dropped with probability `drop_rate` and the others
/// are scaled by `1 / (1 − drop_rate)`. (Rasa's DIET does not scale them.)
///
/// # Shapes
///
/// - input: `[row, column]`, sparse
/// - output: `[row, out]`
#[derive(Clone, Debug)]
pub struct SparseLinear {
    table: Tensor,
    bias: Tensor,
    drop_rate: f64,
}

impl SparseLinear {
    /// Draws or loads a table of `columns` rows.
    ///
    /// # Errors
    ///
    /// If the source of weights has them in another shape, or not at all.
    pub fn new(columns: usize, output: usize, drop_rate: f64, vb: VarBuilder) -> Result<Self> {
        let table = vb.get_with_hints((columns, output), "table", glorot_uniform(columns, output))?;
        let bias = vb.get_with_hints(output, "bias", Init::Const(0.0))?;
        Ok(Self { table, bias, drop_rate })
    }

    /// Draws the table that a layer called `name` has if it is made for `kept` of `columns` columns alone. Its rows are those
    /// of the whole table.
    ///
    /// # Errors
    ///
    /// If candle cannot make a tensor.
    pub(crate) fn draw_rows(
        parameters: &Parameters,
        name: &str,
        (columns, output): (usize, usize),
        kept: &[u32],
        device: &Device,
    ) -> Result<()> {
        let init = glorot_uniform(columns, output);
        parameters.draw_rows(&format!("{name}.table"), (columns, output), init, kept, device)
    }

    /// Maps each sparse row.
    ///
    /// # Errors
    ///
    /// If an entry's column is outside the table.
    pub fn forward(&self, rows: &SparseRows, pass: &Pass) -> Result<Tensor> {
        let columns = self.table.dim(0)?;
        if let Some(column) = rows.columns().iter().find(|column| **column as usize >= columns) {
            candle_core::bail!("column {column} is outside a table of {columns} rows");
        }
        let Some(seed) = pass.next_seed() else {
            return SparseProduct::of(rows.clone(), &self.table, Some(&self.bias));
        };
        let rows = self.drop(rows, seed);
        if let Some(sink) = pass.sink().filter(|_| has_operations(&self.table)) {
            let product = SparseProduct { rows, sink: Some((self.table.id(), sink.clone())) };
            return apply(product, &[&self.table, &self.bias]);
        }
        // Candle's graph carries the gradient: of the rows that are read, and zeros for the others.
        let (touched, local) = rows.compacted();
        let index = Tensor::new(&touched[..], self.table.device())?;
        SparseProduct::of(local, &self.table.index_select(&index, 0)?, Some(&self.bias))
    }

    /// Where the table is.
    pub(crate) fn device(&self) -> &Device {
        self.table.device()
    }

    fn drop(&self, rows: &SparseRows, seed: u64) -> SparseRows {
        if self.drop_rate <= 0.0 {
            return rows.clone();
        }
        let limit = threshold(self.drop_rate);
        rows.thinned((1.0 - self.drop_rate).recip() as f32, |entry| !drops(seed, entry as u64, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::super::GradientSink;
    use super::super::sparse_product::dense;
    use super::super::testing::{assert_close, assert_gradients, central_differences, seeded, shake};
    use super::*;

    fn rows() -> SparseRows {
        let mut rows = SparseRows::default();
        rows.push([(6, 1.0), (0, 2.0), (6, 0.5)]);
        rows.push([]);
        rows.push([(2, -1.0)]);
        rows
    }

    #[test]
    fn the_kernel_agrees_with_a_dense_product() -> Result<()> {
        let (parameters, vb) = seeded();
        let layer = SparseLinear::new(7, 5, 0.5, vb)?;
        shake(&parameters)?;
        let plain = dense(&rows(), 7, &Device::Cpu)?.to_dtype(candle_core::DType::F64)?;
        let plain = plain.matmul(&layer.table)?.broadcast_add(&layer.bias)?;
        assert_close(&layer.forward(&rows(), &Pass::inference())?, &plain, 1e-12)
    }

    #[test]
    fn the_table_has_the_right_gradient_in_the_rows_that_were_touched() -> Result<()> {
        let (parameters, vb) = seeded();
        let layer = SparseLinear::new(7, 5, 0.3, vb)?;
        let loss = |pass: &Pass| layer.forward(&rows(), pass)?.sqr()?.sum_all();
        let sink = GradientSink::default();
        loss(&Pass::training(4).with_sink(&sink))?.backward()?;
        let handed = sink.take().remove(0);
        let (found, touched) = (handed.to_f64(), handed.rows.unwrap());
        let all = parameters.all();
        let table = &all.iter().find(|(name, _)| name == "table").unwrap().1;
        let slopes = central_differences(table, || loss(&Pass::training(4))?.to_scalar())?;
        for (row, slopes) in slopes.chunks(5).enumerate() {
            match touched.iter().position(|touched| *touched as usize == row) {
                Some(at) => assert!(found[at * 5..].iter().zip(slopes).all(|(a, b)| (a - b).abs() < 1e-6)),
                None => assert_eq!(slopes, [0.0; 5]),
            }
        }
        Ok(())
    }

    #[test]
    fn without_a_sink_every_parameter_has_its_gradient_in_the_graph() -> Result<()> {
        let (parameters, vb) = seeded();
        let layer = SparseLinear::new(7, 5, 0.3, vb)?;
        assert_gradients(&parameters, || layer.forward(&rows(), &Pass::training(4)))
    }

    #[test]
    fn an_unknown_column_is_an_error() -> Result<()> {
        let (_, vb) = seeded();
        assert!(SparseLinear::new(6, 5, 0.0, vb)?.forward(&rows(), &Pass::inference()).is_err());
        Ok(())
    }
}
