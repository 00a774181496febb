//! The training itself: the main phase, calibration, and the final phase.

use super::TrainingOptions;
use crate::diet::{FittedConfidence, Learner, TrainingSet};
use crate::error::{ComputationError, Result};
use crate::train::{Event, Outcome, Stopped, Trainer, TrainerConfig};

/// The highest learning rate of the final phase, as a share of that of the main phase.
const FINAL_RATE: f64 = 0.7;

/// How long each phase is, and what is said about it.
#[derive(Clone, Copy)]
pub(super) struct Phases {
    /// Examples that are messages.
    pub(super) messages: usize,
    /// Whether some of them are kept for calibration, and learnt from in the final phase only.
    has_final: bool,
    /// Length of the final phase as a share of the main phase: the more was kept, the longer.
    final_share: f64,
}

impl Phases {
    pub(super) fn new(set: &TrainingSet) -> Self {
        Self {
            messages: set.examples.len() - set.names,
            has_final: set.calibration > 0,
            final_share: 2.0 * set.calibration as f64 / set.examples.len().max(1) as f64,
        }
    }

    /// Trains, fits the confidences, and trains once more on all examples.
    pub(super) fn run(
        self,
        learner: &mut Learner<'_>,
        settings: &TrainerConfig,
        options: &TrainingOptions,
        mut observe: impl FnMut(Event),
    ) -> Result<(Outcome, Option<FittedConfidence>)> {
        let done = 1.0 / (1.0 + self.final_share);
        let mut outcome = Trainer::new(settings.clone(), &options.stop)
            .run(learner, |event| observe(self.of_messages(event).within(0.0, done)))
            .map_err(ComputationError::new)?;
        let confidence = learner.calibrate(options.threads.max(1)).map_err(ComputationError::new)?;
        if self.has_final && outcome.stopped != Stopped::Interrupted {
            let after = Trainer::new(self.of_final(settings), &options.stop).run(learner, |event| {
                if !matches!(event, Event::Started { .. }) {
                    observe(event.within(done, 1.0));
                }
            });
            let after = after.map_err(ComputationError::new)?;
            outcome = outcome.followed_by(after);
        }
        Ok((outcome, confidence))
    }

    /// The settings of the final phase.
    fn of_final(self, settings: &TrainerConfig) -> TrainerConfig {
        let mut settings = settings.clone();
        settings.epochs = (settings.epochs as f64 * self.final_share).ceil() as usize;
        settings.schedule.peak *= FINAL_RATE;
        settings
    }

    /// The same event, with the number of messages: names of intents do not count, and what is kept for calibration does.
    fn of_messages(self, event: Event) -> Event {
        match event {
            Event::Started { epochs, parameters, threads, .. } => {
                Event::Started { examples: self.messages, epochs, parameters, threads }
            }
            other => other,
        }
    }
}
