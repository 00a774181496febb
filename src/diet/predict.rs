//! From features to a ranking of intents and to entities.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use candle_core::{Device, Result};

use super::answer::{Engine, Found, split_rows};
use super::labels::is_out_of_scope;
use super::{DietConfig, Labels, Network, TagKind, WeightsError, Widths};
use crate::bundle::Weights;
use crate::data::TagSet;
use crate::features::{Features, LabelFeatures};
use crate::heads::LossType;
use crate::kernels::Precision;
use crate::prediction::Scored;
use crate::text::Span;

/// A network that answers.
#[derive(Clone, Debug)]
pub struct Diet {
    config: DietConfig,
    labels: Labels,
    engine: Arc<Engine>,
    /// The layers below the heads on a GPU, where these are to be used.
    on_device: Option<Arc<Network>>,
}

/// The answer of the network to a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The likeliest intents, best first.
    pub ranking: Vec<Scored>,
    /// One minus the confidence in the best intent that is in scope.
    pub out_of_scope: Option<f32>,
    /// In order of the text.
    pub entities: Vec<TokenEntity>,
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

/// A message with its features.
pub(crate) trait Readable: AsRef<Features> {
    /// Its text and its tokens.
    fn text(&self) -> (&str, &[Span]);
}

impl<R: Readable> Readable for &R {
    fn text(&self) -> (&str, &[Span]) {
        (**self).text()
    }
}

impl AsRef<Features> for (&str, &[Span], &Features) {
    fn as_ref(&self) -> &Features {
        self.2
    }
}

impl Readable for (&str, &[Span], &Features) {
    fn text(&self) -> (&str, &[Span]) {
        (self.0, self.1)
    }
}

impl Diet {
    /// A network of these weights.
    ///
    /// # Errors
    ///
    /// If weights are missing or of another shape than the configuration says.
    pub fn new(
        config: DietConfig,
        widths: Widths,
        labels: Labels,
        label_features: &LabelFeatures,
        weights: &Weights,
    ) -> std::result::Result<Self, WeightsError> {
        let engine = Engine::new(&config, widths, &labels, label_features, weights, Precision::Bf16)?;
        Ok(Self { config, labels, engine: Arc::new(engine), on_device: None })
    }

    /// The same network, with all layers below the heads on a device, for many messages at a time.
    ///
    /// # Errors
    ///
    /// If the device has no room for these weights, which must be those of this network.
    pub(crate) fn on_device(
        self,
        widths: Widths,
        label_features: &LabelFeatures,
        weights: &Weights,
        device: &Device,
    ) -> Result<Self> {
        let network = Network::trained(&self.config, widths, &self.labels, label_features, weights, device)?;
        Ok(Self { on_device: Some(Arc::new(network)), ..self })
    }

    /// The same network, which ranks all intents.
    pub(crate) fn with_whole_ranking(mut self) -> Self {
        self.config.intents.ranking_length = 0;
        self
    }

