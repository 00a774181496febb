//! Pretrained encoders from the Hugging Face hub, into a folder.
//!
//! ```text
//! modules.json → where the encoder lies, a config.json for each module, the    sentence-transformers, if there
//!                weights of Dense modules
//! config.json  tokenizer.json  model.safetensors, or its index and shards       always
//! tokenizer_config.json  sentence_*_config.json                                 if there
//! config_sentence_transformers.json                                             if there
//! ```
//!
//! [`download`] decides which files; `fetch.rs` downloads one of them, and `request.rs` sends the request. Nothing else
//! in the crate uses the network.

mod error;
mod fetch;
mod names;
mod request;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use error::HubError;
use fetch::Folder;
use request::Hub;

use super::pretrained::SENTENCE_CONFIGS;

/// Where to download from, and how much.
#[derive(Clone, PartialEq, Eq)]
pub struct HubOptions {
    /// A branch, tag or commit; by default `main`.
    pub revision: String,
    /// The hub or a mirror of it; by default `https://huggingface.co`.
    pub endpoint: String,
    /// An access token, for repositories that are not public. It is sent only to the endpoint.
    pub token: Option<String>,
    /// The most bytes of one file; by default 8 GiB.
    pub most_bytes: u64,
}

impl Default for HubOptions {
    fn default() -> Self {
        Self {
            revision: "main".to_owned(),
            endpoint: "https://huggingface.co".to_owned(),
            token: None,
            most_bytes: 8 << 30,
        }
    }
}

/// Shows whether there is a token, not which.
impl fmt::Debug for HubOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubOptions")
            .field("revision", &self.revision)
            .field("endpoint", &self.endpoint)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("most_bytes", &self.most_bytes)
            .finish()
    }
}

/// Small files that are read in memory.
const MOST_JSON: u64 = 4 << 20;
/// Tokenizers of many languages take tens of MB.
const MOST_TOKENIZER: u64 = 64 << 20;
/// How long a server may take to answer or to send the next bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Downloads a pretrained encoder from the Hugging Face hub into a folder.
///
/// The folder then holds what [`Embedder::open`](crate::embed::Embedder::open) needs. `progress` is
/// called again and again with the name of a file and how many of its bytes have arrived.
///
/// A file has its name only once it is whole: of the announced length and, for weights, of the announced SHA-256. Such a
/// file is kept by the next call, so an interrupted download goes on with the first file that is not whole. Small files
/// have no SHA-256; use an empty folder for another revision. Several downloads of one revision into one folder do not
/// disturb each other, but a file that is not finished is downloaded by each of them.
///
/// # Errors
///
/// [`HubError`] if a name is wrong, the repository is not there, wants a token or lacks safetensors weights, the network
/// fails, a file is not what was announced, or the disk refuses. The folder then keeps the files that are whole.
///
/// # Example
///
/// ```no_run
/// use talkformer::embed::hub::{HubOptions, download};
///
/// let repository = "sentence-transformers/all-MiniLM-L6-v2";
/// download(repository, "all-MiniLM-L6-v2", &HubOptions::default(), |file, bytes| {
///     eprintln!("{file}: {bytes} bytes");
/// })?;
/// # Ok::<(), talkformer::embed::hub::HubError>(())
/// ```
pub fn download(
    repository: &str,
    to: impl AsRef<Path>,
    options: &HubOptions,
    mut progress: impl FnMut(&str, u64),
) -> Result<(), HubError> {
    let hub = Hub::new(repository, options, PATIENCE)?;
    Encoder { repository, most: options.most_bytes, folder: Folder::new(&hub, to.as_ref(), &mut progress) }
        .download()
}

/// The download of an encoder.
struct Encoder<'a> {
    repository: &'a str,
    most: u64,
    folder: Folder<'a>,
}

#[derive(Deserialize)]
struct Module {
    #[serde(default)]
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// `model.safetensors.index.json`
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Encoder<'_> {
    fn download(&mut self) -> Result<(), HubError> {
        let place = self.modules()?;
        let config = place.clone() + "config.json";
        if !self.small(&config)? {
            return Err(HubError::NotFound { url: self.folder.url(&config) });
        }
        let tokenizer = place.clone() + "tokenizer.json";
        if !self.folder.fetch(&tokenizer, MOST_TOKENIZER.min(self.most))? {
            let hint = "save it in Python: `from transformers import AutoTokenizer; AutoTokenizer.from_pretrained(NAME).save_pretrained(FOLDER)`";
            return Err(HubError::Missing { url: self.folder.url(&tokenizer), hint });
        }
        self.small(&(place.clone() + "tokenizer_config.json"))?;
        for name in SENTENCE_CONFIGS {
            if self.small(&(place.clone() + name))? {
                break;
            }
        }
        self.weights(&place)
    }

    /// The configurations of the modules; returns the folder of the encoder, with a slash if it is not the root.
    fn modules(&mut self) -> Result<String, HubError> {
        const FILE: &str = "modules.json";
        let mut encoder = String::new();
        if !self.small(FILE)? {
            return Ok(encoder);
        }
        self.small("config_sentence_transformers.json")?;
        for module in self.read::<Vec<Module>>(FILE)? {
            let place = names::place(&module.path).ok_or_else(|| {
                let problem = format!("the path `{}` leads out of the folder", module.path.escape_debug());
                HubError::file(&self.folder.path(FILE), problem)
            })?;
            match module.kind.rsplit('.').next() {
                Some("Transformer") => encoder = place,
                _ if place.is_empty() => {}
                kind => {
                    self.small(&(place.clone() + "config.json"))?;
                    if kind == Some("Dense") {
                        self.weights(&place)?;
                    }
                }
            }
        }
        Ok(encoder)
    }

    fn weights(&mut self, place: &str) -> Result<(), HubError> {
        if self.folder.fetch(&format!("{place}model.safetensors"), self.most)? {
            return Ok(());
        }
        let file = format!("{place}model.safetensors.index.json");
        if !self.small(&file)? {
            return Err(HubError::NoSafetensors { repository: self.repository.to_owned() });
        }
        let shards: BTreeSet<String> = self.read::<Index>(&file)?.weight_map.into_values().collect();
        if let Some(shard) = shards.iter().find(|shard| !names::is_shard(shard)) {
            let problem =
                format!("it names `{}`, which is no safetensors file of this folder", shard.escape_debug());
            return Err(HubError::file(&self.folder.path(&file), problem));
        }
        for shard in shards {
            let shard = format!("{place}{shard}");
            if !self.folder.fetch(&shard, self.most)? {
                let hint = "the index of the weights names it: the repository is not complete";
                return Err(HubError::Missing { url: self.folder.url(&shard), hint });
            }
        }
        Ok(())
    }

    /// Downloads a small file, if there is one.
    fn small(&mut self, file: &str) -> Result<bool, HubError> {
        self.folder.fetch(file, MOST_JSON.min(self.most))
    }

    fn read<T: DeserializeOwned>(&self, file: &str) -> Result<T, HubError> {
        let path = self.folder.path(file);
        let bytes = fs::read(&path).map_err(HubError::io(&path))?;
        serde_json::from_slice(&bytes).map_err(|error| HubError::file(&path, error))
    }
}
