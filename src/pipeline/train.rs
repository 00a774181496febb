//! From labelled messages to a model.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::dense::{self, DenseEncoders};
use super::memory::Memory;
use super::{Component, Nlu, PipelineConfig, PipelineError, finetune};
use crate::bundle::Weights;
use crate::data::{HoldOut, TrainingData, Utterance, stratified_split};
use crate::diet::{Diet, DietConfig, Example, FittedConfidence, HeldOut, Labels, Learner, Lessons, Widths};
use crate::error::Result;
use crate::features::{FeatureSet, Features, LabelFeatures, Message, Patterns, UnitRanges};
use crate::text::{Span, Tokenizer, WhitespaceTokenizer};
use crate::train::{Event, Outcome, Score, Stopped, Trainable, Trainer, TrainerConfig};

/// How to train, beside what the pipeline says.
#[derive(Debug)]
pub struct TrainingOptions {
    /// Worker threads; results depend on how many.
    pub threads: usize,
    /// Training ends after the current step once this is true.
    pub stop: Arc<AtomicBool>,
    /// Whether the model keeps the examples, in order to learn on from new ones ([`Nlu::finetune`]).
    pub remember_examples: bool,
    /// Share of the epochs that finetuning takes; zero learns nothing and only makes room for new words and labels.
    pub epoch_fraction: f64,
}

impl TrainingOptions {
    /// The share of the epochs that finetuning takes unless told otherwise.
    pub const EPOCH_FRACTION: f64 = 0.25;
}

impl Default for TrainingOptions {
    /// One thread per core.
    fn default() -> Self {
        Self {
            threads: Nlu::default_threads(),
            stop: Arc::default(),
            remember_examples: true,
            epoch_fraction: Self::EPOCH_FRACTION,
        }
    }
}

/// How training went.
#[derive(Clone, Debug)]
pub struct Training {
    /// How it ended.
    pub outcome: Outcome,
    /// What was odd about the data: annotations whose borders are not token borders, and the like.
    pub warnings: Vec<String>,
    /// Examples that were learnt from.
    pub examples: usize,
    /// Examples that were held out.
    pub held_out: usize,
    /// Learnable numbers.
    pub parameters: usize,
}

impl Nlu {
    /// Trains a model; `observe` hears of every step.
    ///
    /// # Errors
    ///
    /// If the pipeline or the data makes no sense, or the training diverges.
    pub fn train(
        pipeline: &PipelineConfig,
        data: &TrainingData,
        options: &TrainingOptions,
        observe: impl FnMut(Event),
    ) -> Result<(Self, Training)> {
        Self::learn(pipeline, data, None, options, observe)
    }

