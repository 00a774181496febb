//! `talkformer bench`

mod device;

use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;
use talkformer::data::{Format, read_str};
use talkformer::nn::Device;
use talkformer::pipeline::{Nlu, Recipe};
use talkformer::speed::{
    Attention, Bandwidth, DietTraining, Machine, Precision, Product, Times, bandwidth, ceiling,
};

use super::args::Bench;
use super::demo;
use super::output::{json_line, say};

/// Rows, inner size and columns: one short message, a batch of sixty, its feed-forward, and a large square.
const PRODUCTS: [[usize; 3]; 4] = [[12, 256, 256], [768, 256, 256], [768, 256, 1024], [1024, 1024, 1024]];
const SEQUENCES: [usize; 3] = [16, 128, 1024];
/// Rows of all sequences together.
const ROWS: usize = 1024;
const HEADS: usize = 8;
const HEAD_DIM: usize = 64;

/// Everything that is measured; times in seconds, rates in operations or bytes a second.
#[derive(Debug, Serialize)]
struct Report {
    machine: Machine,
    ceilings: Vec<Ceiling>,
    products: Vec<Rate>,
    attention: Vec<Rate>,
    training: Vec<Training>,
    parse: Parse,
}

#[derive(Debug, Serialize)]
struct Ceiling {
    threads: usize,
    f32: f64,
    bf16: f64,
    memory: Bandwidth,
}

/// How fast a kernel is on one thread, and its share of the ceiling.
#[derive(Debug, Serialize)]
struct Rate {
    size: Vec<usize>,
    precision: Precision,
    backward: bool,
    per_second: f64,
    share: f64,
}

#[derive(Debug, Serialize)]
struct Training {
    threads: usize,
    step: f64,
    messages_per_second: f64,
}

#[derive(Debug, Serialize)]
struct Parse {
    p50: f64,
    p99: f64,
}

pub(crate) fn run(args: &Bench) -> anyhow::Result<()> {
    if args.computing.device != Device::Cpu {
        return device::run(args.computing.device, args.quick, args.json);
    }
    // How long each thing is measured.
    let time = Duration::from_millis(if args.quick { 10 } else { 400 });
    let machine = Machine::this();
    say("measuring; close other programs, which would slow this down");
    let ceilings: Vec<Ceiling> = threads(&machine).map(measure_ceiling).collect();
    let report = Report {
        products: products(&ceilings[0], time),
        attention: attention(&ceilings[0], time)?,
        training: threads(&machine).map(|threads| training(threads, args.quick)).collect::<Result<_, _>>()?,
        parse: parse(time)?,
        ceilings,
        machine,
    };
    if args.json { json_line(&report) } else { report.print() }
}

/// One thread, and as many as there are cores.
fn threads(machine: &Machine) -> impl Iterator<Item = usize> {
    [1].into_iter().chain((machine.cores > 1).then_some(machine.cores))
}

fn measure_ceiling(threads: usize) -> Ceiling {
    let [f32, bf16] = [Precision::F32, Precision::Bf16].map(|precision| ceiling(precision, threads));
    Ceiling { threads, f32, bf16, memory: bandwidth(threads) }
}

fn products(ceiling: &Ceiling, time: Duration) -> Vec<Rate> {
    let precisions = [(Precision::F32, ceiling.f32), (Precision::Bf16, ceiling.bf16)];
    let measure = |[m, k, n]: [usize; 3], (precision, ceiling): (Precision, f64)| {
        let mut product = Product::new(m, k, n, precision);
        let rate = Times::measure(time, || product.run()).rate(product.operations());
        Rate { size: vec![m, k, n], precision, backward: false, per_second: rate, share: rate / ceiling }
    };
    PRODUCTS.into_iter().flat_map(|size| precisions.map(|precision| measure(size, precision))).collect()
}

