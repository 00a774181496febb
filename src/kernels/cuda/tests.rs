//! The kernels as C++ compute what their twins do.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::kernels::adamw::{AdamW, adamw, adamw_row};
use crate::kernels::crf::{Rules, likelihood};
use crate::kernels::dropout::{bits, dropout, drops, threshold};
use crate::kernels::{activation, bag, layer_norm};
use crate::numbers::SparseRows;

/// Threads of a block here, so that even short rows take several rounds.
const THREADS: usize = 8;

/// The kernels as a program.
struct Emulator(PathBuf);

/// An argument of a kernel, and what is there afterwards.
type Bytes = Vec<u8>;

fn bytes<T: Copy>(values: &[T], of: impl Fn(T) -> Bytes) -> Bytes {
    values.iter().flat_map(|x| of(*x)).collect()
}

fn floats(values: &[f32]) -> Bytes {
    bytes(values, |x| x.to_le_bytes().to_vec())
}

fn words(values: &[u32]) -> Bytes {
    bytes(values, |x| x.to_le_bytes().to_vec())
}

fn long(value: u64) -> Bytes {
    value.to_le_bytes().to_vec()
}

fn zeros(count: usize) -> Bytes {
    vec![0; 4 * count]
}

fn to_floats(bytes: &Bytes) -> Vec<f32> {
    bytes.chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect()
}

fn to_words(bytes: &Bytes) -> Vec<u32> {
    to_floats(bytes).into_iter().map(f32::to_bits).collect()
}

/// Numbers in `±size`.
fn numbers(count: usize, salt: u64, size: f32) -> Vec<f32> {
    let unit = |at| bits(salt, at) as f64 / u64::MAX as f64;
    (0..count as u64).map(|at| (2.0 * unit(at) as f32 - 1.0) * size).collect()
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (at, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}, number {at}: {a} instead of {b}");
    }
}

impl Emulator {
    /// Runs a kernel on so many blocks.
    fn run(&self, kernel: &str, blocks: [usize; 2], arguments: &[Bytes]) -> Vec<Bytes> {
        let mut input = vec![0; 32];
        input[..kernel.len()].copy_from_slice(kernel.as_bytes());
        input.extend(words(&[blocks[0] as u32, blocks[1] as u32, arguments.len() as u32]));
        for argument in arguments {
            input.extend(long(argument.len() as u64));
            input.extend(argument);
        }
        let pipes = |command: &mut Command| command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut program = pipes(&mut Command::new(&self.0)).unwrap();
        program.stdin.take().unwrap().write_all(&input).unwrap();
        let output = program.wait_with_output().unwrap();
        assert!(output.status.success(), "{kernel}: {}", output.status);
        let mut rest = &output.stdout[..];
        let mut take = |argument: &Bytes| {
            let (own, others) = rest.split_at(argument.len());
            rest = others;
            own.to_vec()
        };
        arguments.iter().map(&mut take).collect()
    }
}

#[test]
fn kernels_for_a_gpu_compute_what_their_twins_do() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("kernels");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/kernels/cuda/emulated.cpp");
    let threads = format!("-DTHREADS={THREADS}");
    let flags = ["-std=c++20", "-O1", "-w", "-pthread", &threads, "-o"];
    let compiled = Command::new("c++").args(flags).arg(&program).arg(source).output();
    if !compiled.is_ok_and(|output| output.status.success()) {
        println!("left out: there is no C++ compiler for C++20");
        return;
    }
    let gpu = Emulator(program);
    sparse_products(&gpu);
    element_by_element(&gpu);
    layer_norms(&gpu);
    attention_weights(&gpu);
    crf(&gpu);
    optimizer(&gpu);
}

fn sparse_products(gpu: &Emulator) {
    let (columns, dim) = (7, 19);
    let mut rows = SparseRows::default();
    rows.push([(6, 1.0), (0, 2.0), (6, 0.5)]);
    rows.push([]);
    rows.push([(2, -1.0)]);
    let (x, bias) = (numbers(columns * dim, 1, 1.0), numbers(dim, 2, 1.0));
    let mut expected = vec![0.0; 3 * dim];
    bag::bag(&rows, &x, &bias, &mut expected);
    let sizes = [3, rows.entries() as u32, dim as u32, 1].map(|size| words(&[size]));
    let arguments =
        [&[words(&rows.packed()), floats(&x), floats(&bias), zeros(3 * dim)][..], &sizes].concat();
    let found = gpu.run("sparse_product", [3, 1], &arguments);
    assert_close(&to_floats(&found[3]), &expected, 1e-6, "sparse_product");
}

