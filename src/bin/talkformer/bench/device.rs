//! `talkformer bench --device`: training steps of DIET and attention on a GPU.

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;
use talkformer::candle_core::Device as Opened;
use talkformer::nn::Device;
use talkformer::speed::{Attention, DietTraining, Precision, Times};

use super::sizes;
use crate::output::{json_line, say};

/// Messages in a batch.
const BATCHES: [usize; 3] = [64, 256, 1024];
const ATTENTION: [[usize; 4]; 4] = [[64, 4, 16, 64], [64, 4, 128, 64], [16, 8, 512, 64], [4, 8, 2048, 64]];

/// Everything that is measured; times in seconds.
#[derive(Debug, Serialize)]
struct Report {
    device: String,
    training: Vec<Training>,
    attention: Vec<Run>,
}

#[derive(Debug, Serialize)]
struct Training {
    messages: usize,
    step: f64,
    messages_per_second: f64,
}

#[derive(Debug, Serialize)]
struct Run {
    size: Vec<usize>,
    backward: bool,
    seconds: f64,
    operations_per_second: f64,
}

pub(super) fn run(device: Device, quick: bool, json: bool) -> anyhow::Result<()> {
    let opened = device.open()?;
    say(&format!("measuring on {device}"));
    let report = Report {
        device: device.to_string(),
        training: BATCHES
            .into_iter()
            .map(|messages| training(device, messages, quick))
            .collect::<Result<_, _>>()?,
        attention: attention(&opened, Duration::from_millis(if quick { 10 } else { 400 }))?,
    };
    if json { json_line(&report) } else { report.print() }
}

/// With dropout and many features, as models of some size have it.
fn work(device: Device, messages: usize) -> DietTraining {
    DietTraining { messages, columns: 60_000, drop_rate: 0.2, device, ..DietTraining::default() }
}

fn training(device: Device, messages: usize, quick: bool) -> anyhow::Result<Training> {
    // Losses are read in every step, so a step ends when it is computed.
    let step = work(device, messages).steps(1, if quick { 5 } else { 30 })?.median().as_secs_f64();
    Ok(Training { messages, step, messages_per_second: messages as f64 / step })
}

fn attention(device: &Opened, time: Duration) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for size in ATTENTION {
        let work = Attention::new(size, Precision::F32, 1)?.on(device)?;
        work.forward_and_backward()?; // an error shows here, not while measuring
        for backward in [false, true] {
            let run = || {
                let done = if backward { work.forward_and_backward() } else { work.forward().map(drop) };
                drop(done.and_then(|()| work.finish()));
            };
            let seconds = Times::measure(time, run).median().as_secs_f64();
            let operations_per_second = work.operations(backward) / seconds;
            runs.push(Run { size: size.to_vec(), backward, seconds, operations_per_second });
        }
    }
    Ok(runs)
}

impl Report {
    fn print(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let DietTraining { tokens, columns, .. } = work(Device::Cpu, 1);
        writeln!(
            out,
            "DIET training step on {}, messages of {tokens} tokens, {columns} columns, f32",
            self.device
        )?;
        for Training { messages, step, messages_per_second } in &self.training {
            writeln!(
                out,
                "  {messages:>5} messages      {:>7.1} ms {messages_per_second:>9.0} messages/s",
                1e3 * step
            )?;
        }
        writeln!(out, "\nattention, f32               forward           and backward")?;
        writeln!(out, "  (batch × heads × sequence × head)")?;
        for pair in self.attention.chunks(2) {
            let text = |run: &Run| {
                format!("{:>7.2} ms {:>6.1} TFLOP/s", 1e3 * run.seconds, run.operations_per_second / 1e12)
            };
            writeln!(out, "  {:<18} {}  {}", sizes(&pair[0].size), text(&pair[0]), text(&pair[1]))?;
        }
        Ok(())
    }
}
