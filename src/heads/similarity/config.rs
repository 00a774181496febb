//! Settings of a head that compares with labels.

use serde::{Deserialize, Serialize};

/// How close two embeddings are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SimilarityType {
    /// Inner product for cross-entropy, cosine for margin.
    #[default]
    Auto,
    /// Inner product.
    Inner,
    /// Cosine of the angle.
    Cosine,
}

/// How similarities become a loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossType {
    /// The right label should have the largest softmax share.
    #[default]
    CrossEntropy,
    /// The right label should be closer than one threshold, the others farther than another (`StarSpace`).
    Margin,
}

/// Settings of a head that compares with labels; names and defaults are those of Rasa's `DIETClassifier`.
#[derive(Clone, Debug, PartialEq)]
pub struct SimilarityConfig {
    /// How similarities become a loss.
    pub loss_type: LossType,
    /// How close two embeddings are.
    pub similarity_type: SimilarityType,
    /// Wrong answers drawn per input and kind; zero means every other label (and, in the margin loss, every other input),
    /// once.
    pub negatives: usize,
    /// Whether every similarity is also pushed to its side of zero (a sigmoid cross-entropy each); with drawn wrong answers
    /// and cross-entropy only.
    pub constrain: bool,
    /// Whether inputs that are learnt already count less.
    pub scale_loss: bool,
    /// Margin: similarity beyond which the right label is close enough.
    pub maximum_positive: f64,
    /// Margin: similarity below which a wrong label is far enough.
    pub maximum_negative: f64,
    /// Margin: whether only the closest wrong label counts.
    pub use_maximum_negative: bool,
    /// Margin: weight of the pairs that are not (input, label).
    pub negative_margin_scale: f64,
    /// Share of the target that is spread over all labels (all-label cross-entropy only).
    pub label_smoothing: f64,
    /// Weight of R-Drop, by which two readings of an input learn from each other; see [the module](crate::heads). With
    /// zero, each input is read once.
    pub r_drop: f64,
}

impl Default for SimilarityConfig {
    fn default() -> Self {
        Self {
            loss_type: LossType::CrossEntropy,
            similarity_type: SimilarityType::Auto,
            negatives: 20,
            constrain: false,
            scale_loss: false,
            maximum_positive: 0.8,
            maximum_negative: -0.4,
            use_maximum_negative: true,
            negative_margin_scale: 0.8,
            label_smoothing: 0.0,
            r_drop: 0.0,
        }
    }
}

impl SimilarityConfig {
    /// Whether embeddings are compared by the angle between them.
    pub(crate) fn is_cosine(&self) -> bool {
        match self.similarity_type {
            SimilarityType::Cosine => true,
            SimilarityType::Inner => false,
            SimilarityType::Auto => self.loss_type == LossType::Margin,
        }
    }
}
