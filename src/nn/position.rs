//! The position of a row in its sequence.

use candle_core::{Result, Tensor};

use super::Segments;
use crate::kernels::Real;

/// Sinusoidal position encodings ([Vaswani et al., 2017](https://arxiv.org/abs/1706.03762), section 3.5):
/// `sin(p / 10000^(2i/dim))` in even columns `2i`, the cosine of the same in odd ones.
///
/// Nothing is learnt, and any length has its encoding.
#[derive(Clone, Debug)]
pub struct SinusoidalPositions {
    dim: usize,
    /// `10000^(2i/dim)` for each column.
    rates: Vec<f64>,
    /// Encodings of the first positions, which are all that most messages need.
    table: Vec<f32>,
}

impl SinusoidalPositions {
    const READY: usize = 64;

    /// Encodings of width `dim`.
    #[must_use]
    pub fn new(dim: usize) -> Self {
        let rate = |column: usize| 10_000_f64.powf((column / 2 * 2) as f64 / dim as f64);
        let rates: Vec<f64> = (0..dim).map(rate).collect();
        let table = (0..Self::READY).flat_map(|position| encode(position, &rates)).collect();
        Self { dim, rates, table }
    }

    /// Adds to each row the encoding of its place in its own sequence.
    ///
    /// # Shapes
    ///
    /// - `x`, output: `[row, dim]`
    ///
    /// # Errors
    ///
    /// If the rows of `x` are not those of `segments`, or not `dim` wide.
    pub fn add(&self, x: &Tensor, segments: &Segments) -> Result<Tensor> {
        if segments.rows() == 0 {
            return Ok(x.clone());
        }
        let longest = segments.iter().map(|range| range.len()).max().unwrap_or(0).max(1);
        let mut table = self.table[..longest.min(Self::READY) * self.dim].to_vec();
        table.extend((Self::READY..longest).flat_map(|position| encode(position, &self.rates)));
        let table = Tensor::from_vec(table, (longest, self.dim), x.device())?.to_dtype(x.dtype())?;
        let places: Vec<u32> = segments.iter().flat_map(|range| 0..range.len() as u32).collect();
        x + table.index_select(&Tensor::new(places, x.device())?, 0)?
    }

    /// Adds to the rows of one sequence, `[row, dim]`, the encodings of their places.
    pub(crate) fn add_to_rows<T: Real>(&self, rows: &mut [T]) {
        let ready = rows.len().min(self.table.len());
        let later = (Self::READY..).flat_map(|position| encode(position, &self.rates));
        let (first, rest) = rows.split_at_mut(ready);
        let add = |(x, encoding): (&mut T, f32)| *x += T::of(f64::from(encoding));
        first.iter_mut().zip(self.table.iter().copied()).for_each(add);
        rest.iter_mut().zip(later).for_each(add);
    }
}

fn encode(position: usize, rates: &[f64]) -> impl Iterator<Item = f32> + '_ {
    rates.iter().enumerate().map(move |(column, rate)| {
        let angle = position as f64 / rate;
        (if column % 2 == 0 { angle.sin() } else { angle.cos() }) as f32
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    #[test]
    fn each_sequence_begins_again_and_long_ones_go_on() -> Result<()> {
        let segments = Segments::from_lengths([2, 300, 1]);
        let x = Tensor::zeros((303, 5), DType::F64, &Device::Cpu)?;
        let rows = SinusoidalPositions::new(5).add(&x, &segments)?.to_vec2::<f64>()?;
        assert_eq!(rows[0], [0.0, 1.0, 0.0, 1.0, 0.0]);
        assert_eq!(rows[0], rows[2]);
        assert_eq!(rows[0], rows[302]);
        assert!((rows[2 + 299][0] - 299_f64.sin()).abs() < 1e-6);
        assert!((rows[1][3] - (1.0 / 10_000_f64.powf(0.4)).cos()).abs() < 1e-6);

        let mut plain = vec![0_f32; 300 * 5];
        SinusoidalPositions::new(5).add_to_rows(&mut plain);
        let expected = rows[2..302].iter().flatten();
        assert!(plain.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6));
        Ok(())
    }
}
