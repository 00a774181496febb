//! Dense features: what encoders say of each message and of each of its tokens.
//!
//! An encoder learns before DIET does, or not at all, so a text is encoded once and its rows are kept through the training.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::config::DenseConfig;
use super::examples::Examples;
use super::{OpeningOptions, PipelineConfig, PipelineError, TrainingOptions};
use crate::bundle::{Bundle, BundleError, BundleWriter, Weight, Weights};
use crate::diet::Labels;
use crate::embed::{
    EmbedError, EmbedOptions, Embedder, FineTuning, FineTuningExample, Pretrained, Source, Tuned, built_in,
    fingerprint, normalize,
};
use crate::error::Result;
use crate::features::{DenseFeatures, Features};
use crate::files::Mapped;
use crate::text::Span;
use crate::train::Event;

/// Features of some messages, in their order.
type OfMessages = Vec<Arc<DenseFeatures>>;

/// Encoders side by side.
#[derive(Debug)]
pub(super) struct DenseEncoders {
    encoders: Vec<Embedder>,
    origins: Vec<Origin>,
    /// Their files, where they are in memory for the sake of the model.
    sources: Vec<Source>,
    /// Tuned layers, by the number of the encoder and the name of the tensor.
    tuned: Weights,
}

/// Where an encoder lies and how it is recognised: a bundle holds this instead of the encoder, which is often many times
/// larger than the rest of the model, unless it is to be kept there; and of an encoder that has learnt, the layers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Origin {
    path: PathBuf,
    fingerprint: String,
    dim: usize,
    /// Whether its layers are in the bundle.
    #[serde(default)]
    tuned: bool,
    /// Its files, by their names in its folder, and the parts of the bundle that hold them; none where it is not kept there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<String, String>,
}

impl DenseEncoders {
    /// The part of a bundle that says where they are, and the one with their tuned layers.
    const ORIGINS: &'static str = "encoders.json";
    const TUNED: &'static str = "encoders.safetensors";

    /// Texts whose rows are held as they come from the encoders.
    const TOGETHER: usize = 1024;

    /// The encoders of a pipeline; none where it has none. Those that are to be fine-tuned learn first.
    fn open(
        pipeline: &PipelineConfig,
        examples: &Examples<'_>,
        labels: &Labels,
        options: &TrainingOptions,
        observe: &mut dyn FnMut(Event),
    ) -> Result<Option<Arc<Self>>> {
        let mut found = Self::with_tuned(Weights::new());
        for (at, config) in pipeline.dense().iter().enumerate() {
            if config.fine_tune {
                let tuned = fine_tune(config, pipeline, examples, labels, options, observe)?;
                found.tuned.extend(numbered(at, &tuned));
            }
            let path = lasting(&config.path);
            let print = fingerprint(&path)?;
            let source = if config.keep_in_model { Source::read(&path)? } else { Source::at(&path) };
            let parts = if config.keep_in_model { parts_of(at, &source) } else { BTreeMap::new() };
            let origin = Origin { path, fingerprint: print, dim: 0, tuned: config.fine_tune, parts };
            found.add(source, origin, options.threads.max(1))?;
        }
        Ok((!found.encoders.is_empty()).then(|| Arc::new(found)))
    }

    fn with_tuned(tuned: Weights) -> Self {
        Self { encoders: Vec::new(), origins: Vec::new(), sources: Vec::new(), tuned }
    }

    /// Opens the next encoder.
    fn add(&mut self, source: Source, origin: Origin, threads: usize) -> Result<usize, EmbedError> {
        let options = EmbedOptions { threads, ..Default::default() };
        let encoder = if origin.tuned {
            let tuned = of_number(self.encoders.len(), &self.tuned);
            let encoder = Pretrained::of(&source, Some(&tuned), &options)?;
            Embedder::new(Box::new(encoder), options)
        } else {
            Embedder::of(&source, &options)?
        };
        let dim = Columns::of(&encoder, 0).end;
        self.encoders.push(encoder);
        self.sources.push(source);
        self.origins.push(Origin { dim, ..origin });
        Ok(dim)
    }

