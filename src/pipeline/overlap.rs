//! Messages of a test that are among the examples of the model, which it may know by heart.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use super::{Evaluation, EvaluationOptions, Nlu};
use crate::data::Utterance;
use crate::error::Result;
use crate::prediction::Prediction;
use crate::text::fold;

/// How many messages of a test are among the examples that the model was trained on, and how it does on the others.
///
/// A message is among them if an example has the same text, but for case and blanks at its ends, whatever its labels.
/// Printed, it is one sentence.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TrainingOverlap {
    /// Messages of the test.
    pub of: usize,
    /// Those that are among the examples; `None` where the model does not keep its examples, so that nobody can know.
    pub messages: Option<usize>,
    /// The scores of the others, where there are messages of both kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<Box<Evaluation>>,
}

impl fmt::Display for TrainingOverlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (of, same) = (self.of, "the same text, but for case and blanks at its ends");
        match (self.messages, &self.others) {
            (None, _) => write!(
                f,
                "the model does not keep its training data, so it cannot be known how many of the {of} messages are in it"
            ),
            (Some(0), _) => write!(f, "none of the {of} messages is in the model's training data ({same})"),
            (Some(messages), None) => write!(
                f,
                "{messages} of {of} messages are in the model's training data ({same}): the scores say how well it \
                 remembers them, not what to expect of new ones"
            ),
            (Some(messages), Some(others)) => {
                write!(
                    f,
                    "{messages} of {of} messages are in the model's training data ({same}); on the other {}:",
                    others.messages
                )?;
                let (intent, entity) = (&others.intent, &others.entity);
                let scores = [
                    (intent.messages, "intent accuracy", intent.accuracy),
                    (intent.messages, "macro F1", intent.macro_f1),
                    (entity.entities, "entity F1 by exact span", entity.exact_span.f1),
                ];
                let scores = scores.into_iter().filter(|(count, ..)| *count > 0);
                let scores: Vec<String> =
                    scores.map(|(_, name, score)| format!(" {name} {:.1} %", 100.0 * score)).collect();
                write!(
                    f,
                    "{}",
                    if scores.is_empty() { " nothing to score".to_owned() } else { scores.join(",") }
                )
            }
        }
    }
}

impl Nlu {
    /// Looks for the messages among the examples that the model keeps.
    pub(super) fn training_overlap(
        &self,
        utterances: &[Utterance],
        predictions: &[Prediction],
        options: &EvaluationOptions,
    ) -> Result<TrainingOverlap> {
        let of = utterances.len();
        let Some(memory) = &self.parts.memory else {
            return Ok(TrainingOverlap { of, messages: None, others: None });
        };
        let known: HashSet<String> = memory.examples()?.iter().map(|one| fold(&one.text)).collect();
        let others = utterances.iter().zip(predictions).filter(|(one, _)| !known.contains(&fold(&one.text)));
        let (gold, found): (Vec<Utterance>, Vec<Prediction>) =
            others.map(|(gold, found)| (gold.clone(), found.clone())).unzip();
        let messages = of - gold.len();
        let others =
            (messages > 0 && !gold.is_empty()).then(|| Box::new(self.scores_of(&gold, &found, options)));
        Ok(TrainingOverlap { of, messages: Some(messages), others })
    }
}
