//! Logistic regression with a few inputs.

/// Logistic regression by Newton's method: the weights with the least binary cross-entropy over pairs of inputs and
/// right answers, pulled a little towards `start`, so that separable data does not make them grow without bounds.
pub(super) fn regression<const N: usize>(pairs: &[([f64; N], f64)], start: [f64; N]) -> [f64; N] {
    const PULL: f64 = 1.0;
    const ROUNDS: usize = 100;
    let product = |a: &[f64; N], b: &[f64; N]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let loss = |weights: &[f64; N]| -> f64 {
        let of_pair = |(input, y): &([f64; N], f64)| {
            let z = product(weights, input);
            z.max(0.0) + (-z.abs()).exp().ln_1p() - y * z
        };
        let off = weights.iter().zip(&start).map(|(weight, start)| (weight - start).powi(2));
        pairs.iter().map(of_pair).sum::<f64>() + PULL / 2.0 * off.sum::<f64>()
    };
    let (mut at, mut value) = (start, loss(&start));
    for _ in 0..ROUNDS {
        let mut gradient: [f64; N] = std::array::from_fn(|i| PULL * (at[i] - start[i]));
        let mut curvature: [[f64; N]; N] =
            std::array::from_fn(|i| std::array::from_fn(|j| if i == j { PULL } else { 0.0 }));
        for (input, y) in pairs {
            let p = sigmoid(product(&at, input));
            for i in 0..N {
                gradient[i] += (p - y) * input[i];
                (0..N).for_each(|j| curvature[i][j] += p * (1.0 - p) * input[i] * input[j]);
            }
        }
        let step = solve(curvature, gradient);
        // The step is halved as long as it goes too far.
        let shares = std::iter::successors(Some(1.0), |share| Some(share / 2.0)).take(20);
        let mut next = shares.map(|share| std::array::from_fn(|i| at[i] - share * step[i]));
        let Some(better) = next.find(|next| loss(next) < value - 1e-10) else { break };
        (at, value) = (better, loss(&better));
    }
    at
}

/// `x` of `matrix · x = right`, where the matrix is symmetric and positive definite: elimination needs no pivots.
fn solve<const N: usize>(mut matrix: [[f64; N]; N], mut right: [f64; N]) -> [f64; N] {
    for i in 0..N {
        for row in i + 1..N {
            let factor = matrix[row][i] / matrix[i][i];
            (i..N).for_each(|column| matrix[row][column] -= factor * matrix[i][column]);
            right[row] -= factor * right[i];
        }
    }
    for i in (0..N).rev() {
        let known: f64 = (i + 1..N).map(|column| matrix[i][column] * right[column]).sum();
        right[i] = (right[i] - known) / matrix[i][i];
    }
    right
}

/// `1 / (1 + exp(−z))`
pub(super) fn sigmoid(z: f64) -> f64 {
    // The exponential of a large number would overflow.
    if z < 0.0 { z.exp() / (1.0 + z.exp()) } else { 1.0 / (1.0 + (-z).exp()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equations_are_solved() {
        let found = solve([[4.0, 1.0, 2.0], [1.0, 3.0, 0.5], [2.0, 0.5, 5.0]], [12.0, 8.5, 18.0]);
        for (found, wanted) in found.into_iter().zip([1.0, 2.0, 3.0]) {
            assert!((found - wanted).abs() < 1e-12, "{found} instead of {wanted}");
        }
    }
}
