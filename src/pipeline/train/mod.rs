//! From labelled messages to a model.

mod options;
mod split;
mod warnings;

use std::sync::Arc;

use super::dense::DenseEncoders;
use super::memory::Memory;
use super::parts::Parts;
use super::tokenizer::MessageTokenizer;
use super::{Component, Components, Nlu, PipelineConfig, PipelineError, finetune};
use crate::bundle::Weights;
use crate::data::{HoldOut, TrainingData, Utterance, stratified_split};
use crate::diet::{DietConfig, HeldOut, Labels};
use crate::error::{ComputationError, Result};
use crate::features::{FeatureSet, FeaturizerConfig, Patterns};
use crate::train::{Event, Score, Trainable, Trainer};

pub use options::{Training, TrainingOptions};
use split::{Examples, Split};
use warnings::misaligned;

impl Nlu {
    /// Trains a model, on all cores. [`train_with`](Self::train_with) takes options and shows the progress.
    ///
    /// # Errors
    ///
    /// If the pipeline or the data makes no sense, or the training diverges.
    pub fn train(pipeline: &PipelineConfig, data: &TrainingData) -> Result<Self> {
        Ok(Self::train_with(pipeline, data, &TrainingOptions::default(), |_| {})?.0)
    }

    /// Trains a model with options, and tells how it went; `observe` is called with every [`Event`] of the training.
    ///
    /// # Errors
    ///
    /// As [`Nlu::train`].
    ///
    /// # Example
    ///
    /// ```no_run
    /// use talkformer::pipeline::{Nlu, Recipe, TrainingOptions};
    /// use talkformer::train::Event;
    ///
    /// let data = talkformer::data::read("nlu.yml")?;
    /// let options = TrainingOptions::default().threads(4);
    /// let (nlu, training) = Nlu::train_with(&Recipe::accurate(), &data, &options, |event| {
    ///     if let Event::Epoch(report) = event {
    ///         println!("epoch {}: loss {:.2}", report.epoch, report.loss);
    ///     }
    /// })?;
    /// println!("{} examples, {:?}", training.examples, training.outcome.stopped);
    /// # Ok::<(), talkformer::Error>(())
    /// ```
    pub fn train_with(
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
        let pipeline = adapted(pipeline, earlier);
        let (config, featurizers) = pipeline.diet();
        config.validate()?;
        let components = earlier.map_or(&options.components, |earlier| &earlier.components);
        let tokenizer = MessageTokenizer::new(&pipeline, components)?;
        let labels = labels(data, &config, earlier);
        let held_out = HoldOut::Count(config.training.held_out_examples);
        let (train, held_out) = stratified_split(&data.utterances, held_out, config.seed());
        let held_out: Vec<Utterance> = held_out.into_iter().cloned().collect();
        let split = Split::new(&train, &labels, &config)?;
        let examples = split.tokenize(&tokenizer);

        let features = fit_features(&featurizers, &examples, data, components, earlier)?;
        let for_encoders = examples.for_encoders(&labels);
        let dense = DenseEncoders::for_training(&pipeline, earlier, &for_encoders, options, &mut observe)?;
        let (encoders, dense) = dense.unzip();
        let training_set = examples.training_set(&features, &dense.unwrap_or_default(), &labels);

        let parts = Parts {
            extractor: extractor(&pipeline, data)?,
            post_processors: components.fit_post_processors(&pipeline, data).map_err(PipelineError::from)?,
            components: components.clone(),
            config: pipeline,
            diet: config,
            tokenizer,
            labels,
            features,
            encoders,
            synonyms: data.synonyms.clone(),
            memory: remembered(data, options)?,
            threads: options.threads.max(1),
        };
        let messages = training_set.examples.len() - training_set.names;
        let mut learner = parts.learner(training_set, scorer(&parts, &held_out))?;
        let mut settings = parts.diet.trainer(learner.examples(), parts.threads);
        if let Some(earlier) = earlier {
            earlier.warm_start(&mut learner, &parts.features)?;
            finetune::shorten(&mut settings, options.epoch_fraction);
        }
        let outcome = Trainer::new(settings, &options.stop)
            .run(&learner, |event| observe(of_messages(event, messages)))
            .map_err(ComputationError::new)?;
        let confidence = learner.calibrate(parts.threads).map_err(ComputationError::new)?;
        let training = Training {
            outcome,
            warnings: misaligned(&parts.labels, &examples.utterances, &examples.tokens),
            examples: messages,
            held_out: held_out.len(),
            parameters: learner.parameters().count(),
        };
        let weights = learner.weights().map_err(ComputationError::new)?;
        Ok((parts.model(weights, confidence).map_err(PipelineError::from)?, training))
    }
}

/// The same event, with the number of messages: names of intents do not count, and those held out for calibration do, for
/// the linear path learns from them.
fn of_messages(event: Event, messages: usize) -> Event {
    match event {
        Event::Started { epochs, parameters, threads, .. } => {
            Event::Started { examples: messages, epochs, parameters, threads }
        }
        other => other,
    }
}

/// The pipeline, with the options that learning on from an earlier model needs.
fn adapted(pipeline: &PipelineConfig, earlier: Option<&Nlu>) -> PipelineConfig {
    let mut pipeline = pipeline.clone();
    if let Some(earlier) = earlier {
        pipeline.change_diet(|diet| earlier.prepare(diet));
    }
    pipeline
}

/// The labels of the data, and those of an earlier model that forgot its examples.
fn labels(data: &TrainingData, config: &DietConfig, earlier: Option<&Nlu>) -> Labels {
    let labels = Labels::new(&data.utterances, config);
    match earlier {
        Some(earlier) => earlier.grow_labels(labels, data, config),
        None => labels,
    }
}

/// The features of the examples, and those of an earlier model that forgot its examples.
fn fit_features(
    featurizers: &[FeaturizerConfig],
    examples: &Examples<'_>,
    data: &TrainingData,
    components: &Components,
    earlier: Option<&Nlu>,
) -> Result<FeatureSet> {
    let features = FeatureSet::fit_with(featurizers, &examples.messages(), data, &components.featurizers)?;
    Ok(match earlier {
        Some(earlier) => earlier.grow_features(features),
        None => features,
    })
}

/// The examples as the model keeps them, where it shall.
fn remembered(data: &TrainingData, options: &TrainingOptions) -> Result<Option<Arc<Memory>>> {
    let memory = options.remember_examples.then(|| Memory::of(&data.utterances));
    Ok(memory.transpose()?.map(Arc::new))
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

/// Scores weights on the messages that are held out, where there are any.
fn scorer<'s>(parts: &'s Parts, held_out: &'s [Utterance]) -> Option<HeldOut<'s>> {
    let score_weights = |weights: &Weights| {
        let model = parts.model(weights.clone(), None).map_err(candle_core::Error::wrap)?;
        score(&model, held_out)
    };
    (!held_out.is_empty()).then(|| Box::new(score_weights) as HeldOut<'s>)
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
