//! Where in its sequence a row stands.

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
    /// Encodings of the first positions, which most messages never leave.
    table: Vec<f32>,
}

impl SinusoidalPositions {
    const READY: usize = 256;

    /// Encodings of width `dim`.
    #[must_use]
    pub fn new(dim: usize) -> Self {
        let table = (0..Self::READY).flat_map(|position| encode(position, dim)).collect();
        Self { dim, table }
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
        let mut rows = Vec::with_capacity(x.elem_count());
        for range in segments.iter() {
            let ready = range.len().min(Self::READY);
            rows.extend_from_slice(&self.table[..ready * self.dim]);
            rows.extend((ready..range.len()).flat_map(|position| encode(position, self.dim)));
        }
        x + Tensor::from_vec(rows, (segments.rows(), self.dim), x.device())?.to_dtype(x.dtype())?
    }
}

impl SinusoidalPositions {
    /// `out = x · scale + encoding` for one row.
    pub(super) fn add_to<T: Real>(&self, position: usize, x: &[T], scale: T, out: &mut [T]) {
        let mut add = |encoding: &mut dyn Iterator<Item = f32>| {
            for ((out, x), encoding) in out.iter_mut().zip(x).zip(encoding) {
                *out = *x * scale + T::of(f64::from(encoding));
            }
        };
        match self.table.get(position * self.dim..(position + 1) * self.dim) {
            Some(ready) => add(&mut ready.iter().copied()),
            None => add(&mut encode(position, self.dim)),
        }
    }
}

fn encode(position: usize, dim: usize) -> impl Iterator<Item = f32> {
    (0..dim).map(move |column| {
        let rate = 10_000_f64.powf((column / 2 * 2) as f64 / dim as f64);
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
        Ok(())
    }
}
