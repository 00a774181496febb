//! The promises of a saved model, held against damaged files and killed processes.

mod damage;
mod kill;