    /// The same for training a network with these options, and the features of each example. `earlier` are the pipeline
    /// and the encoders of a model that is fine-tuned.
    pub(super) fn for_training(
        pipeline: &PipelineConfig,
        earlier: Option<(&PipelineConfig, Option<&Arc<Self>>)>,
        examples: &Examples<'_>,
        labels: &Labels,
        options: &TrainingOptions,
        observe: &mut dyn FnMut(Event),
    ) -> Result<Option<(Arc<Self>, OfMessages)>> {
        if !pipeline.dense().is_empty() && pipeline.diet().layers.share_hidden {
            return Err(PipelineError::SharedHiddenLayers.into());
        }
        let encoders = match earlier {
            // The same pipeline means the same encoders, with the layers that were tuned, wherever they are by now.
            Some((config, encoders)) if config.dense() == pipeline.dense() => encoders.cloned(),
            Some((config, earlier)) => {
                let learns = |of: &PipelineConfig| of.dense().iter().any(|config| config.fine_tune);
                let others = learns(pipeline) || learns(config);
                let encoders =
                    if others { None } else { Self::open(pipeline, examples, labels, options, observe)? };
                if others || prints(earlier) != prints(encoders.as_ref()) {
                    return Err(PipelineError::OtherEncoders.into());
                }
                encoders
            }
            None => Self::open(pipeline, examples, labels, options, observe)?,
        };
        let Some(encoders) = encoders else { return Ok(None) };
        let texts: Vec<&str> = examples.utterances.iter().map(|one| one.text.as_str()).collect();
        let features = encoders.features(&texts, &examples.tokens, options.threads.max(1))?;
        Ok(Some((encoders, features)))
    }

    /// Puts them into a bundle.
    pub(super) fn save(&self, writer: BundleWriter) -> Result<BundleWriter, BundleError> {
        let mut writer = writer.json(Self::ORIGINS, &self.origins)?;
        if !self.tuned.is_empty() {
            writer = writer.tensors(Self::TUNED, &self.tuned)?;
        }
        for (origin, source) in self.origins.iter().zip(&self.sources) {
            for (name, file) in source.in_memory().into_iter().flatten() {
                if let Some(part) = origin.parts.get(name) {
                    writer = writer.bytes(part, &***file)?;
                }
            }
        }
        Ok(writer)
    }

    /// The encoders that a model was trained with; none where it has none.
    pub(super) fn reopen(
        bundle: &Bundle,
        pipeline: &PipelineConfig,
        options: &OpeningOptions,
        threads: usize,
    ) -> Result<Option<Arc<Self>>> {
        let configs = pipeline.dense();
        let origins: Vec<Origin> =
            if bundle.has(Self::ORIGINS) { bundle.json(Self::ORIGINS)? } else { Vec::new() };
        if origins.len() != configs.len() {
            return Err(PipelineError::EncoderCount { found: origins.len(), expected: configs.len() }.into());
        }
        if origins.is_empty() {
            return Ok(None);
        }
        let tuned = if origins.iter().any(|origin| origin.tuned) {
            bundle.tensors(Self::TUNED)?
        } else {
            Weights::new()
        };
        let search = Search { bundle: bundle.folder(), given: &options.encoders, origins: &origins };
        let mut found = Self::with_tuned(tuned);
        for (origin, config) in origins.iter().zip(&configs) {
            let (source, path) = if origin.parts.is_empty() {
                let path = search.find(origin, &config.path)?;
                (Source::at(&path), path)
            } else {
                (kept(bundle, origin)?, origin.path.clone())
            };
            let expected = origin.dim;
            let dim = found.add(source, Origin { path: path.clone(), ..origin.clone() }, threads)?;
            if dim != expected {
                return Err(PipelineError::EncoderWidth { path, found: dim, expected }.into());
            }
        }
        Ok(Some(Arc::new(found)))
    }

