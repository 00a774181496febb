//! Starts the kernels: numbers on the GPU in, numbers on the GPU out.

use std::sync::OnceLock;

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, CudaView, DevicePtr, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::cudarc::nvrtc;
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, Layout, Result, Shape, Storage, Tensor, bail};

use crate::kernels::adamw::AdamW;
use crate::kernels::crf::{Rules, transition_counts};
use crate::kernels::dropout::threshold;
use crate::numbers::SparseRows;

/// Threads of a block, as `kernels.cu` has it.
const THREADS: usize = 256;

/// Blocks that share the numbers of one parameter.
const BLOCKS_A_PARAMETER: usize = 64;

/// Tags that fit into the memory of a block.
const MOST_TAGS: usize = 1024;

/// A GPU that the kernels run on.
#[derive(Clone, Copy)]
pub(crate) struct Gpu<'d>(pub(crate) &'d CudaDevice);

/// Contiguous numbers and their shape.
pub(crate) struct Numbers<'a> {
    pub(crate) values: CudaView<'a, f32>,
    pub(crate) dims: &'a [usize],
}

impl<'a> Numbers<'a> {
    /// Those of a tensor.
    pub(crate) fn new(storage: &'a CudaStorage, layout: &'a Layout) -> Result<Self> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("input is not contiguous") };
        Ok(Self { values: storage.as_cuda_slice::<f32>()?.slice(start..end), dims: layout.dims() })
    }

    fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Size of the last axis.
    fn width(&self) -> usize {
        self.dims.last().copied().unwrap_or(1)
    }

    fn rows(&self) -> usize {
        if self.width() == 0 { 0 } else { self.len() / self.width() }
    }
}

/// Runs `f` on the numbers of some tensors of one GPU.
///
/// # Errors
///
/// If one of them is elsewhere, not contiguous or not `f32`.
pub(crate) fn with_numbers<R>(
    tensors: &[&Tensor],
    f: impl FnOnce(Gpu<'_>, &[Numbers<'_>]) -> Result<R>,
) -> Result<R> {
    let Some(first) = tensors.first() else { bail!("there is no input") };
    let held: Vec<_> = tensors.iter().map(|tensor| tensor.storage_and_layout()).collect();
    let numbers = held.iter().map(|(storage, layout)| match &**storage {
        Storage::Cuda(storage) => Numbers::new(storage, layout),
        _ => bail!("input is not on a GPU"),
    });
    f(Gpu(first.device().as_cuda_device()?), &numbers.collect::<Result<Vec<_>>>()?)
}

/// Numbers on a GPU as a tensor without a history.
pub(crate) fn tensor(values: CudaSlice<f32>, shape: impl Into<Shape>, gpu: Gpu<'_>) -> Tensor {
    let storage = CudaStorage::wrap_cuda_slice(values, gpu.0.clone());
    Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
}

/// Padded sequences that attend to themselves.
pub(crate) struct Sequences<'a> {
    /// First row and length of each.
    pub(crate) rows: &'a [(usize, usize)],
    pub(crate) heads: usize,
    pub(crate) longest: usize,
    pub(crate) causal: bool,
    /// The seed of the pass and the share of scores that it drops.
    pub(crate) dropout: Option<(u64, f64)>,
}

/// Sequences with their right tags.
pub(crate) struct CrfBatch<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) offsets: &'a [usize],
    pub(crate) gold: &'a [u32],
}

/// As [`Likelihood`](crate::kernels::crf::Likelihood), and the likeliest tag of each token.
pub(crate) struct CrfFound {
    /// `[sequence]`
    pub(crate) losses: Tensor,
    pub(crate) grad_logits: Tensor,
    pub(crate) grad_transitions: Tensor,
    pub(crate) likeliest: Vec<u32>,
}

/// A parameter, its gradient and its running means, all of one length.
pub(crate) struct Moved {
    pub(crate) parameter: Tensor,
    pub(crate) gradient: Tensor,
    pub(crate) mean: Tensor,
    pub(crate) square: Tensor,
    /// What the parameter is multiplied by first.
    pub(crate) shrink: f64,
}

