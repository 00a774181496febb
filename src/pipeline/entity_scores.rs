//! How well entities are found: by all components together, which is what a user receives, and by each of them alone.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::data::Utterance;
use crate::metrics::{
    ClassificationReport, Confusion, Counts, EntityReport, EntityScores, LabelledSpan, Prf,
};
use crate::prediction::{PredictedEntity, Prediction, Scored};
use crate::text::Span;

/// The label of a token that belongs to no entity, as in Rasa's reports.
pub const NO_ENTITY: &str = "no_entity";

/// Entity scores by rules that must not be confused.
///
/// All rules look at the entities of a message as a set: one that two components find counts once. Of two that differ,
/// each is an answer of its own, and at most one of them is right unless both are annotated.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct EntityScoresByRule {
    /// Entities in the data.
    pub entities: usize,
    /// An entity is right if type, start and end all agree (conlleval).
    pub exact_span: Prf,
    /// An entity is right if its value agrees as well, which synonyms may have changed; where the data gives none, that is
    /// its words.
    pub exact_value: Prf,
    /// An entity is right if one of the same type shares a word with it (the rule of the DIET paper's
    /// figures; several points above the exact one).
    pub overlap: Prf,
    /// Exact span and overlap by type.
    pub report: EntityReport,
    /// Rasa's rule: each token has a label, its type with group and role, and is right if that agrees. Averages are
    /// over tokens of entities, the accuracy is over all tokens. Where entities overlap, the one that covers most of the
    /// token counts, of equals the first of the answer: `DIETClassifier` comes before the components behind it.
    pub by_token: ClassificationReport,
}

/// The entities that one component found, held against all that are annotated.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ExtractorScores {
    /// The component, as answers call it.
    pub extractor: String,
    /// Its scores.
    #[serde(flatten)]
    pub scores: EntityScoresByRule,
    #[serde(skip)]
    token_confusion: Confusion,
    #[serde(skip)]
    tokens: Vec<Vec<TokenAnswer>>,
}

/// One token: which entity it belongs to, [`NO_ENTITY`] where to none.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TokenAnswer {
    /// The right label.
    pub gold: String,
    /// The label that was found.
    pub predicted: String,
    /// The confidence in the entity that was found; `None` where none was, or its component cannot tell.
    pub confidence: Option<f32>,
}

impl ExtractorScores {
    /// The scores of each component that found an entity, by name.
    pub(super) fn of_each(utterances: &[Utterance], predictions: &[Prediction]) -> Vec<Self> {
        let found = || predictions.iter().flat_map(|prediction| &prediction.entities);
        let names: BTreeSet<&str> = found().map(|entity| entity.extractor.as_ref()).collect();
        let of = |name: &str| {
            let mut tally = EntityTally::default();
            let pairs = utterances.iter().zip(predictions);
            let tokens = pairs.map(|(gold, found)| tally.add(gold, found, Some(name)).1).collect();
            let (scores, token_confusion) = tally.finish();
            Self { extractor: name.to_owned(), scores, token_confusion, tokens }
        };
        names.into_iter().map(of).collect()
    }

    /// Which labels of tokens are taken for which.
    #[must_use]
    pub fn token_confusion(&self) -> &Confusion {
        &self.token_confusion
    }

    /// The tokens of each message.
    #[must_use]
    pub fn tokens(&self) -> &[Vec<TokenAnswer>] {
        &self.tokens
    }
}

/// What is counted message by message.
#[derive(Debug, Default)]
pub(super) struct EntityTally {
    entities: usize,
    spans: EntityScores,
    values: Counts,
    tokens: Confusion,
}

impl EntityTally {
    /// Counts one message, with the entities of one component or of all; the exact counts, and its tokens.
    pub(super) fn add(
        &mut self,
        gold: &Utterance,
        found: &Prediction,
        extractor: Option<&str>,
    ) -> (Counts, Vec<TokenAnswer>) {
        let ours = found.entities.iter();
        let ours: Vec<&PredictedEntity> =
            ours.filter(|entity| extractor.is_none_or(|own| entity.extractor == own)).collect();
        let labelled = |label, span: Span| {
            let words = found.tokens.iter().filter(|token| token.overlaps(span));
            let tokens = words.filter_map(|token| token.get(&gold.text)).collect();
            LabelledSpan { label, start: span.start, end: span.end, tokens }
        };
        let wanted: Vec<_> = gold.entities.iter().map(|one| labelled(&one.entity[..], one.span)).collect();
        let answered: Vec<_> = ours.iter().map(|one| labelled(&one.entity[..], one.span)).collect();
        let mut of_message = EntityScores::default();
        of_message.add(&wanted, &answered);
        self.entities += wanted.len();
        self.spans.merge(&of_message);
        self.values += values(gold, &ours);
        let tokens = tokens(gold, found, &ours);
        tokens.iter().for_each(|token| self.tokens.add(&token.gold, Some(&token.predicted)));
        (of_message.exact(), tokens)
    }

    /// The scores, and which labels of tokens are taken for which.
    pub(super) fn finish(self) -> (EntityScoresByRule, Confusion) {
        let report = self.spans.finish();
        let scores = EntityScoresByRule {
            entities: self.entities,
            exact_span: report.exact.scores,
            exact_value: self.values.prf(),
            overlap: report.overlap.scores,
            report,
            by_token: ClassificationReport::excluding(&self.tokens, Some(NO_ENTITY)),
        };
        (scores, self.tokens)
    }
}