fn element_by_element(gpu: &Emulator) {
    let (count, seed, rate) = (53_usize, 0xABCD_EF01_2345_6789, 0.3);
    let blocks = [count.div_ceil(THREADS), 1];
    let (x, grad) = (numbers(count, 3, 4.0), numbers(count, 4, 1.0));
    let (mut expected, n) = (vec![0.0; count], long(count as u64));
    dropout(&x, rate, seed, &mut expected);
    let scale = floats(&[(1.0 - rate).recip() as f32]);
    let draws = [floats(&x), zeros(count), n.clone(), long(seed), words(&[threshold(rate)]), scale];
    assert_close(&to_floats(&gpu.run("dropout", blocks, &draws)[1]), &expected, 1e-6, "dropout");
    activation::gelu(&x, &mut expected);
    let found = gpu.run("gelu", blocks, &[floats(&x), zeros(count), n.clone()]);
    assert_close(&to_floats(&found[1]), &expected, 1e-5, "gelu");
    activation::gelu_backward(&x, &grad, &mut expected);
    let found = gpu.run("gelu_backward", blocks, &[floats(&x), floats(&grad), zeros(count), n]);
    assert_close(&to_floats(&found[2]), &expected, 1e-5, "gelu_backward");
}

fn layer_norms(gpu: &Emulator) {
    let (rows, dim, epsilon) = (5, 21, 1e-6_f32);
    let [x, grad] = [5, 6].map(|salt| numbers(rows * dim, salt, 2.0));
    let [weight, bias] = [7, 8].map(|salt| numbers(dim, salt, 1.0));
    let mut expected = vec![0.0; rows * dim];
    layer_norm::layer_norm(&x, &weight, &bias, epsilon, &mut expected);
    let sizes = [words(&[dim as u32]), floats(&[epsilon])];
    let arguments = [&[floats(&x), floats(&weight), floats(&bias), zeros(rows * dim)][..], &sizes].concat();
    assert_close(&to_floats(&gpu.run("layer_norm", [rows, 1], &arguments)[3]), &expected, 1e-5, "layer_norm");
    let (mut grad_weight, mut grad_bias) = (vec![0.0; dim], vec![0.0; dim]);
    layer_norm::layer_norm_backward(
        &x, &weight, epsilon, &grad, &mut expected, &mut grad_weight, &mut grad_bias,
    );
    let own = [floats(&x), floats(&weight), floats(&grad), zeros(rows * dim), zeros(2 * rows)];
    let found = gpu.run("layer_norm_backward", [rows, 1], &[&own[..], &sizes].concat());
    assert_close(&to_floats(&found[3]), &expected, 1e-5, "layer_norm_backward");
    let sizes = [rows as u32, dim as u32].map(|size| words(&[size]));
    let own = [floats(&x), floats(&grad), found[4].clone(), zeros(2 * dim)];
    let found = gpu.run("layer_norm_parameters", [dim, 1], &[&own[..], &sizes].concat());
    assert_close(&to_floats(&found[3]), &[grad_weight, grad_bias].concat(), 1e-5, "layer_norm_parameters");
}

fn attention_weights(gpu: &Emulator) {
    let (heads, longest, seed, limit) = (3, 11, 77, threshold(0.4));
    let sequences = [(4, 11), (0, 4), (15, 1)];
    let count = sequences.len() * heads * longest * longest;
    let scores = numbers(count, 9, 5.0);
    for causal in [false, true] {
        let mut expected = vec![0.0; count];
        for (at, row) in expected.chunks_mut(longest).enumerate() {
            let (query, head, (first, len)) =
                (at % longest, at / longest % heads, sequences[at / longest / heads]);
            let own = crate::kernels::attention::seed_of_head(seed, first, heads, head);
            let seen = |key: usize| {
                let in_sight = query < len && key < if causal { query + 1 } else { len };
                in_sight && !drops(own, (query * len + key) as u64, limit)
            };
            for key in (0..longest).filter(|key| seen(*key)) {
                row[key] = scores[at * longest + key].exp();
            }
            let sum: f32 = row.iter().sum();
            row.iter_mut().filter(|_| sum > 0.0).for_each(|x| *x /= sum);
        }
        let pairs: Vec<u32> =
            sequences.iter().flat_map(|(first, len)| [*first as u32, *len as u32]).collect();
        let sizes = [heads as u32, longest as u32, u32::from(causal)].map(|size| words(&[size]));
        let own = [floats(&scores), words(&pairs), zeros(count)];
        let draws = [long(seed), words(&[limit])];
        let blocks = [count / longest, 1];
        let found = gpu.run("attention_weights", blocks, &[&own[..], &sizes, &draws].concat());
        assert_close(&to_floats(&found[2]), &expected, 1e-5, "attention_weights");

        let grad = numbers(count, 10, 1.0);
        let rows = expected.chunks(longest).zip(grad.chunks(longest));
        let backward: Vec<f32> = rows
            .flat_map(|(weights, grad)| {
                let along: f32 = weights.iter().zip(grad).map(|(w, g)| w * g).sum();
                weights.iter().zip(grad).map(move |(w, g)| w * (g - along)).collect::<Vec<_>>()
            })
            .collect();
        let own = [floats(&expected), floats(&grad), zeros(count), words(&[longest as u32])];
        let found = gpu.run("softmax_backward", blocks, &own);
        assert_close(&to_floats(&found[2]), &backward, 1e-5, "softmax_backward");
    }
}

