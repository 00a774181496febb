//! Sparse features to dense rows.

use super::source::{Source, Stored, WeightsError};
use crate::kernels::bag::{bag, bag_of_codes};
use crate::numbers::SparseRows;
use crate::numbers::Table;

/// `bias + Σ value · table[column]`.
#[derive(Clone, Debug)]
pub(crate) struct Bag {
    rows: Rows,
    bias: Vec<f32>,
}

#[derive(Clone, Debug)]
enum Rows {
    Codes(Table),
    Plain(Vec<f32>),
}

impl Bag {
    pub(crate) fn new(columns: usize, dim: usize, source: &Source<'_>) -> Result<Self, WeightsError> {
        let rows = match source.table("table", columns, dim)? {
            Stored::Codes(table) => Rows::Codes(table.clone()),
            Stored::Plain(values) => Rows::Plain(values.into_owned()),
        };
        Ok(Self { rows, bias: source.values("bias", &[dim])?.into_owned() })
    }

    pub(crate) fn dim(&self) -> usize {
        self.bias.len()
    }

    /// One row for each sparse one: `out` is `[row, dim]`.
    pub(crate) fn forward(&self, sparse: &SparseRows, out: &mut [f32]) {
        match &self.rows {
            Rows::Codes(table) => bag_of_codes(sparse, table, &self.bias, out),
            Rows::Plain(table) => bag(sparse, table, &self.bias, out),
        }
    }
}
