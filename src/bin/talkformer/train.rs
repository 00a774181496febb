//! `talkformer train nlu`

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::anyhow;
use serde_json::json;
use talkformer::bundle::{check_writable, choose_place};
use talkformer::data::{HoldOut, TrainingData};
use talkformer::embed::EncoderCache;
use talkformer::pipeline::{
    Card, DenseConfig, Nlu, OpeningOptions, PipelineConfig, Training, TrainingOptions,
};
use talkformer::train::Stopped;

use super::args::TrainNlu;
use super::output::{Interrupted, json_line, say, warn};
use super::pipelines::Computing;
use super::progress::{Progress, stop_on_interrupt};

/// Training examples that are scored for the card.
const SAMPLE: usize = 1000;

/// The folder of an encoder that may be given by its name; as it is where neither is here, so that opening it says what is wrong.
fn encoder_folder(given: &Path) -> anyhow::Result<PathBuf> {
    let Some(repository) = EncoderCache::repository(given).filter(|_| !given.exists()) else {
        return Ok(given.to_owned());
    };
    let cache = EncoderCache::of_user();
    if let Some(found) = cache.find(&repository) {
        say(&format!("encoder {}", found.display()));
        return Ok(found);
    }
    fetch(&repository, &cache)
}

#[cfg(feature = "hub")]
fn fetch(repository: &str, cache: &EncoderCache) -> anyhow::Result<PathBuf> {
    use anyhow::Context as _;

    let to = cache.place(repository).context("there is no home folder to keep an encoder in")?;
    super::embed::download::fetch(repository, &to, &talkformer::embed::hub::HubOptions::default())?;
    Ok(to)
}

#[cfg(not(feature = "hub"))]
fn fetch(repository: &str, cache: &EncoderCache) -> anyhow::Result<PathBuf> {
    let place =
        cache.place(repository).map(|place| format!(" or at {}", place.display())).unwrap_or_default();
    anyhow::bail!(
        "the encoder {repository} is not on this machine; put its folder here{place}, or build talkformer with the feature `hub`, \
         which fetches it"
    )
}

pub(crate) fn run(args: &TrainNlu) -> anyhow::Result<()> {
    let begun = Instant::now();
    let open = |model| Nlu::open_with(model, &OpeningOptions::default().encoders(args.encoder.paths.clone()));
    let earlier = args.finetune.as_deref().map(open).transpose()?;
    let (mut config, recipe) = match &earlier {
        Some(earlier) if !args.pipeline.is_given() => (earlier.config().clone(), "of the model".to_owned()),
        _ => args.pipeline.resolve()?,
    };
    if earlier.is_none() {
        for path in &args.encoder.paths {
            let mut encoder = DenseConfig::new(encoder_folder(path)?);
            encoder.fine_tune = args.encoder.fine_tune;
            config = config.with_encoder(encoder);
        }
    }
    config.change_diet(|diet| {
        args.overrides.apply(diet);
        diet.transformer.precision = args.precision.map_or(diet.transformer.precision, Into::into);
    });
    let data = read(&args.data)?;
    // A model that cannot be saved should fail before the training, not after it.
    check_writable(&args.out)?;
    say(&format!("recipe {recipe}, data {}", args.data.display()));

    let data = match (&earlier, &args.finetune) {
        (Some(earlier), Some(model)) => with_remembered(earlier, model, data, args.json)?,
        _ => data,
    };
    let mut progress = Progress::new(args.json);
    let options = options(args.threads, args.computing, stop_on_interrupt()?)
        .remember_examples(!args.forget_examples)
        .min_count(args.min_count as usize)
        .epoch_fraction(args.epoch_fraction)
        .budget(args.budget.map(|budget| budget.saturating_sub(begun.elapsed())));
    let (nlu, training) = train(earlier.as_ref(), &config, &data, &options, &mut progress)?;
    if training.outcome.stopped == Stopped::OutOfTime {
        say(&format!(
            "the time was up in epoch {}; with more time the model would be better",
            training.outcome.epochs
        ));
    }
    let interrupted = training.outcome.stopped == Stopped::Interrupted;
    if interrupted && !args.keep_interrupted {
        say("nothing was saved; with --keep-interrupted the model as trained so far would be");
        return Err(Interrupted.into());
    }
    let card = Card::default()
        .command(command_line())
        .recipe(recipe)
        .data(format!("`{}`", args.data.display()))
        .licence(args.licence.clone())
        .seconds(begun.elapsed().as_secs_f64());
    let sample = talkformer::data::stratified_split(&data.utterances, HoldOut::Count(SAMPLE), 1).1;
    let sample: Vec<_> = sample.into_iter().cloned().collect();
    let scored_on = "examples that it was trained with, so that the scores say how well it learnt them and not what to expect of new messages";
    let card = card.render(&nlu, &data, &training, &nlu.evaluate(&sample)?, scored_on);
    let saved = save(&nlu, &choose_place(&args.out, "nlu")?, card)?;
    say(&format!("saved {} after {:.0} s", saved.display(), begun.elapsed().as_secs_f64()));
    // Reported only now, so that events that could not be printed do not cost the model.
    progress.failure()?;
    if args.json {
        json_line(&json!({"event": "saved", "model": saved, "seconds": begun.elapsed().as_secs_f64()}))?;
    }
    if interrupted { Err(Interrupted.into()) } else { Ok(()) }
}

