//! Work on several threads: many tasks, each on one thread, or one task that several threads share.
//!
//! [`in_parallel`] hands out independent tasks; a [`Team`] works on one task step by step and exchanges partial
//! results after each step.

mod in_parallel;
mod team;

pub(crate) use in_parallel::in_parallel;
pub(crate) use team::{Member, Team};
