//! A linear classifier of sparse rows: for each class, a hyperplane between its rows and all others.
//!
//! What a bag of words and word pieces tells about a whole message is best read off directly. A linear model
//! does that with few examples and without a knob to turn, and finds its one optimum in seconds. Sparse rows
//! and the classes of each go in, a score per class comes out; a row may be of several classes.
//!
//! `softmax` …; `solver` finds one hyperplane, `classifier` all of them, on rows that it learns from or, fold by fold, on rows
//! that it does not.

mod classifier;
mod softmax;
mod solver;

pub use classifier::{Labelled, LinearClassifier, LinearConfig};
