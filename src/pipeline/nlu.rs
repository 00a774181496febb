//! A trained pipeline: a text in, an answer out.

use std::cell::RefCell;
use std::sync::Arc;

use super::parts::Parts;
use super::responses::Responses;
use super::tokenizer::MAX_TOKENS;
use super::{Component, PipelineConfig, post};
use crate::bundle::Weights;
use crate::diet::{Answer, Diet, FittedConfidence, Labels, Readable, TokenEntity, WeightsError};
use crate::error::{ComputationError, Result};
use crate::features::{DenseFeatures, Features, Message};
use crate::nn::Device;
use crate::prediction::{DIET_CLASSIFIER, PredictedEntity, Prediction, ResponseSelection, Scored};
use crate::text::Span;
use crate::threads::in_parallel;

/// A model that understands messages.
///
/// # Example
///
/// ```
/// use talkformer::data::{TrainingData, Utterance};
/// use talkformer::pipeline::{Nlu, Recipe};
///
/// let mut data = TrainingData::default();
/// for (text, intent) in [("hello", "greet"), ("good day", "greet"), ("so long", "bye"), ("see you", "bye")] {
///     data.push(Utterance::new(text, Some(intent)));
/// }
/// let mut config = Recipe::accurate();
/// config.change_diet(|diet| diet.training.set_epochs(20));
/// let nlu = Nlu::train(&config, &data)?;
/// let answer = nlu.parse("hello")?;
/// assert_eq!(answer.intent.unwrap().name, "greet");
/// # Ok::<(), talkformer::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Nlu {
    pub(super) parts: Arc<Parts>,
    pub(super) diet: Diet,
    /// The learnt numbers, for saving; the large tables are shared with the network.
    pub(super) weights: Arc<Weights>,
    /// The ensemble weights, where they were fitted.
    pub(super) confidence: Option<FittedConfidence>,
    pub(super) threads: usize,
    /// What computes the network.
    device: Device,
}

/// A message on its way through the pipeline.
pub(super) struct Encoded<'t> {
    pub(super) text: &'t str,
    pub(super) tokens: Vec<Span>,
    pub(super) features: Features,
    /// Whether there were more tokens than are read.
    pub(super) truncated: bool,
}

impl AsRef<Features> for Encoded<'_> {
    fn as_ref(&self) -> &Features {
        &self.features
    }
}

impl Readable for Encoded<'_> {
    fn text(&self) -> (&str, &[Span]) {
        (self.text, &self.tokens)
    }
}

thread_local! {
    /// Features of messages that were answered on this thread: memory for those of others.
    static SPARE: RefCell<Vec<Features>> = const { RefCell::new(Vec::new()) };
}

impl Nlu {
    /// A longer message is read up to this many tokens: attention compares each with each.
    pub const MAX_TOKENS: usize = MAX_TOKENS;

    /// Messages, and bytes of text, that go through the network together at most: enough to read weights once for many,
    /// and so few that the rows between two layers stay in a near cache.
    const BATCH: (usize, usize) = (16, 1 << 13);

    /// The same on a GPU, where starting to compute takes as long as computing much.
    const DEVICE_BATCH: (usize, usize) = (1024, 1 << 16);

    /// The memory for the features of a message with more tokens is given back.
    const SPARE_TOKENS: usize = 256;

    /// Messages whose dense features are held at a time.
    const ENCODED_TOGETHER: usize = 1024;

    /// A model of these parts with these weights, which answers on so many threads.
    pub(super) fn new(
        parts: &Arc<Parts>,
        weights: Weights,
        confidence: Option<FittedConfidence>,
        threads: usize,
    ) -> Result<Self, WeightsError> {
        let (mut diet, labels) = (parts.diet.clone(), parts.labels.clone());
        if parts.responses.is_some() {
            // An intent is as likely as all its response keys together; the ranking is cut afterwards.
            diet.intents.ranking_length = 0;
        }
        let diet = Diet::new(diet, parts.widths(), labels, &parts.label_features, &weights)?;
        let (parts, weights) = (Arc::clone(parts), Arc::new(weights));
        Ok(Self { parts, diet, weights, confidence, threads, device: Device::Cpu })
    }

    /// The same model, whose network is computed by this device.
    ///
    /// # Errors
    ///
    /// If there is no such device, or it has no room for the model.
    pub(super) fn on_device(self, device: Device) -> Result<Self> {
        if device == Device::Cpu {
            return Ok(self);
        }
        let (parts, opened) = (&self.parts, device.open()?);
        let diet = self.diet.on_device(parts.widths(), &parts.label_features, &self.weights, &opened);
        let diet = diet.map_err(ComputationError::new)?;
        Ok(Self { diet, device, ..self })
    }