    /// What it can predict.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Ranks the intents and finds the entities of each message.
    ///
    /// A message of which no word is known is out of scope, whatever the network makes of it: its only intent is one that
    /// means this, if there is one. Features must be those of the featurizers that the network was trained with.
    ///
    /// # Errors
    ///
    /// If a GPU cannot compute it.
    ///
    /// # Panics
    ///
    /// If a message has no row of its own, tokens of another text, or features with columns that the network has not.
    pub fn predict(&self, messages: &[(&str, &[Span], &Features)]) -> Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(messages.len());
        self.answer(messages, |_, answer| answers.push(answer))?;
        Ok(answers)
    }

    /// The same; tells `found` of the answer to each message, with its number.
    pub(crate) fn answer(
        &self,
        messages: &[impl Readable],
        mut found: impl FnMut(usize, Answer),
    ) -> Result<()> {
        let finish = |at: usize, mut own: Found<'_>| {
            let (text, tokens) = messages[at].text();
            let blank = messages[at].as_ref().are_none();
            let (ranking, out_of_scope) =
                if blank { self.rank_unknown() } else { self.rank(own.similarities) };
            found(at, Answer { ranking, out_of_scope, entities: self.entities(text, tokens, &mut own) });
        };
        match &self.on_device {
            Some(network) if !messages.is_empty() => {
                let rows = network.rows(messages.iter().map(AsRef::as_ref))?;
                self.engine.answer_rows(messages, rows, finish);
            }
            _ => self.engine.answer(messages, finish),
        }
        Ok(())
    }

    /// Width of the rows of [`encode`](Self::encode).
    #[must_use]
    pub fn model_dim(&self) -> usize {
        self.engine.model_dim()
    }

    /// The last rows of the transformer for each message: one for each token, then one for the message, which the
    /// intent is told by; `[token + 1, model_dim]` each.
    ///
    /// # Errors
    ///
    /// As [`predict`](Self::predict).
    ///
    /// # Panics
    ///
    /// As [`predict`](Self::predict).
    pub fn encode(&self, messages: &[&Features]) -> Result<Vec<Vec<f32>>> {
        match &self.on_device {
            Some(network) if !messages.is_empty() => {
                Ok(split_rows(messages, &network.rows(messages.iter().copied())?, self.model_dim()))
            }
            _ => Ok(self.engine.rows(messages)),
        }
    }

    /// The ranking and the out-of-scope score of a message of which no word is known.
    fn rank_unknown(&self) -> (Vec<Scored>, Option<f32>) {
        let intents = &self.labels.intents;
        let own = intents.iter().find(|intent| is_out_of_scope(intent));
        let ranking = own.map(|name| Scored { name: name.clone(), confidence: 1.0 });
        (ranking.into_iter().collect(), (!intents.is_empty()).then_some(1.0))
    }

    /// The likeliest intents, best first, as many as asked for, and how likely it is that none of those in scope is right.
    fn rank(&self, similarities: &[f32]) -> (Vec<Scored>, Option<f32>) {
        thread_local! {
            /// The confidence in each label, and its number.
            static SURE: RefCell<Vec<(f32, usize)>> = RefCell::default();
        }
        let decision = self.engine.decision();
        SURE.with_borrow_mut(|sure| {
            sure.clear();
            sure.extend(similarities.iter().copied().zip(0..));
            match (decision, self.config.similarity.loss_type) {
                (Some(decision), _) => {
                    sure.iter_mut().for_each(|(score, _)| *score = decision.confidence(*score));
                }
                (None, LossType::CrossEntropy) => softmax(sure),
                (None, LossType::Margin) => {
                    sure.iter_mut().for_each(|(score, _)| *score = score.clamp(0.0, 1.0));
                }
            }
            // Of labels that are equally sure, the first comes first.
            sure.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let in_scope = sure.iter().find(|(_, label)| !is_out_of_scope(&self.labels.intents[*label]));
            let out_of_scope = in_scope.map(|(sure, _)| 1.0 - sure);
            if self.config.intents.ranking_length > 0 {
                // None of the message's own intents is cut off.
                let own = decision.map_or(0, |own| sure.iter().filter(|one| one.0 > own.threshold).count());
                sure.truncate(self.config.intents.ranking_length.max(own));
            }
            let kept: f32 = sure.iter().map(|(sure, _)| sure).sum();
            let share = if self.config.intents.renormalize && decision.is_none() {
                kept.max(f32::MIN_POSITIVE)
            } else {
                1.0
            };
            let scored = |(sure, label): &(f32, usize)| Scored {
                name: self.labels.intents[*label].clone(),
                confidence: sure / share,
            };
            (sure.iter().map(scored).collect(), out_of_scope)
        })
    }

    /// The intents of a message with this ranking where it may have more than one: those above the threshold, else the
    /// best.
    #[must_use]
    pub fn intent_set(&self, ranking: &[Scored]) -> Vec<Scored> {
        let Some(decision) = self.engine.decision() else { return Vec::new() };
        let above = ranking.iter().take_while(|scored| scored.confidence > decision.threshold).count();
        ranking.iter().take(above.max(1)).cloned().collect()
    }

    fn entities(&self, text: &str, tokens: &[Span], found: &mut Found<'_>) -> Vec<TokenEntity> {
        let (Some(tags), Some(set)) = (found.tags(TagKind::Entity), &self.labels.entities) else {
            return Vec::new();
        };
        let mut entities: Vec<TokenEntity> = Vec::new();
        for (range, entity) in set.decode(tags, tokens) {
            let mut attribute =
                |kind, set: &Option<TagSet>| most_frequent(set.as_ref()?, kind, found, &range);
            let next = TokenEntity {
                entity: entity.to_owned(),
                role: attribute(TagKind::Role, &self.labels.roles),
                group: attribute(TagKind::Group, &self.labels.groups),
                confidence: found.probability(TagKind::Entity, range.start, range.len()),
                tokens: range,
            };
            match entities.last_mut() {
                Some(last) if self.belongs(last, &next, text, tokens) => {
                    last.tokens.end = next.tokens.end;
                    last.confidence = last.confidence.min(next.confidence);
                }
                _ => entities.push(next),
            }
        }
        entities
    }

    /// Whether two neighbours are one entity: of a type that commas do not separate, with no more than
    /// punctuation and blanks between them.
    fn belongs(&self, last: &TokenEntity, next: &TokenEntity, text: &str, tokens: &[Span]) -> bool {
        let alike = last.entity == next.entity
            && name(last.role.as_ref()) == name(next.role.as_ref())
            && name(last.group.as_ref()) == name(next.group.as_ref());
        let gap = Span::new(tokens[last.tokens.end - 1].end, tokens[next.tokens.start].start).of(text);
        alike
            && !self.config.entities.split_by_comma.splits(&last.entity)
            && gap.chars().count() <= 3
            && gap.chars().all(|c| matches!(c, '.' | ',' | ';' | ' '))
    }
}

fn softmax(scores: &mut [(f32, usize)]) {
    let top = scores.iter().map(|(score, _)| *score).fold(f32::NEG_INFINITY, f32::max);
    scores.iter_mut().for_each(|(score, _)| *score = (*score - top).exp());
    let sum: f32 = scores.iter().map(|(weight, _)| weight).sum();
    scores.iter_mut().for_each(|(weight, _)| *weight /= sum);
}

fn name(scored: Option<&Scored>) -> Option<&str> {
    scored.map(|scored| scored.name.as_str())
}

/// The label that most tokens of the range carry, and the smallest probability among those tokens.
fn most_frequent(set: &TagSet, kind: TagKind, found: &mut Found<'_>, range: &Range<usize>) -> Option<Scored> {
    let tags = &found.tags(kind)?[range.clone()];
    let labels = || tags.iter().filter_map(|tag| set.entity_type(*tag));
    let best = labels().max_by_key(|label| labels().filter(|own| own == label).count())?;
    let mut confidence = 1.0_f32;
    for token in range.clone() {
        if found.tags(kind).is_some_and(|tags| set.entity_type(tags[token]) == Some(best)) {
            confidence = confidence.min(found.probability(kind, token, 1));
        }
    }
    Some(Scored { name: best.to_owned(), confidence })
}
