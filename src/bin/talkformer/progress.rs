//! Shows the progress of a training to a person, a log or a program.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};
use talkformer::train::{EpochReport, Event, Score};

use super::output::{json_line, say};

/// Shows events: a bar on a terminal, a line per epoch elsewhere, JSON lines for programs.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    json: bool,
    begun: Instant,
    failure: Option<anyhow::Error>,
}

impl Progress {
    /// A bar if standard error is a terminal, unless events are printed as JSON.
    pub(crate) fn new(json: bool) -> Self {
        let bar = (!json && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:24} {percent:>3} % {msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self { bar, json, begun: Instant::now(), failure: None }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: &Event) {
        if self.json {
            if let Err(error) = json_line(&as_json(event)) {
                self.failure.get_or_insert(error);
            }
            return;
        }
        match event {
            Event::Encoder(event) => {
                if let Event::Started { .. } = **event {
                    say("fine-tuning the encoder first");
                }
                self.show(event);
            }
            Event::Started { examples, epochs, parameters, threads } => {
                self.begun = Instant::now();
                say(&format!(
                    "learning from {examples} examples, {epochs} epochs, {parameters} parameters, {threads} threads"
                ));
            }
            Event::OutOfMemory { rows } => {
                let text = format!(
                    "memory does not suffice for a batch; from now on {rows} rows at most go together"
                );
                match &self.bar {
                    Some(bar) => bar.println(text),
                    None => say(&text),
                }
            }
            Event::Step { report, done } => {
                if let Some(bar) = &self.bar {
                    bar.set_position((done * 1000.0) as u64);
                    bar.set_message(format!(
                        "{} · {} left",
                        line(report),
                        time_left(self.begun.elapsed(), *done)
                    ));
                }
            }
            Event::Epoch(report) if self.bar.is_none() => say(&line(report)),
            Event::Evaluated { epoch, score, best } => {
                let text = format!(
                    "held out, epoch {epoch}: {}{}",
                    scores(score),
                    if *best { ", best so far" } else { "" }
                );
                match &self.bar {
                    Some(bar) => bar.println(text),
                    None => say(&text),
                }
            }
            _ => {}
        }
    }

    /// Removes the bar, and prints its last message without the time left.
    pub(crate) fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            let last = bar.message();
            bar.finish_and_clear();
            say(last.split(" · ").next().unwrap_or_default());
        }
    }

    /// The error if an event could not be printed.
    pub(crate) fn failure(self) -> anyhow::Result<()> {
        self.failure.map_or(Ok(()), Err)
    }
}

/// A flag that is set by Ctrl-C; a second Ctrl-C ends the program at once.
pub(crate) fn stop_on_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    ctrlc::set_handler(move || {
        if raised.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        say("stopping after this step; once more to stop at once");
    })?;
    Ok(stop)
}

fn line(report: &EpochReport) -> String {
    let mut line = format!("epoch {}/{}, loss {:.3}", report.epoch, report.epochs, report.loss);
    if report.parts.len() > 1 {
        let parts: Vec<String> =
            report.parts.iter().map(|(name, part)| format!("{name} {part:.3}")).collect();
        let _ = write!(line, " ({})", parts.join(", "));
    }
    for (name, share) in &report.shares {
        let _ = write!(line, ", {} {share:.3}", name.replace('_', " "));
    }
    let speed = report.examples as f64 / report.elapsed.as_secs_f64().max(1e-9);
    let _ = write!(line, ", {speed:.0} examples/s");
    line
}

fn scores(score: &Score) -> String {
    let parts = score.parts.iter().map(|(name, part)| format!("{} {part:.4}", name.replace('_', " ")));
    parts.collect::<Vec<_>>().join(", ")
}

fn time_left(elapsed: Duration, done: f64) -> String {
    let left = elapsed.as_secs_f64() * (1.0 - done) / done.max(1e-9);
    if left < 90.0 { format!("{left:.0} s") } else { format!("{:.0} min", left / 60.0) }
}

fn as_json(event: &Event) -> Value {
    let map = |pairs: &[(&'static str, f64)]| -> Map<String, Value> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
    };
    let report = |report: &EpochReport| {
        json!({
            "epoch": report.epoch,
            "epochs": report.epochs,
            "examples": report.examples,
            "loss": report.loss,
            "losses": map(&report.parts),
            "scores": map(&report.shares),
            "seconds": report.elapsed.as_secs_f64(),
        })
    };
    match event {
        Event::Started { examples, epochs, parameters, threads } => json!({
            "event": "started", "examples": examples, "epochs": epochs, "parameters": parameters, "threads": threads
        }),
        Event::OutOfMemory { rows } => json!({"event": "out_of_memory", "rows": rows}),
        Event::Step { report: step, done } => {
            json!({"event": "step", "done": done, "progress": report(step)})
        }
        Event::Epoch(epoch) => json!({"event": "epoch", "progress": report(epoch)}),
        Event::Evaluated { epoch, score, best } => json!({
            "event": "evaluated", "epoch": epoch, "best": best, "scores": map(&score.parts)
        }),
        Event::Encoder(event) => json!({"event": "encoder", "of": as_json(event)}),
        _ => json!({"event": "other"}),
    }
}
