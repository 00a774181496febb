//! How well a model does on labelled messages; one computation for screen, files and programs.

use serde::Serialize;

use super::Nlu;
use super::post::FALLBACK;
use crate::data::Utterance;
use crate::error::Result;
use crate::metrics::{ClassificationReport, Confusion, EntityReport, EntityScores, LabelledSpan, Prf};
use crate::prediction::Prediction;
use crate::text::{Span, Tokenizer};

/// Scores of a model, as shares of one.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Messages that were answered.
    pub messages: usize,
    /// How often the intent is right.
    pub intent: IntentScores,
    /// How well entities are found.
    pub entity: EntityScoresByRule,
    #[serde(skip)]
    confusion: Confusion,
}

/// How often the intent is right, among messages that have one.
#[derive(Clone, Debug, Serialize)]
pub struct IntentScores {
    /// Messages with an intent.
    pub messages: usize,
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean F1 of the intents, each counting the same.
    pub macro_f1: f64,
    /// Mean F1 of the intents, each counting by its messages.
    pub weighted_f1: f64,
    /// Scores of each intent and the averages.
    pub report: ClassificationReport,
}

/// Entity scores by two rules that must not be confused.
#[derive(Clone, Debug, Serialize)]
pub struct EntityScoresByRule {
    /// Entities in the data.
    pub entities: usize,
    /// An entity is right if type, start and end all agree (conlleval).
    pub exact_span: Prf,
    /// An entity is right if one of the same type shares a word with it (the rule of the DIET paper's
    /// figures; several points above the exact one).
    pub overlap: Prf,
    /// Both rules by type.
    pub report: EntityReport,
}

impl Evaluation {
    /// Which intents are taken for which.
    #[must_use]
    pub fn confusion(&self) -> &Confusion {
        &self.confusion
    }
}

impl Nlu {
    /// Scores this model on labelled messages. A fallback is undone first: the best intent counts, however unsure.
    /// Only what DIET extracts counts as a found entity.
    ///
    /// # Errors
    ///
    /// If the network cannot be computed.
    pub fn evaluate(&self, utterances: &[Utterance]) -> Result<Evaluation> {
        let texts: Vec<&str> = utterances.iter().map(|utterance| utterance.text.as_str()).collect();
        let predictions = self.parse_batch(&texts)?;
        let (mut confusion, mut entities, mut count) = (Confusion::default(), EntityScores::default(), 0);
        for (gold, found) in utterances.iter().zip(&predictions) {
            if let Some(intent) = &gold.intent {
                confusion.add(intent, best_intent(found));
            }
            let tokens = self.tokenizer.tokenize(&gold.text);
            let span = |label, span| labelled(&gold.text, &tokens, label, span);
            let wanted: Vec<_> =
                gold.entities.iter().map(|entity| span(&entity.entity, entity.span)).collect();
            let found = found.entities.iter().filter(|entity| entity.extractor == "DIETClassifier");
            let found: Vec<_> = found.map(|entity| span(&entity.entity, entity.span)).collect();
            count += wanted.len();
            entities.add(&wanted, &found);
        }
        let report = ClassificationReport::new(&confusion);
        let intent = IntentScores {
            messages: confusion.total(),
            accuracy: report.accuracy,
            macro_f1: report.macro_average.f1,
            weighted_f1: report.weighted_average.f1,
            report,
        };
        let report = entities.finish();
        let entity = EntityScoresByRule {
            entities: count,
            exact_span: report.exact.scores,
            overlap: report.overlap.scores,
            report,
        };
        Ok(Evaluation { messages: utterances.len(), intent, entity, confusion })
    }
}

fn best_intent(prediction: &Prediction) -> Option<&str> {
    let best = prediction.intent_ranking.iter().find(|scored| scored.name != FALLBACK);
    best.map(|scored| scored.name.as_str())
}

fn labelled<'a>(text: &'a str, tokens: &[Span], label: &'a str, span: Span) -> LabelledSpan<'a> {
    let words = tokens.iter().filter(|token| token.overlaps(span)).map(|token| token.of(text)).collect();
    LabelledSpan { label, start: span.start, end: span.end, tokens: words }
}
