//! From labelled messages to a model.

mod earlier;
mod language;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::dense::DenseEncoders;
use super::examples::Examples;
use super::memory::Memory;
use super::parts::Parts;
use super::post::Synonyms;
use super::responses::Responses;
use super::tokenizer::MessageTokenizer;
use super::{Component, Nlu, PipelineConfig, PipelineError, Training, TrainingOptions};
use crate::bundle::Weights;
use crate::data::{HoldOut, TrainingData, Utterance, stratified_split};
use crate::diet::{HeldOut, Labels, TrainingSet};
use crate::error::{ComputationError, Result};
use crate::features::{FeatureSet, Patterns};
use crate::text::fold;
use crate::train::{Event, Score, Trainable, Trainer};

use language::language;
use warnings::{unlearnable, without_effect};

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
        let begun = Instant::now();
        // What cannot train should say so before anything is read.
        options.device.open()?;
        check_spans(&data.utterances)?;
        let forgetful = earlier.filter(|earlier| !earlier.remembers());
        let mut warnings = without_effect(&pipeline.diet());
        let mut pipeline = pipeline.clone();
        if let Some(earlier) = earlier {
            pipeline.change_diet(|diet| earlier.prepare(diet));
        }
        // What an earlier model has decided stays so: its network has a place for each feature.
        let choices = if earlier.is_some() {
            Vec::new()
        } else {
            let texts: Vec<&str> = data.utterances.iter().map(|one| one.text.as_str()).collect();
            pipeline.choose_by_language(|| language(&texts))
        };
        let diet = pipeline.diet();
        diet.validate()?;
        let components = earlier.map_or(&options.components, |earlier| &earlier.parts.components);
        let tokenizer = MessageTokenizer::new(&pipeline, components)?;
        let labels = match forgetful {
            Some(earlier) => earlier.labels().and_those_of(&data.utterances, &diet),
            None => Labels::new(&data.utterances, &diet),
        };
        let held_out = HoldOut::Count(diet.training.held_out_examples);
        let (train, held_out) = stratified_split(&data.utterances, held_out, diet.training.seed());
        let held_out: Vec<Utterance> = held_out.into_iter().cloned().collect();
        let (featurizers, min_count) = (pipeline.featurizers(), options.min_count);
        let tokenizer =
            tokenizer.with_cuts(forgetful.map(|earlier| &earlier.parts.tokenizer), &train, min_count);
        let examples = Examples::new(&train, &labels, &diet, &tokenizer)?;

        // What needs no encoder comes first: its errors should not wait until one is fine-tuned.
        let extractor = extractor(&pipeline, data)?;
        let earlier_processors = forgetful.map_or(&[][..], |earlier| &earlier.parts.post_processors);
        let post_processors = components
            .fit_post_processors(pipeline.post_processors(), data, earlier_processors)
            .map_err(PipelineError::from)?;
        let features = FeatureSet::fit_with(
            &featurizers,
            &examples.messages(),
            data,
            &components.featurizers,
            min_count,
        )?;
        let features = match forgetful {
            Some(earlier) => features.with_columns_of(&earlier.parts.features),
            None => features,
        };
        if min_count > 1 && pipeline.dense().is_empty() && features.widths().1 == 0 {
            return Err(PipelineError::NothingFrequent { min_count }.into());
        }
        // Of a model that forgot its examples, those given now are not all, and half a memory would be taken for a whole one.
        let remember = options.remember_examples && forgetful.is_none();
        let memory = remember.then(|| Memory::of(&data.utterances)).transpose()?;

        let before = earlier.map(|earlier| (&earlier.parts.config, earlier.parts.encoders.as_ref()));
        let dense =
            DenseEncoders::for_training(&pipeline, before, &examples, &labels, options, &mut observe)?;
        let (encoders, dense) = dense.unzip();
        let training_set = TrainingSet {
            whole_tables: earlier.is_some(),
            ..examples.training_set(&features, &dense.unwrap_or_default(), &labels)
        };

        let parts = Arc::new(Parts {
            responses: Responses::of(&pipeline, &labels, data),
            config: pipeline,
            diet,
            label_features: tokenizer.label_features(&labels),
            tokenizer,
            labels,
            features,
            encoders,
            extractor,
            post_processors,
            components: components.clone(),
            synonyms: Synonyms::new(frequent_synonyms(data, min_count)),
            memory,
        });
        let time = options.budget.map(|budget| network_time(budget, begun.elapsed()));
        let (nlu, mut training) =
            Self::fit(&parts, training_set, &held_out, earlier, options, time, observe)?;
        warnings.extend(unlearnable(&parts.labels, &examples));
        // One expression may be read by several components.
        for left_out in parts.left_out() {
            if !warnings.contains(left_out) {
                warnings.push(left_out.clone());
            }
        }
        (training.warnings, training.choices) = (warnings, choices);
        Ok((nlu, training))
    }

    /// Trains the network of these parts, from scratch or from where an earlier model is.
    fn fit(
        parts: &Arc<Parts>,
        set: TrainingSet,
        held_out: &[Utterance],
        earlier: Option<&Self>,
        options: &TrainingOptions,
        time: Option<Duration>,
        mut observe: impl FnMut(Event),
    ) -> Result<(Self, Training)> {
        let threads = options.threads.max(1);
        let messages = set.examples.len() - set.names;
        let device = options.device.open()?;
        let mut learner = parts.learner(set, scorer(parts, held_out, threads), &device)?;
        let mut settings = parts.diet.training.trainer(learner.examples(), threads);
        settings.time = time;
        if let Some(earlier) = earlier {
            earlier.warm_start(&mut learner, &parts.features)?;
            earlier::shorten(&mut settings, options.epoch_fraction);
        }
        let outcome = Trainer::new(settings, &options.stop)
            .run(&learner, |event| observe(of_messages(event, messages)))
            .map_err(ComputationError::new)?;
        let confidence = learner.calibrate(threads).map_err(ComputationError::new)?;
        let weights = learner.weights().map_err(ComputationError::new)?;
        let training = Training {
            outcome,
            warnings: Vec::new(),
            choices: Vec::new(),
            examples: messages,
            min_count: options.min_count,
            held_out: held_out.len(),
            parameters: learner.parameters().count(),
        };
        Ok((Self::new(parts, weights, confidence, threads).map_err(PipelineError::from)?, training))
    }
}

