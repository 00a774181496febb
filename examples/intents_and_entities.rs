//! DIET as a library: labelled messages in, intents and entities out.
//!
//! ```sh
//! cargo run --release --example intents_and_entities
//! ```
//!
//! Takes about five seconds. It learns to take taxi orders from thirty messages, in which the same city can have two
//! roles (`from`, `to`), and prints, for messages it has never seen, something like
//!
//! ```text
//! epoch 200: loss 0.45, intent accuracy 1.00, entity f1 1.00, role f1 1.00
//!
//! a ride from Vienna to Prague please
//!   order_ride 0.99
//!   city (from): Vienna 1.00
//!   city (to): Prague 1.00
//! ```

use std::error::Error;

use talkformer::data::{Format, read_str};
use talkformer::pipeline::{Nlu, Recipe, TrainingOptions};
use talkformer::train::Event;

const DATA: &str = r#"
nlu:
- intent: order_ride
  examples: |
    - a ride from [Berlin]{"entity": "city", "role": "from"} to [Vienna]{"entity": "city", "role": "to"}
    - take me to [Prague]{"entity": "city", "role": "to"} please
    - I need a car from [Vienna]{"entity": "city", "role": "from"}
    - can you drive me from [Rome]{"entity": "city", "role": "from"} to [Milan]{"entity": "city", "role": "to"}
    - pick me up in [Prague]{"entity": "city", "role": "from"}
    - to [Rome]{"entity": "city", "role": "to"} from [Turin]{"entity": "city", "role": "from"}
    - get me a taxi to [Berlin]{"entity": "city", "role": "to"}
    - one car, [Milan]{"entity": "city", "role": "from"} to [Turin]{"entity": "city", "role": "to"}
    - I would like to go to [Vienna]{"entity": "city", "role": "to"} tomorrow
    - from [Paris]{"entity": "city", "role": "from"} to [Lyon]{"entity": "city", "role": "to"} please
- intent: ask_price
  examples: |
    - how much is it to [Paris]{"entity": "city", "role": "to"}
    - what does a ride from [Lyon]{"entity": "city", "role": "from"} cost
    - price from [Berlin]{"entity": "city", "role": "from"} to [Rome]{"entity": "city", "role": "to"}
    - how expensive is a taxi
    - what do I pay to [Milan]{"entity": "city", "role": "to"}
    - is it cheaper to [Turin]{"entity": "city", "role": "to"}
    - what will that cost me
    - tell me the fare to [Prague]{"entity": "city", "role": "to"}
- intent: cancel
  examples: |
    - cancel my ride
    - I do not need the car any more
    - stop, I changed my mind
    - please cancel the taxi
    - forget it, no ride for me
    - call it off
- intent: thank
  examples: |
    - thank you
    - thanks a lot
    - great, thanks
    - many thanks for the ride
    - that was nice of you
    - cheers
"#;

const MESSAGES: [&str; 4] = [
    "a ride from Vienna to Prague please",
    "what is the fare from Turin",
    "cancel it please",
    "thanks, great ride",
];

fn main() -> Result<(), Box<dyn Error>> {
    let data = read_str(Format::RasaYaml, DATA, "the data above")?;
    let mut config = Recipe::accurate();
    config.change_diet(|diet| diet.training.set_epochs(200));

    let report = |event| {
        if let Event::Epoch(epoch) = event
            && epoch.epoch % 50 == 0
        {
            let shares: Vec<String> = epoch
                .shares
                .iter()
                .map(|(name, share)| format!("{} {share:.2}", name.replace('_', " ")))
                .collect();
            println!("epoch {:>3}: loss {:.2}, {}", epoch.epoch, epoch.loss, shares.join(", "));
        }
    };
    let (nlu, _) = Nlu::train_with(&config, &data, &TrainingOptions::default(), report)?;

    for answer in nlu.parse_batch(&MESSAGES)? {
        println!("\n{}", answer.text);
        if let Some(intent) = &answer.intent {
            println!("  {} {:.2}", intent.name, intent.confidence);
        }
        for entity in &answer.entities {
            let role = entity.role.as_ref().map_or(String::new(), |role| format!(" ({})", role.name));
            println!(
                "  {}{role}: {} {:.2}",
                entity.entity,
                entity.value,
                entity.confidence.unwrap_or_default()
            );
        }
    }
    Ok(())
}