/// Eleven tags, of which the last may only follow itself and the one before.
fn rules() -> Rules {
    let tags = 11;
    let follows = (0..tags * tags).map(|at| at % tags != 10 || at / tags >= 9).collect();
    let not_last = |tag: usize| tag != 10;
    Rules { tags, follows, begins: (0..tags).map(not_last).collect(), ends: vec![true; tags] }
}

fn crf(gpu: &Emulator) {
    let rules = rules();
    let (tags, offsets, gold) = (rules.tags, [0_usize, 4, 4, 5, 9], [0, 9, 10, 1, 3, 9, 10, 10, 2_u32]);
    for size in [1.0, 6.0] {
        let (logits, transitions) = (numbers(9 * tags, 11, size), numbers(tags * tags, 12, 1.0));
        let expected = likelihood(&rules, &offsets, &logits, &transitions, &gold);

        let follows: Bytes = rules.follows.iter().map(|follows| u8::from(*follows)).collect();
        let own =
            [floats(&transitions), follows, zeros(tags * tags), zeros(tags * tags), words(&[tags as u32])];
        let moves = gpu.run("crf_moves", [(tags * tags).div_ceil(THREADS), 1], &own);
        let borders: Bytes = rules.begins.iter().chain(&rules.ends).map(|may| u8::from(*may)).collect();
        let starts: Vec<u32> = offsets.iter().map(|at| *at as u32).collect();
        let of_tokens = || zeros(9 * tags);
        let own = [
            floats(&logits),
            floats(&transitions),
            moves[2].clone(),
            moves[3].clone(),
            borders,
            words(&starts),
            words(&gold),
            zeros(4),
            of_tokens(),
            of_tokens(),
            of_tokens(),
            zeros(9),
            zeros(9),
            zeros(1),
            words(&[tags as u32]),
        ];
        let found = gpu.run("crf", [4, 1], &own);
        assert_eq!(to_words(&found[13]), [0]);
        assert_close(&to_floats(&found[7]), &expected.losses, 1e-5, "losses");
        assert_close(&to_floats(&found[8]), &expected.grad_logits, 1e-5, "grad_logits");
        let (before, after) = (to_floats(&found[9]), to_floats(&found[10]));
        let product = (0..tags * tags).map(|at| {
            let (from, to) = (at / tags, at % tags);
            (0..9).map(|token| before[token * tags + from] * after[token * tags + to]).sum::<f32>()
        });
        let product: Vec<f32> = product.collect();
        let counts = crate::kernels::crf::transition_counts(tags, &offsets, &gold);
        let own = [
            floats(&product),
            moves[2].clone(),
            words(&counts),
            zeros(tags * tags),
            words(&[(tags * tags) as u32]),
        ];
        let found_transitions = gpu.run("crf_transitions", [(tags * tags).div_ceil(THREADS), 1], &own);
        assert_close(&to_floats(&found_transitions[3]), &expected.grad_transitions, 1e-5, "grad_transitions");
        let likeliest = to_words(&found[12]);
        for (token, (row, gold)) in expected.grad_logits.chunks(tags).zip(gold).enumerate() {
            let marginal = |tag: usize| row[tag] + if tag == gold as usize { 1.0 } else { 0.0 };
            let best = (0..tags).map(marginal).fold(0.0, f32::max);
            assert!(best - marginal(likeliest[token] as usize) < 1e-4, "token {token}");
        }
        // What was rounded away is told.
        let mut odd = logits.clone();
        odd[..tags].fill(-200.0);
        (odd[0], odd[tags + 10]) = (200.0, 200.0);
        let own = [&[floats(&odd)][..], &own_without_logits(&found)].concat();
        assert_eq!(to_words(&gpu.run("crf", [4, 1], &own)[13]), [1]);
    }
}

