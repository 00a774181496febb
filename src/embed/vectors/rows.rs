//! Rows of numbers, in memory or in a file, plain or quantised.

use super::blob::{Blob, f32_at, floats};
use super::quantised::Quantised;

/// The rows of a table, `[row, dim]`.
#[derive(Clone)]
pub(super) struct Rows {
    pub(super) numbers: Numbers,
    /// What each row is to be multiplied by.
    pub(super) norms: Option<Blob>,
}

#[derive(Clone)]
pub(super) enum Numbers {
    /// One row behind the other.
    Matrix(Blob),
    /// Each row begins at a byte of its own.
    Scattered(Blob, Vec<usize>),
    /// Codes instead of numbers.
    Quantised(Quantised),
}

impl Rows {
    pub(super) fn matrix(bytes: Blob) -> Self {
        Self { numbers: Numbers::Matrix(bytes), norms: None }
    }

    /// Hands each number of a row to its place in `out`; false if there is no such row.
    pub(super) fn apply(&self, row: usize, out: &mut [f32], put: impl Fn(&mut f32, f32)) -> bool {
        let norm = match &self.norms {
            None => None,
            Some(norms) => match f32_at(norms, row) {
                None => return false,
                norm => norm,
            },
        };
        let put_scaled = |to: &mut f32, value: f32| put(to, norm.map_or(value, |norm| value * norm));
        if let Numbers::Quantised(quantised) = &self.numbers {
            return quantised.apply(row, out, put_scaled);
        }
        let Some(bytes) = self.bytes_of(row, out.len()) else {
            return false;
        };
        for (to, value) in out.iter_mut().zip(floats(bytes)) {
            put_scaled(to, value);
        }
        true
    }

    fn bytes_of(&self, row: usize, dim: usize) -> Option<&[u8]> {
        let width = dim.checked_mul(size_of::<f32>())?;
        let (bytes, start) = match &self.numbers {
            Numbers::Matrix(bytes) => (bytes, row.checked_mul(width)?),
            Numbers::Scattered(bytes, starts) => (bytes, *starts.get(row)?),
            Numbers::Quantised(_) => return None,
        };
        bytes.get(start..start.checked_add(width)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::vectors::tests::samples::floats as bytes;

    #[test]
    fn rows_are_written_added_and_scaled() {
        let mut rows = Rows::matrix(bytes(&[1.0, 2.0, -0.0, 4.0]).into());
        let mut out = [9.0; 2];
        assert!(rows.apply(1, &mut out, |to, value| *to = value));
        assert_eq!(out.map(f32::to_bits), [-0.0_f32, 4.0].map(f32::to_bits));
        assert!(!rows.apply(2, &mut out, |to, value| *to = value));
        rows.norms = Some(bytes(&[10.0]).into());
        assert!(rows.apply(0, &mut out, |to, value| *to += value));
        assert_eq!(out.to_vec(), [10.0, 24.0]);
        assert!(!rows.apply(1, &mut out, |to, value| *to = value));
    }

    #[test]
    fn scattered_rows_begin_anywhere() {
        let blob = [b"word ", &bytes(&[1.5])[..]].concat().into();
        let rows = Rows { numbers: Numbers::Scattered(blob, vec![5, 6, usize::MAX]), norms: None };
        let mut out = [0.0];
        assert!(rows.apply(0, &mut out, |to, value| *to = value));
        assert_eq!(out.to_vec(), [1.5]);
        assert!([1, 2, 3].iter().all(|&row| !rows.apply(row, &mut out, |to, value| *to = value)));
    }
}
