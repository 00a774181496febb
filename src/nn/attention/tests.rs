//! The formula has the right gradients, and the operation agrees with it.

use candle_core::{Device, Var};
use candle_nn::Init;

use super::*;
use crate::attention::{Scale, Visible, multi_head_attention};
use crate::kernels::Precision;
use crate::nn::testing::{assert_close, assert_gradients, input, seeded};

fn configs() -> Vec<AttentionConfig> {
    let config = AttentionConfig::default();
    vec![
        config.clone(),
        AttentionConfig { causal: true, ..config.clone() },
        AttentionConfig { window: Some(2), scale: Some(0.3), ..config.clone() },
        AttentionConfig { causal: true, window: Some(1), threads: 2, ..config },
    ]
}

/// Two sequences: of the first a key is hidden, of the second all are.
fn visible(keys: usize) -> Result<Tensor> {
    let numbers: Vec<u8> = (0..2 * keys).map(|at| u8::from(at < keys && at != 1)).collect();
    Tensor::from_vec(numbers, (2, keys), &Device::Cpu)
}

fn variables(queries: usize, keys: usize) -> Result<[Var; 3]> {
    let numbers = input((3, 2, 3, queries.max(keys), 5))?.to_dtype(DType::F32)?;
    let part = |at: usize, rows: usize| Var::from_tensor(&numbers.get(at)?.narrow(2, 0, rows)?.contiguous()?);
    Ok([part(0, queries)?, part(1, keys)?, part(2, keys)?])
}

#[test]
fn the_formula_has_the_right_gradients() -> Result<()> {
    for config in configs() {
        let (parameters, vb) = seeded();
        let init = Init::Uniform { lo: -1.0, up: 1.0 };
        let q = vb.get_with_hints((2, 3, 3, 5), "q", init)?;
        let k = vb.get_with_hints((2, 3, 4, 5), "k", init)?;
        let v = vb.get_with_hints((2, 3, 4, 5), "v", init)?;
        let visible = visible(4)?;
        assert_gradients(&parameters, || attention(&q, &k, &v, Some(&visible), &config))?;
    }
    Ok(())
}

#[test]
fn operation_and_formula_agree_forward_and_backward() -> Result<()> {
    for (queries, keys) in [(7, 7), (3, 8), (8, 3), (1, 1), (70, 70)] {
        for config in configs() {
            for visible in [None, Some(visible(keys)?)] {
                let [q, k, v] = variables(queries, keys)?;
                let scale = check(&q, &k, &v, visible.as_ref(), &config)?;
                let fast = attention(&q, &k, &v, visible.as_ref(), &config)?;
                let slow = formula(&q, &k, &v, visible.as_ref(), &config, scale)?;
                assert_close(&fast, &slow, 2e-6)?;
                let weights = input(fast.shape().clone())?.to_dtype(DType::F32)?;
                let [fast, slow] = [fast, slow].map(|out| (out * &weights)?.sum_all()?.backward());
                let (fast, slow) = (fast?, slow?);
                for x in [&q, &k, &v] {
                    assert_close(fast.get(x).unwrap(), slow.get(x).unwrap(), 5e-6)?;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn agrees_with_attention_without_weights_on_the_same_numbers() -> Result<()> {
    for causal in [false, true] {
        let x = input((1, 1, 9, 6))?;
        let config = AttentionConfig { causal, ..Default::default() };
        let found = attention(&x, &x, &x, None, &config)?;
        let matrix = ndarray::Array2::from_shape_vec((9, 6), x.flatten_all()?.to_vec1::<f64>()?).unwrap();
        let visible = causal.then(|| Visible::causal(9));
        let own = multi_head_attention(
            matrix.view(),
            matrix.view(),
            matrix.view(),
            1,
            visible.as_ref(),
            Scale::InverseSqrt,
        );
        let expected = own.unwrap().context.into_raw_vec_and_offset().0;
        assert_close(&found, &Tensor::from_vec(expected, (1, 1, 9, 6), x.device())?, 1e-12)?;
    }
    Ok(())
}

#[test]
fn half_precision_and_bf16_products_are_near() -> Result<()> {
    let [q, k, v] = variables(40, 40)?;
    let exact = attention(&q, &k, &v, None, &AttentionConfig::default())?;
    let config = AttentionConfig { precision: Precision::Bf16, ..Default::default() };
    assert_close(&attention(&q, &k, &v, None, &config)?, &exact, 5e-3)?;
    let half = |x: &Var| x.to_dtype(DType::BF16);
    let found = attention(&half(&q)?, &half(&k)?, &half(&v)?, None, &AttentionConfig::default())?;
    assert_eq!(found.dtype(), DType::BF16);
    assert_close(&found.to_dtype(DType::F32)?, &exact, 1e-2)
}

#[test]
fn what_does_not_fit_is_refused() -> Result<()> {
    let config = AttentionConfig::default();
    let x = |shape: (usize, usize, usize, usize)| Tensor::zeros(shape, DType::F32, &Device::Cpu);
    let good = x((2, 3, 4, 5))?;
    for bad in [x((2, 3, 4, 6))?, x((1, 3, 4, 5))?, x((2, 1, 4, 5))?, good.to_dtype(DType::F64)?] {
        assert!(attention(&good, &bad, &bad, None, &config).is_err());
        assert!(attention(&good, &good, &bad, None, &config).is_err());
    }
    for scale in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let config = AttentionConfig { scale: Some(scale), ..config.clone() };
        assert!(attention(&good, &good, &good, None, &config).is_err());
    }
    for mask in [visible(5)?, visible(4)?.to_dtype(DType::F32)?] {
        assert!(attention(&good, &good, &good, Some(&mask), &config).is_err());
    }
    Ok(())
}

#[test]
fn nothing_in_nothing_out() -> Result<()> {
    for shape in [(0, 3, 4, 5), (2, 0, 4, 5), (2, 3, 0, 5), (2, 3, 4, 0)] {
        let x = Tensor::zeros(shape, DType::F32, &Device::Cpu)?;
        assert_eq!(attention(&x, &x, &x, None, &AttentionConfig::default())?.shape(), x.shape());
    }
    Ok(())
}