    /// Learns from all of these examples, from scratch or from where an earlier model is.
    pub(super) fn learn(
        pipeline: &PipelineConfig,
        data: &TrainingData,
        earlier: Option<&Self>,
        options: &TrainingOptions,
        mut observe: impl FnMut(Event),
    ) -> Result<(Self, Training)> {
        let mut pipeline = pipeline.clone();
        if let Some(earlier) = earlier {
            pipeline.change_diet(|diet| earlier.prepare(diet));
        }
        let (diet_config, featurizers) = pipeline.diet();
        diet_config.validate()?;
        let tokenizer = WhitespaceTokenizer::new(pipeline.tokenizer())?;
        let held_out = HoldOut::Count(diet_config.evaluate_on_number_of_examples);
        let (train, held_out) = stratified_split(&data.utterances, held_out, diet_config.seed());
        let held_out: Vec<Utterance> = held_out.into_iter().cloned().collect();
        let labels = Labels::new(&data.utterances, &diet_config);
        let labels = match earlier {
            Some(earlier) => earlier.grow_labels(labels, data, &diet_config),
            None => labels,
        };
        check(&labels, &train)?;
        let names = if diet_config.learn_intent_names { names_as_messages(&labels) } else { Vec::new() };
        let (train, unseen) = keep_for_later(&train, &names, &diet_config);

        let tokens = tokenize(&tokenizer, &train);
        let messages: Vec<Message<'_>> =
            train.iter().zip(&tokens).map(|(one, tokens)| Message { text: &one.text, tokens }).collect();
        let features = FeatureSet::fit(&featurizers, &messages, data)?;
        let features = match earlier {
            Some(earlier) => earlier.grow_features(features),
            None => features,
        };
        let starts = [0, names.len(), train.len() - unseen, train.len()];
        let seen = dense::Lessons { train: &train, tokens: &tokens, labels: &labels, unseen };
        let dense = DenseEncoders::for_training(&pipeline, earlier, &seen, options, &mut observe)?;
        let (encoders, dense) = dense.unzip();
        let dense = dense.unwrap_or_default();
        let transform = |at: usize| Features {
            dense: dense.get(at).cloned(),
            ..features.transform(Message { text: &train[at].text, tokens: &tokens[at] })
        };
        let lessons = lessons(&train, &tokens, starts, features.unit_ranges(), &labels, transform);
        let (unseen, settling) = (lessons.unseen, settling(&lessons));
        let count = lessons.examples.len() - lessons.names;
        let label_features = LabelFeatures::new(&labels.intents, &tokenizer);
        let (sequence, sentence) = features.widths();
        let extractor = extractor(&pipeline, data)?;
        let widths =
            Widths { sequence, sentence, dense: encoders.as_ref().map_or(0, |encoders| encoders.dim()) };
        let memory =
            options.remember_examples.then(|| Memory::of(&data.utterances)).transpose()?.map(Arc::new);
        let model = |weights: Weights, confidence: Option<FittedConfidence>| -> Result<Self> {
            let (config, labels) = (diet_config.clone(), labels.clone());
            let diet = Diet::new(config, widths, labels, &label_features, &weights)
                .map_err(|error| PipelineError::Model { problem: error.to_string() })?;
            Ok(Self {
                config: pipeline.clone(),
                tokenizer: tokenizer.clone(),
                features: features.clone(),
                encoders: encoders.clone(),
                diet,
                extractor: extractor.clone(),
                synonyms: data.synonyms.clone(),
                weights: Arc::new(weights),
                memory: memory.clone(),
                confidence,
                threads: options.threads.max(1),
            })
        };

        let score = |weights: &Weights| {
            let model = model(weights.clone(), None).map_err(candle_core::Error::wrap)?;
            score(&model, &held_out)
        };
        let scorer = (!held_out.is_empty()).then_some(Box::new(score) as HeldOut<'_>);
        let mut learner = Learner::new(&diet_config, widths, &labels, &label_features, lessons, scorer)?;
        let mut settings = diet_config.trainer(learner.examples(), options.threads.max(1));
        if let Some(earlier) = earlier {
            earlier.hand_down(&mut learner, &features)?;
            finetune::shorten(&mut settings, options.epoch_fraction);
        }
        let done = 1.0 / (1.0 + settling);
        let mut outcome = Trainer::new(settings.clone(), &options.stop)
            .run(&learner, |event| observe(of_messages(event, count).within(0.0, done)))?;
        let confidence = learner.calibrate(options.threads.max(1))?;
        if unseen > 0 && outcome.stopped != Stopped::Interrupted {
            let after = Trainer::new(settle(settings, settling), &options.stop).run(&learner, |event| {
                if !matches!(event, Event::Started { .. }) {
                    observe(event.within(done, 1.0));
                }
            })?;
            outcome = outcome.followed_by(after);
        }
        let training = Training {
            outcome,
            warnings: misaligned(&labels, &train, &tokens),
            examples: count,
            held_out: held_out.len(),
            parameters: learner.parameters().count(),
        };
        Ok((model(learner.weights()?, confidence)?, training))
    }
}

/// The examples with tokens, in three parts whose beginnings, and the end, are `starts`: names of intents, messages, and
/// messages that are kept for calibration.
fn lessons(
    train: &[&Utterance],
    tokens: &[Vec<Span>],
    starts: [usize; 4],
    unit_ranges: UnitRanges,
    labels: &Labels,
    transform: impl Fn(usize) -> Features,
) -> Lessons {
    let part = |part: usize| {
        let readable = (starts[part]..starts[part + 1]).filter(|at| !tokens[*at].is_empty());
        let example = |at: usize| labels.example(train[at], &tokens[at], transform(at));
        readable.map(example).collect::<Vec<Example>>()
    };
    let parts = [part(0), part(1), part(2)];
    Lessons { names: parts[0].len(), unseen: parts[2].len(), examples: parts.concat(), unit_ranges }
}

/// The same event, which counts messages: names of intents are none, and what is kept for calibration is learnt from as well in
/// the end.
fn of_messages(event: Event, count: usize) -> Event {
    match event {
        Event::Started { epochs, parameters, threads, .. } => {
            Event::Started { examples: count, epochs, parameters, threads }
        }
        other => other,
    }
}

/// How long the network goes on learning once it also learns from what was kept for calibration, as a share of the
/// training before: the more was kept, the longer.
fn settling(lessons: &Lessons) -> f64 {
    2.0 * lessons.unseen as f64 / lessons.examples.len().max(1) as f64
}

/// The highest learning rate of that time, as a share of that before.
const SETTLING_RATE: f64 = 0.7;

/// Settings of the loop once all examples are learnt from.
fn settle(mut trainer: TrainerConfig, share: f64) -> TrainerConfig {
    trainer.epochs = (trainer.epochs as f64 * share).ceil() as usize;
    trainer.schedule.peak *= SETTLING_RATE;
    trainer
}

/// The names of the intents as messages: `card_arrival` says in two words what its messages are about.
fn names_as_messages(labels: &Labels) -> Vec<Utterance> {
    let words = |intent: &String| {
        let words = intent.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ")
    };
    labels.intents.iter().map(|intent| Utterance::new(words(intent), Some(intent))).collect()
}

/// So many messages are enough to fit what opinions weigh …
const ENOUGH: f64 = 250.0;

/// … but no more than this share of the examples.
const MOST_SHARE: f64 = 0.25;

/// And more than so many tell no more that is worth learning without them.
const MOST: f64 = 600.0;

/// Names of intents, then examples, and how many of these at the end are for calibration.
fn keep_for_later<'a>(
    train: &'a [&'a Utterance],
    names: &'a [Utterance],
    config: &DietConfig,
) -> (Vec<&'a Utterance>, usize) {
    // A tenth of few examples tells too little, a tenth of many is missed in the main part of the training.
    let enough = (ENOUGH / train.len().max(1) as f64).min(MOST_SHARE);
    let most = MOST / train.len().max(1) as f64;
    let share =
        if config.calibration_share > 0.0 { config.calibration_share.max(enough).min(most) } else { 0.0 };
    let share = HoldOut::Share(share);
    let (learnt, unseen) = stratified_split(train, share, config.seed().wrapping_add(1));
    let count = unseen.len();
    (names.iter().chain(learnt).chain(unseen).collect(), count)
}

