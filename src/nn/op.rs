//! How a kernel with a hand-written backward pass becomes an operation of candle's graph.

use std::sync::{Mutex, PoisonError};

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, WithDType, bail,
};

#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, cuda_backend::cudarc::driver::CudaSlice};

use super::gradient_sink::GradientValues;
use super::workspace::{Buffer, Pool, Workspace};
use crate::kernels::Real;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::{Gpu, Numbers};

/// A number type of both the kernels and candle.
pub(crate) trait Element: Real + WithDType {
    /// The memory pool of this type.
    fn pool(workspace: &Workspace) -> &Pool<Self>;

    /// The same numbers, their type known at run time.
    fn gradient(values: Buffer<Self>) -> GradientValues;

    /// Where an operation keeps its state of this type.
    fn state<F: Operation>(op: &Op<F>) -> &Mutex<Option<F::State<Self>>>;
}

impl Element for f32 {
    fn pool(workspace: &Workspace) -> &Pool<Self> {
        &workspace.singles
    }

    fn gradient(values: Buffer<Self>) -> GradientValues {
        GradientValues::F32(values)
    }

    fn state<F: Operation>(op: &Op<F>) -> &Mutex<Option<F::State<Self>>> {
        &op.singles
    }
}

impl Element for f64 {
    fn pool(workspace: &Workspace) -> &Pool<Self> {
        &workspace.doubles
    }

    fn gradient(values: Buffer<Self>) -> GradientValues {
        GradientValues::F64(values)
    }

    fn state<F: Operation>(op: &Op<F>) -> &Mutex<Option<F::State<Self>>> {
        &op.doubles
    }
}

/// One input of an operation: contiguous values and their shape.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a, T> {
    pub(crate) values: &'a [T],
    pub(crate) dims: &'a [usize],
}

impl<T> Input<'_, T> {
    /// Size of the last axis.
    pub(crate) fn width(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    /// Number of rows, all axes but the last taken together.
    pub(crate) fn rows(&self) -> usize {
        if self.width() == 0 { 0 } else { self.values.len() / self.width() }
    }
}

/// What a backward pass starts from.
#[derive(Debug)]
pub(crate) struct Backward<'a, T, S> {
    /// The inputs of the forward pass.
    pub(crate) inputs: &'a [Input<'a, T>],
    /// Its output.
    pub(crate) out: &'a [T],
    /// What else it left.
    pub(crate) state: &'a mut S,
    /// The gradient of the output.
    pub(crate) grad: &'a [T],
}

/// A differentiable operation on one to three inputs, which may hold tensors besides these, keep something from its forward pass
/// for its backward pass, and hand gradients elsewhere.
pub(crate) trait Operation: Send + Sync + Sized + 'static {
    /// For error messages.
    const NAME: &'static str;

    /// What the forward pass leaves for the backward pass besides its output.
    type State<T: Element>: Send;

    /// The output, its shape, and what the backward pass will need.
    ///
    /// # Errors
    ///
    /// If a tensor that the operation holds besides its inputs cannot be read, or numbers are of the wrong type.
    fn forward<T: Element>(&self, inputs: &[Input<'_, T>]) -> Result<(Vec<T>, Shape, Self::State<T>)>;

    /// The gradient of each input; none where it goes another way.
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward), and if the state is used up.
    fn backward<T: Element>(&self, pass: Backward<'_, T, Self::State<T>>) -> Result<Vec<Option<Vec<T>>>>;

    /// The output on an NVIDIA GPU, and its shape.
    ///
    /// # Errors
    ///
    /// If there is no kernel for one, or it cannot be started.
    #[cfg(feature = "cuda")]
    fn forward_on_cuda(&self, _: Gpu<'_>, _: &[Numbers<'_>]) -> Result<(CudaSlice<f32>, Shape)> {
        bail!("{} has no kernel for a GPU", Self::NAME)
    }

    /// The gradient of each input there, given inputs, output and the gradient of the output, which is contiguous; none
    /// where it goes another way.
    ///
    /// # Errors
    ///
    /// As [`forward_on_cuda`](Self::forward_on_cuda).
    #[cfg(feature = "cuda")]
    fn backward_on_cuda(&self, _: &[&Tensor], _: &Tensor, _: &Tensor) -> Result<Vec<Option<Tensor>>> {
        bail!("{} has no kernel for a GPU", Self::NAME)
    }
}