/// How many entities agree in type, place and value.
fn values(gold: &Utterance, ours: &[&PredictedEntity]) -> Counts {
    let wanted = gold.entities.iter();
    let wanted: BTreeSet<_> =
        wanted.map(|one| (one.entity.as_str(), one.span, one.value_in(&gold.text))).collect();
    let ours: BTreeSet<_> =
        ours.iter().map(|one| (one.entity.as_str(), one.span, one.value.as_str())).collect();
    let true_positives = wanted.intersection(&ours).count();
    Counts {
        true_positives,
        false_positives: ours.len() - true_positives,
        false_negatives: wanted.len() - true_positives,
    }
}

/// The labels of each token: `type`, `type.group`, `type.role` or `type.group.role` of the entity that covers most
/// of it.
fn tokens(gold: &Utterance, found: &Prediction, ours: &[&PredictedEntity]) -> Vec<TokenAnswer> {
    let covers =
        |token: Span, span: Span| token.end.min(span.end).saturating_sub(token.start.max(span.start));
    let label = |entity: &str, group: Option<&str>, role: Option<&str>| {
        [Some(entity), group, role].into_iter().flatten().collect::<Vec<_>>().join(".")
    };
    let answer = |&token: &Span| {
        // Of equals the first is taken; `max_by_key` would take the last.
        let wanted = gold.entities.iter().rev().max_by_key(|entity| covers(token, entity.span));
        let wanted = wanted.filter(|entity| covers(token, entity.span) > 0);
        let ours = ours.iter().rev().max_by_key(|entity| covers(token, entity.span));
        let ours = ours.filter(|entity| covers(token, entity.span) > 0);
        TokenAnswer {
            gold: wanted.map_or_else(
                || NO_ENTITY.to_owned(),
                |one| label(&one.entity, one.group.as_deref(), one.role.as_deref()),
            ),
            predicted: ours.map_or_else(
                || NO_ENTITY.to_owned(),
                |one| {
                    let name = |part: &Option<Scored>| part.as_ref().map(|part| part.name.clone());
                    label(&one.entity, name(&one.group).as_deref(), name(&one.role).as_deref())
                },
            ),
            confidence: ours.and_then(|one| one.confidence),
        }
    };
    found.tokens.iter().map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Entity;
    use crate::prediction::{DIET_CLASSIFIER, REGEX_EXTRACTOR};

    const TEXT: &str = "to NYC or room B7";

    fn found(extractor: &'static str, entity: &str, start: usize, end: usize) -> PredictedEntity {
        PredictedEntity::new(extractor, entity, Span::new(start, end), TEXT)
    }

    fn scores(entities: Vec<PredictedEntity>) -> (EntityScoresByRule, Counts, Vec<TokenAnswer>) {
        let mut gold = Utterance::new(TEXT, None);
        gold.entities = vec![Entity::new("city", Span::new(3, 6)), Entity::new("room", Span::new(15, 17))];
        gold.entities[0].value = Some("New York City".to_owned());
        let tokens = [(0, 2), (3, 6), (7, 9), (10, 14), (15, 17)];
        let tokens = tokens.map(|(start, end)| Span::new(start, end)).to_vec();
        let mut tally = EntityTally::default();
        let found = Prediction { text: TEXT.to_owned(), tokens, entities, ..Prediction::default() };
        let (counts, tokens) = tally.add(&gold, &found, None);
        (tally.finish().0, counts, tokens)
    }

    fn counts(true_positives: usize, false_positives: usize, false_negatives: usize) -> Counts {
        Counts { true_positives, false_positives, false_negatives }
    }

    #[test]
    fn what_any_component_finds_counts_and_twice_the_same_counts_once() {
        let mut city = found(DIET_CLASSIFIER, "city", 3, 6);
        city.value = "New York City".to_owned();
        let again = PredictedEntity { extractor: REGEX_EXTRACTOR.into(), ..city.clone() };
        let room = found(REGEX_EXTRACTOR, "room", 15, 17);
        let (all, exact, tokens) = scores(vec![city.clone(), again, room]);
        assert_eq!((all.entities, exact), (2, counts(2, 0, 0)));
        assert_eq!((all.exact_span.f1, all.exact_value.f1, all.overlap.f1), (1.0, 1.0, 1.0));
        assert!(tokens.iter().all(|token| token.gold == token.predicted && token.confidence.is_none()));
        // Without the second component one of two is missed.
        assert_eq!(scores(vec![city]).1, counts(1, 0, 1));
    }

    #[test]
    fn a_value_that_no_synonym_mapped_is_not_what_the_data_says() {
        let (all, ..) =
            scores(vec![found(DIET_CLASSIFIER, "city", 3, 6), found(REGEX_EXTRACTOR, "room", 15, 17)]);
        assert_eq!((all.exact_span.f1, all.exact_value.f1), (1.0, 0.5));
    }

    #[test]
    fn of_two_answers_over_the_same_words_one_is_wrong_and_the_first_labels_the_token() {
        let (all, exact, tokens) =
            scores(vec![found(DIET_CLASSIFIER, "city", 15, 17), found(REGEX_EXTRACTOR, "room", 15, 17)]);
        assert_eq!(exact, counts(1, 1, 1));
        assert_eq!(all.overlap, Prf { precision: 0.5, recall: 0.5, f1: 0.5 });
        assert_eq!((&tokens[4].gold[..], &tokens[4].predicted[..]), ("room", "city"));
    }
}
