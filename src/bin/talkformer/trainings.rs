//! Several trainings in a row: their progress, and what happens when they are interrupted.

use std::io::IsTerminal as _;

use talkformer::Error;
use talkformer::data::TrainingData;
use talkformer::pipeline::{CrossValidation, OutOfFold, PipelineConfig, PipelineError};
use talkformer::train::Event;

use super::output::{Interrupted, say};
use super::pipelines::Computing;
use super::progress::{Progress, stop_on_interrupt};
use super::train;

/// Says which model is being trained, and shows a progress bar on a terminal.
#[derive(Default)]
pub(crate) struct Watch {
    bar: Option<Progress>,
}

impl Watch {
    /// Shows an event of the training that `title` describes.
    pub(crate) fn show(&mut self, title: &str, event: &Event) {
        if matches!(event, Event::Started { .. }) {
            self.clear();
            say(title);
            self.bar = std::io::stderr().is_terminal().then(|| Progress::new(false));
        }
        self.bar.iter_mut().for_each(|bar| bar.show(event));
    }

    pub(crate) fn clear(&mut self) {
        self.bar.take().iter_mut().for_each(Progress::clear);
    }
}

/// Answers every example with a model that was not trained on it, and shows the progress.
pub(crate) fn out_of_fold(
    pipeline: &PipelineConfig,
    data: &TrainingData,
    folds: usize,
    seed: Option<u64>,
    threads: Option<u16>,
    computing: Computing,
) -> anyhow::Result<OutOfFold> {
    let options = train::options(threads, computing, stop_on_interrupt()?);
    let cut = CrossValidation::default().folds(folds).seed(seed.unwrap_or_default());
    let mut watch = Watch::default();
    let found = cut.run(pipeline, data, &options, |place, event| {
        watch.show(&format!("fold {} of {}", place.fold + 1, place.folds), &event);
    });
    watch.clear();
    found.map_err(interrupted)
}

/// An incomplete series of trainings is worth nothing, so its interruption is an error.
pub(crate) fn interrupted(error: Error) -> anyhow::Error {
    match error {
        Error::Pipeline(PipelineError::Stopped { during }) => {
            anyhow::Error::from(Interrupted).context(format!("stopped during {during}; nothing was written"))
        }
        other => other.into(),
    }
}
