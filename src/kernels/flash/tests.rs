//! Comparison with a slow implementation: one number at a time in `f64`, straight from the definition.

use super::*;

/// Sizes and options of one case.
#[derive(Clone, Copy, Debug)]
struct Case {
    batch: usize,
    heads: usize,
    queries: usize,
    keys: usize,
    head_dim: usize,
    causal: bool,
    window: Option<usize>,
    masked: bool,
}

impl Case {
    fn square(seq: usize, head_dim: usize) -> Self {
        Self {
            batch: 2,
            heads: 3,
            queries: seq,
            keys: seq,
            head_dim,
            causal: false,
            window: None,
            masked: false,
        }
    }

    fn flash<'a>(&self, visible: Option<&'a [bool]>, instructions: Instructions) -> Flash<'a> {
        let Self { batch, heads, queries, keys, head_dim, causal, window, .. } = *self;
        Flash {
            batch,
            heads,
            queries,
            keys,
            head_dim,
            scale: 1.0 / (head_dim as f32).sqrt(),
            causal,
            window,
            visible,
            precision: Precision::F32,
            threads: 1,
            instructions,
        }
    }

    /// Every third key of the first sequence and all of the last are hidden.
    fn visible(&self) -> Option<Vec<bool>> {
        let seen = |at: usize| {
            let (sequence, key) = (at / self.keys, at % self.keys);
            if sequence == 0 { key % 3 != 0 } else { sequence + 1 < self.batch }
        };
        self.masked.then(|| (0..self.batch * self.keys).map(seen).collect())
    }

    fn inputs(&self) -> [Vec<f32>; 4] {
        let rows = |rows: usize| self.batch * self.heads * rows * self.head_dim;
        let sizes = [rows(self.queries), rows(self.keys), rows(self.keys), rows(self.queries)];
        std::array::from_fn(|salt| normal(sizes[salt], salt as u64))
    }
}

/// Normally distributed numbers that never change (Box and Muller 1958).
fn normal(len: usize, salt: u64) -> Vec<f32> {
    let uniform = |i: u64| (crate::kernels::dropout::bits(salt, i) >> 11) as f64 / (1_u64 << 53) as f64;
    let at = |i: u64| {
        let radius = (-2.0 * (1.0 - uniform(2 * i)).ln()).sqrt();
        (radius * (std::f64::consts::TAU * uniform(2 * i + 1)).cos()) as f32
    };
    (0..len as u64).map(at).collect()
}

/// Output, log₂ of the sums, and the gradients of queries, keys and values for the output gradient `grad`.
struct Twin {
    out: Vec<f64>,
    log_sums: Vec<f64>,
    grads: [Vec<f64>; 3],
}

fn twin(case: &Case, visible: Option<&[bool]>, [q, k, v, grad]: [&[f32]; 4]) -> Twin {
    let Case { batch, heads, queries, keys, head_dim: dim, .. } = *case;
    let scale = 1.0 / (dim as f64).sqrt();
    let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
    let [q, k, v, grad] = [q, k, v, grad].map(wide);
    let dot = |a: &[f64], i: usize, b: &[f64], j: usize| -> f64 {
        (0..dim).map(|c| a[i * dim + c] * b[j * dim + c]).sum()
    };
    let mut out = vec![0.0; q.len()];
    let mut log_sums = vec![f64::INFINITY; batch * heads * queries];
    let mut grads = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
    for head in 0..batch * heads {
        for query in 0..queries {
            let (row, at) = (head * queries + query, query as i64 + keys as i64 - queries as i64);
            let sees = |key: usize| {
                let distance = at - key as i64;
                visible.is_none_or(|visible| visible[head / heads * keys + key])
                    && (!case.causal || distance >= 0)
                    && case.window.is_none_or(|window| distance.unsigned_abs() <= window as u64)
            };
            let seen: Vec<usize> = (0..keys).filter(|key| sees(*key)).collect();
            let score = |key: usize| scale * dot(&q, row, &k, head * keys + key);
            let top = seen.iter().map(|key| score(*key)).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = seen.iter().map(|key| (score(*key) - top).exp()).sum();
            if !seen.is_empty() {
                log_sums[row] = (top + sum.ln()) * std::f64::consts::LOG2_E;
            }
            let weights: Vec<f64> = seen.iter().map(|key| (score(*key) - top).exp() / sum).collect();
            let slopes: Vec<f64> = seen.iter().map(|key| dot(&grad, row, &v, head * keys + key)).collect();
            let mean: f64 = weights.iter().zip(&slopes).map(|(weight, slope)| weight * slope).sum();
            for ((key, weight), slope) in seen.iter().zip(weights).zip(slopes) {
                let key = head * keys + key;
                let slope = weight * (slope - mean) * scale;
                for c in 0..dim {
                    out[row * dim + c] += weight * v[key * dim + c];
                    grads[0][row * dim + c] += slope * k[key * dim + c];
                    grads[1][key * dim + c] += slope * q[row * dim + c];
                    grads[2][key * dim + c] += weight * grad[row * dim + c];
                }
            }
        }
    }
    Twin { out, log_sums, grads }
}

