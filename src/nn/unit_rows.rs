//! Rows of length one.

use candle_core::{D, Result, Tensor};

/// Rows scaled to length one, so that their inner products are cosines.
pub(crate) fn unit_rows(rows: &Tensor) -> Result<Tensor> {
    rows.broadcast_div(&(rows.sqr()?.sum_keepdim(D::Minus1)? + 1e-12)?.sqrt()?)
}