/// Saves the model at its place or, if that fails, in the temporary folder, so that an hour of training is not lost.
fn save(nlu: &Nlu, place: &Path, card: String) -> anyhow::Result<PathBuf> {
    let Err(error) = nlu.save_with_card(place, card.clone()) else { return Ok(place.to_owned()) };
    let error = anyhow!(error).context(format!("the model could not be saved at {}", place.display()));
    let refuge = std::env::temp_dir().join(format!("talkformer-rescued-{}", std::process::id()));
    match nlu.save_with_card(&refuge, card) {
        Ok(refuge) => Err(error.context(format!("the trained model is at {} instead", refuge.display()))),
        Err(_) => Err(error),
    }
}

/// Reads data, drops repeated examples and shows warnings.
pub(crate) fn read(path: &Path) -> anyhow::Result<TrainingData> {
    let mut data = talkformer::data::read(path)?;
    let repeated = data.deduplicate();
    if repeated > 0 {
        say(&format!("{repeated} examples occur more than once and count once"));
    }
    warn(data.warnings.iter().cloned().chain(data.validate()));
    Ok(data)
}

/// Trains a model, from scratch or from an earlier one, and shows progress and warnings.
pub(crate) fn train(
    earlier: Option<&Nlu>,
    config: &PipelineConfig,
    data: &TrainingData,
    options: &TrainingOptions,
    progress: &mut Progress,
) -> anyhow::Result<(Nlu, Training)> {
    let observe = |event| progress.show(&event);
    let result = match earlier {
        Some(earlier) => earlier.finetune_with(config, data, options, observe),
        None => Nlu::train_with(config, data, options, observe),
    };
    progress.clear();
    let (nlu, training) = result?;
    training.choices.iter().for_each(|choice| say(choice));
    warn(&training.warnings);
    Ok((nlu, training))
}

pub(crate) fn options(threads: Option<u16>, computing: Computing, stop: Arc<AtomicBool>) -> TrainingOptions {
    let options = TrainingOptions::default().stop(stop).device(computing.device);
    match threads {
        Some(threads) => options.threads(threads.into()),
        None => options,
    }
}

/// Says what is new in these examples, and adds those that the model stores.
fn with_remembered(
    earlier: &Nlu,
    model: &Path,
    data: TrainingData,
    json: bool,
) -> anyhow::Result<TrainingData> {
    let news = earlier.preview_finetuning(&data)?;
    if json {
        json_line(&json!({"event": "finetuning", "model": model, "news": news}))?;
    }
    let names = |names: &[String]| match names {
        [] => String::new(),
        names if names.len() > 20 => format!(" ({}, …)", names[..20].join(", ")),
        names => format!(" ({})", names.join(", ")),
    };
    say(&format!(
        "finetuning {}: new are {} examples, {} words, {} intents{}, {} entity types{}; {} examples have new labels, {} are known",
        model.display(),
        news.added,
        news.words,
        news.intents.len(),
        names(&news.intents),
        news.entities.len(),
        names(&news.entities),
        news.replaced,
        news.repeated,
    ));
    match news.remembered {
        Some(remembered) => say(&format!("the model remembers {remembered} examples")),
        None => warn([
            "the model does not remember its examples: what it knows may fade where the data does not repeat it, and the new model will not remember these either",
        ]),
    }
    if !news.intents_without_examples.is_empty() {
        warn([format!(
            "{} intents of the model have no example now{}",
            news.intents_without_examples.len(),
            names(&news.intents_without_examples)
        )]);
    }
    Ok(earlier.with_remembered(&data)?.0)
}

/// The command line, quoted for a shell.
pub(crate) fn command_line() -> String {
    let quote = |word: String| {
        let plain = |c: char| c.is_alphanumeric() || "-_./=:,".contains(c);
        if !word.is_empty() && word.chars().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    };
    let words = std::env::args_os().skip(1).map(|word| quote(word.to_string_lossy().into_owned()));
    ["talkformer".to_owned()].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}
