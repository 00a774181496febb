//! One thread per worker, and none besides.

#[cfg(unix)]
use std::process::Command;

use talkformer::pipeline::Nlu;

/// What tells candle how many threads to spread an operation over.
#[cfg(unix)]
const VARIABLE: &str = "CANDLE_NUM_THREADS";

/// What lets the allocator keep memory, in large pages, for the next step (5 % of the time of a training).
#[cfg(unix)]
const ALLOCATOR: [(&str, &str); 2] = [("MIMALLOC_ALLOW_THP", "1"), ("MIMALLOC_PURGE_DELAY", "10000")];

/// Where this is not set, candle counts the cores anew, in a file of the system, at every product.
#[cfg(unix)]
const RAYON: (&str, &str) = ("RAYON_NUM_THREADS", "1");

/// The model with as many threads as the user said, if anything.
pub(crate) fn limited(nlu: Nlu, threads: Option<u16>) -> Nlu {
    match threads {
        Some(threads) => nlu.with_threads(threads.into()),
        None => nlu,
    }
}

/// Starts the program once more with candle's own threads switched off, unless the user has decided.
///
/// candle spreads every large operation over a pool of threads that wait by spinning. Beside one worker
/// per core they take more time than they give (training was three times slower). Only an
/// environment variable sets their number, and it cannot be set safely in a running process.
#[cfg(unix)]
pub(crate) fn one_per_worker() {
    use std::os::unix::process::CommandExt;

    if std::env::var_os(VARIABLE).is_none()
        && let Ok(program) = std::env::current_exe()
    {
        let mut words = std::env::args_os();
        let mut command = Command::new(program);
        if let Some(name) = words.next() {
            command.arg0(name);
        }
        // Only returns where the program could not be started again; then this one goes on, slower.
        let wanted =
            ALLOCATOR.into_iter().chain([RAYON]).filter(|(name, _)| std::env::var_os(name).is_none());
        let _ = command.args(words).env(VARIABLE, "1").envs(wanted).exec();
    }
}

/// Elsewhere a program cannot turn into another; set the variable by hand.
#[cfg(not(unix))]
pub fn one_per_worker() {}
