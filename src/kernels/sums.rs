//! Sums of rows and of whole slices.

use super::Real;

widest! {
    /// `out[i] += x[i]`.
    pub(crate) fn add<T: Real>(out: &mut [T], x: &[T]) {
        for (out, x) in out.iter_mut().zip(x) {
            *out += *x;
        }
    }
}

widest! {
    /// Adds every row of `rows`, each as wide as `out`, to `out`.
    pub(crate) fn add_rows<T: Real>(rows: &[T], out: &mut [T]) {
        for row in rows.chunks_exact(out.len().max(1)) {
            for (out, x) in out.iter_mut().zip(row) {
                *out += *x;
            }
        }
    }
}

widest! {
    /// `Σ x²`, in `f64`.
    pub(crate) fn squares(x: &[f32]) -> f64 {
        lanes_sum([x], |[x]| f64::from(x) * f64::from(x))
    }
}

widest! {
    /// Whether no number is infinite or NaN.
    pub(crate) fn all_finite<T: Real>(x: &[T]) -> bool {
        // Zero times anything else is NaN.
        lanes_sum([x], |[x]| x * T::zero()) == T::zero()
    }
}

/// `Σ f(x[i])` over slices of one length, in running sums side by side, which vectors hold.
#[inline(always)]
pub(super) fn lanes_sum<S: Copy, T: Real, const N: usize>(x: [&[S]; N], f: impl Fn([S; N]) -> T) -> T {
    const LANES: usize = 32;
    let mut sums = [T::zero(); LANES];
    let (whole, rest): ([&[[S; LANES]]; N], [&[S]; N]) =
        (x.map(|x| x.as_chunks().0), x.map(|x| x.as_chunks::<LANES>().1));
    for at in 0..whole[0].len() {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += f(whole.map(|x| x[at][lane]));
        }
    }
    // In halves, so that vectors do this as well.
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = sums.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        half /= 2;
    }
    sums[0] + (0..rest[0].len()).map(|at| f(rest.map(|x| x[at]))).sum::<T>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_by_hand() {
        let mut out = [1.0, 2.0];
        add(&mut out, &[10.0, 20.0]);
        add_rows(&[100.0, 200.0, 0.5, 0.25], &mut out);
        assert_eq!(out, [111.5, 222.25]);
        let x: Vec<f32> = (0_u8..37).map(f32::from).collect();
        assert!((squares(&x) - f64::from(36 * 37 * 73 / 6)).abs() < 1e-9);
    }

    #[test]
    fn a_number_that_is_not_finite_is_found_wherever_it_stands() {
        let mut x = [f32::MAX; 37];
        assert!(all_finite(&x) && all_finite::<f64>(&[]));
        for at in [0, 15, 31, 36] {
            for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                x[at] = odd;
                assert!(!all_finite(&x), "{odd} at {at}");
            }
            x[at] = -0.0;
        }
    }
}
