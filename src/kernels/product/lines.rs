//! Numbers aligned to cache lines.

use std::ops::{Deref, DerefMut};

/// Numbers of four bytes, aligned to cache lines of 64 bytes.
///
/// A vector across two lines takes two reads: without alignment, products of a few rows take a quarter longer.
#[derive(Clone, Debug)]
pub(super) struct Lines<T> {
    lines: Vec<Line<T>>,
    len: usize,
}

const LANES: usize = 16;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line<T>([T; LANES]);

impl<T> Lines<T> {
    pub(super) const fn new() -> Self {
        const { assert!(size_of::<Line<T>>() == LANES * size_of::<T>(), "no gaps between lines") }
        Self { lines: Vec::new(), len: 0 }
    }
}

impl<T: Copy + Default> Lines<T> {
    /// Changes the length. New numbers are zero or left over from before.
    pub(super) fn resize(&mut self, len: usize) {
        self.lines.resize(len.div_ceil(LANES), Line([T::default(); LANES]));
        self.len = len;
    }
}

impl<T> Deref for Lines<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: lines are arrays of sixteen numbers without gaps, as `new` asserts, and `resize` made enough of them.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl<T> DerefMut for Lines<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and they are ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stay_what_they_are_and_begin_a_line() {
        let mut numbers = Lines::<u32>::new();
        assert!(numbers.is_empty());
        for len in [3, 16, 40] {
            numbers.resize(len);
            assert_eq!(numbers.len(), len);
            assert_eq!(numbers.as_ptr() as usize % 64, 0);
            assert!(numbers.iter().skip(3).all(|x| *x == 0));
            numbers[..3].copy_from_slice(&[1, 2, 3]);
        }
        numbers.resize(2);
        assert_eq!(numbers[..], [1, 2]);
        assert_eq!(numbers.clone()[..], [1, 2]);
    }
}
