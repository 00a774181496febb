//! How long a model takes to answer the messages in a file: `cargo bench --bench latency -- MODEL DATA`.
//!
//! Prints the time to open the model and give the first answer, the latency of single messages (median p50 and 99th
//! percentile p99), the messages answered per second in batches on one thread and on several, and the memory of the
//! process. Criterion's means hide the slowest messages, which are the ones a user notices.

use std::path::Path;
use std::time::{Duration, Instant};

use talkformer::pipeline::Nlu;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let [model, data, rest @ ..] = &arguments[..] else {
        println!("latency: nothing measured; give a model and a file of messages: -- MODEL DATA [THREADS]");
        return;
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = rest.first().map_or(cores, |threads| threads.parse().expect("THREADS is a number"));

    let begun = Instant::now();
    let nlu = Nlu::open(Path::new(model)).expect("the model opens");
    let opened = begun.elapsed();
    nlu.parse("hello").expect("it answers");
    println!("open {:.1} ms, first answer after {:.1} ms", ms(opened), ms(begun.elapsed()));
    memory("after the first answer");

    let data = talkformer::data::read(Path::new(data)).expect("the data can be read");
    let texts: Vec<&str> = data.utterances.iter().map(|one| one.text.as_str()).collect();
    let rounds = 10_000_usize.div_ceil(texts.len());
    let mut waits: Vec<Duration> = Vec::new();
    for text in texts.iter().cycle().take(texts.len() * (rounds + 1)) {
        let begun = Instant::now();
        std::hint::black_box(nlu.parse(text).expect("it answers"));
        waits.push(begun.elapsed());
    }
    let mut waits = waits.split_off(texts.len()); // the first round only warms up
    waits.sort();
    let share = |part: f64| ms(waits[((waits.len() - 1) as f64 * part) as usize]);
    println!(
        "{} single messages: p50 {:.3} ms, p99 {:.3} ms, longest {:.3} ms",
        waits.len(),
        share(0.5),
        share(0.99),
        share(1.0)
    );

    let long =
        texts.iter().flat_map(|text| text.split(' ')).cycle().take(10_000).collect::<Vec<_>>().join(" ");
    let begun = Instant::now();
    std::hint::black_box(nlu.parse(&long).expect("it answers"));
    println!("one message of 10,000 words: {:.0} ms", ms(begun.elapsed()));

    let many: Vec<&str> = texts.iter().copied().cycle().take(texts.len() * rounds).collect();
    for threads in [1, threads] {
        let nlu = nlu.clone().with_threads(threads);
        let begun = Instant::now();
        std::hint::black_box(nlu.parse_batch(&many).expect("it answers"));
        let rate = many.len() as f64 / begun.elapsed().as_secs_f64();
        println!("{} messages together on {threads} threads: {rate:.0} a second", many.len());
    }
    memory("at the end");
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// What Linux reports about this process; nothing on other systems.
fn memory(when: &str) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM")) {
        println!("{when}: {}", line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
}
