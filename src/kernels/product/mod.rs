//! Products whose right-hand side is packed: weights that are multiplied with many inputs, and all products in `bf16`.
//!
//! ```text
//!             k                   16 or 32 columns
//!        ┌─────────┐   ┌─────────┐ ┌───┬───┬──        a panel of b is read from its first to
//!  rows ─┤    a    │ · │ b, k    │ │   │   │          its last number, once per block of rows
//!        └─────────┘   └─────────┘ └───┴───┴──
//! ```
//!
//! On a processor with AVX2 or AVX-512 the inner loops are our own, and products of `bf16` are done in whole tiles where it
//! has those (AMX); elsewhere the `gemm` crate multiplies `f32`.
//! In [`Precision::Bf16`] both sides are rounded to the nearest `bf16` and sums are `f32`: an entry of the
//! product is off by at most `2⁻⁸ · Σ |a·b|`. Where the processor has no such instruction, products asked
//! for in `bf16` are done in `f32`, which is slower and more exact.

#[cfg(target_arch = "x86_64")]
pub(super) mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bf16;
mod lines;
#[cfg(target_arch = "x86_64")]
mod tiles;

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use super::Instructions;
use super::matmul::{Accumulate, Matrix, MatrixMut, any_matmul};
use super::processor::{HasAvx2, HasAvx512, HasBf16, HasTiles};
use lines::Lines;

/// The number format of the inputs of products. Sums are `f32` in either case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Thirty-two bits.
    #[default]
    F32,
    /// Sixteen bits, eight of them mantissa: at least twice as fast where the processor supports them. On Intel's processors with
    /// AVX-512 of which a virtual machine hides the tiles (AMX), where they would be slower, training uses thirty-two.
    Bf16,
}

/// Columns of the widest panel, which products work on together.
pub(crate) const PANEL: usize = 32;

/// Columns of a panel for AVX2.
const NARROW: usize = 16;

/// A matrix `[k, n]` in the order in which a product reads it.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    k: usize,
    n: usize,
    form: Form,
}

#[derive(Clone, Debug)]
enum Form {
    /// Row-major `[k, n]`, for the `gemm` crate.
    Plain(Vec<f32>),
    /// `[panel, k, 16]`; columns beyond `n` of the last panel are never written to the output.
    Avx2(HasAvx2, Lines<f32>),
    /// `[panel, k, 32]`, likewise.
    Avx512(HasAvx512, Lines<f32>),
    /// `[panel, ⌈k / 2⌉, 32]` of two `bf16` each, the row of lower number in the lower half.
    Bf16(HasBf16, Lines<u32>),
    /// The same, multiplied in tiles.
    Tiles(HasTiles, Lines<u32>),
}

impl Form {
    fn empty(precision: Precision, instructions: Instructions) -> Self {
        if precision == Precision::Bf16 {
            match (instructions.tiles(), instructions.bf16()) {
                (Some(has), _) => return Self::Tiles(has, Lines::new()),
                (_, Some(has)) => return Self::Bf16(has, Lines::new()),
                _ => {}
            }
        }
        match (instructions.avx512(), instructions.avx2()) {
            (Some(has), _) => Self::Avx512(has, Lines::new()),
            (_, Some(has)) => Self::Avx2(has, Lines::new()),
            _ => Self::Plain(Vec::new()),
        }
    }
}

impl Packed {
    /// Packs the right-hand side of a product.
    pub(crate) fn new(b: Matrix<'_, f32>, precision: Precision) -> Self {
        Self::for_instructions(b, precision, Instructions::best())
    }

    fn for_instructions(b: Matrix<'_, f32>, precision: Precision, instructions: Instructions) -> Self {
        let mut packed = Self { k: 0, n: 0, form: Form::empty(precision, instructions) };
        packed.fill(b);
        packed
    }

    /// Packs another matrix into the same memory.
    fn fill(&mut self, b: Matrix<'_, f32>) {
        (self.k, self.n) = b.dims();
        match &mut self.form {
            Form::Plain(values) => {
                values.clear();
                values.extend((0..self.k * self.n).map(|i| b.at(i / self.n, i % self.n)));
            }
            Form::Avx2(_, values) => {
                values.resize(self.n.next_multiple_of(NARROW) * self.k);
                bf16::panels_f32::<NARROW>(b, values);
            }
            Form::Avx512(_, values) => {
                values.resize(self.n.next_multiple_of(PANEL) * self.k);
                bf16::panels_f32::<PANEL>(b, values);
            }
            Form::Bf16(_, values) | Form::Tiles(_, values) => {
                values.resize(self.n.next_multiple_of(PANEL) * self.k.div_ceil(2));
                bf16::panels(b, values);
            }
        }
    }

    /// Rows and columns.
    pub(crate) fn dims(&self) -> (usize, usize) {
        (self.k, self.n)
    }
}

