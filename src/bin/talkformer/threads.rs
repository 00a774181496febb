//! Keeps candle from running threads of its own beside the workers.

#[cfg(unix)]
use std::process::Command;

use talkformer::pipeline::Nlu;

/// The number of threads that candle spreads an operation over.
#[cfg(unix)]
const VARIABLE: &str = "CANDLE_NUM_THREADS";

/// Let the allocator keep memory for the next step, in large pages, which saves 5 % of the time of a training.
#[cfg(unix)]
const ALLOCATOR: [(&str, &str); 2] = [("MIMALLOC_ALLOW_THP", "1"), ("MIMALLOC_PURGE_DELAY", "10000")];

/// Without this, candle reads the number of cores from a system file at every product.
#[cfg(unix)]
const RAYON: (&str, &str) = ("RAYON_NUM_THREADS", "1");

/// The model with the number of threads that the user gave, if any.
pub(crate) fn limited(nlu: Nlu, threads: Option<u16>) -> Nlu {
    match threads {
        Some(threads) => nlu.with_threads(threads.into()),
        None => nlu,
    }
}

/// Restarts the program with candle's own threads switched off, unless the user has set their number.
///
/// candle spreads every large operation over a pool of threads that wait by spinning. With one worker per core these
/// take time from the workers (training was three times slower). Only an environment variable sets their number, and it
/// cannot be set safely in a running process.
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
        // Returns only if the program could not be restarted; then this process continues, slower.
        let wanted =
            ALLOCATOR.into_iter().chain([RAYON]).filter(|(name, _)| std::env::var_os(name).is_none());
        let _ = command.args(words).env(VARIABLE, "1").envs(wanted).exec();
    }
}

/// On other systems a process cannot replace itself; set the variable by hand.
#[cfg(not(unix))]
pub fn one_per_worker() {}