    /// The same model, which answers many messages on so many threads; at least one.
    ///
    /// Without this it is one per core. One message is answered on the thread that asks; only a pretrained encoder uses
    /// further ones.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: threads.max(1), ..self }
    }

    /// The pipeline it was trained with.
    #[must_use]
    pub fn config(&self) -> &PipelineConfig {
        &self.parts.config
    }

    /// The ensemble weights and the threshold, where messages were held out to fit them on.
    #[must_use]
    pub fn confidence(&self) -> Option<&FittedConfidence> {
        self.confidence.as_ref()
    }

    /// What it can predict.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        self.diet.labels()
    }

    /// The answer to one message. A blank one has no intent and no entities.
    ///
    /// # Errors
    ///
    /// If the network cannot be computed.
    pub fn parse(&self, text: &str) -> Result<Prediction> {
        let mut message = self.read(text);
        message.features.dense = self.dense_of(&[0], &[text])?.pop();
        let mut answer = Answer::default();
        if !message.tokens.is_empty() {
            self.diet
                .answer(std::slice::from_ref(&message), |_, found| answer = found)
                .map_err(ComputationError::new)?;
        }
        Ok(self.finish(message, answer))
    }

    /// The answers to some messages, in their order: the same as one by one, but faster. Where an encoder takes part, confidences
    /// may differ in the fourth digit.
    ///
    /// # Errors
    ///
    /// If the network cannot be computed.
    pub fn parse_batch(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Vec<Prediction>> {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|at| texts[*at].as_ref().len());
        let mut answers = vec![Prediction::default(); texts.len()];
        // Encoders have their own threads, and their rows are many numbers: some messages at a time.
        let round = if self.parts.encoders.is_some() { Self::ENCODED_TOGETHER } else { order.len().max(1) };
        for round in order.chunks(round) {
            let batch = if self.device == Device::Cpu { Self::BATCH } else { Self::DEVICE_BATCH };
            let chunks = Self::chunks(round, batch, |at| texts[at].as_ref().len());
            let dense = self.dense_of(round, texts)?;
            let starts: Vec<usize> = chunks
                .iter()
                .scan(0, |start, chunk| {
                    *start += chunk.len();
                    Some(*start - chunk.len())
                })
                .collect();
            let found = in_parallel(chunks.len(), self.threads, |chunk| {
                let messages = chunks[chunk].iter().enumerate().map(|(place, at)| {
                    let mut message = self.read(texts[*at].as_ref());
                    message.features.dense = dense.get(starts[chunk] + place).cloned();
                    message
                });
                self.parse_chunk(messages.collect())
            });
            for (chunk, found) in chunks.into_iter().zip(found) {
                chunk.iter().zip(found?).for_each(|(at, answer)| answers[*at] = answer);
            }
        }
        Ok(answers)
    }

    /// Neighbours in `order`, which is that of their sizes, that go through the network together.
    fn chunks(order: &[usize], most: (usize, usize), size: impl Fn(usize) -> usize) -> Vec<&[usize]> {
        // In order of length, so that the last of a chunk is its longest.
        let mut chunks: Vec<&[usize]> = Vec::new();
        let mut rest = order;
        while !rest.is_empty() {
            let bytes = |count: usize| count * size(rest[count - 1]);
            let fitting = (1..=rest.len().min(most.0)).take_while(|count| bytes(*count) <= most.1);
            let (chunk, after) = rest.split_at(fitting.last().unwrap_or(1));
            chunks.push(chunk);
            rest = after;
        }
        chunks
    }

    fn parse_chunk(&self, messages: Vec<Encoded<'_>>) -> Result<Vec<Prediction>> {
        let readable: Vec<&Encoded<'_>> =
            messages.iter().filter(|message| !message.tokens.is_empty()).collect();
        let mut found = Vec::with_capacity(readable.len());
        self.diet.answer(&readable, |_, answer| found.push(answer)).map_err(ComputationError::new)?;
        let mut found = found.into_iter();
        let answer = |message: Encoded<'_>| {
            let blank = message.tokens.is_empty();
            let answer = if blank { None } else { found.next() }.unwrap_or_default();
            self.finish(message, answer)
        };
        Ok(messages.into_iter().map(answer).collect())
    }

    /// Some messages with all their features.
    pub(super) fn encode_messages<'t>(&self, texts: &[&'t str]) -> Result<Vec<Encoded<'t>>> {
        let mut messages: Vec<Encoded<'t>> = texts.iter().map(|text| self.read(text)).collect();
        let dense = self.dense_of(&(0..texts.len()).collect::<Vec<_>>(), texts)?;
        messages.iter_mut().zip(dense).for_each(|(message, dense)| message.features.dense = Some(dense));
        Ok(messages)
    }

    /// The dense features of the texts with these numbers; none where there is no encoder.
    fn dense_of(&self, order: &[usize], texts: &[impl AsRef<str>]) -> Result<Vec<Arc<DenseFeatures>>> {
        let Some(encoders) = &self.parts.encoders else { return Ok(Vec::new()) };
        let texts: Vec<&str> = order.iter().map(|at| texts[*at].as_ref()).collect();
        let tokens: Vec<Vec<Span>> = texts.iter().map(|text| self.parts.tokenizer.tokenize(text).0).collect();
        Ok(encoders.features(&texts, &tokens, self.threads)?)
    }

    /// A message with its sparse features.
    fn read<'t>(&self, text: &'t str) -> Encoded<'t> {
        let (tokens, truncated) = self.parts.tokenizer.tokenize(text);
        let mut features = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        self.parts.features.transform_into(Message { text, tokens: &tokens }, &mut features);
        Encoded { text, tokens, features, truncated }
    }

    /// A ranking of labels as one of intents, without response keys where the model learnt such keys; where a message may
    /// have several intents, these; and the answers to retrieval intents.
    fn intents_of(&self, labels: Vec<Scored>) -> (Vec<Scored>, Vec<Scored>, Option<ResponseSelection>) {
        let set = self.diet.intent_set(&labels);
        let Some(responses) = &self.parts.responses else { return (labels, set, None) };
        let several = self.labels().is_multi_label();
        let (mut ranking, set) = (Responses::intents(&labels, several), Responses::intents(&set, several));
        let most = self.parts.diet.intents.ranking_length;
        if most > 0 {
            ranking.truncate(most.max(set.len()));
        }
        let best = set.first().or(ranking.first()).map(|intent| intent.name.as_str());
        let selection = responses.select(best, &labels);
        (ranking, set, Some(selection))
    }

    /// Where a message may have several intents, the ranking is headed by all of them together.
    fn with_intent_set(&self, mut ranking: Vec<Scored>, intents: &[Scored]) -> Vec<Scored> {
        if let [_, .., last] = intents {
            let separator = self.labels().separator.as_deref().unwrap_or_default();
            let names: Vec<&str> = intents.iter().map(|intent| intent.name.as_str()).collect();
            ranking.insert(0, Scored { name: names.join(separator), confidence: last.confidence });
        }
        ranking
    }

    fn finish(&self, message: Encoded<'_>, answer: Answer) -> Prediction {
        let Encoded { text, tokens, mut features, .. } = message;
        if tokens.len() <= Self::SPARE_TOKENS {
            features.dense = None;
            SPARE.with_borrow_mut(|spare| {
                spare.push(features);
                spare.truncate(Self::BATCH.0);
            });
        }
        let Answer { ranking, out_of_scope, entities } = answer;
        let entities = entities.into_iter().map(|entity| predicted(entity, text, &tokens)).collect();
        let blank = tokens.is_empty();
        let (ranking, intents, response_selector) = self.intents_of(ranking);
        let ranking = self.with_intent_set(ranking, &intents);
        let mut prediction = Prediction {
            text: text.to_owned(),
            response_selector,
            intent: ranking.first().cloned(),
            intent_ranking: ranking,
            intents,
            entities,
            tokens,
            out_of_scope,
        };
        let parts = &self.parts;
        let mut own = parts.post_processors.iter();
        for component in &parts.config.components {
            match component {
                Component::PostProcessor(_) => {
                    own.next().into_iter().for_each(|one| one.processor.process(&mut prediction));
                    // Whoever reads the answer cuts entities out of the text.
                    let Prediction { text, entities, .. } = &mut prediction;
                    entities.retain(|entity| entity.span.get(text).is_some());
                }
                Component::RegexEntityExtractor(_) => {
                    let patterns = parts.extractor.iter();
                    patterns.for_each(|patterns| post::extract_patterns(patterns, &mut prediction));
                }
                Component::EntitySynonymMapper => parts.synonyms.map(&mut prediction),
                Component::FallbackClassifier(config) if !blank && !self.labels().intents.is_empty() => {
                    let fitted = self.confidence.as_ref().map(|found| found.threshold);
                    post::fall_back(*config, fitted, &mut prediction);
                }
                _ => {}
            }
        }
        prediction
    }
}

fn predicted(entity: TokenEntity, text: &str, tokens: &[Span]) -> PredictedEntity {
    let span = Span::new(tokens[entity.tokens.start].start, tokens[entity.tokens.end - 1].end);
    PredictedEntity {
        confidence: Some(entity.confidence),
        role: entity.role,
        group: entity.group,
        ..PredictedEntity::new(DIET_CLASSIFIER, entity.entity, span, text)
    }
}
