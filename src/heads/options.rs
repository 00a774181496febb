//! The options of the similarity loss, under Rasa's names.

use super::{LossType, SimilarityConfig, SimilarityType};
use crate::settings::{ConfigError, Range, Rule, Settings, Tell, Visit};

/// What only the margin loss has.
const MARGIN: [&str; 4] = [
    "maximum_positive_similarity",
    "maximum_negative_similarity",
    "use_maximum_negative_similarity",
    "negative_margin_scale",
];

impl Settings for SimilarityConfig {
    fn options(&mut self, visit: &mut Visit<'_>) {
        use Rule::{Any, Range as In};
        visit("number_of_negative_examples", &mut self.negatives, In(Range::between(0, 10_000)));
        visit("similarity_type", &mut self.similarity_type, Any);
        visit("loss_type", &mut self.loss_type, Any);
        visit("maximum_positive_similarity", &mut self.maximum_positive, Any);
        visit("maximum_negative_similarity", &mut self.maximum_negative, Any);
        visit("use_maximum_negative_similarity", &mut self.use_maximum_negative, Any);
        visit("negative_margin_scale", &mut self.negative_margin_scale, Any);
        visit("scale_loss", &mut self.scale_loss, Any);
        visit("constrain_similarities", &mut self.constrain, Any);
        visit("label_smoothing", &mut self.label_smoothing, In(Range::SHARE));
        visit("r_drop", &mut self.r_drop, In(Range::between(0, 100)));
    }

    fn check_relations(&self) -> Result<(), ConfigError> {
        let apart = self.loss_type == LossType::Margin || self.similarity_type != SimilarityType::Cosine;
        ConfigError::unless(
            apart,
            "similarity_type",
            "must be `inner` with the cross-entropy loss: cosines are too close together for a softmax",
        )
    }

    fn idle(&self, tell: &mut Tell<'_>) {
        match (self.loss_type, self.negatives) {
            (LossType::Margin, _) => tell(
                &["constrain_similarities", "label_smoothing"],
                "it is a part of the cross-entropy (`loss_type: cross_entropy`)",
            ),
            (LossType::CrossEntropy, 0) => {
                tell(&MARGIN, "there is no margin (`loss_type: margin`)");
                tell(
                    &["constrain_similarities"],
                    "it needs wrong answers that are drawn (`number_of_negative_examples` above 0)",
                );
            }
            (LossType::CrossEntropy, _) => {
                tell(&MARGIN, "there is no margin (`loss_type: margin`)");
                tell(
                    &["label_smoothing"],
                    "it needs the loss over all labels (`number_of_negative_examples: 0`)",
                );
            }
        }
    }
}