fn check(labels: &Labels, train: &[&Utterance]) -> Result<(), PipelineError> {
    let readable = train.iter().filter(|utterance| !utterance.text.trim().is_empty()).count();
    if readable > 0 && !labels.is_empty() {
        return Ok(());
    }
    let intent = train.iter().find_map(|utterance| utterance.intent.as_deref());
    let problem = match (readable, intent) {
        (0, _) => "the data has no example with text".to_owned(),
        (_, Some(only)) => format!(
            "all examples have the intent `{only}` and none has an entity; at least two intents, or one annotated entity, are needed"
        ),
        (_, None) => "no example has an intent or an entity".to_owned(),
    };
    Err(PipelineError::NothingToLearn { problem })
}

fn tokenize(tokenizer: &WhitespaceTokenizer, utterances: &[&Utterance]) -> Vec<Vec<Span>> {
    let read = |utterance: &&Utterance| {
        let mut tokens = tokenizer.tokenize(&utterance.text);
        tokens.truncate(Nlu::MAX_TOKENS);
        tokens
    };
    utterances.iter().map(read).collect()
}

/// Patterns that are named like an entity type of the data, where the pipeline extracts them.
fn extractor(config: &PipelineConfig, data: &TrainingData) -> Result<Option<Patterns>> {
    let options = config.components.iter().find_map(|component| match component {
        Component::RegexEntityExtractor(options) => Some(options),
        _ => None,
    });
    let types = data.entity_types();
    let compile = |options| Patterns::only(options, data, |name| types.contains_key(name));
    Ok(options.map(compile).transpose()?)
}

/// Entities whose borders are not token borders, the first ten of them.
fn misaligned(labels: &Labels, utterances: &[&Utterance], tokens: &[Vec<Span>]) -> Vec<String> {
    let Some(set) = &labels.entities else { return Vec::new() };
    let mut found = Vec::new();
    let mut count = 0;
    for (utterance, tokens) in utterances.iter().zip(tokens) {
        let spans = utterance.entities.iter().map(|entity| (entity.span, entity.entity.as_str()));
        for at in set.encode(tokens, spans).misaligned {
            count += 1;
            if found.len() < 10 {
                let entity = &utterance.entities[at];
                let words: Vec<&str> = tokens
                    .iter()
                    .filter(|token| token.overlaps(entity.span))
                    .map(|token| token.of(&utterance.text))
                    .collect();
                found.push(format!(
                    "{}: `{}` ({}) does not begin and end where tokens do: it is learnt as `{}`",
                    utterance.source,
                    entity.surface(&utterance.text),
                    entity.entity,
                    words.join(" ")
                ));
            }
        }
    }
    if count > found.len() {
        found.push(format!("… and {} more annotations that do not fit the tokens", count - found.len()));
    }
    found
}

/// Intent accuracy and exact-span F1 on the held-out messages; their mean decides.
fn score(nlu: &Nlu, held_out: &[Utterance]) -> candle_core::Result<Score> {
    let found = nlu.evaluate(held_out).map_err(candle_core::Error::wrap)?;
    let mut parts = Vec::new();
    if found.intent.messages > 0 && !nlu.labels().intents.is_empty() {
        parts.push(("intent_accuracy", found.intent.accuracy));
    }
    if found.entity.entities > 0 {
        parts.push(("entity_f1", found.entity.exact_span.f1));
    }
    let value = parts.iter().map(|(_, part)| part).sum::<f64>() / parts.len().max(1) as f64;
    Ok(Score { value, parts })
}