/// The largest difference, relative to the largest number.
///
/// Gradients can cancel to nothing, as do those of a query that sees one key; what rounding leaves of terms
/// of about one is then compared with one.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().map(|x| x.abs()).fold(0.0, f64::max);
    let largest = if largest < 0.1 { 1.0 } else { largest };
    let differences = found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs());
    differences.fold(0.0, |top: f64, x| if x.is_nan() { f64::INFINITY } else { top.max(x) }) / largest
}

/// Both passes, compared with the slow implementation: errors of the output, and of the gradients of queries, keys and values.
fn errors(case: &Case, instructions: Instructions, precision: Precision, threads: usize) -> [f64; 4] {
    let visible = case.visible();
    let visible = visible.as_deref();
    let flash = Flash { precision, threads, ..case.flash(visible, instructions) };
    let [q, k, v, grads] = case.inputs();
    let expected = twin(case, visible, [&q, &k, &v, &grads]);
    let inputs = Inputs { queries: &q, keys: &k, values: &v };
    let (out, log_sums) = flash.forward(inputs);
    for (found, expected) in log_sums.iter().zip(&expected.log_sums) {
        let close = (f64::from(*found) - expected).abs() < 0.05;
        assert!(close || f64::from(*found) == *expected, "{case:?}: {found} {expected}");
    }
    let found = flash.backward(inputs, Outputs { out: &out, log_sums: &log_sums, grads: &grads });
    let [queries, keys, values] = found;
    [
        error(&out, &expected.out),
        error(&queries, &expected.grads[0]),
        error(&keys, &expected.grads[1]),
        error(&values, &expected.grads[2]),
    ]
}

fn instructions() -> impl Iterator<Item = Instructions> {
    Instructions::ALL.into_iter().map(|(_, set)| set).filter(|set| *set <= Instructions::best())
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (seq, head_dim) in
        [(0, 16), (1, 16), (2, 5), (7, 64), (16, 64), (33, 40), (64, 64), (130, 24), (200, 80)]
    {
        for (causal, window) in
            [(false, None), (true, None), (false, Some(3)), (true, Some(70)), (true, Some(0))]
        {
            for masked in [false, true] {
                cases.push(Case { causal, window, masked, ..Case::square(seq, head_dim) });
            }
        }
    }
    for (queries, keys) in [(1, 70), (70, 1), (5, 0), (0, 5), (20, 131), (131, 20)] {
        for (causal, window) in [(false, None), (true, None), (false, Some(9)), (true, Some(9))] {
            let masked = queries % 2 == 0;
            cases.push(Case { queries, keys, causal, window, masked, ..Case::square(1, 32) });
        }
    }
    // Keys that fill one block, but begin at an odd one.
    cases.push(Case { queries: 10, keys: 81, causal: true, window: Some(54), ..Case::square(1, 32) });
    cases
}

#[test]
fn f32_agrees_with_the_definition() {
    for instructions in instructions() {
        for case in cases() {
            let errors = errors(&case, instructions, Precision::F32, 1);
            assert!(errors.iter().all(|error| *error < 1e-5), "{instructions:?} {case:?}: {errors:?}");
        }
    }
}

/// The bound is that of a query that sees one key, whose gradient is what rounding leaves of zero.
#[test]
fn bf16_agrees_with_the_definition_to_its_precision() {
    for case in cases() {
        let errors = errors(&case, Instructions::best(), Precision::Bf16, 1);
        assert!(errors.iter().all(|error| *error < 4e-2), "{case:?}: {errors:?}");
    }
}

#[test]
fn the_errors_are_what_the_documentation_says() {
    for (precision, allowed) in [(Precision::F32, 1.5e-6), (Precision::Bf16, 8e-3)] {
        for seq in [16, 64, 300] {
            let case = Case::square(seq, 64);
            let found = errors(&case, Instructions::best(), precision, 1);
            assert!(found.iter().all(|error| *error < allowed), "{precision:?} {seq}: {found:?}");
        }
    }
}

#[test]
fn threads_change_no_byte() {
    let case = Case { batch: 1, causal: true, ..Case::square(1300, 32) };
    let [q, k, v, grads] = case.inputs();
    let inputs = Inputs { queries: &q, keys: &k, values: &v };
    for precision in [Precision::F32, Precision::Bf16] {
        let both = |threads: usize| {
            let flash = Flash { precision, threads, ..case.flash(None, Instructions::best()) };
            let (out, log_sums) = flash.forward(inputs);
            let gradients = flash.backward(inputs, Outputs { out: &out, log_sums: &log_sums, grads: &grads });
            (out, gradients)
        };
        let alone = both(1);
        for threads in [2, 3, 5, 5, 5] {
            assert!(both(threads) == alone, "{precision:?}: {threads} threads find other numbers");
        }
    }
}

#[test]
fn long_sequences_are_divided_rightly() {
    let case = Case { batch: 1, heads: 1, ..Case::square(1100, 16) };
    for (causal, window, masked) in [(false, None, false), (true, Some(600), true)] {
        let case = Case { batch: 1 + usize::from(masked), causal, window, masked, ..case };
        let errors = errors(&case, Instructions::best(), Precision::F32, 2);
        assert!(errors.iter().all(|error| *error < 4e-6), "{case:?}: {errors:?}");
    }
}