/// What is left of a budget for the network, of which `spent` is over: about a seventh of it goes to the linear path and
/// to calibration.
fn network_time(budget: Duration, spent: Duration) -> Duration {
    budget.mul_f64(0.85).saturating_sub(spent)
}

/// Refuses examples with an entity elsewhere than in their text. [`TrainingData::push`] drops such entities, but whoever
/// fills the list of examples directly goes round that.
fn check_spans(utterances: &[Utterance]) -> Result<(), PipelineError> {
    for utterance in utterances {
        if let Some(entity) = utterance.entities.iter().find(|entity| !entity.lies_in(&utterance.text)) {
            let (start, end) = (entity.span.start, entity.span.end);
            let (at, entity) = (utterance.source.clone(), entity.entity.clone());
            return Err(PipelineError::EntityOutsideText { at, entity, start, end });
        }
    }
    Ok(())
}

/// The synonyms, but for those that the annotations of fewer than `least` examples define. One that no annotation defines
/// comes from a list.
fn frequent_synonyms(data: &TrainingData, least: usize) -> BTreeMap<String, String> {
    let mut examples: BTreeMap<String, usize> = BTreeMap::new();
    for utterance in &data.utterances {
        let defining = utterance.entities.iter().filter(|entity| entity.value.is_some());
        let variants: BTreeSet<String> =
            defining.map(|entity| fold(entity.surface(&utterance.text))).collect();
        variants.into_iter().for_each(|variant| *examples.entry(variant).or_default() += 1);
    }
    let mut synonyms = data.synonyms.clone();
    synonyms.retain(|variant, _| examples.get(&fold(variant)).is_none_or(|count| *count >= least));
    synonyms
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
fn scorer<'s>(parts: &'s Arc<Parts>, held_out: &'s [Utterance], threads: usize) -> Option<HeldOut<'s>> {
    let score_weights = move |weights: &Weights| {
        let model = Nlu::new(parts, weights.clone(), None, threads)?;
        Ok(score(&model, held_out)?)
    };
    (!held_out.is_empty()).then(|| Box::new(score_weights) as HeldOut<'s>)
}

/// Intent accuracy and exact-span F1 on the held-out messages; their mean decides.
fn score(nlu: &Nlu, held_out: &[Utterance]) -> Result<Score> {
    let found = nlu.evaluate(held_out)?;
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
