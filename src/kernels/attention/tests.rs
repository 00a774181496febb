//! `f32` agrees with `f64`, in short sequences and in long ones; `f64` is compared with candle and finite differences in
//! the tests of `nn`.

use super::*;

const REACH: usize = 5;

/// The gradients of all that learns, and the output, for numbers of one type.
fn both<T: Real>(
    attention: &Attention<'_>,
    [keys, values, biases]: [bool; 3],
    numbers: impl Fn(usize, u64) -> Vec<T>,
) -> Vec<Vec<T>> {
    let (rows, dim) = (attention.offsets[attention.offsets.len() - 1], attention.model_dim);
    let (qkv, grad) = (numbers(rows * 3 * dim, 1), numbers(rows * dim, 2));
    let table = numbers((2 * REACH + 1) * dim, 3);
    let used = |used: bool, len: usize| if used { &table[..len] } else { &[] };
    let relative = Relative {
        keys: used(keys, table.len()),
        values: used(values, table.len()),
        biases: used(biases, (2 * REACH + 1) * attention.heads),
        reach: REACH,
    };
    let mut out = vec![T::zero(); rows * dim];
    let log_sums = attention.forward(&qkv, relative, &mut out);
    let sizes = [&qkv[..], relative.keys, relative.values, relative.biases].map(<[T]>::len);
    let mut gradients = sizes.map(|len| vec![T::zero(); len]);
    let [qkv_sums, relative_keys, relative_values, relative_biases] = &mut gradients;
    let sums = &mut AttentionGradients { qkv: qkv_sums, relative_keys, relative_values, relative_biases };
    attention.backward(&qkv, relative, Outputs { out: &out, log_sums: &log_sums }, &grad, sums);
    gradients.into_iter().chain([out]).collect()
}

fn number(salt: u64, i: usize) -> f64 {
    (dropout::bits(salt, i as u64) >> 40) as f64 / f64::from(1 << 23) - 1.0
}

/// The largest difference between `f32` and `f64`.
fn difference(attention: &Attention<'_>, relative: [bool; 3]) -> f64 {
    let single = both(attention, relative, |len, salt| (0..len).map(|i| number(salt, i) as f32).collect());
    let double = both(attention, relative, |len, salt| (0..len).map(|i| number(salt, i)).collect());
    let pairs = single.iter().flatten().zip(double.iter().flatten());
    pairs
        .map(|(a, b)| (f64::from(*a) - b).abs())
        .fold(0.0, |top: f64, x| if x > top || x.is_nan() { x } else { top })
}

#[test]
fn f32_agrees_with_f64() {
    let offsets = [0, 3, 4, 4, 12, 28, 68];
    for (model_dim, causal, values, drop_rate) in
        [(64, false, false, 0.0), (64, true, true, 0.0), (64, false, true, 0.4), (20, true, true, 0.4)]
    {
        let attention = Attention::new(&offsets, 2, model_dim, causal).with_dropout(drop_rate, 7);
        let worst = difference(&attention, [true, values, values]);
        assert!(worst < 1e-5, "{worst:e}");
    }
}

/// `f64` has no blocked kernel, so this compares it with the one that holds all scores at once.
#[test]
fn around_the_length_where_the_blocked_kernel_begins_both_kernels_agree() {
    let lengths = [BLOCKED_FROM - 1, BLOCKED_FROM, 3, BLOCKED_FROM + 1, BLOCKED_FROM + 70];
    let mut offsets = vec![0];
    lengths.iter().for_each(|len| offsets.push(offsets[offsets.len() - 1] + len));
    for (model_dim, causal) in [(32, false), (32, true), (40, true)] {
        let attention = Attention::new(&offsets, 2, model_dim, causal);
        let worst = difference(&attention, [false; 3]);
        assert!(worst < 1e-5, "model_dim {model_dim}, causal {causal}: {worst:e}");
    }
}

#[test]
fn only_long_sequences_without_extras_go_to_the_blocked_kernel() {
    let offsets = [0, BLOCKED_FROM - 1, 2 * BLOCKED_FROM - 1];
    let attention = Attention::new(&offsets, 2, 32, false);
    let qkv = vec![0.5_f32; offsets[2] * 96];
    let mut out = vec![0.0; offsets[2] * 32];
    assert_eq!(attention.forward(&qkv, Relative::NONE, &mut out).0.len(), 2 * BLOCKED_FROM);
    let (vectors, biases) = ([0.0; 32], [0.0; 2]);
    for relative in [
        Relative { keys: &vectors[..], ..Relative::NONE },
        Relative { values: &vectors, ..Relative::NONE },
        Relative { biases: &biases, ..Relative::NONE },
    ] {
        assert!(attention.forward(&qkv, relative, &mut out).0.is_empty());
    }
    assert!(attention.with_dropout(0.1, 0).forward(&qkv, Relative::NONE, &mut out).0.is_empty());
}
