//! Hidden states to a loss and a decision.
//!
//! | head | what it decides | loss |
//! | --- | --- | --- |
//! | [`Similarity`] | which label a message means | message and label embeddings, close if they belong together |
//! | [`Crf`] | which tag each token carries | likelihood of the whole tag sequence |
//! | [`MaskedToken`] | which token was hidden | similarity to the hidden one against the others |

mod crf;
mod masked_token;
mod similarity;

pub use crf::{Crf, CrfLoss, Decoded, TagRules};
pub use masked_token::{MaskedToken, Masking};
pub use similarity::{Candidates, LossType, Similarity, SimilarityConfig, SimilarityLoss, SimilarityType};
