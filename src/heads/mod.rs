//! From hidden states to a loss and a decision.
//!
//! | head | what it decides | loss |
//! | --- | --- | --- |
//! | [`LabelHead`] | which label an input has: an intent, or whatever has a name | input and label embeddings, close if they belong together: [`Similarity`] |
//! | [`Crf`] | which tag each token carries | likelihood of the whole tag sequence |
//! | [`MaskedToken`] | which token was hidden | similarity to the hidden one against the others |
//!
//! [`LabelHead`] and [`Crf`] can be regularised by R-Drop ([Liang et al., 2021](https://arxiv.org/abs/2106.14448)): a
//! batch holds every message twice, all second readings after all first ones, and each reading also learns from what the
//! other predicts. With `p` the distribution over labels or tag sequences in one reading and `q` that in the other, taken
//! as given, `r_drop · KL(q ‖ p)` is added to the loss, and the same with both exchanged (in the paper neither is taken as
//! given). Readings differ in what dropout hides, so the network learns to predict the same whatever is hidden: one network
//! comes close to the mean of many.

mod crf;
mod label_head;
mod masked_token;
mod options;
mod similarity;

pub use crf::{Crf, CrfLoss, Decoded, TagRules};
pub use label_head::LabelHead;
pub use masked_token::{MaskedToken, Masking};
pub use similarity::{Candidates, LossType, Similarity, SimilarityConfig, SimilarityLoss, SimilarityType};