/// Whether the kernels can work on this tensor; elsewhere blocks fall back on candle's own operations.
pub(crate) fn has_kernels(x: &Tensor) -> bool {
    #[cfg(test)]
    if super::testing::kernels_are_off() {
        return false;
    }
    x.device().is_cpu() && matches!(x.dtype(), DType::F32 | DType::F64)
}

/// Whether an [`Operation`] can work on this tensor: on the CPU, and on an NVIDIA GPU where it has a kernel there.
pub(crate) fn has_operations(x: &Tensor) -> bool {
    match x.dtype() {
        DType::F32 => x.device().is_cpu() || on_cuda(x),
        DType::F64 => x.device().is_cpu(),
        _ => false,
    }
}

/// Whether this tensor is one for our kernels on an NVIDIA GPU.
pub(crate) fn on_cuda(x: &Tensor) -> bool {
    cfg!(feature = "cuda") && x.device().is_cuda() && x.dtype() == DType::F32
}

/// Runs `f` on the values of a tensor.
///
/// # Errors
///
/// If it is not on the CPU, not contiguous, or of another type.
pub(crate) fn with_values<T: Element, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    Ok(f(view_of_storage::<T>(&storage, layout)?.values))
}

/// Runs `op` and records it for the backward pass.
pub(crate) fn apply<F: Operation>(op: F, inputs: &[&Tensor]) -> Result<Tensor> {
    let inputs = inputs.iter().map(|x| x.contiguous()).collect::<Result<Vec<_>>>()?;
    match &inputs[..] {
        [a] => a.apply_op1(Op::new(op)),
        [a, b] => a.apply_op2(b, Op::new(op)),
        [a, b, c] => a.apply_op3(b, c, Op::new(op)),
        _ => bail!("{} takes one to three inputs", F::NAME),
    }
}

/// One use of an operation in candle's graph.
pub(crate) struct Op<F: Operation> {
    operation: F,
    /// What the forward pass left, if it ran in `f32`.
    singles: Mutex<Option<F::State<f32>>>,
    /// The same for `f64`.
    doubles: Mutex<Option<F::State<f64>>>,
}

impl<F: Operation> Op<F> {
    fn new(operation: F) -> Self {
        Self { operation, singles: Mutex::new(None), doubles: Mutex::new(None) }
    }

    fn run(&self, inputs: &[(&CpuStorage, &Layout)]) -> Result<(CpuStorage, Shape)> {
        match inputs[0].0 {
            CpuStorage::F32(_) => self.run_as::<f32>(inputs),
            CpuStorage::F64(_) => self.run_as::<f64>(inputs),
            _ => bail!("{} works on f32 and f64 only", F::NAME),
        }
    }

    fn run_as<T: Element>(&self, inputs: &[(&CpuStorage, &Layout)]) -> Result<(CpuStorage, Shape)> {
        let inputs = inputs.iter().map(|(storage, layout)| view::<T>(storage, layout));
        let (values, shape, state) = self.operation.forward(&inputs.collect::<Result<Vec<_>>>()?)?;
        *T::state(self).lock().unwrap_or_else(PoisonError::into_inner) = Some(state);
        Ok((T::to_cpu_storage_owned(values), shape))
    }

    #[cfg(feature = "cuda")]
    fn run_on_cuda(&self, inputs: &[(&CudaStorage, &Layout)]) -> Result<(CudaStorage, Shape)> {
        let device = &inputs[0].0.device;
        let numbers = inputs.iter().map(|(storage, layout)| Numbers::new(storage, layout));
        let (out, shape) =
            self.operation.forward_on_cuda(Gpu(device), &numbers.collect::<Result<Vec<_>>>()?)?;
        Ok((CudaStorage::wrap_cuda_slice(out, device.clone()), shape))
    }

    fn back(&self, inputs: &[&Tensor], out: &Tensor, grad: &Tensor) -> Result<Vec<Option<Tensor>>> {
        #[cfg(feature = "cuda")]
        if grad.device().is_cuda() {
            return self.operation.backward_on_cuda(inputs, out, &grad.contiguous()?);
        }
        match grad.dtype() {
            DType::F64 => self.back_as::<f64>(inputs, out, grad),
            _ => self.back_as::<f32>(inputs, out, grad),
        }
    }

