//! The promise that models, embedders and answers go from thread to thread.

use talkformer::Error;
use talkformer::embed::{EmbedError, Embedder, Embeddings};
use talkformer::pipeline::{Evaluation, Nlu, PipelineConfig, TrainingOptions};
use talkformer::prediction::{PredictedEntity, Prediction, Scored};

const fn can_be_shared<T: Send + Sync + 'static>() {}

#[test]
fn models_embedders_and_answers_can_be_shared_between_threads() {
    can_be_shared::<Nlu>();
    can_be_shared::<PipelineConfig>();
    can_be_shared::<TrainingOptions>();
    can_be_shared::<Evaluation>();
    can_be_shared::<Prediction>();
    can_be_shared::<PredictedEntity>();
    can_be_shared::<Scored>();
    can_be_shared::<Embedder>();
    can_be_shared::<Embeddings>();
    can_be_shared::<EmbedError>();
    can_be_shared::<Error>();
}