    /// The path of each and whether it was fine-tuned, for people.
    pub(super) fn described(&self) -> impl Iterator<Item = String> + '_ {
        self.origins.iter().map(|Origin { path, dim, tuned, parts, .. }| {
            let what = match (parts.is_empty(), tuned) {
                (true, true) => "fine-tuned, the layers are in the model",
                (true, false) => "as it is",
                (false, true) => "fine-tuned, all of it is in the model",
                (false, false) => "as it is, a copy is in the model",
            };
            format!("`{}`, {dim} dimensions, {what}", path.display())
        })
    }

    /// Width of all rows side by side.
    pub(super) fn dim(&self) -> usize {
        self.origins.iter().map(|origin| origin.dim).sum()
    }

    /// The features of some texts with these tokens, computed on so many threads at most.
    pub(super) fn features(
        &self,
        texts: &[&str],
        tokens: &[Vec<Span>],
        threads: usize,
    ) -> Result<OfMessages, EmbedError> {
        let dim = self.dim();
        let mut all = Vec::with_capacity(texts.len());
        let rounds = texts.chunks(Self::TOGETHER).zip(tokens.chunks(Self::TOGETHER));
        for (texts, tokens) in rounds {
            let rows = |tokens: &Vec<Span>| (vec![0.0; tokens.len() * dim], vec![0.0; dim]);
            let mut wide: Vec<(Vec<f32>, Vec<f32>)> = tokens.iter().map(rows).collect();
            let mut start = 0;
            for encoder in &self.encoders {
                let columns = Columns::of(encoder, start);
                let found = encoder.embed_words(texts, tokens, threads)?;
                for ((tokens, message), found) in wide.iter_mut().zip(found) {
                    let message = &mut message[columns.message.clone()];
                    message.copy_from_slice(&found.text);
                    normalize(message);
                    for (token, row) in tokens.chunks_exact_mut(dim).zip(found.words.outer_iter()) {
                        let token = &mut token[columns.token.clone()];
                        token.copy_from_slice(row.to_slice().unwrap_or_default());
                        normalize(token);
                    }
                }
                start = columns.end;
            }
            all.extend(
                wide.into_iter().map(|(tokens, message)| Arc::new(DenseFeatures::new(&tokens, message))),
            );
        }
        Ok(all)
    }
}

/// The path that holds whatever the working directory is.
fn lasting(path: &Path) -> PathBuf {
    let absolute = || std::path::absolute(path).ok();
    built_in(path).map_or_else(absolute, |_| None).unwrap_or_else(|| path.to_owned())
}

/// Names for the files of the encoder of this number in a bundle, if they are in memory.
fn parts_of(at: usize, source: &Source) -> BTreeMap<String, String> {
    let names = source.in_memory().into_iter().flat_map(BTreeMap::keys).enumerate();
    names.map(|(number, name)| (name.clone(), format!("encoder-{at}-{number}"))).collect()
}

/// The files of an encoder that a bundle holds.
fn kept(bundle: &Bundle, origin: &Origin) -> Result<Source, BundleError> {
    let file = |(name, part): (&String, &String)| {
        Ok((name.clone(), Arc::new(Mapped::in_memory(bundle.bytes(part)?))))
    };
    let files = origin.parts.iter().map(file).collect::<Result<_, BundleError>>()?;
    Ok(Source::carried(&origin.path, files))
}

/// Where the encoders of a saved model may be.
struct Search<'a> {
    /// The folder of the model.
    bundle: &'a Path,
    /// Where they are by now, as the user says.
    given: &'a [PathBuf],
    /// All of the model.
    origins: &'a [Origin],
}

impl Search<'_> {
    /// The place of an encoder: the first of those where it may be at which it is. `written` is the path in the pipeline.
    fn find(&self, origin: &Origin, written: &Path) -> Result<PathBuf> {
        let given: Vec<PathBuf> = self.given.iter().flat_map(|place| below(place, written, true)).collect();
        let folder = std::path::absolute(self.bundle).unwrap_or_else(|_| self.bundle.to_owned());
        let beside: Vec<PathBuf> =
            folder.ancestors().skip(1).take(2).flat_map(|place| below(place, written, false)).collect();
        let mut wrong = None;
        for path in given.iter().chain([&origin.path]).chain(&beside) {
            if !(path.is_file() || Pretrained::is_folder(path) || built_in(path).is_some()) {
                continue;
            }
            // This reads all of it, so no place is looked at behind the right one.
            let print = fingerprint(path)?;
            if print == origin.fingerprint {
                return Ok(lasting(path));
            }
            // One of the others is no wrong one.
            if *path == origin.path || !self.origins.iter().any(|one| one.fingerprint == print) {
                wrong.get_or_insert(path);
            }
        }
        Err(match wrong {
            Some(path) => PipelineError::ChangedEncoder { path: path.clone() },
            None => PipelineError::MissingEncoder { path: origin.path.clone() },
        }
        .into())
    }
}

