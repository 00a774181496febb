//! `talkformer download`

use std::path::Path;

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
    fetch(&args.repository, &args.to, &options)?;
    say(&format!("{}: an encoder for --model and `model_weights`", args.to.display()));
    Ok(())
}

/// Downloads an encoder and says what arrives.
pub(crate) fn fetch(repository: &str, to: &Path, options: &HubOptions) -> anyhow::Result<()> {
    let mut file = String::new();
    download(repository, to, options, |name, _| {
        if file != name {
            name.clone_into(&mut file);
            say(name);
        }
    })?;
    Ok(())
}
