//! The formula, the operation and `attention` agree with each other.

use candle_core::Device;
use candle_nn::Init;
use ndarray::{Array2, ArrayView2, Axis, s};

use super::*;
use crate::attention::{Scale, Visible, multi_head_attention};
use crate::nn::Parameters;
use crate::nn::testing::{assert_close, assert_gradients, input, seeded, shake};

/// What the distance from query to key counts for.
#[derive(Clone, Copy, PartialEq)]
enum Distance {
    Nothing,
    KeysAndValues,
    Scores,
}

fn config(distance: Distance, causal: bool) -> TransformerConfig {
    let relative = distance == Distance::KeysAndValues;
    TransformerConfig {
        model_dim: 20,
        heads: 5,
        causal,
        relative_keys: relative,
        relative_values: relative,
        relative_biases: distance == Distance::Scores,
        projection_bias: distance == Distance::Scores,
        relative_reach: 2,
        ..Default::default()
    }
}

fn segments() -> Segments {
    Segments::from_lengths([3, 1, 0, 7])
}

fn variants() -> impl Iterator<Item = (Distance, bool)> {
    let all = [Distance::Nothing, Distance::KeysAndValues, Distance::Scores];
    all.into_iter().flat_map(|distance| [(distance, false), (distance, true)])
}