/// The places in a folder that an encoder may have, and the folder itself, if it may be that.
fn below(folder: &Path, written: &Path, itself: bool) -> Vec<PathBuf> {
    let relative = written.is_relative().then(|| folder.join(written));
    let name = written.file_name().map(|name| folder.join(name));
    itself.then(|| folder.to_owned()).into_iter().chain(relative).chain(name).collect()
}

/// The columns of an encoder among those of all.
struct Columns {
    token: Range<usize>,
    message: Range<usize>,
    end: usize,
}

impl Columns {
    /// Those from `start` on. Vectors of messages that are not as wide as those of tokens come from a layer behind the
    /// encoder or from several poolings; their numbers mean something else, and they have columns of their own.
    fn of(encoder: &Embedder, start: usize) -> Self {
        let token = start..start + encoder.token_dim();
        let message_start = if encoder.dim() == encoder.token_dim() { start } else { token.end };
        let message = message_start..message_start + encoder.dim();
        let end = message.end;
        Self { token, message, end }
    }
}

/// Lets the encoder of a pipeline learn from the examples, as far as it may see them.
fn fine_tune(
    config: &DenseConfig,
    pipeline: &PipelineConfig,
    examples: &Examples<'_>,
    labels: &Labels,
    options: &TrainingOptions,
    observe: &mut dyn FnMut(Event),
) -> Result<Tuned, EmbedError> {
    let labelled = |at: usize| {
        let (utterance, words) = (&examples.utterances[at], &examples.tokens[at]);
        let answers = labels.example(utterance, words, Features::default());
        FineTuningExample { text: &utterance.text, classes: answers.intents, words, tags: answers.entities }
    };
    let labelled: Vec<FineTuningExample<'_>> = (0..examples.learnt()).map(labelled).collect();
    let tuning = FineTuning {
        epochs: config.fine_tune_epochs,
        learning_rate: config.fine_tune_learning_rate,
        seed: pipeline.diet().training.seed(),
        threads: options.threads.max(1),
        device: options.device,
        ..Default::default()
    };
    tuning.run(&config.path, &labelled, &options.stop, |event| observe(Event::Encoder(Box::new(event))))
}

/// The tuned layers of the encoder of this number, as a bundle keeps them: matrices in `bf16`.
fn numbered(at: usize, tuned: &Tuned) -> Weights {
    let weight = |shape: &[usize], values: &[f32]| match shape {
        [] | [_] => Weight::f32(shape.to_vec(), values.to_vec()),
        _ => Weight::bf16(shape.to_vec(), values),
    };
    let tensors = tuned.tensors().iter();
    tensors.map(|(name, (shape, values))| (format!("{at}.{name}"), weight(shape, values))).collect()
}

/// The tuned layers of the encoder of this number, as they were kept.
fn of_number(at: usize, weights: &Weights) -> Tuned {
    let own = |(name, weight): (&String, &Weight)| {
        let name = name.strip_prefix(&format!("{at}."))?.to_owned();
        Some((name, (weight.shape.clone(), weight.to_f32().into_owned())))
    };
    Tuned::new(weights.iter().filter_map(own).collect())
}

/// The fingerprints of the encoders.
fn prints(encoders: Option<&Arc<DenseEncoders>>) -> Vec<&str> {
    let origins = encoders.into_iter().flat_map(|encoders| &encoders.origins);
    origins.map(|origin| origin.fingerprint.as_str()).collect()
}