/// `out = a · b`, or `out += a · b`: `[m, k] · [k, n] → [m, n]`, on one thread.
///
/// # Panics
///
/// If the shapes do not fit each other.
pub(crate) fn product(out: MatrixMut<'_, f32>, mode: Accumulate, a: Matrix<'_, f32>, b: &Packed) {
    let (m, k) = a.dims();
    assert!(k == b.k && out.dims() == (m, b.n), "matrix shapes do not fit");
    match &b.form {
        Form::Plain(values) => any_matmul(out, mode, a, Matrix::new(values, b.k, b.n)),
        #[cfg(target_arch = "x86_64")]
        Form::Avx2(has, values) => {
            bf16::with_rows(a, out, |a, out| avx2::product_f32(*has, out, mode, a, values));
        }
        #[cfg(target_arch = "x86_64")]
        Form::Avx512(has, values) => {
            bf16::with_rows(a, out, |a, out| avx512::product_f32(*has, out, mode, a, values));
        }
        #[cfg(target_arch = "x86_64")]
        Form::Bf16(has, values) => {
            bf16::with_pairs(a, false, |pairs| avx512::product_bf16(*has, out, mode, pairs, values));
        }
        #[cfg(target_arch = "x86_64")]
        Form::Tiles(has, values) => {
            bf16::with_pairs(a, true, |pairs| amx::product_bf16(*has, out, mode, pairs, values));
        }
        #[cfg(not(target_arch = "x86_64"))]
        _ => unreachable!("packed for another processor"),
    }
}

/// `out = a · b`, or `out += a · b`, for matrices that are used once.
///
/// # Panics
///
/// If the shapes do not fit each other.
pub(super) fn multiply_f32(
    out: MatrixMut<'_, f32>,
    mode: Accumulate,
    a: Matrix<'_, f32>,
    b: Matrix<'_, f32>,
    precision: Precision,
) {
    thread_local! {
        static PACKED: [RefCell<Packed>; 2] = [Precision::F32, Precision::Bf16].map(|precision| {
            RefCell::new(Packed { k: 0, n: 0, form: Form::empty(precision, Instructions::best()) })
        });
    }
    // What is packed for one product alone is not worth half the memory.
    let slow = Instructions::best().bf16_is_slow();
    let precision = if slow { Precision::F32 } else { precision };
    if !is_packed(a, b, precision) {
        return any_matmul(out, mode, a, b);
    }
    PACKED.with(|packed| {
        let mut packed = packed[precision as usize].borrow_mut();
        packed.fill(b);
        product(out, mode, a, &packed);
    });
}

