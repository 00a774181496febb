//! The orders in which products read words.

use std::mem::MaybeUninit;

use super::arithmetic::{Arithmetic, Step};
use super::lanes::Lanes;

/// Numbers as words in the same order: `values.len() / TERMS` words.
pub(super) struct SideBySide<'a> {
    pub(super) values: &'a [f32],
    pub(super) to: &'a mut [f32],
}

impl Step for SideBySide<'_> {
    #[inline(always)]
    fn run<A: Arithmetic>(self, a: A) {
        let width = A::Lanes::WIDTH;
        for (values, to) in self.values.chunks_exact(width).zip(self.to.chunks_exact_mut(width / A::TERMS)) {
            a.store_words(a.load(values), to);
        }
    }
}

/// Rows of `width` numbers, each group of `TERMS` rows joined into one row of words, the last filled up with zeros.
pub(super) struct Joined<'a> {
    pub(super) values: &'a [f32],
    pub(super) width: usize,
    pub(super) to: &'a mut [f32],
}

impl Step for Joined<'_> {
    #[inline(always)]
    fn run<A: Arithmetic>(self, a: A) {
        let (width, step) = (self.width, A::Lanes::WIDTH);
        for (rows, to) in self.values.chunks(A::TERMS * width).zip(self.to.chunks_exact_mut(width)) {
            let (first, second) = rows.split_at(width);
            for (at, to) in to.chunks_exact_mut(step).enumerate() {
                let row =
                    |row: &[f32]| row.get(at * step..).filter(|row| !row.is_empty()).map(|row| a.load(row));
                let [first, second] = [first, second].map(|x| row(x).unwrap_or(a.splat(0.0)));
                a.join(first, second).store(to);
            }
        }
    }
}

/// `rows` rows of `width` words as columns: `[width, lanes]`, with zeros for the lanes that have no row.
pub(super) struct Transposed<'a> {
    pub(super) words: &'a [f32],
    pub(super) stride: usize,
    pub(super) width: usize,
    pub(super) rows: usize,
    pub(super) to: &'a mut [f32],
    pub(super) lanes: usize,
}

impl Step for Transposed<'_> {
    #[inline(always)]
    fn run<A: Arithmetic>(self, a: A) {
        let (step, width) = (A::Lanes::WIDTH, self.width);
        for row in (0..self.lanes).step_by(step) {
            for col in (0..width).step_by(step) {
                let there = self.rows.saturating_sub(row).min(step);
                let from = self.words.get(row * self.stride + col..).unwrap_or(&[]);
                let to = &mut self.to[col * self.lanes + row..];
                a.transpose((from, self.stride), (to, self.lanes), there, (width - col).min(step));
            }
        }
    }
}

/// Writes rows of sums, each multiplied by its factor, to memory that holds nothing yet.
pub(super) struct Emit<'a> {
    /// `[row, dim]`
    pub(super) sums: &'a [f32],
    pub(super) dim: usize,
    pub(super) factors: Factors<'a>,
    /// `[row, width]`: the first columns.
    pub(super) to: &'a mut [MaybeUninit<f32>],
    pub(super) width: usize,
    /// Becomes false if a number written is not finite.
    pub(super) finite: &'a mut bool,
}

/// What rows are multiplied by.
#[derive(Clone, Copy)]
pub(super) enum Factors<'a> {
    All(f32),
    Each(&'a [f32]),
}

impl Step for Emit<'_> {
    #[inline(always)]
    fn run<A: Arithmetic>(self, a: A) {
        // Zero times what is not finite is NaN.
        let (zero, mut odd) = (a.splat(0.0), a.splat(0.0));
        let mut numbers = [0.0; 16];
        let rows = self.sums.chunks_exact(self.dim).zip(self.to.chunks_exact_mut(self.width));
        for (row, (sums, to)) in rows.enumerate() {
            let factor = a.splat(match self.factors {
                Factors::All(factor) => factor,
                Factors::Each(factors) => factors[row],
            });
            for (sums, to) in sums.chunks_exact(A::Lanes::WIDTH).zip(to.chunks_mut(A::Lanes::WIDTH)) {
                let values = a.load(sums).mul(factor);
                odd = values.mul_add(zero, odd);
                if to.len() == A::Lanes::WIDTH {
                    values.write(to);
                    continue;
                }
                values.store(&mut numbers);
                to.iter_mut().zip(numbers).for_each(|(to, number)| _ = to.write(number));
            }
        }
        odd.store(&mut numbers);
        *self.finite &= numbers[..A::Lanes::WIDTH].iter().all(|odd| *odd == 0.0);
    }
}

/// The inner product of each row of one matrix with that of another.
pub(super) struct RowProducts<'a> {
    pub(super) left: &'a [f32],
    pub(super) right: &'a [f32],
    pub(super) width: usize,
    pub(super) to: &'a mut [f32],
}

impl Step for RowProducts<'_> {
    #[inline(always)]
    fn run<A: Arithmetic>(self, a: A) {
        let rows = self.left.chunks_exact(self.width).zip(self.right.chunks_exact(self.width));
        for ((left, right), to) in rows.zip(self.to) {
            let mut sum = a.splat(0.0);
            let pairs = left.chunks_exact(A::Lanes::WIDTH).zip(right.chunks_exact(A::Lanes::WIDTH));
            for (left, right) in pairs {
                sum = a.load(left).mul_add(a.load(right), sum);
            }
            let mut sums = [0.0; 16];
            sum.store(&mut sums);
            *to = sums.iter().sum();
        }
    }
}
