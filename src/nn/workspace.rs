//! Memory that training steps use again.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::kernels::Real;

/// Memory for the numbers between the layers, taken by a pass and given back when the pass is over.
///
/// A training step needs the same few dozen buffers again and again. Fresh ones would be cleared by the
/// operating system, page by page, each time.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    pub(super) singles: Pool<f32>,
    pub(super) doubles: Pool<f64>,
}

/// Free buffers of one type.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool<T>(Arc<Mutex<Vec<Vec<T>>>>);

impl<T: Real> Pool<T> {
    /// A buffer with whatever numbers it had before.
    pub(crate) fn take(&self, len: usize) -> Buffer<T> {
        let mut free = self.lock();
        let fitting = free.iter().enumerate().filter(|(_, values)| values.len() >= len);
        let best = fitting.min_by_key(|(_, values)| values.len()).map(|(at, _)| at);
        // A little more than asked for, so that the next batch, which may be a little longer, fits as well.
        let mut values = best.map_or_else(|| vec![T::zero(); len + len / 4], |at| free.swap_remove(at));
        if cfg!(debug_assertions) {
            // So that tests notice a number that is read before it is written.
            values.fill(T::nan());
        }
        Buffer { values, len, home: self.clone() }
    }

    /// A buffer of zeros.
    pub(crate) fn zeros(&self, len: usize) -> Buffer<T> {
        let mut buffer = self.take(len);
        buffer.fill(T::zero());
        buffer
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Numbers in memory that goes back to its pool.
#[derive(Debug)]
pub(crate) struct Buffer<T: Real> {
    values: Vec<T>,
    len: usize,
    home: Pool<T>,
}

impl<T: Real> Buffer<T> {
    /// Other numbers in memory from the same place.
    pub(crate) fn sibling(&self, len: usize) -> Self {
        self.home.take(len)
    }
}

impl<T: Real> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[..self.len]
    }
}

impl<T: Real> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[..self.len]
    }
}

impl<T: Real> Drop for Buffer<T> {
    fn drop(&mut self) {
        self.home.lock().push(std::mem::take(&mut self.values));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again() {
        let pool = Pool::<f32>::default();
        let place = |buffer: &Buffer<f32>| buffer.as_ptr();
        let first = pool.take(1000);
        let (at, second) = (place(&first), pool.take(1000));
        assert_ne!(at, place(&second));
        drop(first);
        let shorter = pool.zeros(900);
        assert_eq!((place(&shorter), shorter.len()), (at, 900));
        assert!(shorter.iter().all(|x| *x == 0.0));
    }
}
