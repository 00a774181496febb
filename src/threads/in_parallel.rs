//! Work on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};

/// `work` for each task, on up to `threads` threads, each of which takes the next task when it is done with one; results
/// in the order of the tasks.
pub(crate) fn in_parallel<R: Send>(tasks: usize, threads: usize, work: impl Fn(usize) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let task = next.fetch_add(1, Ordering::Relaxed);
            if task >= tasks {
                return done;
            }
            done.push((task, work(task)));
        }
    };
    let mut results = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads.min(tasks)).map(|_| scope.spawn(run)).collect();
        let mut results = run();
        for other in others {
            match other.join() {
                Ok(part) => results.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_by_key(|(task, _)| *task);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_done_once_and_results_keep_their_order() {
        for threads in [0, 1, 3, 50] {
            assert_eq!(
                in_parallel(20, threads, |task| task * task),
                (0..20).map(|x| x * x).collect::<Vec<_>>()
            );
        }
        assert!(in_parallel(0, 4, |task| task).is_empty());
    }
}