fn attention(ceiling: &Ceiling, time: Duration) -> anyhow::Result<Vec<Rate>> {
    let mut rates = Vec::new();
    for seq in SEQUENCES {
        let size = [ROWS / seq, HEADS, seq, HEAD_DIM];
        for (precision, ceiling) in [(Precision::F32, ceiling.f32), (Precision::Bf16, ceiling.bf16)] {
            let work = Attention::new(size, precision, 1)?;
            work.forward()?; // an error shows here, not while measuring
            for backward in [false, true] {
                let times = if backward {
                    Times::measure(time, || work.forward_and_backward().expect("sizes fit"))
                } else {
                    Times::measure(time, || drop(work.forward()))
                };
                let per_second = times.rate(work.operations(backward));
                let (size, share) = (size.to_vec(), per_second / ceiling);
                rates.push(Rate { size, precision, backward, per_second, share });
            }
        }
    }
    Ok(rates)
}

fn training(threads: usize, quick: bool) -> anyhow::Result<Training> {
    let work = DietTraining::default();
    let step = work.steps(threads, if quick { 2 } else { 15 })?.median().as_secs_f64();
    Ok(Training { threads, step, messages_per_second: work.messages as f64 / step })
}

fn parse(time: Duration) -> anyhow::Result<Parse> {
    let data = read_str(Format::RasaYaml, demo::TRAIN, "train.yml")?;
    let messages = read_str(Format::RasaYaml, demo::TEST, "test.yml")?.utterances;
    let mut config = Recipe::accurate();
    // The quality of the answers does not matter here, only the size of the model.
    config.change_diet(|diet| diet.training.set_epochs(1));
    let nlu = Nlu::train(&config, &data)?;
    nlu.parse(&messages[0].text)?;
    let mut next = messages.iter().cycle();
    let times = Times::measure(2 * time, || drop(next.next().map(|message| nlu.parse(&message.text))));
    let [p50, p99] = [0.5, 0.99].map(|share| times.quantile(share).as_secs_f64());
    Ok(Parse { p50, p99 })
}

impl Report {
    fn print(&self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let Machine { processor, cores, instructions } = &self.machine;
        writeln!(out, "{processor}, {cores} cores, {}", instructions.join(", "))?;

        writeln!(out, "\nceiling                  f32      bf16 GFLOP/s    read      copy GB/s")?;
        for Ceiling { threads, f32, bf16, memory } in &self.ceilings {
            let [f32, bf16, read, copy] = [*f32, *bf16, memory.read, memory.copy].map(|rate| rate / 1e9);
            let title = on(*threads);
            writeln!(out, "  {title:<18} {f32:>7.0}   {bf16:>7.0}      {read:>11.0}   {copy:>7.0}")?;
        }

        writeln!(out, "\nproduct, 1 thread              f32               bf16  GFLOP/s (of the ceiling)")?;
        for pair in self.products.chunks(2) {
            writeln!(out, "  {:<18} {:>17}  {:>17}", sizes(&pair[0].size), pair[0].text(), pair[1].text())?;
        }

        let names =
            ["f32 forward", "and backward", "bf16 forward", "and backward"].map(|name| format!("{name:>14}"));
        writeln!(out, "\nattention, 1 thread   {}", names.concat())?;
        writeln!(out, "  (batch × heads × sequence × head)")?;
        for group in self.attention.chunks(4) {
            let rates: Vec<String> = group.iter().map(|rate| format!("{:>14}", rate.text())).collect();
            writeln!(out, "  {:<20}{}", sizes(&group[0].size), rates.concat())?;
        }

        let DietTraining { messages, tokens, .. } = DietTraining::default();
        writeln!(out, "\nDIET training step, {messages} messages of {tokens} tokens")?;
        for Training { threads, step, messages_per_second } in &self.training {
            let title = on(*threads);
            writeln!(out, "  {title:<18} {:>7.1} ms {messages_per_second:>9.0} messages/s", 1e3 * step)?;
        }

        let Parse { p50, p99 } = self.parse;
        writeln!(out, "\none message, answered in")?;
        writeln!(out, "  {:.2} ms half of the time, {:.2} ms 99 times out of 100", 1e3 * p50, 1e3 * p99)?;
        Ok(())
    }
}

impl Rate {
    fn text(&self) -> String {
        format!("{:.0} ({:.0} %)", self.per_second / 1e9, 100.0 * self.share)
    }
}

fn on(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

fn sizes(size: &[usize]) -> String {
    size.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × ")
}