    fn back_as<T: Element>(
        &self,
        inputs: &[&Tensor],
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<Vec<Option<Tensor>>> {
        let grad = grad.contiguous()?;
        let mut state = T::state(self).lock().unwrap_or_else(PoisonError::into_inner);
        let Some(state) = state.as_mut() else { bail!("{} has no forward pass of this type", F::NAME) };
        let gradients = {
            let held: Vec<_> = inputs.iter().map(|x| x.storage_and_layout()).collect();
            let views = held.iter().map(|(storage, layout)| view_of_storage::<T>(storage, layout));
            let inputs = &views.collect::<Result<Vec<_>>>()?[..];
            let [(out, out_layout), (grad, grad_layout)] = [out, &grad].map(Tensor::storage_and_layout);
            let out = view_of_storage::<T>(&out, out_layout)?.values;
            let grad = view_of_storage::<T>(&grad, grad_layout)?.values;
            self.operation.backward(Backward { inputs, out, state, grad })?
        };
        let tensor = |(values, input): (Option<Vec<T>>, &&Tensor)| {
            values.map(|values| Tensor::from_vec(values, input.shape(), input.device())).transpose()
        };
        gradients.into_iter().zip(inputs).map(tensor).collect()
    }
}

/// The values of a contiguous tensor.
fn view<'a, T: Element>(storage: &'a CpuStorage, layout: &'a Layout) -> Result<Input<'a, T>> {
    let values = T::cpu_storage_as_slice(storage)?;
    let Some((start, end)) = layout.contiguous_offsets() else { bail!("input is not contiguous") };
    Ok(Input { values: &values[start..end], dims: layout.dims() })
}

pub(super) fn view_of_storage<'a, T: Element>(
    storage: &'a candle_core::Storage,
    layout: &'a Layout,
) -> Result<Input<'a, T>> {
    match storage {
        candle_core::Storage::Cpu(storage) => view(storage, layout),
        _ => bail!("input is not on the CPU"),
    }
}

impl<F: Operation> CustomOp1 for Op<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> Result<(CpuStorage, Shape)> {
        self.run(&[(s, l)])
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, s: &CudaStorage, l: &Layout) -> Result<(CudaStorage, Shape)> {
        self.run_on_cuda(&[(s, l)])
    }

    fn bwd(&self, a: &Tensor, out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(self.back(&[a], out, grad)?.into_iter().next().flatten())
    }
}

impl<F: Operation> CustomOp2 for Op<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run(&[(s1, l1), (s2, l2)])
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.run_on_cuda(&[(s1, l1), (s2, l2)])
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.back(&[a, b], out, grad)?.into_iter();
        Ok((gradients.next().flatten(), gradients.next().flatten()))
    }
}

impl<F: Operation> CustomOp3 for Op<F> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.run(&[(s1, l1), (s2, l2), (s3, l3)])
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &CudaStorage,
        l1: &Layout,
        s2: &CudaStorage,
        l2: &Layout,
        s3: &CudaStorage,
        l3: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.run_on_cuda(&[(s1, l1), (s2, l2), (s3, l3)])
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut gradients = self.back(&[a, b, c], out, grad)?.into_iter();
        let mut next = || gradients.next().flatten();
        Ok((next(), next(), next()))
    }
}

/// What operations need for an NVIDIA GPU.
#[cfg(feature = "cuda")]
pub(crate) mod cuda {
    use candle_core::cuda_backend::cudarc::driver::CudaSlice;
    use candle_core::{Result, Shape, Tensor};

    pub(crate) use crate::kernels::cuda::{Gpu, Numbers, tensor, with_numbers};

    /// Numbers and their shape.
    pub(crate) type Output = Result<(CudaSlice<f32>, Shape)>;

    /// The gradient of each input.
    pub(crate) type Gradients = Result<Vec<Option<Tensor>>>;
}

/// A scalar whose value and gradients were computed beforehand, entered in the graph of its two inputs.
///
/// For losses such as the CRF's, whose gradient is computed along with the value.
pub(crate) fn scalar_with_gradients(
    inputs: [&Tensor; 2],
    value: f64,
    gradients: [Tensor; 2],
) -> Result<Tensor> {
    let [first, second] = gradients;
    // The inner products carry the gradients; their own value is subtracted again.
    let carrier = ((inputs[0] * first)?.sum_all()? + (inputs[1] * second)?.sum_all()?)?;
    (&carrier - carrier.detach())? + value
}
