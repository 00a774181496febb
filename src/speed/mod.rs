//! How fast this machine is, and how close to that our kernels come.
//!
//! Benchmarks and `talkformer bench` share what is here, so that they speak of the same work.
//!
//! | file | what it measures |
//! | --- | --- |
//! | `machine` | name, cores and instructions; the ceiling of arithmetic and the speed of memory |
//! | `times` | how long something takes, over and over |
//! | `product` | one matrix product |
//! | `attention` | attention over sequences of one length, forward and backward, alone and with its projections |
//! | `diet` | training steps of DIET on made-up messages |
//!
//! A *rate* is a number of floating-point operations a second; one multiply-add is two operations. The
//! [`ceiling`] is the rate of multiply-adds that never leave the registers: no kernel can be faster.
//!
//! ```no_run
//! use std::time::Duration;
//! use talkformer::speed::{Precision, Product, Times, ceiling};
//!
//! let mut product = Product::new(256, 256, 256, Precision::F32);
//! let times = Times::measure(Duration::from_millis(200), || product.run());
//! let share = times.rate(product.operations()) / ceiling(Precision::F32, 1);
//! # let _ = share;
//! ```

mod attention;
mod diet;
mod machine;
mod product;
mod times;

pub use attention::{Attention, AttentionBlock};
pub use diet::DietTraining;
pub use machine::{Bandwidth, Machine, bandwidth, ceiling};
pub use product::Product;
pub use times::Times;

pub use crate::kernels::Precision;
