//! In what form a parameter is stored.

use super::weights::check_finite;
use super::{Weight, WeightError};
use crate::numbers::Table;

/// In what form a parameter is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// As it is: for vectors, which take little space.
    F32,
    /// Rounded to eight bits of mantissa: for matrices.
    Bf16,
    /// Five bits a number and a scale per row: for large tables, without the rows that nothing was learnt about.
    Table,
}

impl Storage {
    /// A tensor rounded to this form. `is_kept` says which rows of a table are worth keeping.
    ///
    /// # Errors
    ///
    /// If a number is not finite, or a table is no matrix.
    pub fn round(
        self,
        tensor: &str,
        shape: Vec<usize>,
        values: &[f32],
        is_kept: impl Fn(usize) -> bool,
    ) -> Result<Weight, WeightError> {
        check_finite(tensor, values)?;
        Ok(match (self, &shape[..]) {
            (Self::F32, _) => Weight::f32(shape, values.to_vec()),
            (Self::Bf16, _) => Weight::bf16(shape, values),
            (Self::Table, [_, dim]) => Weight::table(Table::new(values, *dim, is_kept)),
            (Self::Table, _) => {
                return Err(WeightError::Shape { tensor: tensor.to_owned(), shape, values: values.len() });
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::Values;

    #[test]
    fn every_form_keeps_the_shape() -> Result<(), WeightError> {
        for storage in [Storage::F32, Storage::Bf16, Storage::Table] {
            let weight = storage.round("w", vec![2, 3], &[1.0, 2.0, 4.0, 1.0, 1.0, 1.0], |row| row == 0)?;
            assert_eq!(weight.shape, [2, 3]);
            // A table keeps five bits of each number.
            let off = if storage == Storage::Table { 0.1 } else { 0.0 };
            assert!((weight.to_f32()[0] - 1.0).abs() <= off);
            if let Values::Table(table) = &weight.values {
                assert!(table.row(0).is_some() && table.row(1).is_none());
            }
        }
        Ok(())
    }

    #[test]
    fn what_is_not_finite_is_refused_whatever_the_form() {
        for storage in [Storage::F32, Storage::Bf16, Storage::Table] {
            let error = storage.round("w", vec![1, 2], &[1.0, f32::NAN], |_| true).unwrap_err();
            assert!(error.to_string().starts_with("tensor `w` holds NaN at position 1"), "{error}");
        }
        assert!(Storage::Table.round("w", vec![2], &[1.0, 2.0], |_| true).is_err());
    }
}
