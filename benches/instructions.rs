//! Work for `just instructions`: a given number of training steps or of answers, and nothing else.
//!
//! ```text
//! instructions train N           N training steps of DIET, two messages each, on one thread
//! instructions prepare DIR       trains a small model and saves it
//! instructions parse N DIR       answers N messages with it
//! ```

use std::path::Path;

use talkformer::data::{Format, read_str};
use talkformer::pipeline::{Nlu, Recipe, TrainingOptions};
use talkformer::speed::DietTraining;

const DATA: &str = include_str!("../examples/conference/train.yml");

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["train", count] => {
            let work = DietTraining { messages: 2, ..Default::default() };
            work.steps(1, count.parse()?)?;
        }
        ["prepare", folder] => {
            let data = read_str(Format::RasaYaml, DATA, "train.yml")?;
            let mut config = Recipe::accurate();
            config.change_diet(|diet| diet.training.set_epochs(1));
            let options = TrainingOptions::default().threads(1);
            Nlu::train_with(&config, &data, &options, |_| {})?.0.save(folder)?;
        }
        ["parse", count, folder] => {
            let nlu = Nlu::open(Path::new(folder))?;
            for _ in 0..count.parse()? {
                nlu.parse("when does the talk about Rust begin")?;
            }
        }
        [] => {} // `cargo bench`, which wants nothing from us
        _ => return Err("usage: train N | prepare DIR | parse N DIR".into()),
    }
    Ok(())
}