fn own_without_logits(found: &[Bytes]) -> Vec<Bytes> {
    found[1..].to_vec()
}

fn optimizer(gpu: &Emulator) {
    let step = AdamW {
        beta1: 0.9,
        beta2: 0.999,
        faded: (1.0, 1.0),
        epsilon: 1e-7,
        rate: 0.02,
        correction: 1.7,
        shrink: 0.95,
        gradient_scale: 0.3,
    };
    let constants = [
        step.beta1,
        step.beta2,
        1.0 - step.beta1,
        1.0 - step.beta2,
        step.rate,
        step.correction,
        step.epsilon,
        step.gradient_scale,
    ];
    let constants = constants.map(|x| floats(&[x as f32]));
    let lengths = [30, 3];
    let (mut table, mut arguments) = (Vec::new(), Vec::new());
    let mut expected: Vec<Vec<f32>> = Vec::new();
    let mut squares = Vec::new();
    for (at, len) in lengths.into_iter().enumerate() {
        let salt = 20 + 4 * at as u64;
        let mut own: Vec<Vec<f32>> = (0..4).map(|part| numbers(len, salt + part, 1.0)).collect();
        own[3].iter_mut().for_each(|x| *x = x.abs());
        let shrink = if at == 0 { step.shrink } else { 1.0 };
        table.extend((0..4).map(|part| 9 + 4 * at as u64 + part));
        table.extend([len as u64, u64::from((shrink as f32).to_bits())]);
        arguments.extend(own.iter().map(|values| floats(values)));
        squares.push(own[1].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>());
        let [parameter, gradient, mean, square] = &mut own[..] else { unreachable!() };
        adamw(AdamW { shrink, ..step }, parameter, gradient, mean, square);
        expected.extend(own);
    }
    let table = bytes(&table, |x| x.to_le_bytes().to_vec());
    let all = [&[table.clone()][..], &constants, &arguments].concat();
    let found = gpu.run("adamw", [2, 2], &all);
    for (found, expected) in found[9..].iter().zip(&expected) {
        assert_close(&to_floats(found), expected, 1e-6, "adamw");
    }

    // Here the numbers begin at the second argument: those before are not pointed at.
    let padding = vec![Bytes::new(); 7];
    let all = [&[table, vec![0; 8 * 6]][..], &padding, &arguments].concat();
    let found = gpu.run("squares", [3, 2], &all);
    let parts: Vec<f64> =
        found[1].chunks_exact(8).map(|x| f64::from_le_bytes(x.try_into().unwrap())).collect();
    for (parts, squares) in parts.chunks(3).zip(squares) {
        assert!((parts.iter().sum::<f64>() - squares).abs() < 1e-9);
    }

    let (dim, touched, kept) = (5, [3_u32, 0], [[0.9, 0.4], [0.99, 0.7], [0.95, 0.6]]);
    let mut own: Vec<Vec<f32>> = [4 * dim, 2 * dim, 4 * dim, 4]
        .into_iter()
        .enumerate()
        .map(|(part, len)| numbers(len, 40 + part as u64, 1.0).iter().map(|x| x.abs()).collect())
        .collect();
    let rows = [words(&touched), floats(&kept.as_flattened().iter().map(|x| *x as f32).collect::<Vec<_>>())];
    let sizes = [words(&[2]), words(&[dim as u32])];
    let first = own.iter().map(|values| floats(values)).collect::<Vec<_>>();
    let all = [&first[..], &[rows.concat()], &sizes, &constants[2..]].concat();
    let found = gpu.run("adamw_rows", [2, 1], &all);
    let [parameter, gradient, mean, square] = &mut own[..] else { unreachable!() };
    for (at, row) in touched.iter().enumerate() {
        let cells = *row as usize * dim..(*row as usize + 1) * dim;
        let faded = (kept[0][at] / step.beta1, kept[1][at] / step.beta2);
        adamw_row(
            AdamW { faded, shrink: kept[2][at], ..step },
            &mut parameter[cells.clone()],
            &gradient[at * dim..(at + 1) * dim],
            &mut mean[cells],
            &mut square[*row as usize],
        );
    }
    for (found, expected) in found.iter().zip(&own) {
        assert_close(&to_floats(found), expected, 1e-6, "adamw_rows");
    }
}