/// Whether a right-hand side that is used once is packed, for loops of our own.
fn is_packed(a: Matrix<'_, f32>, b: Matrix<'_, f32>, precision: Precision) -> bool {
    /// How many rows make it worth to pack `f32`.
    const MANY: usize = 24;
    let best = Instructions::best();
    if precision == Precision::Bf16 && best.bf16().is_some() {
        return true;
    }
    // With AVX-512 the `gemm` crate, which packs no rows that lie well, is as fast; with AVX2 it is not.
    let lies_well = best.avx512().is_some() && b.shape.col_stride == 1;
    best.avx2().is_some() && !lies_well && a.shape.rows >= MANY && b.shape.cols >= PANEL / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::matmul::Accumulate::{Add, Overwrite};

    fn numbers(len: usize, salt: usize) -> Vec<f32> {
        (0..len).map(|i| ((i * 7919 + salt * 104_729) % 1009) as f32 / 504.5 - 1.0).collect()
    }

    const SIZES: [(usize, usize, usize); 21] = [
        (1, 1, 1),
        (0, 4, 3),
        (2, 0, 3),
        (1, 256, 300),
        (3, 7, 130),
        (5, 33, 64),
        (8, 256, 221),
        (12, 64, 32),
        (13, 31, 33),
        (25, 100, 96),
        (40, 2100, 35),
        (131, 65, 47),
        (16, 32, 32),
        (17, 70, 100),
        (32, 96, 64),
        (48, 65, 33),
        (63, 256, 160),
        (2, 20, 100),
        (4, 40, 50),
        (6, 600, 17),
        (200, 30, 40),
    ];

    /// Every form that this processor can work with.
    fn forms() -> Vec<(Precision, Instructions)> {
        let known = Instructions::ALL.iter().map(|(_, set)| *set).filter(|set| *set <= Instructions::best());
        known.flat_map(|set| [(Precision::F32, set), (Precision::Bf16, set)]).collect()
    }

    /// Entries of the product and of the product of absolute values, in `f64`.
    fn slow(a: Matrix<'_, f32>, b: Matrix<'_, f32>) -> Vec<(f64, f64)> {
        let ((m, k), (_, n)) = (a.dims(), b.dims());
        let term = |i: usize, j: usize| f64::from(a.at(i / n, j)) * f64::from(b.at(j, i % n));
        let entry = |i| ((0..k).map(|j| term(i, j)).sum(), (0..k).map(|j| term(i, j).abs()).sum());
        (0..m * n).map(entry).collect()
    }

    #[test]
    fn every_form_agrees_with_the_definition() {
        for (m, k, n) in SIZES {
            let (values_a, values_b) = (numbers(m * k, 1), numbers(k * n, 2));
            for transposed in [(false, false), (true, false), (false, true), (true, true)] {
                let a = if transposed.0 {
                    Matrix::new(&values_a, k, m).transposed()
                } else {
                    Matrix::new(&values_a, m, k)
                };
                let b = if transposed.1 {
                    Matrix::new(&values_b, n, k).transposed()
                } else {
                    Matrix::new(&values_b, k, n)
                };
                let expected = slow(a, b);
                for (precision, instructions) in forms() {
                    let packed = Packed::for_instructions(b, precision, instructions);
                    let unit = match packed.form {
                        Form::Bf16(..) | Form::Tiles(..) => 1.0 / 128.0,
                        _ => 3e-6,
                    };
                    let mut out = vec![7.0; m * (n + 3)];
                    for (mode, times) in [(Overwrite, 1.0), (Add, 2.0)] {
                        product(MatrixMut::columns(&mut out, m, n + 3, 2..n + 2), mode, a, &packed);
                        for (i, (exact, size)) in expected.iter().enumerate() {
                            let found = f64::from(out[i / n * (n + 3) + 2 + i % n]);
                            let wrong = (found - times * exact).abs();
                            assert!(
                                wrong <= times * unit * size + 1e-6,
                                "{m}x{k}x{n} {precision:?}: {found} {exact}"
                            );
                        }
                    }
                    let margin = |i: usize| (i % (n + 3)) < 2 || i % (n + 3) >= n + 2;
                    assert!(
                        out.iter().enumerate().all(|(i, x)| !margin(i) || *x == 7.0),
                        "wrote beside the columns"
                    );
                }
            }
        }
    }

    #[test]
    fn a_row_is_the_same_in_any_company() {
        let (m, k, n) = (40, 1100, 75);
        let (values_a, values_b) = (numbers(m * k, 1), numbers(k * n, 2));
        let a = Matrix::new(&values_a, m, k);
        for (precision, instructions) in forms().into_iter().filter(|form| form.1 > Instructions::Portable) {
            let packed = Packed::for_instructions(Matrix::new(&values_b, k, n), precision, instructions);
            let mut together = vec![0.0; m * n];
            product(MatrixMut::new(&mut together, m, n), Overwrite, a, &packed);
            for count in 1..14 {
                for first in [0, 7, m - count] {
                    let mut alone = vec![0.0; count * n];
                    let rows = a.rows(first..first + count);
                    product(MatrixMut::new(&mut alone, count, n), Overwrite, rows, &packed);
                    let expected = &together[first * n..(first + count) * n];
                    assert_eq!(alone, expected, "{count} rows from {first}, {precision:?} {instructions:?}");
                }
            }
        }
    }

    #[test]
    fn matrices_that_are_used_once_agree_with_the_definition() {
        for (m, k, n) in SIZES {
            let (values_a, values_b) = (numbers(m * k, 1), numbers(k * n, 2));
            let (a, b) =
                (Matrix::new(&values_a, k, m).transposed(), Matrix::new(&values_b, n, k).transposed());
            let mut out = vec![7.0; m * n];
            multiply_f32(MatrixMut::new(&mut out, m, n), Overwrite, a, b, Precision::F32);
            multiply_f32(MatrixMut::new(&mut out, m, n), Add, a, b, Precision::F32);
            for (found, (exact, size)) in out.iter().zip(slow(a, b)) {
                let wrong = (f64::from(*found) - 2.0 * exact).abs();
                assert!(wrong <= 6e-6 * size + 1e-6, "{m}x{k}x{n}: {found} {exact}");
            }
        }
    }

    #[test]
    fn packing_anew_forgets_the_old() {
        let (a, first, second) = (numbers(6, 1), numbers(90, 2), numbers(6, 3));
        let mut packed = Packed::new(Matrix::new(&first, 3, 30), Precision::Bf16);
        packed.fill(Matrix::new(&second, 3, 2));
        let mut out = [0.0; 4];
        product(MatrixMut::new(&mut out, 2, 2), Overwrite, Matrix::new(&a, 2, 3), &packed);
        let mut expected = [0.0; 4];
        let fresh = Packed::new(Matrix::new(&second, 3, 2), Precision::Bf16);
        product(MatrixMut::new(&mut expected, 2, 2), Overwrite, Matrix::new(&a, 2, 3), &fresh);
        assert_eq!(out, expected);
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for (k, at) in [(2, 1), (70, 3), (70, 69)] {
            let (mut a, b) = (vec![1.0; k], vec![2.0; k]);
            a[at] = f32::NAN;
            for (precision, instructions) in forms() {
                let packed = Packed::for_instructions(Matrix::new(&b, k, 1), precision, instructions);
                let mut out = [0.0];
                product(MatrixMut::new(&mut out, 1, 1), Overwrite, Matrix::new(&a, 1, k), &packed);
                assert!(out[0].is_nan(), "{k} {precision:?} {instructions:?}");
            }
        }
    }
}