#[test]
fn large_scores_do_not_overflow() {
    let case = Case::square(40, 16);
    let [mut q, k, v, _] = case.inputs();
    q.iter_mut().for_each(|x| *x *= 1e4);
    for instructions in instructions() {
        let flash = case.flash(None, instructions);
        let (out, log_sums) = flash.forward(Inputs { queries: &q, keys: &k, values: &v });
        assert!(out.iter().chain(&log_sums).all(|x| x.is_finite()), "{instructions:?}");
    }
}

#[test]
fn hidden_keys_change_nothing_whatever_they_hold() {
    let case = Case { masked: true, ..Case::square(50, 16) };
    let visible = case.visible().unwrap();
    let [q, mut k, mut v, grads] = case.inputs();
    let flash = case.flash(Some(&visible), Instructions::best());
    let both = |k: &[f32], v: &[f32]| {
        let inputs = Inputs { queries: &q, keys: k, values: v };
        let (out, log_sums) = flash.forward(inputs);
        let gradients = flash.backward(inputs, Outputs { out: &out, log_sums: &log_sums, grads: &grads });
        (out, gradients)
    };
    let before = both(&k, &v);
    for (at, _) in visible.iter().enumerate().filter(|(_, seen)| !**seen) {
        for head in 0..case.heads {
            let start = ((at / case.keys * case.heads + head) * case.keys + at % case.keys) * case.head_dim;
            k[start..start + case.head_dim].fill(f32::NAN);
            v[start..start + case.head_dim].fill(f32::INFINITY);
        }
    }
    assert!(both(&k, &v) == before);
}

/// Whether each row has a number that is not finite.
fn odd_rows<T: num_traits::Float>(values: &[T], dim: usize) -> Vec<bool> {
    values.chunks(dim).map(|row| row.iter().any(|x| !x.is_finite())).collect()
}

#[test]
fn what_is_not_a_number_reaches_those_that_see_it_and_no_others() {
    let square = |causal, window, masked| Case { causal, window, masked, ..Case::square(70, 20) };
    for case in [square(false, None, true), square(true, None, false), square(true, Some(5), true)] {
        let visible = case.visible();
        for (input, row) in [(0, 3), (0, 69), (1, 40), (1, 1), (2, 40), (2, 68), (3, 12)] {
            let mut inputs = case.inputs();
            inputs[input][row * case.head_dim + 7] = f32::NAN;
            let [q, k, v, grads] = &inputs;
            let expected = twin(&case, visible.as_deref(), [q, k, v, grads]);
            for (set, precision) in
                instructions().flat_map(|set| [(set, Precision::F32), (set, Precision::Bf16)])
            {
                let flash = Flash { precision, ..case.flash(visible.as_deref(), set) };
                let inputs = Inputs { queries: q, keys: k, values: v };
                let (out, log_sums) = flash.forward(inputs);
                let found = flash.backward(inputs, Outputs { out: &out, log_sums: &log_sums, grads });
                let odd = odd_rows(&expected.out, case.head_dim);
                assert_eq!(odd_rows(&out, case.head_dim), odd, "{case:?} {set:?} {input} {row}");
                for (at, (found, expected)) in found.iter().zip(&expected.grads).enumerate() {
                    let odd = odd_rows(expected, case.head_dim);
                    assert_eq!(
                        odd_rows(found, case.head_dim),
                        odd,
                        "{case:?} {set:?} {input} {row}: gradient {at}"
                    );
                }
            }
        }
    }
}

#[test]
fn infinite_scores_share_all_weight() {
    let case = Case { batch: 1, heads: 1, ..Case::square(3, 16) };
    let [mut q, mut k, v, _] = case.inputs();
    q.fill(1.0);
    k.fill(1.0);
    k[0] = f32::INFINITY;
    k[16] = f32::INFINITY;
    k[32] = f32::NEG_INFINITY;
    for instructions in instructions() {
        let (out, _) = case.flash(None, instructions).forward(Inputs { queries: &q, keys: &k, values: &v });
        for (at, x) in out.iter().enumerate() {
            let expected = f32::midpoint(v[at % 16], v[16 + at % 16]);
            assert!((x - expected).abs() < 1e-6, "{instructions:?}: {x} {expected}");
        }
    }
}

#[test]
fn what_is_seen_and_not_a_number_shows() {
    let case = Case { causal: true, ..Case::square(20, 16) };
    let [mut q, k, v, _] = case.inputs();
    q[3 * case.head_dim] = f32::NAN; // query 3 of the first head
    for instructions in instructions() {
        let (out, _) = case.flash(None, instructions).forward(Inputs { queries: &q, keys: &k, values: &v });
        let is_nan: Vec<bool> = out.chunks(case.head_dim).map(|row| row.iter().all(|x| x.is_nan())).collect();
        assert!(
            is_nan.iter().enumerate().all(|(row, nan)| *nan == (row == 3)),
            "{instructions:?}: {is_nan:?}"
        );
    }
}
