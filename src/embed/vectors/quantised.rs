//! Rows stored as codes of a product quantiser.

use super::blob::{Blob, f32_at, floats};

/// Each row is cut into subvectors, and of each subvector only the number of its nearest centroid is kept.
#[derive(Clone)]
pub(super) struct Quantised {
    /// One byte per subvector, `[row, subvector]`.
    pub(super) codes: Blob,
    /// `[subvector, centroid, dim / subvectors]`.
    pub(super) centroids: Blob,
    /// Subvectors in a row.
    pub(super) subvectors: usize,
    /// Centroids of a subvector.
    pub(super) centroids_each: usize,
    /// The rotation applied before the rows were cut, `[dim, dim]`.
    pub(super) projection: Option<Blob>,
    /// What each row is to be multiplied by.
    pub(super) norms: Option<Blob>,
}

impl Quantised {
    /// Hands each number of a row to its place in `out`; false if there is no such row.
    pub(super) fn apply(&self, row: usize, out: &mut [f32], put: impl Fn(&mut f32, f32)) -> bool {
        let Some(mut values) = self.decode(row, out.len()) else {
            return false;
        };
        if let Some(norms) = &self.norms {
            let norm = f32_at(norms, row).unwrap_or(f32::NAN);
            values.iter_mut().for_each(|value| *value *= norm);
        }
        out.iter_mut().zip(values).for_each(|(to, value)| put(to, value));
        true
    }

    fn decode(&self, row: usize, dim: usize) -> Option<Vec<f32>> {
        let codes = self.codes.chunks_exact(self.subvectors).nth(row)?;
        let width = dim / self.subvectors * size_of::<f32>();
        let mut values = Vec::with_capacity(dim);
        for (subvector, &code) in codes.iter().enumerate() {
            if usize::from(code) >= self.centroids_each {
                return None;
            }
            let start = (subvector * self.centroids_each + usize::from(code)) * width;
            values.extend(floats(self.centroids.get(start..start + width)?));
        }
        Some(match &self.projection {
            None => values,
            Some(projection) => rotate_back(&values, projection),
        })
    }
}

/// A row times the transpose of the projection, which for a rotation is its inverse.
fn rotate_back(values: &[f32], projection: &[u8]) -> Vec<f32> {
    let rows = projection.chunks_exact(size_of_val(values));
    rows.map(|row| floats(row).zip(values).map(|(weight, value)| weight * value).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embed::vectors::tests::samples::floats as bytes;

    #[test]
    fn a_row_is_its_centroids_rotated_back_and_scaled() {
        let mut quantised = Quantised {
            codes: vec![0, 1, 1, 0, 2, 0].into(),
            centroids: bytes(&[1.0, 2.0, 3.0, 4.0]).into(),
            subvectors: 2,
            centroids_each: 2,
            projection: None,
            norms: None,
        };
        let row = |quantised: &Quantised, row| {
            let mut out = [0.0; 2];
            quantised.apply(row, &mut out, |to, value| *to = value).then_some(out)
        };
        assert_eq!(row(&quantised, 0), Some([1.0, 4.0]));
        assert_eq!(row(&quantised, 1), Some([2.0, 3.0]));
        assert_eq!(row(&quantised, 2), None); // there is no third centroid
        assert_eq!(row(&quantised, 3), None);
        quantised.projection = Some(bytes(&[0.0, 1.0, -1.0, 0.0]).into());
        quantised.norms = Some(bytes(&[10.0, 1.0]).into());
        assert_eq!(row(&quantised, 0), Some([40.0, -10.0]));
    }
}
