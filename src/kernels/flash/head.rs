//! The keys and values of one head in the layout that products read.

use std::ops::Range;

use super::arithmetic::Arithmetic;
use super::layout::{Joined, SideBySide};
use super::mask::Keys;
use crate::kernels::scratch::grow;

/// Some keys of one head, with their values; hidden ones are left out, so they cost nothing and have no effect
/// on the result, not even if they are NaN.
#[derive(Default)]
pub(super) struct Head {
    positions: Option<Vec<usize>>,
    first: usize,
    count: usize,
    keys: Vec<f32>,
    values: Vec<f32>,
    key_words: Vec<f32>,
    joined_keys: Vec<f32>,
    value_words: Vec<f32>,
    joined_values: Vec<f32>,
}

/// Where the rows of one head begin, in `[key, dim]`.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
    pub(super) visible: Option<&'a [bool]>,
    pub(super) dim: usize,
}

/// Words that a product reads.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    /// Keys side by side.
    pub(super) keys: &'a [f32],
    /// Keys joined, for the gradient of the queries.
    pub(super) joined_keys: &'a [f32],
    /// Values side by side, for the gradient of the weights.
    pub(super) values: &'a [f32],
    /// Values joined, for the mean of the values.
    pub(super) joined_values: &'a [f32],
    pub(super) at: Keys<'a>,
}

impl Head {
    /// Prepares the keys of a range; `backward` says for which pass.
    pub(super) fn prepare<'a, A: Arithmetic>(
        &'a mut self,
        a: A,
        source: Source<'a>,
        range: Range<usize>,
        backward: bool,
    ) -> Words<'a> {
        let dim = source.dim;
        (self.first, self.count) = (range.start, range.len());
        let (mut keys, mut values) = (
            &source.keys[range.start * dim..range.end * dim],
            &source.values[range.start * dim..range.end * dim],
        );
        self.positions = source.visible.map(|visible| range.filter(|key| visible[*key]).collect());
        if let Some(positions) = &self.positions {
            self.count = positions.len();
            gather(source.keys, positions, dim, &mut self.keys);
            gather(source.values, positions, dim, &mut self.values);
            (keys, values) = (&self.keys, &self.values);
        }
        let at = Keys { first: self.first, count: self.count, positions: self.positions.as_deref() };
        if A::TERMS == 1 {
            return Words { keys, joined_keys: keys, values, joined_values: values, at };
        }
        let (side_by_side, joined) = (keys.len() / A::TERMS, self.count.div_ceil(A::TERMS) * dim);
        a.run(SideBySide { values: keys, to: grow(&mut self.key_words, side_by_side) });
        if backward {
            a.run(SideBySide { values, to: grow(&mut self.value_words, side_by_side) });
            a.run(Joined { values: keys, width: dim, to: grow(&mut self.joined_keys, joined) });
        } else {
            a.run(Joined { values, width: dim, to: grow(&mut self.joined_values, joined) });
        }
        Words {
            keys: &self.key_words,
            joined_keys: &self.joined_keys,
            values: &self.value_words,
            joined_values: &self.joined_values,
            at,
        }
    }
}

/// Copies the rows at some positions.
fn gather(rows: &[f32], positions: &[usize], dim: usize, to: &mut Vec<f32>) {
    let to = grow(to, positions.len() * dim);
    for (to, position) in to.chunks_exact_mut(dim).zip(positions) {
        to.copy_from_slice(&rows[position * dim..(position + 1) * dim]);
    }
}
