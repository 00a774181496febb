//! `talkformer download`

use talkformer::embed::hub::{HubOptions, download};

use super::args::Download;
use crate::output::say;

pub(crate) fn run(args: &Download) -> anyhow::Result<()> {
    let default = HubOptions::default();
    let options = HubOptions {
        revision: args.revision.clone(),
        endpoint: args.endpoint.clone().unwrap_or(default.endpoint),
        token: args.token.clone(),
        ..HubOptions::default()
    };
    let mut file = String::new();
    download(&args.repository, &args.to, &options, |name, _| {
        if file != name {
            name.clone_into(&mut file);
            say(name);
        }
    })?;
    say(&format!("{}: an encoder for --model and `model_weights`", args.to.display()));
    Ok(())
}
