//! Progress of one training after the other.

use std::io::IsTerminal as _;

use talkformer::train::Event;

use crate::output::say;
use crate::progress::Progress;

/// Says which model is being trained, and on a terminal how far it is.
#[derive(Default)]
pub(super) struct Watch {
    bar: Option<Progress>,
}

impl Watch {
    pub(super) fn show(&mut self, place: &str, event: &Event) {
        if matches!(event, Event::Started { .. }) {
            self.clear();
            say(place);
            self.bar = std::io::stderr().is_terminal().then(|| Progress::new(false));
        }
        self.bar.iter_mut().for_each(|bar| bar.show(event));
    }

    pub(super) fn clear(&mut self) {
        self.bar.take().iter_mut().for_each(Progress::clear);
    }
}
