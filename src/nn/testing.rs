//! What the tests of the blocks share: seeded inputs, and gradients compared with finite differences.

use std::cell::Cell;

use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use candle_nn::{Init, VarBuilder};

use super::Parameters;

/// An empty store in `f64`, and its builder.
pub(crate) fn seeded() -> (Parameters, VarBuilder<'static>) {
    let parameters = Parameters::new(11);
    let vb = parameters.builder(DType::F64, &Device::Cpu);
    (parameters, vb)
}

thread_local! {
    static KERNELS_ARE_OFF: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` in the way of other devices: with candle's operations in place of our kernels. On this thread only.
pub(crate) fn without_kernels<T>(work: impl FnOnce() -> T) -> T {
    KERNELS_ARE_OFF.set(true);
    let found = work();
    KERNELS_ARE_OFF.set(false);
    found
}

pub(super) fn kernels_are_off() -> bool {
    KERNELS_ARE_OFF.get()
}

/// Numbers in `±1`, always the same.
pub(crate) fn input(shape: impl Into<Shape>) -> Result<Tensor> {
    let vb = Parameters::new(5).builder(DType::F64, &Device::Cpu);
    Ok(vb.get_with_hints(shape, "input", Init::Uniform { lo: -1.0, up: 1.0 })?.detach())
}

/// Gives every parameter a value away from zero, so that no gradient hides behind a zero bias.
pub(crate) fn shake(parameters: &Parameters) -> Result<()> {
    for (i, (_, var)) in parameters.all().iter().enumerate() {
        let noise = input(var.shape().clone())?;
        var.set(&(var.as_tensor() + (noise * (0.1 + 0.01 * i as f64))?)?)?;
    }
    Ok(())
}

/// Asserts that two tensors agree to rounding.
pub(crate) fn assert_close(a: &Tensor, b: &Tensor, tolerance: f64) -> Result<()> {
    assert_eq!(a.shape(), b.shape());
    let worst = (a - b)?.abs()?.flatten_all()?.max(0)?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
    assert!(worst <= tolerance, "differ by {worst:e}");
    Ok(())
}

/// A fixed weighting of all numbers, so that each of them matters differently.
fn weighted_sum(x: &Tensor) -> Result<Tensor> {
    (x * input(x.shape().clone())?)?.sum_all()
}

/// Asserts for every number of every parameter that backpropagation and central differences agree.
///
/// A parameter without a gradient fails, unless all its differences are zero.
pub(crate) fn assert_gradients(parameters: &Parameters, forward: impl Fn() -> Result<Tensor>) -> Result<()> {
    let loss = || weighted_sum(&forward()?);
    shake(parameters)?;
    let grads = loss()?.backward()?;
    for (name, var) in parameters.all() {
        let found = match grads.get(var.as_tensor()) {
            Some(grad) => grad.flatten_all()?.to_vec1::<f64>()?,
            None => vec![0.0; var.elem_count()],
        };
        let slopes = central_differences(&var, || loss()?.to_scalar::<f64>())?;
        for (i, (found, slope)) in found.iter().zip(&slopes).enumerate() {
            let scale = slope.abs().max(1e-2);
            assert!((found - slope).abs() / scale < 1e-5, "{name}[{i}]: {found} but differences say {slope}");
        }
    }
    Ok(())
}

/// `(f(x + h) − f(x − h)) / 2h` for every number of `var`.
pub(crate) fn central_differences(var: &Var, f: impl Fn() -> Result<f64>) -> Result<Vec<f64>> {
    const STEP: f64 = 1e-5;
    let values = var.as_tensor().flatten_all()?.to_vec1::<f64>()?;
    let at = |i: usize, by: f64| -> Result<f64> {
        let mut moved = values.clone();
        moved[i] += by;
        var.set(&Tensor::from_vec(moved, var.shape(), var.device())?)?;
        f()
    };
    let slopes = (0..values.len()).map(|i| Ok((at(i, STEP)? - at(i, -STEP)?) / (2.0 * STEP)));
    let slopes = slopes.collect::<Result<Vec<_>>>()?;
    var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?;
    Ok(slopes)
}
