//! From labelled messages to a model.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::{Component, Nlu, PipelineConfig, PipelineError};
use crate::bundle::Weights;
use crate::data::{HoldOut, TrainingData, Utterance, stratified_split};
use crate::diet::{Diet, Example, HeldOut, Labels, Learner, Widths};
use crate::error::Result;
use crate::features::{FeatureSet, LabelFeatures, Message, Patterns};
use crate::text::{Span, Tokenizer, WhitespaceTokenizer};
use crate::train::{Event, Outcome, Score, Trainable, Trainer};

/// How to train, beside what the pipeline says.
#[derive(Debug)]
pub struct TrainingOptions {
    /// Worker threads; results depend on how many.
    pub threads: usize,
    /// Training ends after the current step once this is true.
    pub stop: Arc<AtomicBool>,
}

impl Default for TrainingOptions {
    /// One thread per core.
    fn default() -> Self {
        Self { threads: Nlu::default_threads(), stop: Arc::default() }
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
        let (diet_config, featurizers) = pipeline.diet();
        diet_config.validate()?;
        let tokenizer = WhitespaceTokenizer::new(pipeline.tokenizer())?;
        let held_out = HoldOut::Count(diet_config.evaluate_on_number_of_examples);
        let (train, held_out) = stratified_split(&data.utterances, held_out, diet_config.seed());
        let held_out: Vec<Utterance> = held_out.into_iter().cloned().collect();
        let labels = Labels::new(&data.utterances, &diet_config);
        check(&labels, &train)?;

        let tokens = tokenize(&tokenizer, &train);
        let messages: Vec<Message<'_>> =
            train.iter().zip(&tokens).map(|(one, tokens)| Message { text: &one.text, tokens }).collect();
        let features = FeatureSet::fit(&featurizers, &messages, data)?;
        let example = |(one, tokens): (&&Utterance, &Vec<Span>)| {
            labels.example(one, tokens, features.transform(Message { text: &one.text, tokens }))
        };
        let is_readable = |(_, tokens): &(&&Utterance, &Vec<Span>)| !tokens.is_empty();
        let examples: Vec<Example> = train.iter().zip(&tokens).filter(is_readable).map(example).collect();
        let (examples, aside) = if labels.separator.is_some() { aside(examples) } else { (examples, vec![]) };
        let label_features = LabelFeatures::new(&labels.intents, &tokenizer);
        let (sequence, sentence) = features.widths();
        let extractor = extractor(pipeline, data)?;
        let widths = Widths { sequence, sentence };
        let model = |weights: Weights| -> Result<Self> {
            let (config, labels) = (diet_config.clone(), labels.clone());
            let diet = Diet::new(config, widths, labels, &label_features, &weights)
                .map_err(|error| PipelineError::Model { problem: error.to_string() })?;
            Ok(Self {
                config: pipeline.clone(),
                tokenizer: tokenizer.clone(),
                features: features.clone(),
                diet,
                extractor: extractor.clone(),
                synonyms: data.synonyms.clone(),
                weights: Arc::new(weights),
                threads: options.threads.max(1),
            })
        };

        let score = |weights: &Weights| {
            let model = model(weights.clone()).map_err(candle_core::Error::wrap)?;
            score(&model, &held_out)
        };
        let scorer = (!held_out.is_empty()).then_some(Box::new(score) as HeldOut<'_>);
        let mut learner = Learner::new(&diet_config, widths, &labels, &label_features, examples, scorer)?;
        let trainer =
            Trainer::new(diet_config.trainer(learner.examples(), options.threads.max(1)), &options.stop);
        let outcome = trainer.run(&learner, observe)?;
        if !aside.is_empty() {
            learner.decide(&model(learner.weights()?)?.diet, &aside);
        }
        let training = Training {
            outcome,
            warnings: misaligned(&labels, &train, &tokens),
            examples: learner.examples(),
            held_out: held_out.len() + aside.len(),
            parameters: learner.parameters().count(),
        };
        Ok((model(learner.weights()?)?, training))
    }
}

/// Examples to learn from, and every tenth to fit the threshold of several intents to, which a model is too sure of once
/// it has learnt it. Where there are fewer than twenty all are learnt from.
fn aside(examples: Vec<Example>) -> (Vec<Example>, Vec<Example>) {
    const EVERY: usize = 10;
    if examples.len() < 2 * EVERY {
        return (examples, Vec::new());
    }
    let (aside, learnt): (Vec<_>, Vec<_>) =
        examples.into_iter().enumerate().partition(|(at, _)| at % EVERY == EVERY - 1);
    let without_number = |part: Vec<(usize, Example)>| part.into_iter().map(|(_, example)| example).collect();
    (without_number(learnt), without_number(aside))
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