#[test]
fn every_parameter_has_the_right_gradient() -> Result<()> {
    for (distance, causal) in variants() {
        let (parameters, vb) = seeded();
        let block = SelfAttention::new(&config(distance, causal), vb.pp("attention"))?;
        let x = vb.get_with_hints((11, 20), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
        assert_gradients(&parameters, || block.forward(&x, &segments(), &Pass::inference()))?;
    }
    Ok(())
}

#[test]
fn hidden_scores_have_the_right_gradient() -> Result<()> {
    let (parameters, vb) = seeded();
    let config = TransformerConfig { attention_dropout: 0.4, ..config(Distance::KeysAndValues, false) };
    let block = SelfAttention::new(&config, vb.pp("attention"))?;
    let x = vb.get_with_hints((11, 20), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
    assert_gradients(&parameters, || block.forward(&x, &segments(), &Pass::training(8)))
}

/// Asserts that both have the same output and the same gradients.
fn assert_formula_and_operation_agree(
    (parameters, block): (&Parameters, &SelfAttention),
    x: &Tensor,
    segments: &Segments,
    tolerance: f64,
) -> Result<()> {
    let seed = Pass::training(8).next_seed().filter(|_| block.drop_rate > 0.0);
    let context = block.padded_context(&block.project(x, segments)?, segments, seed)?;
    let formula = block.output.forward(&context)?;
    let operation = block.forward(x, segments, &Pass::training(8))?;
    assert_close(&formula, &operation, tolerance)?;
    let weights = input(x.shape().clone())?.to_dtype(x.dtype())?;
    let [formula, operation] = [formula, operation].map(|out| (out * &weights)?.sum_all()?.backward());
    let (formula, operation) = (formula?, operation?);
    for (_, var) in parameters.all() {
        assert_close(formula.get(&var).unwrap(), operation.get(&var).unwrap(), tolerance)?;
    }
    Ok(())
}

#[test]
fn formula_and_operation_agree_forward_and_backward() -> Result<()> {
    for (distance, causal) in variants() {
        for attention_dropout in [0.0, 0.4, 0.9] {
            let (parameters, vb) = seeded();
            let config = TransformerConfig { attention_dropout, ..config(distance, causal) };
            let block = SelfAttention::new(&config, vb.pp("attention"))?;
            let x = vb.get_with_hints((11, 20), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
            shake(&parameters)?;
            assert_formula_and_operation_agree((&parameters, &block), &x, &segments(), 1e-11)?;
        }
    }
    Ok(())
}

#[test]
fn they_agree_on_long_sequences_in_f32() -> Result<()> {
    for causal in [false, true] {
        let parameters = Parameters::new(3);
        let vb = parameters.builder(DType::F32, &Device::Cpu);
        let block = SelfAttention::new(&config(Distance::Nothing, causal), vb.pp("attention"))?;
        let x = vb.get_with_hints((305, 20), "x", Init::Uniform { lo: -1.0, up: 1.0 })?;
        let segments = Segments::from_lengths([300, 5]);
        assert_formula_and_operation_agree((&parameters, &block), &x, &segments, 1e-4)?;
    }
    Ok(())
}

#[test]
fn agrees_with_attention_without_weights_on_the_same_numbers() -> Result<()> {
    for causal in [false, true] {
        let (parameters, vb) = seeded();
        let block = SelfAttention::new(&config(Distance::Nothing, causal), vb)?;
        shake(&parameters)?;
        let x = input((11, 20))?;
        let qkv = block.query_key_value.forward(&x)?.flatten_all()?.to_vec1::<f64>()?;
        let qkv = ArrayView2::from_shape((11, 60), &qkv).unwrap();
        let mut context = Array2::zeros((11, 20));
        for (range, weights) in segments().iter().zip(block.weights(&x, &segments())?) {
            let part = |from: usize| qkv.slice(s![range.clone(), from..from + 20]);
            let visible = causal.then(|| Visible::causal(range.len()));
            let visible = visible.as_ref();
            let own =
                multi_head_attention(part(0), part(20), part(40), 5, visible, Scale::InverseSqrt).unwrap();
            context.slice_mut(s![range.clone(), ..]).assign(&own.context);
            let expected: Vec<f64> = own.weights.iter().copied().collect();
            let found = weights.flatten_all()?.to_vec1::<f64>()?;
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12));
            assert!(own.weights.sum_axis(Axis(2)).iter().all(|sum| (sum - 1.0).abs() < 1e-12));
        }
        let context = Tensor::from_vec(context.into_raw_vec_and_offset().0, (11, 20), x.device())?;
        let found = block.forward(&x, &segments(), &Pass::inference())?;
        assert_close(&found, &block.output.forward(&context)?, 1e-12)?;
    }
    Ok(())
}

/// The rows of a matrix that hold NaN, those with something infinite counted as two.
fn odd_rows(values: impl IntoIterator<Item = f64>, dim: usize) -> Vec<u8> {
    let values: Vec<f64> = values.into_iter().collect();
    let kind = |x: &f64| if x.is_nan() { 1 } else { 2 * u8::from(x.is_infinite()) };
    values.chunks(dim).map(|row| row.iter().map(kind).max().unwrap_or(0)).collect()
}

#[test]
fn what_is_not_a_number_comes_out_where_it_does_without_weights() -> Result<()> {
    use crate::kernels::attention::{Attention, Relative};

    let (rows, dim, heads) = (11, 20, 5);
    for causal in [false, true] {
        for (row, column) in [(0, 3), (6, 3), (10, 1), (6, 23), (0, 20), (10, 39), (6, 43), (9, 59), (0, 47)]
        {
            for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let mut qkv = input((rows, 3 * dim))?.flatten_all()?.to_vec1::<f64>()?;
                qkv[row * 3 * dim + column] = odd;
                let qkv = Array2::from_shape_vec((rows, 3 * dim), qkv).unwrap();
                let mut expected = Array2::zeros((rows, dim));
                for range in segments().iter() {
                    let part = |from: usize| qkv.slice(s![range.clone(), from..from + dim]);
                    let visible = causal.then(|| Visible::causal(range.len()));
                    let (q, k, v) = (part(0), part(dim), part(2 * dim));
                    let own = multi_head_attention(q, k, v, heads, visible.as_ref(), Scale::InverseSqrt);
                    expected.slice_mut(s![range.clone(), ..]).assign(&own.unwrap().context);
                }
                let segments = segments();
                let kernel = Attention::new(segments.offsets(), heads, dim, causal);
                let (mut double, mut single) = (vec![0.0_f64; rows * dim], vec![0.0_f32; rows * dim]);
                let qkv = qkv.into_raw_vec_and_offset().0;
                kernel.forward(&qkv, Relative::NONE, &mut double);
                let qkv: Vec<f32> = qkv.into_iter().map(|x| x as f32).collect();
                kernel.forward(&qkv, Relative::NONE, &mut single);
                let what = format!("causal {causal}, {odd} at {row}, {column}");
                // By heads, for a head knows nothing of the others.
                let expected = odd_rows(expected, dim / heads);
                assert_eq!(odd_rows(double, dim / heads), expected, "{what}");
                assert_eq!(odd_rows(single.into_iter().map(f64::from), dim / heads), expected, "{what}");
            }
        }
    }
    Ok(())
}

#[test]
fn other_sequences_and_for_causal_ones_the_future_change_nothing() -> Result<()> {
    let (_, vb) = seeded();
    let block = SelfAttention::new(&config(Distance::KeysAndValues, true), vb)?;
    let x = input((11, 20))?;
    let all = block.forward(&x, &segments(), &Pass::inference())?;
    let part = block.forward(&x.narrow(0, 4, 3)?, &Segments::from_lengths([3]), &Pass::inference())?;
    assert_close(&all.narrow(0, 4, 3)?, &part, 1e-12)
}

#[test]
fn what_does_not_fit_together_is_refused() {
    for (model_dim, heads) in [(20, 3), (20, 0), (0, 1)] {
        let config = TransformerConfig { model_dim, heads, ..Default::default() };
        assert!(SelfAttention::new(&config, seeded().1).is_err());
    }
    let both = TransformerConfig { relative_biases: true, ..config(Distance::KeysAndValues, false) };
    assert!(SelfAttention::new(&both, seeded().1).is_err());
}
