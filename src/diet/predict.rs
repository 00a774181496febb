//! From features to a ranking of intents and to entities.

use std::ops::Range;

use candle_core::Result;

use super::{DietConfig, Labels, Network, TagKind};
use crate::batch::Batch;
use crate::data::TagSet;
use crate::features::Features;
use crate::heads::{Decoded, LossType};
use crate::prediction::Scored;
use crate::text::Span;

/// A network that answers.
#[derive(Clone, Debug)]
pub struct Diet {
    /// The options it was trained with.
    pub config: DietConfig,
    /// What it can predict.
    pub labels: Labels,
    /// The layers.
    pub network: Network,
}

/// An entity as a range of tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenEntity {
    /// The type.
    pub entity: String,
    /// Its tokens.
    pub tokens: Range<usize>,
    /// Probability of exactly this span with this type: a marginal of the CRF.
    pub confidence: f32,
    /// The part it plays.
    pub role: Option<Scored>,
    /// Which entities belong together.
    pub group: Option<Scored>,
}

/// What DIET says of one message.
pub(crate) type Answer = (Vec<Scored>, Vec<TokenEntity>);

impl Diet {
    /// Ranks the intents and finds the entities of each message.
    ///
    /// A message without a single feature (only unknown words, say) gets an empty ranking.
    ///
    /// # Errors
    ///
    /// If candle cannot compute the network.
    pub fn predict(&self, messages: &[(&str, &[Span], &Features)]) -> Result<Vec<Answer>> {
        let batch = Batch::new(messages.iter().map(|(_, _, features)| *features));
        let scores = self.network.scores(&batch)?;
        let answer = |(at, (text, tokens, features)): (usize, &(&str, &[Span], &Features))| {
            let blank = features.sentence.entries() == 0 && features.sequence.entries() == 0;
            let ranking = match scores.intents.get(at) {
                Some(scores) if !blank => self.rank(scores),
                _ => Vec::new(),
            };
            let decoded = |kind| {
                let found = scores.tags.iter().find(|(own, _)| *own == kind);
                found.map(|(_, messages)| &messages[at])
            };
            (ranking, self.entities(text, tokens, decoded))
        };
        Ok(messages.iter().enumerate().map(answer).collect())
    }

    /// All intents by confidence, best first, cut to the length asked for.
    fn rank(&self, scores: &[f32]) -> Vec<Scored> {
        let confidences = match self.config.loss_type {
            LossType::CrossEntropy => softmax(scores),
            LossType::Margin => scores.iter().map(|similarity| similarity.clamp(0.0, 1.0)).collect(),
        };
        let names = self.labels.intents.iter().zip(confidences);
        let mut ranking: Vec<Scored> =
            names.map(|(name, confidence)| Scored { name: name.clone(), confidence }).collect();
        ranking.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
        if self.config.ranking_length > 0 {
            ranking.truncate(self.config.ranking_length);
        }
        if self.config.renormalize_confidences {
            let kept: f32 = ranking.iter().map(|scored| scored.confidence).sum();
            ranking.iter_mut().for_each(|scored| scored.confidence /= kept.max(f32::MIN_POSITIVE));
        }
        ranking
    }

    fn entities<'d>(
        &self,
        text: &str,
        tokens: &[Span],
        decoded: impl Fn(TagKind) -> Option<&'d Decoded>,
    ) -> Vec<TokenEntity> {
        let (Some(tags), Some(set)) = (decoded(TagKind::Entity), &self.labels.entities) else {
            return Vec::new();
        };
        let attribute = |kind, set: &Option<TagSet>, range: &Range<usize>| -> Option<Scored> {
            most_frequent(set.as_ref()?, decoded(kind)?, range)
        };
        let mut found: Vec<TokenEntity> = Vec::new();
        for (range, entity) in set.decode(&tags.tags, tokens) {
            let confidence = tags.probability(range.start, range.len());
            let next = TokenEntity {
                entity: entity.to_owned(),
                role: attribute(TagKind::Role, &self.labels.roles, &range),
                group: attribute(TagKind::Group, &self.labels.groups, &range),
                tokens: range,
                confidence,
            };
            match found.last_mut() {
                Some(last) if self.belongs(last, &next, text, tokens) => {
                    last.tokens.end = next.tokens.end;
                    last.confidence = last.confidence.min(next.confidence);
                }
                _ => found.push(next),
            }
        }
        found
    }

    /// Whether two neighbours are one entity: of a type that commas do not separate, with no more than
    /// punctuation and blanks between them.
    fn belongs(&self, last: &TokenEntity, next: &TokenEntity, text: &str, tokens: &[Span]) -> bool {
        let alike = last.entity == next.entity
            && name(last.role.as_ref()) == name(next.role.as_ref())
            && name(last.group.as_ref()) == name(next.group.as_ref());
        let gap = Span::new(tokens[last.tokens.end - 1].end, tokens[next.tokens.start].start).of(text);
        alike
            && !self.config.split_entities_by_comma.splits(&last.entity)
            && gap.chars().count() <= 3
            && gap.chars().all(|c| matches!(c, '.' | ',' | ';' | ' '))
    }
}

fn softmax(scores: &[f32]) -> Vec<f32> {
    let top = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = scores.iter().map(|score| (score - top).exp()).collect();
    let sum: f32 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

fn name(scored: Option<&Scored>) -> Option<&str> {
    scored.map(|scored| scored.name.as_str())
}

/// The label that most tokens of the range carry, and the smallest probability among those tokens.
fn most_frequent(set: &TagSet, decoded: &Decoded, range: &Range<usize>) -> Option<Scored> {
    let labels = || range.clone().filter_map(|token| Some((token, set.entity_type(decoded.tags[token])?)));
    let count = |label: &str| labels().filter(|(_, own)| *own == label).count();
    let best = labels().map(|(_, label)| label).max_by_key(|label| count(label))?;
    let tokens = labels().filter(|(_, label)| *label == best);
    let confidence = tokens.map(|(token, _)| decoded.probability(token, 1)).fold(1.0, f32::min);
    Some(Scored { name: best.to_owned(), confidence })
}
