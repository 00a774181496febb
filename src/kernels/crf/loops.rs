//! The loops over the tags of a row.

use crate::kernels::Real;

/// Columns that a step of [`Decoder`](super::Decoder) keeps in registers at once; its rows are multiples of it.
pub(super) const BLOCK: usize = 64;

widest! {
    /// `out[i] = exp(x[i] − top)`.
    pub(super) fn shifted_exponentials<T: Real>(x: &[T], top: T, out: &mut [T]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out = (*x - top).fast_exp();
        }
    }
}

widest! {
    /// `out[i] *= by[i]`.
    pub(super) fn multiply<T: Real>(out: &mut [T], by: &[T]) {
        for (out, by) in out.iter_mut().zip(by) {
            *out *= *by;
        }
    }
}

widest! {
    /// `next[to] = max` over the `dense` tags of `best[from] + scores[from, to]`.
    pub(super) fn best_arrivals<T: Real>(best: &[T], dense: &[usize], scores: &[T], next: &mut [T]) {
        let width = next.len();
        for (at, block) in next.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let mut top = [T::neg_infinity(); BLOCK];
            for from in dense {
                let own = best[*from];
                let start = from * width + at * BLOCK;
                let Some(moves) = scores[start..].first_chunk::<BLOCK>() else { return };
                for lane in 0..BLOCK {
                    let arriving = own + moves[lane];
                    top[lane] = if arriving > top[lane] { arriving } else { top[lane] };
                }
            }
            *block = top;
        }
    }
}

widest! {
    /// The first place where `a[i] + b[i]` is largest; zero if it is nowhere larger than −∞.
    pub(super) fn largest_sum<T: Real>(a: &[T], b: &[T]) -> usize {
        let mut tops = [T::neg_infinity(); BLOCK];
        for (a, b) in a.as_chunks::<BLOCK>().0.iter().zip(b.as_chunks::<BLOCK>().0) {
            for lane in 0..BLOCK {
                let sum = a[lane] + b[lane];
                tops[lane] = if sum > tops[lane] { sum } else { tops[lane] };
            }
        }
        let mut top = T::neg_infinity();
        for lane in tops {
            top = if lane > top { lane } else { top };
        }
        if top == T::neg_infinity() {
            return 0;
        }
        a.iter().zip(b).position(|(a, b)| *a + *b == top).unwrap_or(0)
    }
}

widest! {
    /// `here[to] = Σ` over the `dense` tags of `before[from] · moves[from, to]`.
    pub(super) fn summed_arrivals<T: Real>(before: &[T], dense: &[usize], moves: &[T], here: &mut [T]) {
        let width = here.len();
        for (at, block) in here.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let mut sums = [T::zero(); BLOCK];
            for from in dense {
                let own = before[*from];
                let start = from * width + at * BLOCK;
                let Some(moves) = moves[start..].first_chunk::<BLOCK>() else { return };
                for lane in 0..BLOCK {
                    sums[lane] += own * moves[lane];
                }
            }
            *block = sums;
        }
    }
}

widest! {
    /// `here[from] = Σ moves[from, to] · after[to]` for the `dense` tags.
    pub(super) fn departures<T: Real>(after: &[T], dense: &[usize], moves: &[T], here: &mut [T]) {
        let width = after.len();
        for from in dense {
            let mut sums = [T::zero(); BLOCK];
            let row = &moves[from * width..(from + 1) * width];
            for (moves, after) in row.as_chunks::<BLOCK>().0.iter().zip(after.as_chunks::<BLOCK>().0) {
                for lane in 0..BLOCK {
                    sums[lane] += moves[lane] * after[lane];
                }
            }
            here[*from] = together(sums);
        }
    }
}

/// Divides a row by its sum and returns the logarithm of that; `None` where the sum is so small that what the
/// exponential rounds to zero could matter.
pub(super) fn normalize_row<T: Real>(row: &mut [T]) -> Option<T> {
    let total = total(row);
    if !(total.is_finite() && total > T::min_positive_value().sqrt()) {
        return None;
    }
    scale(row, total.recip());
    Some(total.ln())
}

widest! {
    fn total<T: Real>(row: &[T]) -> T {
        let mut sums = [T::zero(); BLOCK];
        for row in row.as_chunks::<BLOCK>().0 {
            for lane in 0..BLOCK {
                sums[lane] += row[lane];
            }
        }
        together(sums)
    }
}

/// The sum of all lanes, the upper half added to the lower until one is left.
#[inline(always)]
fn together<T: Real>(mut lanes: [T; BLOCK]) -> T {
    let mut half = BLOCK / 2;
    while half > 0 {
        for lane in 0..half {
            let other = lanes[lane + half];
            lanes[lane] += other;
        }
        half /= 2;
    }
    lanes[0]
}

widest! {
    fn scale<T: Real>(row: &mut [T], by: T) {
        for x in row {
            *x *= by;
        }
    }
}
