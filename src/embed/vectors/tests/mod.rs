//! Samples of every format, and what holds for all of them: damaged files, and files of other programs.

mod damage;
mod fixtures;
pub(super) mod samples;
