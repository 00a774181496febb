//! Plain containers of numbers, shared by everything above: [`SparseRows`] for features, [`Table`] for large
//! embedding tables in few bits.

mod sparse_rows;
mod table;

pub use sparse_rows::SparseRows;
pub use table::{Bytes, Table, TableError};
pub(crate) use table::{GROUPS, MIDDLE};
