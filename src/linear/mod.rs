//! Linear classifiers of sparse rows.
//!
//! What a bag of words and word pieces tells about a whole message is best read off directly: with few examples
//! nothing does better, and the one optimum is found in seconds. Sparse rows and the classes of each go in, a score
//! per class comes out.
//!
//! Two losses, since neither is better everywhere: `softmax` sees all classes at once and wins where each
//! has few examples; `hinge` draws one border per class, between its rows and all others, and wins where there are many.
//! Both are solved in the dual, with a few numbers per row (`solution`), from which `classifier` makes weights; `rows` is how
//! solvers read the data.

mod classifier;
mod hinge;
mod rows;
mod softmax;
mod solution;
#[cfg(test)]
mod yardstick;

pub use classifier::{Labelled, LinearClassifier, Loss, Solver};
pub use solution::Solution;
