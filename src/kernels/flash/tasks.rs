//! Work that is divided among threads.

use std::sync::{Mutex, PoisonError};

/// Gives each task to one of `threads` workers, of which the caller is one; `new` makes what a worker keeps.
///
/// Which worker takes which task depends on the clock, so a task may write only what is its own.
pub(super) fn share<T: Send, S>(
    threads: usize,
    tasks: impl Iterator<Item = T> + Send,
    new: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, T) + Sync,
) {
    let tasks = Mutex::new(tasks);
    let run = || {
        let mut own = new();
        // The lock is let go before the work begins.
        let next = || tasks.lock().unwrap_or_else(PoisonError::into_inner).next();
        while let Some(task) = next() {
            work(&mut own, task);
        }
    };
    if threads <= 1 {
        return run();
    }
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
}