/// Rows of a table, and what is left of their means and weights since they were touched last.
pub(crate) struct TouchedRows<'a> {
    pub(crate) rows: &'a [u32],
    pub(crate) kept: &'a [(f64, f64, f64)],
}

/// Pushes arguments, which must live until the launch.
macro_rules! launch {
    ($gpu:ident, $kernel:literal, $blocks:expr, [$($argument:expr),* $(,)?]) => {{
        let (function, stream) = ($gpu.function($kernel)?, $gpu.0.cuda_stream());
        let (x, y) = $blocks;
        let mut builder = stream.launch_builder(&function);
        $(builder.arg($argument);)*
        let block_dim = (THREADS as u32, 1, 1);
        let config = LaunchConfig { grid_dim: (x as u32, y as u32, 1), block_dim, shared_mem_bytes: 0 };
        if x > 0 && y > 0 {
            // SAFETY: the arguments are those of the kernel, by type and order, and each holds as many numbers as the
            // kernel is told by the sizes among them, which the caller has computed from the shapes.
            unsafe { builder.launch(config) }.w()?;
        }
    }};
}

impl Gpu<'_> {
    /// A kernel by its name. All are compiled when the first is asked for.
    fn function(self, name: &str) -> Result<CudaFunction> {
        static COMPILED: OnceLock<std::result::Result<String, String>> = OnceLock::new();
        let compile = || {
            let compiled = nvrtc::compile_ptx(include_str!("kernels.cu"));
            compiled.map(|ptx| ptx.to_src()).map_err(|error| format!("{error:?}"))
        };
        match COMPILED.get_or_init(compile) {
            Ok(ptx) => Ok(self.0.get_or_load_custom_func(name, "talkformer", ptx)?.into_cuda_function()),
            Err(error) => bail!("the kernels for this GPU cannot be compiled: {error}"),
        }
    }

    /// Memory that a kernel will write, all of it.
    fn space(self, len: usize) -> Result<CudaSlice<f32>> {
        // SAFETY: every kernel writes each number of its outputs before anything reads it.
        unsafe { self.0.alloc::<f32>(len.max(1)) }
    }

    /// `out[r] = bias + Σ value · x[column]`: [`bag`](crate::kernels::bag).
    pub(crate) fn sparse_product(
        self,
        rows: &SparseRows,
        x: &Numbers<'_>,
        bias: Option<&Numbers<'_>>,
    ) -> Result<CudaSlice<f32>> {
        let (count, dim) = (rows.len(), x.width());
        let columns = x.rows();
        if rows.columns().iter().any(|column| *column as usize >= columns)
            || bias.is_some_and(|bias| bias.len() != dim)
        {
            bail!("sparse rows or a bias do not fit a matrix of {columns} rows of {dim}");
        }
        let sparse = self.0.clone_htod(&rows.packed()[..])?;
        let out = self.space(count * dim)?;
        let sizes = [count as u32, rows.entries() as u32, dim as u32, u32::from(bias.is_some())];
        let bias = bias.map_or(&x.values, |bias| &bias.values);
        launch!(
            self,
            "sparse_product",
            (count, 1),
            [&sparse, &x.values, bias, &out, &sizes[0], &sizes[1], &sizes[2], &sizes[3]]
        );
        Ok(out)
    }

    /// [`dropout`](crate::kernels::dropout::dropout).
    pub(crate) fn dropout(self, x: &Numbers<'_>, rate: f64, seed: u64) -> Result<CudaSlice<f32>> {
        let (out, count) = (self.space(x.len())?, x.len() as u64);
        let (limit, scale) = (threshold(rate), (1.0 - rate).recip() as f32);
        let blocks = (x.len().div_ceil(THREADS), 1);
        launch!(self, "dropout", blocks, [&x.values, &out, &count, &seed, &limit, &scale]);
        Ok(out)
    }

    /// [`gelu`](crate::kernels::activation::gelu).
    pub(crate) fn gelu(self, x: &Numbers<'_>) -> Result<CudaSlice<f32>> {
        let (out, count) = (self.space(x.len())?, x.len() as u64);
        launch!(self, "gelu", (x.len().div_ceil(THREADS), 1), [&x.values, &out, &count]);
        Ok(out)
    }

    /// [`gelu_backward`](crate::kernels::activation::gelu_backward).
    pub(crate) fn gelu_backward(self, x: &Numbers<'_>, grad: &Numbers<'_>) -> Result<CudaSlice<f32>> {
        let (out, count) = (self.space(x.len())?, x.len() as u64);
        let blocks = (x.len().div_ceil(THREADS), 1);
        launch!(self, "gelu_backward", blocks, [&x.values, &grad.values, &out, &count]);
        Ok(out)
    }

    /// [`layer_norm`](crate::kernels::layer_norm::layer_norm).
    pub(crate) fn layer_norm(
        self,
        [x, weight, bias]: [&Numbers<'_>; 3],
        epsilon: f64,
    ) -> Result<CudaSlice<f32>> {
        let (out, dim, epsilon) = (self.space(x.len())?, x.width() as u32, epsilon as f32);
        launch!(
            self,
            "layer_norm",
            (x.rows(), 1),
            [&x.values, &weight.values, &bias.values, &out, &dim, &epsilon]
        );
        Ok(out)
    }

    /// [`layer_norm_backward`](crate::kernels::layer_norm::layer_norm_backward): the gradients of `x`, and of weight and
    /// bias one behind the other.
    pub(crate) fn layer_norm_backward(
        self,
        [x, weight, grad]: [&Numbers<'_>; 3],
        epsilon: f64,
    ) -> Result<[CudaSlice<f32>; 2]> {
        let (grad_x, kept, parameters) =
            (self.space(x.len())?, self.space(2 * x.rows())?, self.space(2 * x.width())?);
        let (rows, dim, epsilon) = (x.rows() as u32, x.width() as u32, epsilon as f32);
        launch!(
            self,
            "layer_norm_backward",
            (x.rows(), 1),
            [&x.values, &weight.values, &grad.values, &grad_x, &kept, &dim, &epsilon]
        );
        launch!(
            self,
            "layer_norm_parameters",
            (x.width(), 1),
            [&x.values, &grad.values, &kept, &parameters, &rows, &dim]
        );
        Ok([grad_x, parameters])
    }

    /// The softmax of `[sequence, heads, longest, longest]` scores, with zeros for what a query does not see.
    pub(crate) fn attention_weights(
        self,
        scores: &Numbers<'_>,
        of: &Sequences<'_>,
    ) -> Result<CudaSlice<f32>> {
        if scores.len() != of.rows.len() * of.heads * of.longest * of.longest {
            bail!("scores of {:?} are not those of {} sequences", scores.dims, of.rows.len());
        }
        let pairs: Vec<u32> = of.rows.iter().flat_map(|(first, len)| [*first as u32, *len as u32]).collect();
        let (pairs, out) = (self.0.clone_htod(&pairs[..])?, self.space(scores.len())?);
        let sizes = [of.heads as u32, of.longest as u32, u32::from(of.causal)];
        let (seed, limit) = of.dropout.map_or((0, 0), |(seed, rate)| (seed, threshold(rate)));
        launch!(
            self,
            "attention_weights",
            (scores.rows(), 1),
            [&scores.values, &pairs, &out, &sizes[0], &sizes[1], &sizes[2], &seed, &limit]
        );
        Ok(out)
    }

    /// The gradient of scores, given the weights that they became and the gradient of those.
    pub(crate) fn softmax_backward(
        self,
        weights: &Numbers<'_>,
        grad: &Numbers<'_>,
    ) -> Result<CudaSlice<f32>> {
        let (out, width) = (self.space(weights.len())?, weights.width() as u32);
        let blocks = (weights.rows(), 1);
        launch!(self, "softmax_backward", blocks, [&weights.values, &grad.values, &out, &width]);
        Ok(out)
    }

    /// [`likelihood`](crate::kernels::crf::likelihood); `None` where a sum would underflow, or there are too many tags.
    pub(crate) fn crf(
        self,
        batch: &CrfBatch<'_>,
        logits: &Numbers<'_>,
        transitions: &Numbers<'_>,
    ) -> Result<Option<CrfFound>> {
        let (tags, tokens, sequences) = (batch.rules.tags, batch.gold.len(), batch.offsets.len() - 1);
        if tags > MOST_TAGS || tokens == 0 {
            return Ok(None);
        }
        if logits.len() != tokens * tags
            || transitions.len() != tags * tags
            || batch.offsets.last() != Some(&tokens)
            || batch.gold.iter().any(|tag| *tag as usize >= tags)
        {
            bail!("logits of {:?} are not those of {tokens} tokens with {tags} tags", logits.dims);
        }
        let bytes = |of: &mut dyn Iterator<Item = &bool>| of.map(|may| u8::from(*may)).collect::<Vec<u8>>();
        let follows = self.0.clone_htod(&bytes(&mut batch.rules.follows.iter())[..])?;
        let borders =
            self.0.clone_htod(&bytes(&mut batch.rules.begins.iter().chain(&batch.rules.ends))[..])?;
        let offsets: Vec<u32> = batch.offsets.iter().map(|at| *at as u32).collect();
        let (offsets, gold) = (self.0.clone_htod(&offsets[..])?, self.0.clone_htod(batch.gold)?);
        let pairs = (tags * tags).div_ceil(THREADS);
        let (count, tags_u32) = ((tags * tags) as u32, tags as u32);

        let (moves, turned) = (self.space(tags * tags)?, self.space(tags * tags)?);
        launch!(self, "crf_moves", (pairs, 1), [&transitions.values, &follows, &moves, &turned, &tags_u32]);
        let (losses, grad) = (self.space(sequences)?, self.space(tokens * tags)?);
        let (before, after) = (self.space(tokens * tags)?, self.space(tokens * tags)?);
        let (tops, likeliest) = (self.space(tokens)?, self.0.alloc_zeros::<u32>(tokens)?);
        let lost = self.0.alloc_zeros::<u32>(1)?;
        launch!(
            self,
            "crf",
            (sequences, 1),
            [
                &logits.values, &transitions.values, &moves, &turned, &borders, &offsets, &gold, &losses,
                &grad, &before, &after, &tops, &likeliest, &lost, &tags_u32,
            ]
        );
        if self.0.clone_dtoh(&lost)?.first() != Some(&0) {
            return Ok(None);
        }
        let [before, after] = [before, after].map(|values| tensor(values, (tokens, tags), self));
        let product = before.t()?.matmul(&after)?.contiguous()?; // [from, to]
        let counts = self.0.clone_htod(&transition_counts(tags, batch.offsets, batch.gold)[..])?;
        let grad_transitions = self.space(tags * tags)?;
        with_numbers(&[&product], |_, numbers| {
            launch!(
                self,
                "crf_transitions",
                (pairs, 1),
                [&numbers[0].values, &moves, &counts, &grad_transitions, &count]
            );
            Ok(())
        })?;
        Ok(Some(CrfFound {
            losses: tensor(losses, sequences, self),
            grad_logits: tensor(grad, (tokens, tags), self),
            grad_transitions: tensor(grad_transitions, (tags, tags), self),
            likeliest: self.0.clone_dtoh(&likeliest)?,
        }))
    }

    /// Runs `f` on a table of where all of these are, as `kernels.cu` reads it, and their number.
    fn with_table<R>(self, all: &[Moved], f: impl FnOnce(&CudaSlice<u64>, usize) -> Result<R>) -> Result<R> {
        let stream = self.0.cuda_stream();
        let tensors: Vec<&Tensor> =
            all.iter().flat_map(|one| [&one.parameter, &one.gradient, &one.mean, &one.square]).collect();
        with_numbers(&tensors, |_, numbers| {
            // The places are in use until the kernel has been started.
            let places: Vec<_> = numbers.iter().map(|own| own.values.device_ptr(&stream)).collect();
            let mut table = Vec::with_capacity(6 * all.len());
            for (at, one) in all.iter().enumerate() {
                let own = &numbers[4 * at..4 * at + 4];
                if own.iter().any(|numbers| numbers.len() != own[0].len()) {
                    bail!("a gradient of {:?} does not fit {:?}", own[1].dims, own[0].dims);
                }
                table.extend(places[4 * at..4 * at + 4].iter().map(|(place, _)| *place));
                table.extend([own[0].len() as u64, u64::from((one.shrink as f32).to_bits())]);
            }
            f(&self.0.clone_htod(&table[..])?, all.len())
        })
    }

    /// The sum of the squares of all gradients.
    pub(crate) fn squares(self, all: &[Moved]) -> Result<f64> {
        if all.is_empty() {
            return Ok(0.0);
        }
        self.with_table(all, |table, count| {
            let parts = self.0.alloc_zeros::<f64>(BLOCKS_A_PARAMETER * count)?;
            launch!(self, "squares", (BLOCKS_A_PARAMETER, count), [table, &parts]);
            Ok(self.0.clone_dtoh(&parts)?.iter().sum())
        })
    }

    /// One step of [`adamw`](crate::kernels::adamw) for all, in place.
    pub(crate) fn adamw(self, all: &[Moved], step: &AdamW) -> Result<()> {
        let [rest1, rest2, rate, correction, epsilon, scale] = constants(step);
        let (beta1, beta2) = (step.beta1 as f32, step.beta2 as f32);
        self.with_table(all, |table, count| {
            launch!(
                self,
                "adamw",
                (BLOCKS_A_PARAMETER, count),
                [table, &beta1, &beta2, &rest1, &rest2, &rate, &correction, &epsilon, &scale]
            );
            Ok(())
        })
    }

    /// The same for some rows of a table, whose gradient has these rows only, and whose mean squares are one for each row.
    pub(crate) fn adamw_rows(self, of: &Moved, touched: &TouchedRows<'_>, step: &AdamW) -> Result<()> {
        let [rest1, rest2, rate, correction, epsilon, scale] = constants(step);
        let count = touched.rows.len();
        let mut rows = touched.rows.to_vec();
        let column = |pick: fn(&(f64, f64, f64)) -> f64| {
            touched.kept.iter().map(move |kept| (pick(kept) as f32).to_bits())
        };
        rows.extend(column(|kept| kept.0));
        rows.extend(column(|kept| kept.1));
        rows.extend(column(|kept| kept.2));
        with_numbers(&[&of.parameter, &of.gradient, &of.mean, &of.square], |_, numbers| {
            let [parameter, gradient, mean, square] = numbers else { bail!("four tensors are needed") };
            let (dim, table) = (parameter.width(), parameter.rows());
            let fits = gradient.len() == count * dim
                && mean.len() == parameter.len()
                && square.len() == table
                && touched.kept.len() == count
                && touched.rows.iter().all(|row| (*row as usize) < table);
            if !fits {
                bail!("a gradient of {:?} is not one of {count} rows of {dim}", gradient.dims);
            }
            let (rows, count_u32, dim) = (self.0.clone_htod(&rows[..])?, count as u32, dim as u32);
            launch!(
                self,
                "adamw_rows",
                (count, 1),
                [
                    &parameter.values, &gradient.values, &mean.values, &square.values, &rows, &count_u32,
                    &dim, &rest1, &rest2, &rate, &correction, &epsilon, &scale,
                ]
            );
            Ok(())
        })
    }
}

fn constants(step: &AdamW) -> [f32; 6] {
    let of =
        [1.0 - step.beta1, 1.0 - step.beta2, step.rate, step.correction, step.epsilon, step.gradient_scale];
    of.map(|x| x as f32)
}
